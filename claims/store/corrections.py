"""Payouts that the bank made although the books had given them up, and payouts that must not be sent because of that.

The claim stops (`claims.store.findings`) and a person sees it, whatever has become of it meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import ledger
from claims.claim import Status
from claims.errors import Conflict
from claims.store import audit, findings, payouts, recoveries, referrals, statuses
from claims.store import ledger as ledger_store
from claims.store.findings import Difference
from claims.store.payouts import NOT_SENT, Payout
from claims.store.tables import decisions
from claims.store.tables import payouts as payout_rows
from claims.store.tables import referrals as referral_rows

PAID_AFTER_ALL: Final = "paid_after_all"
MORE_THAN_DUE: Final = "paid_more_than_due"


async def paid_after_all(
    conn: AsyncConnection, payout_id: str, bank_reference: str, now: datetime, *, partner: str, actor: str
) -> bool:
    """Correct the books for a payout that is recorded as failed but was paid by the bank, stop the claim and ask a
    person.

    Returns False when it was recorded before. Raises Conflict for a payout that is not failed.
    """
    payout = await payouts.lock(conn, payout_id)
    if payout.state == "paid" and payout.bank_reference == bank_reference:
        return False
    if payout.state != "failed":
        raise Conflict(f"payout {payout_id} is {payout.state}, reference {payout.bank_reference!r}")
    await conn.execute(
        update(payout_rows)
        .where(payout_rows.c.id == payout_id)
        .values(state="paid", bank_reference=bank_reference, settled_at=now)
    )
    await ledger_store.write(conn, ledger.correct(payout_id, payout.amount), now)
    content = {"payout_id": payout_id, "amount_minor": payout.amount.minor, "bank_reference": bank_reference}
    await audit.append(conn, actor, "payout.paid_after_all", payout.claim_id, content, now)
    words = f"the bank paid {payout.amount.minor} minor units {payout.amount.currency} that it had refused"
    await findings.record(conn, Difference(payout_id, payout.claim_id, PAID_AFTER_ALL, words), now, actor=actor)
    await _show_a_person(conn, payout, words, now, partner=partner, actor=actor)
    return True


async def due_minor(conn: AsyncConnection, payout: Payout) -> int:
    """Return the amount due for the whole claim by the decision behind a payout, minor units."""
    query = select(decisions.c.payout_minor).where(decisions.c.id == payout.decision_id)
    return int((await conn.execute(query)).scalar_one())


async def more_than_due(conn: AsyncConnection, payout: Payout) -> bool:
    """Return True if with this payout the claim has been paid or promised more than is due. Under a lock on the
    claim."""
    return await recoveries.held_minor(conn, payout.claim_id) > await due_minor(conn, payout)


def too_much(payout: Payout, paid_minor: int, due_minor: int) -> Difference:
    """Return the finding that the payout's claim was paid more than is due. Its words are the same whoever notices it:
    a person may have lifted the very same finding."""
    words = f"{paid_minor} minor units {payout.amount.currency} were paid, {due_minor} are due"
    return Difference(payout.id, payout.claim_id, MORE_THAN_DUE, words)


async def not_sent(conn: AsyncConnection, payout_id: str, why: str, now: datetime, *, partner: str, actor: str) -> None:
    """Give a payout up that the bank has never heard of, and ask a person. Raises Conflict when it is settled."""
    payout = await payouts.lock(conn, payout_id)
    error = f"{NOT_SENT}: {why}"
    if await payouts.mark_failed(conn, payout_id, error, now, partner=partner, actor=actor, cause="stopped"):
        status, _ = await statuses.lock(conn, payout.claim_id)
        await statuses.move(conn, payout.claim_id, status, Status.REFERRED, actor=actor, note="", now=now)


async def look_after_paid(conn: AsyncConnection, payout: Payout, now: datetime, *, partner: str, actor: str) -> bool:
    """Ask a person about a payout that was paid beside another that turned out to be paid as well. Returns False when
    all of it is due."""
    if not await more_than_due(conn, payout):
        return False
    held, due = await recoveries.held_minor(conn, payout.claim_id), await due_minor(conn, payout)
    difference = too_much(payout, held, due)
    await findings.record(conn, difference, now, actor=actor)
    await _show_a_person(conn, payout, difference.detail, now, partner=partner, actor=actor)
    return True


async def _show_a_person(
    conn: AsyncConnection, payout: Payout, words: str, now: datetime, *, partner: str, actor: str
) -> None:
    """Put the claim before a person, unless it is there, is being decided (the facts say what was paid), has another
    payout on its way (whose end brings it there), or was erased (the operator's page shows the finding)."""
    status, _ = await statuses.lock(conn, payout.claim_id)
    before_a_person = select(referral_rows.c.id).where(
        referral_rows.c.claim_id == payout.claim_id, referral_rows.c.state.in_(referrals.OPEN)
    )
    waiting = (await conn.execute(before_a_person)).scalar_one_or_none()
    if waiting is not None:
        await conn.execute(
            update(referral_rows).where(referral_rows.c.id == waiting).values(cause="stopped", note=words)
        )
    if status in (Status.SUBMITTED, Status.APPROVED, Status.ERASED):
        return
    if status is not Status.REFERRED:
        await statuses.move(conn, payout.claim_id, status, Status.REFERRED, actor=actor, note="", now=now)
    if waiting is None:
        await referrals.open_referral(
            conn, payout.claim_id, payout.decision_id, partner, "stopped", now, note=words, again=f"{payout.id}:{words}"
        )

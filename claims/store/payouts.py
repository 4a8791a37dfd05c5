"""Payouts on their way to the rail and back: every step changes payout, ledger, claim and audit together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import ledger
from claims.claim import Status
from claims.errors import Conflict, NotFound
from claims.money import Money
from claims.store import audit, outbox, referrals, statuses
from claims.store import ledger as ledger_store
from claims.store.tables import audit as audit_rows
from claims.store.tables import claims, payouts
from claims.store.tables import outbox as outbox_rows

NOT_SENT: Final = "not_sent"  # start of the error of a payout that was given up without asking the bank
LIVE: Final = ("reserved", "sent", "paid")  # the money is promised, on its way or gone


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout. state: reserved, sent (the rail was asked at least once), paid, failed. recovery_id: what it was offset
    against instead of being sent, "" for one that goes to the bank."""

    id: str
    claim_id: str
    decision_id: str
    amount: Money
    payee_account: str
    state: str
    bank_reference: str
    attempts: int
    last_error: str
    created_at: datetime
    settled_at: datetime | None
    recovery_id: str = ""

    @property
    def never_reached_the_bank(self) -> bool:
        """Return True if it failed before the bank was asked, or while the bank had never heard of it."""
        return self.state == "failed" and (self.attempts == 0 or self.last_error.startswith(NOT_SENT))


@dataclass(frozen=True, slots=True)
class UnclearPayout:
    """A payout that the bank was asked for and has not finally answered. sent_at: of the first time that it was
    asked."""

    id: str
    claim_id: str
    amount: Money
    sent_at: datetime


async def reserve(
    conn: AsyncConnection, claim_id: str, decision_id: str, amount: Money, payee_account: str, now: datetime
) -> str:
    """Promise `amount`: payout row, ledger reserve, message to the settle process.

    Part of recording a decision; returns the id.
    """
    payout_id = ledger.payout_id(claim_id, decision_id)
    await conn.execute(
        insert(payouts).values(
            id=payout_id,
            claim_id=claim_id,
            decision_id=decision_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            payee_account=payee_account,
            state="reserved",
            created_at=now,
        )
    )
    await ledger_store.write(conn, ledger.reserve(payout_id, amount), now)
    await outbox.put(conn, "settle", payout_id, {"claim_id": claim_id}, now)
    return payout_id


async def get(conn: AsyncConnection, payout_id: str) -> Payout:
    """Return the payout. Raises NotFound."""
    row = (await conn.execute(select(payouts).where(payouts.c.id == payout_id))).first()
    if row is None:
        raise NotFound(f"no payout {payout_id}")
    return from_row(row)


async def of_claim(conn: AsyncConnection, claim_id: str) -> list[Payout]:
    """Return every payout of a claim, oldest first."""
    rows = await conn.execute(
        select(payouts).where(payouts.c.claim_id == claim_id).order_by(payouts.c.created_at, payouts.c.id)
    )
    return [from_row(row) for row in rows]


async def every(conn: AsyncConnection, *, after: str = "", limit: int = 1000) -> list[Payout]:
    """Return all payouts in the order of their ids, a page at a time; a reconciliation compares each with the bank."""
    rows = await conn.execute(select(payouts).where(payouts.c.id > after).order_by(payouts.c.id).limit(limit))
    return [from_row(row) for row in rows]


async def unclear(conn: AsyncConnection, before: datetime, limit: int = 1000) -> list[UnclearPayout]:
    """Return payouts that were promised before then and are with the bank, the oldest first."""
    asked = (
        select(func.max(audit_rows.c.at))
        .where(
            audit_rows.c.subject == payouts.c.claim_id,
            audit_rows.c.action == "payout.sent",
            audit_rows.c.at >= payouts.c.created_at,
        )
        .scalar_subquery()
    )
    # Through the messages that are not done, which are few, and not through every payout there ever was.
    rows = await conn.execute(
        select(payouts.c.id, payouts.c.claim_id, payouts.c.amount_minor, payouts.c.currency,
               func.coalesce(asked, payouts.c.created_at).label("sent_at"))
        .join(outbox_rows, outbox_rows.c.key == payouts.c.id)
        .where(outbox_rows.c.topic == "settle", outbox_rows.c.state.in_(("due", "leased")))
        .where(payouts.c.state == "sent", payouts.c.created_at < before)
        .order_by(payouts.c.created_at, payouts.c.id)
        .limit(limit)
    )  # fmt: skip
    return [UnclearPayout(row.id, row.claim_id, Money(row.amount_minor, row.currency), row.sent_at) for row in rows]


async def promised_minor(conn: AsyncConnection, claim_id: str) -> int:
    """Return what the claim has been paid or promised so far, minor units."""
    return (await promised_by_claim(conn, [claim_id])).get(claim_id, 0)


async def promised_by_claim(conn: AsyncConnection, claim_ids: Collection[str]) -> dict[str, int]:
    """Return what each of these claims has been paid or promised, minor units; a claim that was not is missing.

    This alone says if a claim was paid: its status may have changed since.
    """
    if not claim_ids:
        return {}
    rows = await conn.execute(
        select(payouts.c.claim_id, func.sum(payouts.c.amount_minor))
        .where(payouts.c.claim_id.in_(sorted(set(claim_ids))), payouts.c.state.in_(LIVE))
        .group_by(payouts.c.claim_id)
    )
    return {claim_id: int(total) for claim_id, total in rows}


async def paid_claims(conn: AsyncConnection, claim_ids: Collection[str]) -> frozenset[str]:
    """Return those of these claims that have been paid or promised money."""
    return frozenset(await promised_by_claim(conn, claim_ids))


async def mark_sent(conn: AsyncConnection, payout_id: str, now: datetime, actor: str = "flow:settle") -> Payout:
    """Mark the payout as sent. Commit this before the rail is asked: from here on only the bank knows. Recorded the
    first time.

    Raises Conflict when it is settled already.
    """
    payout = await lock(conn, payout_id)
    if payout.state not in ("reserved", "sent"):
        raise Conflict(f"payout {payout_id} is {payout.state}")
    await conn.execute(
        update(payouts).where(payouts.c.id == payout_id).values(state="sent", attempts=payouts.c.attempts + 1)
    )
    if payout.state == "reserved":
        content = {"payout_id": payout_id, "amount_minor": payout.amount.minor}
        await audit.append(conn, actor, "payout.sent", payout.claim_id, content, now)
    return await get(conn, payout_id)


async def note_error(conn: AsyncConnection, payout_id: str, error: str) -> None:
    """Record the error of the last attempt, for the operator; the state stays."""
    await conn.execute(update(payouts).where(payouts.c.id == payout_id).values(last_error=error[:2000]))


async def mark_paid(
    conn: AsyncConnection, payout_id: str, bank_reference: str, now: datetime, actor: str = "flow:settle"
) -> bool:
    """Record the rail's confirmation. Returns False when it was recorded before.

    Raises Conflict for a payout that failed or was paid otherwise.
    """
    payout = await lock(conn, payout_id)
    if payout.state == "paid" and payout.bank_reference == bank_reference:
        return False
    if payout.state not in ("reserved", "sent"):
        raise Conflict(f"payout {payout_id} is {payout.state}, reference {payout.bank_reference!r}")
    await conn.execute(
        update(payouts)
        .where(payouts.c.id == payout_id)
        .values(state="paid", bank_reference=bank_reference, settled_at=now, last_error="")
    )
    await ledger_store.write(conn, ledger.post(payout_id, payout.amount), now)
    status, _ = await statuses.lock(conn, payout.claim_id)
    await statuses.move(conn, payout.claim_id, status, Status.PAID, actor=actor, note="", now=now)
    content = {"payout_id": payout_id, "amount_minor": payout.amount.minor, "bank_reference": bank_reference}
    await audit.append(conn, actor, "payout.paid", payout.claim_id, content, now)
    return True


async def mark_failed(
    conn: AsyncConnection,
    payout_id: str,
    error: str,
    now: datetime,
    *,
    partner: str,
    actor: str = "flow:settle",
    cause: referrals.Cause = "payout_failed",
) -> bool:
    """Record that the rail refused for good, or that nothing was sent: the reserve is voided and a person asked, for
    `cause`.

    Returns False when recorded before. Raises Conflict when paid.
    """
    payout = await lock(conn, payout_id)
    if payout.state == "failed":
        return False
    if payout.state == "paid":
        raise Conflict(f"payout {payout_id} is paid")
    if payout.payee_account:
        error = error.replace(payout.payee_account, "(account)")  # a bank may quote what it was told
    await conn.execute(
        update(payouts).where(payouts.c.id == payout_id).values(state="failed", last_error=error[:2000], settled_at=now)
    )
    await ledger_store.write(conn, ledger.void(payout_id, payout.amount), now)
    status, _ = await statuses.lock(conn, payout.claim_id)
    await statuses.move(conn, payout.claim_id, status, Status.PAYOUT_FAILED, actor=actor, note=error, now=now)
    await referrals.open_referral(conn, payout.claim_id, payout.decision_id, partner, cause, now, note=error)
    content = {"payout_id": payout_id, "amount_minor": payout.amount.minor, "error": error}
    await audit.append(conn, actor, "payout.failed", payout.claim_id, content, now)
    return True


async def lock(conn: AsyncConnection, payout_id: str) -> Payout:
    """Lock the payout's claim, then the payout: the order of every transaction. Raises NotFound."""
    claim = select(payouts.c.claim_id).where(payouts.c.id == payout_id).scalar_subquery()
    await conn.execute(select(claims.c.id).where(claims.c.id == claim).with_for_update(key_share=True))
    row = (await conn.execute(select(payouts).where(payouts.c.id == payout_id).with_for_update())).first()
    if row is None:
        raise NotFound(f"no payout {payout_id}")
    return from_row(row)


def from_row(row: Row[Any]) -> Payout:
    """Return the payout of a row of the whole `payouts` table."""
    amount = Money(row.amount_minor, row.currency)
    return Payout(amount=amount, **{name: getattr(row, name) for name in Payout.__slots__ if name != "amount"})

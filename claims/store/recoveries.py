"""Money that claimants owe back, from the decision that says so until it is offset, repaid or written off.

Lock order: claim, policy, recoveries (by age). Every step changes recovery, ledger and audit together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import ledger
from claims.claim import Claim
from claims.errors import Conflict, NotFound
from claims.money import Money
from claims.recovery import State, split
from claims.store import audit, payouts, statuses
from claims.store import ledger as ledger_store
from claims.store.tables import claims, recoveries
from claims.store.tables import payouts as payout_rows

OFFSET_REFERENCE: Final = "offset"  # what stands for a bank's reference on a payout that never left


@dataclass(frozen=True, slots=True)
class Recovery:
    """Money that a claimant owes back. Amounts are minor units of `amount`'s currency. state: open, or what ended
    it."""

    id: str
    claim_id: str
    decision_id: str
    claimant_id: str
    amount: Money
    offset_minor: int
    repaid_minor: int
    written_off_minor: int
    state: State
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str
    reference: str
    note: str

    @property
    def owed(self) -> Money:
        """Return the amount that is still to come back."""
        settled = self.offset_minor + self.repaid_minor + self.written_off_minor
        return Money(self.amount.minor - settled, self.amount.currency)


async def held_minor(conn: AsyncConnection, claim_id: str) -> int:
    """Return the minor units that the claimant was paid or promised for the claim and need not give back: payouts less
    recoveries. What was written off stays theirs."""
    asked_back = recoveries.c.amount_minor - recoveries.c.written_off_minor
    return await payouts.promised_minor(conn, claim_id) - await _sum(conn, asked_back, claim_id)


async def wanted_minor(conn: AsyncConnection, claim_id: str) -> int:
    """Return `held_minor` less what was written off: what the claim should have cost."""
    return await payouts.promised_minor(conn, claim_id) - await _sum(conn, recoveries.c.amount_minor, claim_id)


async def _sum(conn: AsyncConnection, amounts: ColumnElement[int], claim_id: str) -> int:
    total = await conn.execute(select(func.coalesce(func.sum(amounts), 0)).where(recoveries.c.claim_id == claim_id))
    return int(total.scalar_one())


async def given_back_minor(conn: AsyncConnection, policy_id: str, *, besides: str = "") -> int:
    """Return the minor units that came back, by offset or repayment, of the claims under a policy; without the claim
    `besides`."""
    total = await conn.execute(
        select(func.coalesce(func.sum(recoveries.c.offset_minor + recoveries.c.repaid_minor), 0))
        .join(claims, claims.c.id == recoveries.c.claim_id)
        .where(claims.c.policy_id == policy_id, claims.c.id != besides)
    )
    return int(total.scalar_one())


async def ask_back(
    conn: AsyncConnection, claim: Claim, decision_id: str, amount: Money, note: str, now: datetime, *, actor: str
) -> str:
    """Record that the claimant owes `amount` of what was paid for the claim. Returns the recovery's id. Part of
    recording a decision."""
    recovery_id = ledger.recovery_id(claim.id, decision_id)
    await conn.execute(
        insert(recoveries).values(
            id=recovery_id,
            claim_id=claim.id,
            decision_id=decision_id,
            claimant_id=claim.claimant_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            state="open",
            opened_at=now,
            opened_by=actor,
            note=note,
        )
    )
    await ledger_store.write(conn, ledger.recover(recovery_id, amount), now)
    content = {"recovery_id": recovery_id, "amount_minor": amount.minor, "currency": amount.currency}
    await audit.append(conn, actor, "recovery.opened", claim.id, content, now)
    return recovery_id


async def pay(conn: AsyncConnection, claim: Claim, decision_id: str, due: Money, now: datetime, *, actor: str) -> str:
    """Promise `due`, less what the claimant owes: the reserve is split into a payout offset against each recovery, done
    at once, and one to the bank for the rest. Returns the id of the latter, "" when nothing is left of it."""
    owed = await conn.execute(
        select(recoveries)
        .where(
            recoveries.c.claimant_id == claim.claimant_id,
            recoveries.c.currency == due.currency,
            recoveries.c.state == "open",
        )
        .order_by(recoveries.c.opened_at, recoveries.c.id)
        .with_for_update()
    )
    by_id = {row.id: _recovery(row) for row in owed}
    parts, rest_minor = split(due.minor, [(recovery.id, recovery.owed.minor) for recovery in by_id.values()])
    for recovery_id, part_minor in parts:
        part = Money(part_minor, due.currency)
        await _offset(conn, claim, decision_id, by_id[recovery_id], part, now, actor=actor)
    if rest_minor == 0:
        return ""
    rest = Money(rest_minor, due.currency)
    return await payouts.reserve(conn, claim.id, decision_id, rest, claim.payee_account, now)


async def _offset(
    conn: AsyncConnection,
    claim: Claim,
    decision_id: str,
    recovery: Recovery,
    part: Money,
    now: datetime,
    *,
    actor: str,
) -> None:
    payout_id = ledger.offset_id(claim.id, decision_id, recovery.id)
    await conn.execute(
        insert(payout_rows).values(
            id=payout_id,
            claim_id=claim.id,
            decision_id=decision_id,
            amount_minor=part.minor,
            currency=part.currency,
            payee_account=claim.payee_account,
            state="paid",
            bank_reference=OFFSET_REFERENCE,
            created_at=now,
            settled_at=now,
            recovery_id=recovery.id,
        )
    )
    await ledger_store.write(conn, ledger.reserve(payout_id, part), now)
    await ledger_store.write(conn, ledger.offset(payout_id, part), now)
    ended = part.minor == recovery.owed.minor
    closing: dict[str, object] = {"state": "offset", "closed_at": now, "closed_by": actor} if ended else {}
    await conn.execute(
        update(recoveries)
        .where(recoveries.c.id == recovery.id)
        .values(offset_minor=recoveries.c.offset_minor + part.minor, **closing)
    )
    content = {
        "recovery_id": recovery.id,
        "payout_id": payout_id,
        "offset_against": claim.id,
        "amount_minor": part.minor,
    }
    await audit.append(conn, actor, "recovery.offset", recovery.claim_id, content, now)


async def mark_repaid(
    conn: AsyncConnection, recovery_id: str, reference: str, now: datetime, *, actor: str
) -> Recovery:
    """Record that the claimant has paid all that was still owed; reference: of their payment. The same reference again
    changes nothing. Raises NotFound, and Conflict when it was ended otherwise."""
    recovery = await _lock(conn, recovery_id)
    if recovery.state == "repaid" and recovery.reference == reference:
        return recovery
    owed = _still_open(recovery)
    await ledger_store.write(conn, ledger.repay(recovery_id, owed), now)
    await _close(conn, recovery_id, "repaid", now, actor=actor, repaid_minor=owed.minor, reference=reference)
    content = {"recovery_id": recovery_id, "amount_minor": owed.minor, "reference": reference}
    await audit.append(conn, actor, "recovery.repaid", recovery.claim_id, content, now)
    return await get(conn, recovery_id)


async def write_off(conn: AsyncConnection, recovery_id: str, note: str, now: datetime, *, actor: str) -> Recovery:
    """Give up what is still owed; note: why. Raises NotFound, and Conflict when it was ended already."""
    recovery = await _lock(conn, recovery_id)
    owed = _still_open(recovery)
    await ledger_store.write(conn, ledger.write_off(recovery_id, owed), now)
    await _close(conn, recovery_id, "written_off", now, actor=actor, written_off_minor=owed.minor, note=note)
    content = {"recovery_id": recovery_id, "amount_minor": owed.minor, "note": note}
    await audit.append(conn, actor, "recovery.written_off", recovery.claim_id, content, now)
    return await get(conn, recovery_id)


async def get(conn: AsyncConnection, recovery_id: str) -> Recovery:
    """Return the recovery. Raises NotFound."""
    row = (await conn.execute(select(recoveries).where(recoveries.c.id == recovery_id))).first()
    if row is None:
        raise NotFound(f"no recovery {recovery_id}")
    return _recovery(row)


async def of_claim(conn: AsyncConnection, claim_id: str) -> list[Recovery]:
    """Return every recovery of a claim, oldest first."""
    rows = await conn.execute(
        select(recoveries).where(recoveries.c.claim_id == claim_id).order_by(recoveries.c.opened_at, recoveries.c.id)
    )
    return [_recovery(row) for row in rows]


async def listed(conn: AsyncConnection, *, state: str = "open", limit: int = 100, offset: int = 0) -> list[Recovery]:
    """Return recoveries, oldest first; any state when `state` is ""."""
    query = select(recoveries).order_by(recoveries.c.opened_at, recoveries.c.id).limit(limit).offset(offset)
    if state:
        query = query.where(recoveries.c.state == state)
    return [_recovery(row) for row in await conn.execute(query)]


async def every(conn: AsyncConnection, *, after: str = "", limit: int = 1000) -> list[Recovery]:
    """Return all recoveries in the order of their ids, a page at a time."""
    rows = await conn.execute(select(recoveries).where(recoveries.c.id > after).order_by(recoveries.c.id).limit(limit))
    return [_recovery(row) for row in rows]


async def owed(conn: AsyncConnection) -> Mapping[str, tuple[int, int]]:
    """Return the open recoveries by currency: how many, and minor units still owed."""
    settled = recoveries.c.offset_minor + recoveries.c.repaid_minor + recoveries.c.written_off_minor
    rows = await conn.execute(
        select(recoveries.c.currency, func.count(), func.sum(recoveries.c.amount_minor - settled))
        .where(recoveries.c.state == "open")
        .group_by(recoveries.c.currency)
    )
    return {currency: (count, int(minor)) for currency, count, minor in rows}


def _still_open(recovery: Recovery) -> Money:
    if recovery.state != "open":
        raise Conflict(f"recovery {recovery.id} is {recovery.state} already")
    return recovery.owed


async def _lock(conn: AsyncConnection, recovery_id: str) -> Recovery:
    """Lock the recovery, its claim first, as everybody locks."""
    await statuses.lock(conn, (await get(conn, recovery_id)).claim_id)
    row = (await conn.execute(select(recoveries).where(recoveries.c.id == recovery_id).with_for_update())).one()
    return _recovery(row)


async def _close(
    conn: AsyncConnection, recovery_id: str, state: State, now: datetime, *, actor: str, **values: object
) -> None:
    await conn.execute(
        update(recoveries)
        .where(recoveries.c.id == recovery_id)
        .values(state=state, closed_at=now, closed_by=actor, **values)
    )


def _recovery(row: Row[Any]) -> Recovery:
    special: dict[str, Any] = {"amount": Money(row.amount_minor, row.currency), "state": row.state}
    return Recovery(**special, **{name: getattr(row, name) for name in Recovery.__slots__ if name not in special})

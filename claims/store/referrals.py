"""Referrals, claims in front of a person: opened by a decision, an appeal or a failed payout; taken, then decided, by
one person only."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import Conflict, NotFound, StoreError
from claims.store import audit, outbox
from claims.store.tables import referrals

Cause = Literal["refer", "appeal", "payout_failed", "stopped", "flood"]
Verdict = Literal["approve", "refuse", "ask"]
OPEN: Final = ("open", "delivered")
SLA: Final = timedelta(hours=24)
_REFERRALS: Final = uuid.UUID("0d6c1c52-5a0c-5c7e-8a38-1df0a9a4a6b7")


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral. state: open (not yet with the partner), delivered, decided, closed (withdrawn, or overtaken by
    another check)."""

    id: str
    claim_id: str
    decision_id: str  # what was decided before: "" never, an appeal names the decision it is against
    partner: str
    state: str
    cause: str
    assigned_to: str
    assigned_until: datetime | None
    due_at: datetime
    created_at: datetime
    delivered_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    verdict: str
    note: str


async def open_referral(
    conn: AsyncConnection,
    claim_id: str,
    decision_id: str,
    partner: str,
    cause: Cause,
    now: datetime,
    *,
    note: str = "",
    sla: timedelta = SLA,
    again: str = "",
) -> str:
    """Put a claim before a person of `partner` and the message to the partner into the outbox; returns the referral's
    id. For a claim that waits for a flood, the partner is told only if the ruling leaves it to them.

    The same decision and cause (and `again`, where they may meet twice) give the same id, so a retry opens nothing
    twice. Raises Conflict when another referral of the claim is open, or this very one is over, so that it would be
    before nobody.
    """
    if not partner:
        raise StoreError(f"claim {claim_id} has no partner insurer to be referred to")
    referral_id = str(uuid.uuid5(_REFERRALS, f"{claim_id}:{decision_id}:{cause}" + (f":{again}" if again else "")))
    fresh = await conn.execute(
        insert(referrals)
        .values(
            id=referral_id,
            claim_id=claim_id,
            decision_id=decision_id,
            partner=partner,
            state="open",
            cause=cause,
            due_at=now + sla,
            created_at=now,
            note=note,
        )
        .on_conflict_do_nothing()
        .returning(referrals.c.id)
    )
    if fresh.first() is None:
        state = await conn.execute(select(referrals.c.state).where(referrals.c.id == referral_id))
        same = state.scalar_one_or_none()
        if same not in OPEN:
            words = "is before a person already" if same is None else f"was before a person for this, and is {same}"
            raise Conflict(f"claim {claim_id} {words}")
        return referral_id
    if cause != "flood":
        await _tell(conn, referral_id, claim_id, partner, cause, now)
    return referral_id


async def count_of_claim(conn: AsyncConnection, claim_id: str) -> int:
    """Return how often the claim came before a person, for any cause."""
    return (await conn.execute(select(func.count()).where(referrals.c.claim_id == claim_id))).scalar_one()


async def hand_on(
    conn: AsyncConnection, referral_id: str, now: datetime, *, sla: timedelta = SLA, actor: str = "flow:learn"
) -> bool:
    """Turn the referral of a claim that waited for a flood into an ordinary one: its time begins, and the partner is
    told. Returns False when it is no longer open."""
    row = (
        await conn.execute(
            update(referrals)
            .where(referrals.c.id == referral_id, referrals.c.state.in_(OPEN))
            .values(cause="refer", due_at=now + sla)
            .returning(referrals.c.claim_id, referrals.c.partner)
        )
    ).first()
    if row is None:
        return False
    await _tell(conn, referral_id, row.claim_id, row.partner, "refer", now)
    await audit.append(conn, actor, "referral.handed_on", row.claim_id, {"referral_id": referral_id}, now)
    return True


async def _tell(
    conn: AsyncConnection, referral_id: str, claim_id: str, partner: str, cause: Cause, now: datetime
) -> None:
    payload = {"claim_id": claim_id, "partner": partner, "cause": cause}
    await outbox.put(conn, "refer", referral_id, payload, now)


async def get(conn: AsyncConnection, referral_id: str, partner: str | None = None) -> Referral:
    """Return one referral. Raises NotFound, also when `partner` is given and it is not theirs."""
    return await _one(conn, referrals.c.id == referral_id, partner)


async def referred_to(conn: AsyncConnection, partner: str, claim_ids: Collection[str]) -> frozenset[str]:
    """Return those of `claim_ids` that were ever referred to this partner."""
    if not claim_ids:
        return frozenset()
    rows = await conn.execute(
        select(referrals.c.claim_id).where(referrals.c.partner == partner, referrals.c.claim_id.in_(claim_ids))
    )
    return frozenset(rows.scalars())


async def take(
    conn: AsyncConnection,
    referral_id: str,
    subject: str,
    now: datetime,
    *,
    lock_seconds: float = 600.0,
    partner: str | None = None,
) -> Referral:
    """Assign to `subject` for `lock_seconds`, or extend their time.

    Raises Conflict while it is somebody else's, NotFound when not open.
    """
    free = or_(referrals.c.assigned_to == "", referrals.c.assigned_to == subject, referrals.c.assigned_until < now)
    mine = [referrals.c.partner == partner] if partner is not None else []
    row = (
        await conn.execute(
            update(referrals)
            .where(referrals.c.id == referral_id, referrals.c.state.in_(OPEN), free, *mine)
            .values(assigned_to=subject, assigned_until=now + timedelta(seconds=lock_seconds))
            .returning(referrals)
        )
    ).first()
    if row is not None:
        return from_row(row)
    current = await get(conn, referral_id, partner)
    if current.state not in OPEN:
        raise NotFound(f"referral {referral_id} is {current.state}")
    raise Conflict(f"referral {referral_id} is being judged by somebody else")


async def give_back(conn: AsyncConnection, referral_id: str, subject: str) -> None:
    """End `subject`'s own assignment; anything else stays as it is."""
    await conn.execute(
        update(referrals)
        .where(referrals.c.id == referral_id, referrals.c.assigned_to == subject, referrals.c.state.in_(OPEN))
        .values(assigned_to="", assigned_until=None)
    )


async def deliver(conn: AsyncConnection, referral_id: str, now: datetime, actor: str = "flow:refer") -> None:
    """Record that the partner has it. A referral that was decided or closed in the meantime stays so."""
    delivered = await conn.execute(
        update(referrals)
        .where(referrals.c.id == referral_id, referrals.c.state == "open")
        .values(state="delivered", delivered_at=now)
        .returning(referrals.c.claim_id, referrals.c.partner)
    )
    row = delivered.first()
    if row is not None:
        content = {"referral_id": referral_id, "partner": row.partner}
        await audit.append(conn, actor, "referral.delivered", row.claim_id, content, now)


async def settle(
    conn: AsyncConnection,
    referral_id: str,
    subject: str,
    verdict: Verdict,
    note: str,
    now: datetime,
    *,
    partner: str | None = None,
) -> Referral:
    """Mark as decided, once: of two people at the same moment one gets Conflict. Raises NotFound for another partner's
    referral.

    `claims.store.recording.decide_referral` calls this with the decision that follows from it, in one transaction.
    """
    row = (await conn.execute(select(referrals).where(referrals.c.id == referral_id).with_for_update())).first()
    if row is None or (partner is not None and row.partner != partner):
        raise NotFound(f"no referral {referral_id}")
    if row.state not in OPEN:
        raise Conflict(f"referral {referral_id} is {row.state} already")
    if row.assigned_to not in ("", subject) and row.assigned_until > now:
        raise Conflict(f"referral {referral_id} is being judged by somebody else")
    await conn.execute(
        update(referrals)
        .where(referrals.c.id == referral_id)
        .values(state="decided", decided_at=now, decided_by=subject, verdict=verdict, note=note)
    )
    return from_row(row)


async def close_of_claim(conn: AsyncConnection, claim_id: str, now: datetime) -> None:
    """Close the claim's referral when it was withdrawn: nobody needs to judge it any more."""
    await conn.execute(
        update(referrals)
        .where(referrals.c.claim_id == claim_id, referrals.c.state.in_(OPEN))
        .values(state="closed", decided_at=now)
    )


async def _one(conn: AsyncConnection, condition: ColumnElement[bool], partner: str | None) -> Referral:
    query = select(referrals).where(condition)
    if partner is not None:
        query = query.where(referrals.c.partner == partner)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound("no such referral")
    return from_row(row)


def from_row(row: Row[Any]) -> Referral:
    """Return the referral of a row of the whole `referrals` table."""
    return Referral(**{name: getattr(row, name) for name in Referral.__slots__})

"""The outbox: messages to the outside world (payouts, referrals), written in the transaction that decides them, sent by
another process, at least once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store import gates
from claims.store.leasing import WorkBacklog, WorkTable
from claims.store.tables import outbox

Topic = Literal["settle", "refer", "enrol", "learn"]
_OUTBOX: Final = WorkTable(outbox, unique=("topic", "key"))
# Raising LeaseLost, as `WorkTable` says.
hold = _OUTBOX.hold
renew = _OUTBOX.renew
finish = _OUTBOX.finish
release = _OUTBOX.release
put_back = _OUTBOX.put_back
fail = _OUTBOX.fail


@dataclass(frozen=True, slots=True)
class Message:
    """A leased message. row_id is the message's id, key the payout's or the referral's; attempts counts leases, this
    one included."""

    row_id: int
    topic: str
    key: str
    payload: Mapping[str, Any]
    fence: int
    attempts: int
    created_at: datetime


async def put(conn: AsyncConnection, topic: Topic, key: str, payload: Mapping[str, object], now: datetime) -> None:
    """Make a message due at once. A second one with the same topic and key changes nothing."""
    await _OUTBOX.put(conn, now, topic=topic, key=key, payload=dict(payload))


async def lease(
    conn: AsyncConnection, topic: Topic, owner: str, limit: int, lease_seconds: float, now: datetime
) -> list[Message]:
    """Lease up to `limit` due messages of one topic, longest waiting first, none that is held (`claims.store.gates`).
    Commit before sending."""
    gate = await gates.of_queue(conn, topic, now)
    if not (room := gate.room(limit)):
        return []
    mine = outbox.c.topic == topic
    rows = await _OUTBOX.take(conn, owner, room, lease_seconds, now, mine, *gate.conditions)
    return [Message(row.id, row.topic, row.key, row.payload, row.fence, row.attempts, row.created_at) for row in rows]


async def due_now(conn: AsyncConnection, topic: Topic, now: datetime) -> int:
    """Make every message of one topic that waits for a later time due at once. Returns how many."""
    hurried = await conn.execute(
        update(outbox)
        .where(outbox.c.topic == topic, outbox.c.state == "due", outbox.c.due_at > now)
        .values(due_at=now)
        .returning(outbox.c.id)
    )
    return len(hurried.all())


async def backlog(conn: AsyncConnection, topic: Topic, now: datetime) -> WorkBacklog:
    """Return how many messages of one topic wait, are being sent, were given up."""
    return await _OUTBOX.backlog(conn, now, outbox.c.topic == topic)


async def overdue(conn: AsyncConnection, topic: Topic, now: datetime) -> WorkBacklog:
    """Return the backlog of one topic without what people hold. What they have let go counts as due from then on."""
    held = await gates.hold_of(conn, topic)
    return await _OUTBOX.backlog(conn, now, outbox.c.topic == topic, *held.conditions, since=held.eased_at)

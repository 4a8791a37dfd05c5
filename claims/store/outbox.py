"""What must reach the outside world (payouts, referrals): written in the transaction that decides it, sent by another
process, at least once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import LeaseLost
from claims.store import leasing
from claims.store.leasing import Backlog, Held
from claims.store.tables import outbox

Topic = Literal["settle", "refer", "enrol", "teach"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message in hand. `key` is the payout's or the referral's id; `attempts` counts leases, this one included."""

    message_id: int
    topic: str
    key: str
    payload: Mapping[str, Any]
    fence: int
    attempts: int
    created_at: datetime


async def put(conn: AsyncConnection, topic: Topic, key: str, payload: Mapping[str, object], now: datetime) -> None:
    """Due at once. Once a topic and key: a second call changes nothing."""
    await conn.execute(
        insert(outbox)
        .values(topic=topic, key=key, payload=dict(payload), state="due", due_at=now, created_at=now)
        .on_conflict_do_nothing(index_elements=["topic", "key"])
    )


async def lease(
    conn: AsyncConnection, topic: Topic, owner: str, limit: int, lease_seconds: float, now: datetime
) -> list[Message]:
    """Up to `limit` due messages of one topic, longest waiting first. Commit before sending."""
    rows = await leasing.take(conn, outbox, owner, limit, lease_seconds, now, outbox.c.topic == topic)
    return [Message(row.id, row.topic, row.key, row.payload, row.fence, row.attempts, row.created_at) for row in rows]


async def renew(
    conn: AsyncConnection, messages: Sequence[Message], lease_seconds: float, now: datetime
) -> tuple[Message, ...]:
    """Extend the leases that still stand and return those."""
    alive = await leasing.renew(conn, outbox, [_held(one) for one in messages], lease_seconds, now)
    return tuple(one for one in messages if one.message_id in alive)


async def heartbeat(conn: AsyncConnection, messages: Sequence[Message], lease_seconds: float, now: datetime) -> None:
    """Extend all leases. Raises LeaseLost that names the keys whose lease is gone."""
    alive = {one.message_id for one in await renew(conn, messages, lease_seconds, now)}
    lost = [one.key for one in messages if one.message_id not in alive]
    if lost:
        raise LeaseLost(f"lease lost for messages {', '.join(lost)}")


async def hold(conn: AsyncConnection, message: Message) -> None:
    """Nobody can lease this message before the transaction ends. Raises LeaseLost when somebody has."""
    await leasing.hold(conn, outbox, _held(message))


async def finish(conn: AsyncConnection, message: Message, now: datetime) -> None:
    """Delivered, and its effect recorded in the same transaction. Raises LeaseLost."""
    await leasing.finish(conn, outbox, _held(message), now)


async def release(conn: AsyncConnection, messages: Sequence[Message], now: datetime) -> None:  # noqa: ARG001  (one shape for all)
    """Hand messages back, due at once; the attempt does not count."""
    await leasing.release(conn, outbox, [_held(one) for one in messages])


async def fail(conn: AsyncConnection, message: Message, error: str, retry_at: datetime, dead: bool) -> None:
    """Due again at `retry_at`, or set aside for a person when `dead`. Raises LeaseLost."""
    await leasing.fail(conn, outbox, _held(message), error, retry_at, dead=dead, now=retry_at)


async def backlog(conn: AsyncConnection, topic: Topic, now: datetime) -> Backlog:
    """How many messages of one topic wait, are being sent, were given up."""
    return await leasing.backlog(conn, outbox, now, outbox.c.topic == topic)


def _held(message: Message) -> Held:
    return Held(message.message_id, message.fence)

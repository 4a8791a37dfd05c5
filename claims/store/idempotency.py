"""Idempotency keys of the API: the first response is stored in the transaction that did the work, and given again on
every repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import Conflict
from claims.store.tables import idempotency_keys as keys


class Standing(StrEnum):
    FRESH = "fresh"  # ours now: do the work, then `finish` in the same transaction, or `abandon`
    REPLAY = "replay"  # done before: give `response` again
    IN_FLIGHT = "in_flight"  # somebody else is on it: 409
    OTHER_REQUEST = "other_request"  # the key belongs to another request: 422


@dataclass(frozen=True, slots=True)
class Response:
    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """response: only for REPLAY."""

    standing: Standing
    response: Response | None = None


async def begin(
    conn: AsyncConnection, principal: str, key: str, request_sha256: str, now: datetime, *, lock_seconds: float = 120.0
) -> Begun:
    """Claim the key for `lock_seconds`; commit at once, so that others see it.

    principal: role:subject, a key of one means nothing to another. A request that died is taken over when its time is
    up.
    """
    until = now + timedelta(seconds=lock_seconds)
    abandoned = and_(keys.c.state == "in_flight", keys.c.locked_until < now, keys.c.request_sha256 == request_sha256)
    fresh = await conn.execute(
        insert(keys)
        .values(
            principal=principal,
            key=key,
            request_sha256=request_sha256,
            state="in_flight",
            locked_until=until,
            created_at=now,
        )
        .on_conflict_do_update(index_elements=["principal", "key"], set_={"locked_until": until}, where=abandoned)
        .returning(keys.c.key)
    )
    if fresh.first() is not None:
        return Begun(Standing.FRESH)
    row = (await conn.execute(select(keys).where(keys.c.principal == principal, keys.c.key == key))).one()
    if row.request_sha256 != request_sha256:
        return Begun(Standing.OTHER_REQUEST)
    if row.state == "in_flight":
        return Begun(Standing.IN_FLIGHT)
    return Begun(Standing.REPLAY, Response(row.status_code, row.response_headers, row.response))


async def finish(conn: AsyncConnection, principal: str, key: str, response: Response) -> None:
    """Store the response. In the transaction that did the work: both or neither.

    Raises Conflict when it is there already.
    """
    done = await conn.execute(
        update(keys)
        .where(keys.c.principal == principal, keys.c.key == key, keys.c.state == "in_flight")
        .values(
            state="done",
            status_code=response.status_code,
            response=response.body,
            response_headers=dict(response.headers),
        )
    )
    if done.rowcount != 1:
        raise Conflict(f"idempotency key {key} is not in flight")


async def abandon(conn: AsyncConnection, principal: str, key: str) -> None:
    """The work was refused or failed before it changed anything: the key may be used again."""
    await conn.execute(
        delete(keys).where(keys.c.principal == principal, keys.c.key == key, keys.c.state == "in_flight")
    )


async def purge(conn: AsyncConnection, before: datetime) -> int:
    """Forget keys made before that time; how many."""
    gone = await conn.execute(delete(keys).where(keys.c.created_at < before, keys.c.locked_until < before))
    return gone.rowcount

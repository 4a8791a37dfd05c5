"""Idempotency keys of the API: the first response is stored in the transaction that did the work, and returned again on
every repeat. A claimant's keys are kept under their pseudonym."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, String, and_, cast, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import ClaimErased, Conflict
from claims.store.tables import claimants, claims
from claims.store.tables import idempotency_keys as keys

_CLAIMANT = "claimant:"


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
    """The state of a key. response: only for REPLAY."""

    standing: Standing
    response: Response | None = None


async def begin(
    conn: AsyncConnection, principal: str, key: str, request_sha256: str, now: datetime, *, lock_seconds: float = 120.0
) -> Begun:
    """Claim the key for `lock_seconds`; commit at once, so that others see it.

    principal: role:subject; keys of different principals are unrelated. A request that died is taken over when its time
    is up. Raises ClaimErased where the answer went with a claim.
    """
    until = now + timedelta(seconds=lock_seconds)
    abandoned = and_(keys.c.state == "in_flight", keys.c.locked_until < now, keys.c.request_sha256 == request_sha256)
    fresh = await conn.execute(
        insert(keys)
        .values(
            principal=_holder(principal),
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
    row = (await conn.execute(select(keys).where(keys.c.principal == _holder(principal), keys.c.key == key))).one()
    if row.request_sha256 != request_sha256:
        return Begun(Standing.OTHER_REQUEST)
    if row.state == "erased":
        raise ClaimErased("what was answered to this request went with the claim that it was about")
    if row.state == "in_flight":
        return Begun(Standing.IN_FLIGHT)
    return Begun(Standing.REPLAY, Response(row.status_code, row.response_headers, row.response))


async def finish(conn: AsyncConnection, principal: str, key: str, response: Response) -> None:
    """Store the response, in the transaction that did the work: both are kept or neither.

    Raises Conflict when it is there already.
    """
    done = await conn.execute(
        update(keys)
        .where(keys.c.principal == _holder(principal), keys.c.key == key, keys.c.state == "in_flight")
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
    """Release the key of work that was refused or failed before it changed anything: it may be used again."""
    await conn.execute(
        delete(keys).where(keys.c.principal == _holder(principal), keys.c.key == key, keys.c.state == "in_flight")
    )


async def erase(conn: AsyncConnection, claim_id: str) -> int:
    """Forget the answers that the claimant of this claim was given about it. Returns how many. The keys stay used until
    they expire, so a request that is repeated makes no second claim."""
    owner = (
        select(literal(_CLAIMANT) + claimants.c.pseudonym)
        .join(claims, claims.c.claimant_id == claimants.c.id)
        .where(claims.c.id == claim_id)
    )
    answered = func.convert_from(keys.c.response, "UTF8")
    about = or_(answered.contains(claim_id), cast(keys.c.response_headers, String).contains(claim_id))
    gone = await conn.execute(
        update(keys)
        .where(keys.c.principal == owner.scalar_subquery(), keys.c.state == "done", about)
        .values(state="erased", response=b"", response_headers={})
    )
    return gone.rowcount


async def purge(conn: AsyncConnection, before: datetime) -> int:
    """Delete keys made before that time. Returns how many."""
    gone = await conn.execute(delete(keys).where(keys.c.created_at < before, keys.c.locked_until < before))
    return gone.rowcount


def _holder(principal: str) -> ColumnElement[str]:
    """Return what stands in the table for the principal: for a claimant their pseudonym, or a hash while nobody has
    recorded them."""
    if not principal.startswith(_CLAIMANT):
        return literal(principal)
    known = select(claimants.c.pseudonym).where(claimants.c.id == principal.removeprefix(_CLAIMANT)).scalar_subquery()
    unknown = hashlib.sha256(principal.encode()).hexdigest()
    return literal(_CLAIMANT) + func.coalesce(known, unknown)

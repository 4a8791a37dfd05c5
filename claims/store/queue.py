"""The queue of claims that are due for adjudication: one job a claim and round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import LeaseLost
from claims.store import leasing
from claims.store.leasing import Backlog, Held
from claims.store.tables import jobs

__all__ = ["Backlog", "Lease", "backlog", "fail", "finish", "heartbeat", "hold", "lease", "put", "release", "renew"]


@dataclass(frozen=True, slots=True)
class Lease:
    """A job in hand. `attempts` counts leases, this one included: a claim that keeps killing its worker shows here."""

    job_id: int
    claim_id: str
    round: int
    fence: int
    attempts: int


async def put(conn: AsyncConnection, claim_id: str, round_number: int, now: datetime) -> None:
    """Make the claim due. Once a round: a second call changes nothing."""
    await conn.execute(
        insert(jobs)
        .values(claim_id=claim_id, round=round_number, state="due", due_at=now, created_at=now)
        .on_conflict_do_nothing(index_elements=["claim_id", "round"])
    )


async def lease(conn: AsyncConnection, owner: str, limit: int, lease_seconds: float, now: datetime) -> list[Lease]:
    """Up to `limit` due jobs, longest waiting first. Commit before working on them."""
    rows = await leasing.take(conn, jobs, owner, limit, lease_seconds, now)
    return [Lease(row.id, row.claim_id, row.round, row.fence, row.attempts) for row in rows]


async def renew(
    conn: AsyncConnection, leases: Sequence[Lease], lease_seconds: float, now: datetime
) -> tuple[Lease, ...]:
    """Extend the leases that still stand and return those."""
    alive = await leasing.renew(conn, jobs, [_held(one) for one in leases], lease_seconds, now)
    return tuple(one for one in leases if one.job_id in alive)


async def heartbeat(conn: AsyncConnection, leases: Sequence[Lease], lease_seconds: float, now: datetime) -> None:
    """Extend all leases.

    Raises LeaseLost that names the claims whose lease is gone; roll back or use `renew` to keep the rest.
    """
    alive = await renew(conn, leases, lease_seconds, now)
    lost = [one.claim_id for one in leases if one not in alive]
    if lost:
        raise LeaseLost(f"lease lost for claims {', '.join(lost)}")


async def hold(conn: AsyncConnection, one: Lease) -> None:
    """Nobody can lease this job before the transaction ends. Raises LeaseLost when somebody has."""
    await leasing.hold(conn, jobs, _held(one))


async def finish(conn: AsyncConnection, one: Lease, now: datetime) -> None:
    """The round is decided. Raises LeaseLost."""
    await leasing.finish(conn, jobs, _held(one), now)


async def release(conn: AsyncConnection, leases: Sequence[Lease], now: datetime) -> None:  # noqa: ARG001  (one shape for all)
    """Hand jobs back, due at once; the attempt does not count."""
    await leasing.release(conn, jobs, [_held(one) for one in leases])


async def fail(conn: AsyncConnection, one: Lease, error: str, retry_at: datetime, dead: bool) -> None:
    """Due again at `retry_at`, or set aside for a person when `dead`. Raises LeaseLost."""
    await leasing.fail(conn, jobs, _held(one), error, retry_at, dead=dead, now=retry_at)


async def backlog(conn: AsyncConnection, now: datetime) -> Backlog:
    """How many claims wait, are in work, were given up."""
    return await leasing.backlog(conn, jobs, now)


def _held(one: Lease) -> Held:
    return Held(one.job_id, one.fence)

"""The queue of claims that are due for adjudication: one job a claim and round.

A lease that runs out means that its process died, or stood still for as long. Whether one of its claims did that nobody
knows, so each of them is worked on alone from then on (`lease_alone`): a process that dies again died of the only claim
that it held, or of something outside, and the claim is innocent as soon as it gets a step further (`moved_on`). So a
claim that kills whatever touches it is found after a few deaths, and one that merely was beside it is not suspected for
long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, case, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import LeaseLost
from claims.store import leasing
from claims.store.leasing import Backlog, Held
from claims.store.tables import jobs, worker_heartbeats

__all__ = [
    "Backlog",
    "Lease",
    "alone_due",
    "backlog",
    "fail",
    "finish",
    "heartbeat",
    "hold",
    "lease",
    "lease_alone",
    "moved_on",
    "postpone",
    "put",
    "release",
    "renew",
    "waiting_for_resources",
]


@dataclass(frozen=True, slots=True)
class Lease:
    """A job in hand.

    attempts counts leases, this one included. failures: checks before this one that failed by the claim's own doing.
    postponed: put off in a row before this one for want of resources. deaths: processes that died with this claim and
    no other in hand, since it last got a step further.
    """

    job_id: int
    claim_id: str
    round: int
    fence: int
    attempts: int
    failures: int = 0
    postponed: int = 0
    deaths: int = 0


async def put(conn: AsyncConnection, claim_id: str, round_number: int, now: datetime) -> None:
    """Make the claim due. Once a round: a second call changes nothing."""
    await conn.execute(
        insert(jobs)
        .values(claim_id=claim_id, round=round_number, state="due", due_at=now, created_at=now)
        .on_conflict_do_nothing(index_elements=["claim_id", "round"])
    )


async def lease(conn: AsyncConnection, owner: str, limit: int, lease_seconds: float, now: datetime) -> list[Lease]:
    """Up to `limit` due jobs, longest waiting first; none that is to be worked on alone. Commit before working on
    them.
    """
    shared = (jobs.c.state == "due", ~jobs.c.alone)
    rows = await leasing.take(conn, jobs, owner, limit, lease_seconds, now, *shared)
    return [_lease(row) for row in rows]


async def lease_alone(conn: AsyncConnection, owner: str, lease_seconds: float, now: datetime) -> list[Lease]:
    """The longest waiting job that some process ended with, if any: to be worked on with nothing beside it. Those with
    the fewest deaths first, so that kills from outside do not all fall on one.

    A death is counted when this lease, too, ran out, and its holder has shown no sign of life since: neither took it
    again itself nor reported (`heartbeats`).
    """
    lives = exists(
        select(worker_heartbeats.c.name).where(
            worker_heartbeats.c.name == jobs.c.leased_by, worker_heartbeats.c.at >= jobs.c.leased_until
        )
    )
    died = and_(jobs.c.state == "leased", jobs.c.alone, jobs.c.leased_by != owner, ~lives)
    deaths = jobs.c.deaths + case((died, 1), else_=0)
    suspect = or_(jobs.c.alone, jobs.c.state == "leased")
    changed = {"alone": True, "deaths": deaths}
    rows = await leasing.take(conn, jobs, owner, 1, lease_seconds, now, suspect, first=[deaths], **changed)
    return [_lease(row) for row in rows]


async def alone_due(conn: AsyncConnection, now: datetime) -> int:
    """How many jobs `lease_alone` would give out, one after another."""
    lost = and_(jobs.c.state == "leased", jobs.c.leased_until < now)
    kept = and_(jobs.c.state == "due", jobs.c.alone)
    counted = await conn.execute(
        select(func.count()).where(jobs.c.state.in_(("due", "leased")), jobs.c.due_at <= now, or_(lost, kept))
    )
    return int(counted.scalar_one())


async def moved_on(conn: AsyncConnection, one: Lease) -> None:
    """The claim got a step further than ever: what ended its processes before was not this step, and nothing that it
    waited for is missing now.
    """
    if one.deaths or one.postponed:
        await conn.execute(update(jobs).where(jobs.c.id == one.job_id).values(deaths=0, postponed=0, waits_for=""))


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
    """The check failed by the claim's own doing: due again at `retry_at`, or set aside for a person when `dead`.
    Raises LeaseLost.
    """
    counted = {"failures": jobs.c.failures + 1, "postponed": 0, "waits_for": ""}
    await leasing.fail(conn, jobs, _held(one), error, retry_at, dead=dead, now=retry_at, **counted)


async def postpone(conn: AsyncConnection, one: Lease, resource: str, error: str, retry_at: datetime) -> None:
    """The machine lacked `resource`: due again at `retry_at`, and no failure of the claim. Raises LeaseLost."""
    counted = {"postponed": jobs.c.postponed + 1, "waits_for": resource}
    await leasing.fail(conn, jobs, _held(one), error, retry_at, dead=False, now=None, **counted)


async def waiting_for_resources(conn: AsyncConnection) -> dict[str, int]:
    """Claims that were put off for want of a resource and are not through yet, by resource."""
    rows = await conn.execute(
        select(jobs.c.waits_for, func.count())
        .where(jobs.c.waits_for != "", jobs.c.state.in_(("due", "leased")))
        .group_by(jobs.c.waits_for)
        .order_by(jobs.c.waits_for)
    )
    return {row[0]: row[1] for row in rows}


async def backlog(conn: AsyncConnection, now: datetime) -> Backlog:
    """How many claims wait, are in work, were given up."""
    return await leasing.backlog(conn, jobs, now)


def _held(one: Lease) -> Held:
    return Held(one.job_id, one.fence)


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.id, row.claim_id, row.round, row.fence, row.attempts, row.failures, row.postponed, row.deaths)

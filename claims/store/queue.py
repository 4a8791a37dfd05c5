"""The queue of claims that are due for adjudication: one job a claim and round.

A lease runs out when its process died, or stood still for as long. It is not known if one of its claims caused that, so
each of them is worked on alone from then on (`lease_alone`): a process that dies again died of the only claim that it
held, or of something outside, and the claim is cleared as soon as it gets a step further (`moved_on`). So a claim that
kills its process is found after a few deaths, and a claim that merely ran beside it is not suspected for long.

What people hold (`claims.store.gates`) is not leased, and nothing is counted against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, case, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store import gates
from claims.store.leasing import WorkBacklog, WorkTable
from claims.store.tables import jobs, worker_heartbeats

_JOBS: Final = WorkTable(jobs, unique=("claim_id", "round"))
# Raising LeaseLost, as `WorkTable` says.
hold = _JOBS.hold
renew = _JOBS.renew
finish = _JOBS.finish
release = _JOBS.release
backlog = _JOBS.backlog


@dataclass(frozen=True, slots=True)
class Lease:
    """A leased job.

    row_id is the job's id; attempts counts leases, this one included. failures: checks before this one that failed by
    the claim's own doing. postponed: put off in a row before this one for want of resources. deaths: processes that
    died with this claim and no other in hand, since it last got a step further.
    """

    row_id: int
    claim_id: str
    round: int
    fence: int
    attempts: int
    failures: int = 0
    postponed: int = 0
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class JobStanding:
    """Where a job stands. state: due, leased, done or dead; waits_for: the resource that was missing, "" for none."""

    state: str
    due_at: datetime
    leased_by: str
    leased_until: datetime | None
    failures: int
    waits_for: str


async def put(conn: AsyncConnection, claim_id: str, round_number: int, now: datetime) -> None:
    """Make the claim due, once for each round: a second call changes nothing."""
    await _JOBS.put(conn, now, claim_id=claim_id, round=round_number)


async def due_now(conn: AsyncConnection, claim_id: str, round_number: int, now: datetime) -> bool:
    """Make a job that waits for a later time due at once. Returns False for one that is due, leased or done already."""
    hurried = await conn.execute(
        update(jobs)
        .where(jobs.c.claim_id == claim_id, jobs.c.round == round_number, jobs.c.state == "due", jobs.c.due_at > now)
        .values(due_at=now)
        .returning(jobs.c.id)
    )
    return hurried.first() is not None


async def lease(conn: AsyncConnection, owner: str, limit: int, lease_seconds: float, now: datetime) -> list[Lease]:
    """Lease up to `limit` due jobs, longest waiting first; none that must be worked on alone, and none that is held.
    Commit before working on them."""
    gate = await gates.of_queue(conn, "claims", now)
    if not (room := gate.room(limit)):
        return []
    shared = (jobs.c.state == "due", ~jobs.c.alone)
    rows = await _JOBS.take(conn, owner, room, lease_seconds, now, *shared, *gate.conditions)
    return [_lease(row) for row in rows]


async def lease_alone(conn: AsyncConnection, owner: str, lease_seconds: float, now: datetime) -> list[Lease]:
    """Lease the longest waiting job whose lease ran out before, if any, to be worked on with nothing beside it. Jobs
    with the fewest deaths come first, so that kills from outside do not all fall on one.

    A death is counted when this lease, too, ran out, and its holder has shown no sign of life since: neither took it
    again itself nor reported (`heartbeats`).
    """
    gate = await gates.of_queue(conn, "claims", now)
    if not gate.room(1):
        return []
    lives = exists(
        select(worker_heartbeats.c.name).where(
            worker_heartbeats.c.name == jobs.c.leased_by, worker_heartbeats.c.at >= jobs.c.leased_until
        )
    )
    died = and_(jobs.c.state == "leased", jobs.c.alone, jobs.c.leased_by != owner, ~lives)
    deaths = jobs.c.deaths + case((died, 1), else_=0)
    suspect = or_(jobs.c.alone, jobs.c.state == "leased")
    changed = {"alone": True, "deaths": deaths}
    rows = await _JOBS.take(conn, owner, 1, lease_seconds, now, suspect, *gate.conditions, first=[deaths], **changed)
    return [_lease(row) for row in rows]


async def lease_claim(
    conn: AsyncConnection, owner: str, claim_id: str, lease_seconds: float, now: datetime
) -> Lease | None:
    """Lease this claim for an owner that works on nothing else meanwhile; None where it is not due, or somebody has it.
    Commit before working on it."""
    rows = await _JOBS.take(conn, owner, 1, lease_seconds, now, jobs.c.claim_id == claim_id)
    return _lease(rows[0]) if rows else None


async def newest_job(conn: AsyncConnection, claim_id: str) -> JobStanding | None:
    """Return where the job of the claim's newest round stands, None for a claim that never was due."""
    columns = (jobs.c.state, jobs.c.due_at, jobs.c.leased_by, jobs.c.leased_until, jobs.c.failures, jobs.c.waits_for)
    rows = await conn.execute(select(*columns).where(jobs.c.claim_id == claim_id).order_by(jobs.c.id.desc()).limit(1))
    row = rows.first()
    return JobStanding(*row) if row is not None else None


async def overdue(conn: AsyncConnection, now: datetime) -> WorkBacklog:
    """Return the backlog without what people hold. What they have let go counts as due from then on."""
    held = await gates.hold_of(conn, "claims")
    return await _JOBS.backlog(conn, now, *held.conditions, since=held.eased_at)


async def outlived(conn: AsyncConnection, lost: Lease) -> bool:
    """Take back the death that was counted when this lease ran out: its holder lives, and was only kept from running.
    Returns False where none was counted for it, or somebody else has lost the job since."""
    corrected = await conn.execute(
        update(jobs)
        .where(jobs.c.id == lost.row_id, jobs.c.fence == lost.fence + 1, jobs.c.deaths > lost.deaths)
        .values(deaths=jobs.c.deaths - 1)
        .returning(jobs.c.id)
    )
    return corrected.first() is not None


async def alone_due(conn: AsyncConnection, now: datetime) -> int:
    """Return how many jobs `lease_alone` would give out, one after another."""
    lost = and_(jobs.c.state == "leased", jobs.c.leased_until < now)
    kept = and_(jobs.c.state == "due", jobs.c.alone)
    due = (jobs.c.state.in_(("due", "leased")), jobs.c.due_at <= now, or_(lost, kept))
    counted = int((await conn.execute(select(func.count()).where(*due))).scalar_one())
    if not counted:
        return 0  # as nearly always: asked ten times a second, so the brakes are not read for it
    gate = await gates.of_queue(conn, "claims", now, counting=False)
    if not gate.room(1):
        return 0
    if gate.conditions:
        counted = int((await conn.execute(select(func.count()).where(*due, *gate.conditions))).scalar_one())
    return counted


async def moved_on(conn: AsyncConnection, job: Lease) -> None:
    """Record that the claim got further than before: this step did not end its earlier processes, and nothing that it
    waited for is missing now."""
    if job.deaths or job.postponed:
        await conn.execute(update(jobs).where(jobs.c.id == job.row_id).values(deaths=0, postponed=0, waits_for=""))


async def fail(conn: AsyncConnection, job: Lease, error: str, retry_at: datetime, dead: bool) -> None:
    """Record a check that failed by the claim's own doing: due again at `retry_at`, or set aside for a person when
    `dead`.
    Raises LeaseLost.
    """
    counted = {"failures": jobs.c.failures + 1, "postponed": 0, "waits_for": ""}
    await _JOBS.fail(conn, job, error, retry_at, dead, **counted)


async def postpone(conn: AsyncConnection, job: Lease, resource: str, error: str, retry_at: datetime) -> None:
    """Put the job off because the machine lacked `resource`: due again at `retry_at`, and no failure of the claim.
    Raises LeaseLost."""
    counted = {"postponed": jobs.c.postponed + 1, "waits_for": resource}
    await _JOBS.fail(conn, job, error, retry_at, False, **counted)


async def waiting_for_resources(conn: AsyncConnection) -> dict[str, int]:
    """Return the number of claims, by resource, that were put off for want of it and are not through yet."""
    rows = await conn.execute(
        select(jobs.c.waits_for, func.count())
        .where(jobs.c.waits_for != "", jobs.c.state.in_(("due", "leased")))
        .group_by(jobs.c.waits_for)
        .order_by(jobs.c.waits_for)
    )
    return {row[0]: row[1] for row in rows}


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.id, row.claim_id, row.round, row.fence, row.attempts, row.failures, row.postponed, row.deaths)

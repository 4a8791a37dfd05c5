"""Flow runs that Prefect shows as under way: who has them, whether that process lives, and what Prefect is to be told.

Every time in here is the database's: processes whose clocks are wrong, or jump, kill no run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, and_, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store.engine import alone
from claims.store.tables import shown_runs as runs

_LOCK: Final = 0x6D69726E  # advisory: one process at a time ends other people's runs


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run of which Prefect is to be told. crashed: its process died; else it ended and Prefect missed it.

    silent_seconds: from the process's last sign of life to the moment it counted as dead.
    """

    flow_run_id: str
    flow: str
    process: str
    items: tuple[str, ...]
    ended: bool
    message: str
    crashed: bool
    silent_seconds: float
    taken_over_by: tuple[str, ...]
    tellings: int


async def began(conn: AsyncConnection, flow_run_id: str, flow: str, process: str, items: Sequence[str]) -> None:
    """Remember a run. Other runs of the flow that had one of its items are told who has it now."""
    has_one = runs.c["items"].has_any(cast(list(items), ARRAY(Text)))
    others = and_(runs.c.flow == flow, runs.c.flow_run_id != flow_run_id, has_one)
    await conn.execute(
        update(runs)
        .where(others)
        .values(taken_over_by=runs.c.taken_over_by.concat(func.to_jsonb(cast(flow_run_id, Text))), told_at=None)
    )
    await conn.execute(
        insert(runs)
        .values(
            flow_run_id=flow_run_id,
            flow=flow,
            process=process,
            items=list(items),
            began_at=func.now(),
            alive_at=func.now(),
        )
        .on_conflict_do_nothing()
    )


async def ended(conn: AsyncConnection, flow_run_id: str, *, told: bool, message: str) -> None:
    """Forget a run that has ended, or keep it, with its message, if Prefect has not been told.

    A run whose process had counted as dead stays what it was shown as: Prefect lets a crashed run complete, so it is to
    be told once more.
    """
    late = update(runs).where(runs.c.flow_run_id == flow_run_id, runs.c.crashed_at.is_not(None))
    if (await conn.execute(late.values(ended_at=func.now(), told_at=None))).rowcount:
        return
    if told:
        await conn.execute(delete(runs).where(runs.c.flow_run_id == flow_run_id))
    else:
        values = {"ended_at": func.now(), "message": message}
        await conn.execute(update(runs).where(runs.c.flow_run_id == flow_run_id).values(**values))


async def alive(conn: AsyncConnection, process: str) -> datetime:
    """Give a sign of life of a process for all of its runs. Returns the database's time."""
    await conn.execute(
        update(runs)
        .where(runs.c.process == process, runs.c.ended_at.is_(None), runs.c.crashed_at.is_(None))
        .values(alive_at=func.now())
    )
    return (await conn.execute(select(func.now()))).scalar_one()


async def alone_to_tell(conn: AsyncConnection) -> bool:
    """Take the lock of whoever tells Prefect, until this transaction ends. Returns False when another has it."""
    return await alone(conn, _LOCK)


async def mark_crashed(conn: AsyncConnection, silent_seconds: float) -> int:
    """Mark the runs of processes that gave no sign of life for so long. Returns how many there were.

    A sign from the future was given before the clock was set back: whoever lives has given another since.
    """
    silent = func.make_interval(0, 0, 0, 0, 0, 0, silent_seconds)
    old = or_(runs.c.alive_at < func.now() - silent, runs.c.alive_at > func.now() + silent)
    marked = await conn.execute(
        update(runs).where(runs.c.crashed_at.is_(None), runs.c.ended_at.is_(None), old).values(crashed_at=func.now())
    )
    return marked.rowcount


async def to_tell(conn: AsyncConnection, limit: int, alone_seconds: float = 0.0) -> list[ShownRun]:
    """Returns runs of which Prefect is to be told, the oldest first. alone_seconds: since the last sign of life, for
    which a crashed run whose items nobody has taken over yet is kept back."""
    silent = func.extract("epoch", runs.c.crashed_at - runs.c.alive_at).label("silent_seconds")
    over = or_(runs.c.crashed_at.is_not(None), runs.c.ended_at.is_not(None))
    ready = or_(
        runs.c.ended_at.is_not(None),
        func.jsonb_array_length(runs.c.taken_over_by) > 0,
        func.abs(func.extract("epoch", func.now() - runs.c.alive_at)) >= alone_seconds,
    )
    query = select(runs, silent).where(over, runs.c.told_at.is_(None), ready).order_by(runs.c.began_at).limit(limit)
    return [_run(row) for row in await conn.execute(query)]


async def told(conn: AsyncConnection, run: ShownRun) -> None:
    """Record that Prefect knows of a crash, unless there is more to tell since `run` was read."""
    await conn.execute(
        update(runs)
        .where(
            runs.c.flow_run_id == run.flow_run_id,
            func.jsonb_array_length(runs.c.taken_over_by) == len(run.taken_over_by),
            runs.c.ended_at.is_not(None) if run.ended else runs.c.ended_at.is_(None),
        )
        .values(told_at=func.now())
    )
    await conn.execute(update(runs).where(runs.c.flow_run_id == run.flow_run_id).values(tellings=runs.c.tellings + 1))


async def forget(conn: AsyncConnection, flow_run_id: str) -> None:
    """Forget a run of which nothing more is to be told."""
    await conn.execute(delete(runs).where(runs.c.flow_run_id == flow_run_id))


async def forget_told(conn: AsyncConnection, keep_hours: float) -> None:
    """Forget crashed runs whose items have long been with somebody else, or with nobody."""
    before = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, keep_hours * 3_600)
    await conn.execute(delete(runs).where(runs.c.told_at < before))


async def under_way(conn: AsyncConnection) -> list[str]:
    """Returns the ids of the runs that are shown as under way, the oldest first."""
    query = select(runs.c.flow_run_id).where(runs.c.ended_at.is_(None), runs.c.crashed_at.is_(None))
    return list((await conn.execute(query.order_by(runs.c.began_at))).scalars())


async def known(conn: AsyncConnection, flow_run_ids: Collection[str]) -> set[str]:
    """Returns those of these runs that are under way or crashed here."""
    query = select(runs.c.flow_run_id).where(runs.c.flow_run_id.in_(flow_run_ids))
    return set((await conn.execute(query)).scalars())


async def database_time(conn: AsyncConnection) -> datetime:
    """Returns the database's time."""
    return (await conn.execute(select(func.now()))).scalar_one()


def _run(row: Any) -> ShownRun:
    return ShownRun(
        flow_run_id=row.flow_run_id,
        flow=row.flow,
        process=row.process,
        items=tuple(row._mapping["items"]),
        ended=row.ended_at is not None,
        message=row.message,
        crashed=row.crashed_at is not None,
        silent_seconds=max(0.0, float(row.silent_seconds or 0.0)),
        taken_over_by=tuple(row.taken_over_by),
        tellings=row.tellings,
    )

"""Leases over a table of work (`jobs`, `outbox`): taken in batches with SKIP LOCKED, held for a time, fenced.

Every lease adds one to the row's fence. Whoever writes on behalf of a lease names its fence: after the time has run out
and somebody else took the row, the old holder's fence no longer fits and its transaction fails, however late it wakes
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import LeaseLost


@dataclass(frozen=True, slots=True)
class Held:
    """The row and the fence that its holder was given."""

    id: int
    fence: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """due: waiting and due now; later: waiting for a time to come; oldest_seconds: how long the oldest due row has been
    due.
    """

    due: int
    later: int
    leased: int
    dead: int
    oldest_seconds: float


async def take(
    conn: AsyncConnection,
    table: Table,
    owner: str,
    limit: int,
    lease_seconds: float,
    now: datetime,
    *filters: ColumnElement[bool],
    first: Sequence[ColumnElement[Any]] = (),
    **changed: object,
) -> Sequence[Row[tuple[object, ...]]]:
    """Lease up to `limit` rows, longest due first, or by `first` and then so. changed: further columns, as literals or
    expressions over the row as it was.

    Rows that another transaction is taking at this moment are passed over.
    """
    columns = table.c
    free = or_(columns.state == "due", and_(columns.state == "leased", columns.leased_until < now))
    picked = (
        select(columns.id)
        .where(columns.state.in_(("due", "leased")), columns.due_at <= now, free, *filters)
        .order_by(*first, columns.due_at, columns.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    taken = await conn.execute(
        update(table)
        .where(columns.id == picked.c.id)
        .values(
            state="leased",
            fence=columns.fence + 1,
            attempts=columns.attempts + 1,
            leased_by=owner,
            leased_until=now + timedelta(seconds=lease_seconds),
            **changed,
        )
        .returning(*columns)
    )
    return sorted(taken.all(), key=lambda row: (row.due_at, row.id))


async def hold(conn: AsyncConnection, table: Table, held: Held) -> None:
    """Lock the row until the transaction ends, so that nobody can lease it in between.

    Raises LeaseLost when somebody has.
    """
    columns = table.c
    found = await conn.execute(select(columns.id).where(*_is(table, held)).with_for_update())
    if found.first() is None:
        raise LeaseLost(f"{table.name} {held.id}: fence {held.fence} is no longer the newest")


async def renew(
    conn: AsyncConnection, table: Table, held: Sequence[Held], lease_seconds: float, now: datetime
) -> frozenset[int]:
    """Extend the leases that still stand and return their row ids."""
    if not held:
        return frozenset()
    columns = table.c
    renewed = await conn.execute(
        update(table)
        .where(tuple_(columns.id, columns.fence).in_([(one.id, one.fence) for one in held]), columns.state == "leased")
        .values(leased_until=now + timedelta(seconds=lease_seconds))
        .returning(columns.id)
    )
    return frozenset(renewed.scalars())


async def finish(conn: AsyncConnection, table: Table, held: Held, now: datetime) -> None:
    """The work is done; the row stays as a record. Raises LeaseLost."""
    await _settle(conn, table, held, state="done", finished_at=now, leased_until=None, last_error="")


async def fail(
    conn: AsyncConnection,
    table: Table,
    held: Held,
    error: str,
    retry_at: datetime,
    *,
    dead: bool,
    now: datetime | None,
    **changed: object,
) -> None:
    """Due again at `retry_at`, or, when `dead`, set aside for a person. changed: further columns. Raises LeaseLost."""
    await _settle(
        conn,
        table,
        held,
        state="dead" if dead else "due",
        due_at=retry_at,
        leased_by="",
        leased_until=None,
        last_error=error[:2000],
        finished_at=now if dead else None,
        **changed,
    )


async def release(conn: AsyncConnection, table: Table, held: Sequence[Held]) -> None:
    """Hand rows back untouched; the attempt does not count. Leases that are lost already are left alone."""
    if not held:
        return
    columns = table.c
    await conn.execute(
        update(table)
        .where(tuple_(columns.id, columns.fence).in_([(one.id, one.fence) for one in held]), columns.state == "leased")
        .values(state="due", leased_by="", leased_until=None, attempts=columns.attempts - 1)
    )


async def backlog(conn: AsyncConnection, table: Table, now: datetime, *filters: ColumnElement[bool]) -> Backlog:
    """How much is waiting, in work and given up."""
    columns = table.c
    expired = and_(columns.state == "leased", columns.leased_until < now)
    waiting = or_(columns.state == "due", expired)
    is_due = and_(waiting, columns.due_at <= now)
    row = (
        await conn.execute(
            select(
                func.count().filter(is_due),
                func.count().filter(and_(columns.state == "due", columns.due_at > now)),
                func.count().filter(and_(columns.state == "leased", columns.leased_until >= now)),
                func.count().filter(columns.state == "dead"),
                func.min(columns.due_at).filter(is_due),
            ).where(columns.state != "done", *filters)
        )
    ).one()
    oldest = (now - row[4]).total_seconds() if row[4] is not None else 0.0
    return Backlog(due=row[0], later=row[1], leased=row[2], dead=row[3], oldest_seconds=oldest)


def _is(table: Table, held: Held) -> tuple[ColumnElement[bool], ...]:
    return table.c.id == held.id, table.c.fence == held.fence, table.c.state == "leased"


async def _settle(conn: AsyncConnection, table: Table, held: Held, **values: object) -> None:
    changed = await conn.execute(update(table).where(*_is(table, held)).values(**values))
    if changed.rowcount != 1:
        raise LeaseLost(f"{table.name} {held.id}: fence {held.fence} is no longer the newest")

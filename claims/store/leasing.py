"""Leases over a table of work (jobs in `claims.store.queue`, messages in `claims.store.outbox`): taken in batches with
SKIP LOCKED, held for a time, fenced.

Every lease adds one to the row's fence. Whoever writes on behalf of a lease names its fence: once the time has run out
and somebody else took the row, the old holder's fence no longer matches and its transaction fails, however late it
resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Row, Table, and_, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import LeaseLost


class Fenced(Protocol):
    """A leased row, with the fence that its holder was given."""

    @property
    def row_id(self) -> int: ...

    @property
    def fence(self) -> int: ...


F = TypeVar("F", bound=Fenced)


@dataclass(frozen=True, slots=True)
class WorkBacklog:
    """Counts of waiting work. due: waiting and due now; later: waiting for a time to come; oldest_seconds: how long the
    oldest due row has been due."""

    due: int
    later: int
    leased: int
    dead: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class WorkTable:
    """A table of work. unique: the columns that identify a piece of work."""

    table: Table
    unique: tuple[str, ...]

    async def put(self, conn: AsyncConnection, now: datetime, **values: object) -> None:
        """Make a piece of work due at once. A second one with the same `unique` columns changes nothing."""
        await conn.execute(
            insert(self.table)
            .values(state="due", due_at=now, created_at=now, **values)
            .on_conflict_do_nothing(index_elements=self.unique)
        )

    async def take(
        self,
        conn: AsyncConnection,
        owner: str,
        limit: int,
        lease_seconds: float,
        now: datetime,
        *filters: ColumnElement[bool],
        first: Sequence[ColumnElement[Any]] = (),
        **changed: object,
    ) -> Sequence[Row[tuple[object, ...]]]:
        """Lease up to `limit` rows, longest due first, or by `first` and then so. changed: further columns, as literals
        or expressions over the row as it was.

        Rows that another transaction is taking at this moment are passed over.
        """
        columns = self.table.c
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
            update(self.table)
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

    async def hold(self, conn: AsyncConnection, lease: Fenced) -> None:
        """Lock the row until the transaction ends, so that nobody can lease it meanwhile.

        Raises LeaseLost when somebody has.
        """
        locked = await conn.execute(select(self.table.c.id).where(*self._is(lease)).with_for_update())
        if locked.first() is None:
            raise self._lost(lease)

    async def renew(
        self, conn: AsyncConnection, leases: Sequence[F], lease_seconds: float, now: datetime
    ) -> tuple[F, ...]:
        """Extend the leases that are still valid and return those."""
        if not leases:
            return ()
        renewed = await conn.execute(
            update(self.table)
            .where(*self._are(leases))
            .values(leased_until=now + timedelta(seconds=lease_seconds))
            .returning(self.table.c.id)
        )
        standing = frozenset(renewed.scalars())
        return tuple(lease for lease in leases if lease.row_id in standing)

    async def finish(self, conn: AsyncConnection, lease: Fenced, now: datetime) -> None:
        """Mark the work as done, in the transaction that records its effect; the row stays as a record.

        Raises LeaseLost.
        """
        await self._settle(conn, lease, state="done", finished_at=now, leased_until=None, last_error="")

    async def fail(
        self, conn: AsyncConnection, lease: Fenced, error: str, retry_at: datetime, dead: bool, **changed: object
    ) -> None:
        """Make the row due again at `retry_at` or, when `dead`, set it aside for a person. changed: further columns.

        Raises LeaseLost.
        """
        await self._settle(
            conn,
            lease,
            state="dead" if dead else "due",
            due_at=retry_at,
            leased_by="",
            leased_until=None,
            last_error=error[:2000],
            finished_at=retry_at if dead else None,
            **changed,
        )

    async def release(self, conn: AsyncConnection, leases: Sequence[Fenced]) -> None:
        """Hand rows back, due at once; the attempt does not count. Leases that are lost already are left alone."""
        if not leases:
            return
        await conn.execute(
            update(self.table)
            .where(*self._are(leases))
            .values(state="due", leased_by="", leased_until=None, attempts=self.table.c.attempts - 1)
        )

    async def put_back(self, conn: AsyncConnection, lease: Fenced, due_at: datetime) -> None:
        """Hand a row back, due at `due_at`; the attempt does not count. Raises LeaseLost."""
        attempts = self.table.c.attempts - 1
        await self._settle(conn, lease, state="due", due_at=due_at, leased_by="", leased_until=None, attempts=attempts)

    async def backlog(
        self, conn: AsyncConnection, now: datetime, *filters: ColumnElement[bool], since: datetime | None = None
    ) -> WorkBacklog:
        """Return how much is waiting, in work and given up. since: nothing counts as due for longer."""
        columns = self.table.c
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
        oldest = 0.0
        if row[4] is not None:
            oldest = (now - (row[4] if since is None else max(row[4], since))).total_seconds()
        return WorkBacklog(due=row[0], later=row[1], leased=row[2], dead=row[3], oldest_seconds=oldest)

    def _is(self, lease: Fenced) -> tuple[ColumnElement[bool], ...]:
        columns = self.table.c
        return columns.id == lease.row_id, columns.fence == lease.fence, columns.state == "leased"

    def _are(self, leases: Sequence[Fenced]) -> tuple[ColumnElement[bool], ...]:
        columns = self.table.c
        pairs = [(lease.row_id, lease.fence) for lease in leases]
        return tuple_(columns.id, columns.fence).in_(pairs), columns.state == "leased"

    async def _settle(self, conn: AsyncConnection, lease: Fenced, **values: object) -> None:
        changed = await conn.execute(update(self.table).where(*self._is(lease)).values(**values))
        if changed.rowcount != 1:
            raise self._lost(lease)

    def _lost(self, lease: Fenced) -> LeaseLost:
        return LeaseLost(f"{self.table.name} {lease.row_id}: fence {lease.fence} is no longer the newest")

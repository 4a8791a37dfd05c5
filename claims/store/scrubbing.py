"""Cleans the database's files after an erasure: a deleted row is gone for every query, but its bytes stay in free space
of table and index pages and, as most common values, in the planner's statistics.

    erasing transaction: `note` lists the tables that it changed      (table scrubs_due)
    afterwards, outside any transaction: `scrub`, for all that are due at once

VACUUM alone makes the space of dead rows free and does not overwrite it. So a table that is small enough is written
anew (VACUUM FULL), for which it is locked, at most `rewrite_seconds_max`; a larger one is vacuumed, and what lies in
its free space is overwritten as the space is used again. Steps that the role may not take are named and stay due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.store.engine import end_when_idle
from claims.store.tables import scrubs_due

STATISTICS: Final = "pg_catalog.pg_statistic"
IDLE_SECONDS_MAX: Final = 120.0  # between two statements: a process that stands still keeps others from it no longer
_LOCK: Final = 0x73637275
_QUERY_CANCELED, _LOCK_NOT_AVAILABLE = "57014", "55P03"
# Also counts what the session changed shortly before: a table too many does no harm.
_CHANGED: Final = text(
    "SELECT relname FROM pg_stat_xact_user_tables WHERE schemaname = current_schema() AND n_tup_upd + n_tup_del > 0"
)
_OLDER: Final = text(
    """
    SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) <= CAST(:xid AS bigint) OR EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND age(backend_xmin) >= age(CAST(CAST(CAST(:xid AS text) AS xid8) AS xid))
    )
    """
)
# The database's owner may vacuum every table in it, the catalogue included; others by MAINTAIN (PostgreSQL 17).
_MAY: Final = """
    SELECT pg_has_role(datdba, 'USAGE') OR pg_has_role(relowner, 'USAGE') {maintain}
    FROM pg_database CROSS JOIN pg_class
    WHERE datname = current_database() AND pg_class.oid = CAST(:name AS regclass)
"""
_MAINTAIN: Final = "OR has_table_privilege(CAST(:name AS regclass), 'MAINTAIN')"
_MAINTAIN_SINCE: Final = 170000


@dataclass(frozen=True, slots=True)
class ScrubLimits:
    """Limits of the cleaning. A table of more than `rewrite_bytes_max`, with its indexes, is vacuumed and not written
    anew: choices by which nobody waits for an erasure longer than `rewrite_seconds_max`."""

    rewrite_bytes_max: int = 64 * 2**20
    rewrite_seconds_max: float = 10.0
    lock_seconds_max: float = 3.0  # for the others to let go of a table
    older_seconds_max: float = 5.0  # for transactions to end that may still read the erased rows
    vacuum_seconds_max: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """The result of the cleaning. claims: whose erasures this was for. rewritten: nothing is left in these tables and
    their indexes; vacuumed: it lies in free space until that is used again; refused: the role may not. held_back: a
    transaction that is older than an erasure was still open, and the rows it may read had to stay. checkpointed: the
    files on disk are as the database sees them."""

    claims: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    vacuumed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    held_back: bool = False
    checkpointed: bool = False

    @property
    def still_due(self) -> bool:
        """Return True if another round can do more than this one did."""
        return bool(self.refused) or self.held_back


@dataclass(frozen=True, slots=True)
class Left:
    """A place where bytes of what was erased may still lie, and until when."""

    where: str
    until: str


def left(done: Scrubbed) -> tuple[Left, ...]:
    """Return the places that cleaning could not reach, in words; the last three are never within the database's
    reach."""
    rest = []
    if done.refused:
        rest.append(Left(f"tables {', '.join(done.refused)}", "erase again as a role that may vacuum them"))
    if done.held_back:
        rest.append(Left("tables", "an older transaction was still open: a worker tries again, or erase again"))
    if done.vacuumed:
        rest.append(
            Left(f"free space of {', '.join(done.vacuumed)}", "the space is used again, or erase again with --rewrite")
        )
    if not done.checkpointed:
        rest.append(Left("files on disk", "the server's next checkpoint (checkpoint_timeout, five minutes by default)"))
    return (
        *rest,
        Left(
            "the write-ahead log",
            "its segments are recycled and written over (max_wal_size), archived ones deleted",
        ),
        Left("backups and snapshots of database and evidence store", "they are rotated"),
        Left("blocks that the file system has freed", "it uses them again, unless the disk is encrypted"),
    )


async def note(conn: AsyncConnection, claim_id: str, now: datetime) -> None:
    """Have the tables cleaned that the caller's transaction has changed. Call it last."""
    changed = sorted((await conn.execute(_CHANGED)).scalars().all())
    xid = (await conn.execute(text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))).scalar_one()
    values = {"tables": changed, "xid": xid, "created_at": now}
    await conn.execute(
        insert(scrubs_due)
        .values(claim_id=claim_id, **values)
        .on_conflict_do_update(index_elements=["claim_id"], set_=values)
    )


async def scrub(engine: AsyncEngine, limits: ScrubLimits) -> Scrubbed:
    """Clean up after every erasure that is due; several at once wait for each other. Changes nothing when none is."""
    async with engine.connect() as opened:
        conn = await opened.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        try:
            await end_when_idle(conn, IDLE_SECONDS_MAX)
            return await _scrub(conn, limits)
        finally:
            await conn.execute(text("RESET idle_session_timeout"))
            await conn.execute(text("RESET statement_timeout"))
            await conn.execute(text("RESET lock_timeout"))
            await conn.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


async def _scrub(conn: AsyncConnection, limits: ScrubLimits) -> Scrubbed:
    rows = (await conn.execute(select(scrubs_due).order_by(scrubs_due.c.claim_id))).all()
    if not rows:
        return Scrubbed()
    held_back = await _older_than(conn, max(row.xid for row in rows), limits.older_seconds_max)
    rewritten, vacuumed, refused = [], [], []
    # The statistics last: each table is analysed before.
    for table in (*_existing(await _known(conn), (name for row in rows for name in row.tables)), STATISTICS):
        if not await _may(conn, table):
            refused.append(table)
        elif await _rewrite(conn, table, limits):
            rewritten.append(table)
        else:
            vacuumed.append(table)
    checkpointed = await _checkpoint(conn)
    done = Scrubbed(
        tuple(row.claim_id for row in rows), tuple(rewritten), tuple(vacuumed), tuple(refused), held_back, checkpointed
    )
    if not done.still_due:
        for row in rows:
            # Unless it was erased further meanwhile.
            mine = (scrubs_due.c.claim_id == row.claim_id) & (scrubs_due.c.xid == row.xid)
            await conn.execute(delete(scrubs_due).where(mine))
    return done


async def _known(conn: AsyncConnection) -> frozenset[str]:
    rows = await conn.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"))
    return frozenset(rows.scalars())


def _existing(known: frozenset[str], names: Iterable[str]) -> Sequence[str]:
    """Return the tables that still exist. These names go into SQL, so names that are no table are dropped here."""
    return [f'"{name}"' for name in sorted(set(names) & known)]


async def _older_than(conn: AsyncConnection, xid: int, seconds_max: float) -> bool:
    """Wait until no open transaction can still see what transaction `xid` removed. Returns True when one still
    could."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    while (await conn.execute(_OLDER, {"xid": xid})).scalar_one():
        if asyncio.get_running_loop().time() > deadline:
            return True
        await asyncio.sleep(0.1)
    return False


async def _may(conn: AsyncConnection, table: str) -> bool:
    version = (await conn.execute(text("SELECT CAST(current_setting('server_version_num') AS int)"))).scalar_one()
    query = text(_MAY.format(maintain=_MAINTAIN if version >= _MAINTAIN_SINCE else ""))
    return bool((await conn.execute(query, {"name": table})).scalar_one())


async def _rewrite(conn: AsyncConnection, table: str, limits: ScrubLimits) -> bool:
    """Write the table anew where it is small enough, else vacuum it. Returns True when it was written anew."""
    size = await conn.execute(text("SELECT pg_total_relation_size(CAST(:name AS regclass))"), {"name": table})
    analyze = "" if table == STATISTICS else ", ANALYZE"
    if size.scalar_one() <= limits.rewrite_bytes_max:
        await _timeouts(conn, limits.rewrite_seconds_max, limits.lock_seconds_max)
        try:
            await conn.exec_driver_sql(f"VACUUM (FULL{analyze}) {table}")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in (_QUERY_CANCELED, _LOCK_NOT_AVAILABLE):
                raise
        else:
            return True
    await _timeouts(conn, limits.vacuum_seconds_max, limits.vacuum_seconds_max)
    await conn.exec_driver_sql(f"VACUUM (INDEX_CLEANUP ON, PROCESS_TOAST ON{analyze}) {table}")
    return False


async def _timeouts(conn: AsyncConnection, statement_seconds: float, lock_seconds: float) -> None:
    for name, seconds in (("statement_timeout", statement_seconds), ("lock_timeout", lock_seconds)):
        await conn.exec_driver_sql(f"SET {name} = {int(seconds * 1000)}")


async def _checkpoint(conn: AsyncConnection) -> bool:
    """Write the cleaned pages to disk where the role may; the server does within checkpoint_timeout anyway."""
    allowed = await conn.execute(text("SELECT pg_has_role('pg_checkpoint', 'USAGE')"))
    if not allowed.scalar_one():
        return False
    await conn.exec_driver_sql("CHECKPOINT")
    return True

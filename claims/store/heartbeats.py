"""Signs of life of the processes, for readiness and the operator's page, and the word to a process to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import NotFound
from claims.store import audit
from claims.store.tables import worker_heartbeats as beats


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """kind: worker, settle, refer or runner; report: plain JSON, e.g. batch size, whether Prefect answers.
    drain_asked_at: when it was asked to end, None for never."""

    name: str
    kind: str
    at: datetime
    report: Mapping[str, Any]
    drain_asked_at: datetime | None = None


async def beat(conn: AsyncConnection, name: str, kind: str, report: Mapping[str, object], now: datetime) -> bool:
    """Record that a process is alive, with its report. Returns True once it has been asked to end."""
    values = {"kind": kind, "at": now, "report": dict(report)}
    asked = await conn.execute(
        insert(beats)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
        .returning(beats.c.drain_asked_at)
    )
    return asked.scalar_one() is not None


async def since(conn: AsyncConnection, earliest: datetime) -> list[Heartbeat]:
    """Return the processes that gave a sign of life since then, by name."""
    rows = await conn.execute(select(beats).where(beats.c.at >= earliest).order_by(beats.c.name))
    return [_heartbeat(row) for row in rows]


async def last(conn: AsyncConnection, name: str) -> Heartbeat | None:
    """Return the newest sign of life of one process; None once it has ended in good order, or never was."""
    row = (await conn.execute(select(beats).where(beats.c.name == name))).first()
    return None if row is None else _heartbeat(row)


async def ask_to_drain(conn: AsyncConnection, name: str, now: datetime, *, actor: str) -> bool:
    """Ask a process to finish what it has, to take nothing more and to end; it is told at its next sign of life.
    Returns False when it was asked before. Raises NotFound."""
    asked = await conn.execute(
        update(beats)
        .where(beats.c.name == name, beats.c.drain_asked_at.is_(None))
        .values(drain_asked_at=now)
        .returning(beats.c.kind)
    )
    kind = asked.scalar_one_or_none()
    if kind is None:
        if await last(conn, name) is None:
            raise NotFound(f"no process {name}")
        return False
    await audit.append(conn, actor, "worker.drain_asked", name, {"kind": kind}, now)
    return True


async def forget(conn: AsyncConnection, name: str) -> None:
    """Remove a process that ends in good order."""
    await conn.execute(delete(beats).where(beats.c.name == name))


def _heartbeat(row: Row[Any]) -> Heartbeat:
    return Heartbeat(row.name, row.kind, row.at, row.report, row.drain_asked_at)

"""Signs of life of the processes, for readiness and the operator's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store.tables import worker_heartbeats as beats


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """kind: worker, settle or refer; report: plain JSON, e.g. batch size, whether Prefect answers."""

    name: str
    kind: str
    at: datetime
    report: Mapping[str, Any]


async def beat(conn: AsyncConnection, name: str, kind: str, report: Mapping[str, object], now: datetime) -> None:
    """Record that a process is alive, with its report."""
    values = {"kind": kind, "at": now, "report": dict(report)}
    await conn.execute(
        insert(beats).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )


async def since(conn: AsyncConnection, earliest: datetime) -> list[Heartbeat]:
    """Return the processes that gave a sign of life since then, by name."""
    rows = await conn.execute(select(beats).where(beats.c.at >= earliest).order_by(beats.c.name))
    return [Heartbeat(row.name, row.kind, row.at, row.report) for row in rows]


async def forget(conn: AsyncConnection, name: str) -> None:
    """Remove a process that ends in good order."""
    await conn.execute(delete(beats).where(beats.c.name == name))

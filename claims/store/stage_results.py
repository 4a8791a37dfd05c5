"""Results of the finished stages of a claim's round, for whoever leases the claim next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store import links, queue
from claims.store.queue import Lease
from claims.store.tables import stage_results as stage_rows


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of a finished stage: plain JSON, and its seconds, {"wall": .., "cpu": ..}."""

    result: Any
    seconds: Mapping[str, float]
    finished_at: datetime


async def of_round(conn: AsyncConnection, claim_id: str, round_number: int) -> dict[str, StageResult]:
    """Return the results of the stages that finished in this round, by stage."""
    rows = await conn.execute(
        select(stage_rows).where(stage_rows.c.claim_id == claim_id, stage_rows.c.round == round_number)
    )
    return {row.stage: StageResult(row.result, row.seconds, row.finished_at) for row in rows}


async def save(
    conn: AsyncConnection, lease: Lease, stage: str, result: object, seconds: Mapping[str, float], now: datetime
) -> None:
    """Keep a stage's result (plain JSON) for whoever leases this claim next. Raises LeaseLost."""
    await queue.hold(conn, lease)
    await queue.moved_on(conn, lease)
    values = {"result": result, "seconds": dict(seconds), "finished_at": now}
    await conn.execute(
        upsert(stage_rows)
        .values(claim_id=lease.claim_id, round=lease.round, stage=stage, **values)
        .on_conflict_do_update(index_elements=["claim_id", "round", "stage"], set_=values)
    )


async def blank_photos(conn: AsyncConnection, claim_id: str, round_number: int, erased: Sequence[str]) -> None:
    """Take the pictures of erased claims out of the stages that looked at photos."""
    for name, called in links.STAGES_WITH_MATCHES.items():
        stage = (stage_rows.c.claim_id == claim_id, stage_rows.c.round == round_number, stage_rows.c.stage == name)
        looked = (await conn.execute(select(stage_rows.c.result).where(*stage))).scalar_one_or_none()
        if looked is not None:
            links.blank({called: looked}, erased)
            await conn.execute(update(stage_rows).where(*stage).values(result=looked))

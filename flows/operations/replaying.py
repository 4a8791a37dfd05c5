"""Decisions replayed from their recorded inputs and compared byte for byte, for the command line and as a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.decide import replay
from claims.errors import InputsErased, UnknownRules
from claims.store.tables import decisions
from claims.store.views import claim_view

PAGE = 200


@dataclass(slots=True)
class ReplayedDecisions:
    """Counts of a comparison. differing: claim and number of each decision that came out otherwise. erased: inputs are
    gone. other_rules: judged by other code than this, which alone could repeat them."""

    compared: int = 0
    differing: list[str] = field(default_factory=list)
    erased: int = 0
    other_rules: int = 0

    @property
    def read(self) -> int:
        return self.compared + self.erased + self.other_rules


async def replay_claim(conn: AsyncConnection, claim_id: str) -> list[tuple[int, bool]]:
    """Decide each decision of one claim again. Returns its number and True where it agrees byte for byte. Raises
    NotFound, and what `claims.decide.replay` raises."""
    view = await claim_view(conn, claim_id)
    return [(row.seq, replay(row.inputs) == row.stored) for row in view.decisions]


async def replay_decisions(
    engine: AsyncEngine,
    *,
    claim_ids: Sequence[str] = (),
    since: datetime | None = None,
    newest_max: int = 10_000,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> ReplayedDecisions:
    """Decide recorded decisions again, the newest first, and compare. claim_ids: of these claims alone. since: not
    those made before. newest_max: at most so many. advance: told after each page how many are done, and of how many."""
    done, wanted = ReplayedDecisions(), _wanted(claim_ids, since)
    async with engine.connect() as conn:
        counted = await conn.execute(select(func.count()).select_from(decisions).where(*wanted))
        total = min(newest_max, int(counted.scalar_one()))
    before: list[ColumnElement[bool]] = []
    while done.read < total:
        async with engine.connect() as conn:
            columns = decisions.c
            rows = (
                await conn.execute(
                    select(
                        columns.claim_id, columns.seq, columns.inputs, columns.decision, columns.decided_at, columns.id
                    )
                    .where(*wanted, *before)
                    .order_by(columns.decided_at.desc(), columns.id.desc())
                    .limit(min(PAGE, total - done.read))
                )
            ).all()
        if not rows:
            break
        for row in rows:
            await asyncio.to_thread(_compare, done, f"{row.claim_id}/{row.seq}", row.inputs, row.decision)
        last = rows[-1]
        earlier = (columns.decided_at == last.decided_at) & (columns.id < last.id)
        before = [(columns.decided_at < last.decided_at) | earlier]
        advance(done.read, total)
    return done


def _wanted(claim_ids: Sequence[str], since: datetime | None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if claim_ids:
        wanted.append(decisions.c.claim_id.in_(claim_ids))
    if since is not None:
        wanted.append(decisions.c.decided_at >= since)
    return wanted


def _compare(done: ReplayedDecisions, name: str, inputs: bytes, stored: bytes) -> None:
    try:
        agrees = replay(inputs) == stored
    except InputsErased:
        done.erased += 1
        return
    except UnknownRules:
        done.other_rules += 1
        return
    done.compared += 1
    if not agrees:
        done.differing.append(name)

"""Disagreements of bank and books about a payout, and the reconciliations that look for them.

While a finding about one of its payouts is open, a claim is stopped: no further payout of it is promised or sent. A
person lifts a finding with a note; a later reconciliation that no longer meets it ends it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import ClaimStopped, Conflict, NotFound
from claims.store import audit, engine
from claims.store.tables import payout_findings, reconciliations

KEPT: Final = timedelta(days=90)  # records of reconciliations; findings are kept for good
_LOCK: Final = 0x7265636F


@dataclass(frozen=True, slots=True)
class Difference:
    """A payout on which bank and books disagree. code: lower case with underscores, stable."""

    payout_id: str
    claim_id: str  # "" when the books do not know the payout
    code: str
    detail: str

    def __str__(self) -> str:
        return f"payout {self.payout_id} (claim {self.claim_id or 'unknown'}): {self.code}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A recorded difference. state: open, lifted (by a person), over (a reconciliation no longer met it)."""

    id: int
    payout_id: str
    claim_id: str
    code: str
    detail: str
    found_by: str
    state: str
    found_at: datetime
    ended_at: datetime | None
    ended_by: str
    note: str


@dataclass(frozen=True, slots=True)
class BankComparison:
    """One comparison of bank and books; error: why there was none."""

    began_at: datetime
    ended_at: datetime
    payouts: int
    payments: int
    open_payouts: int
    differences: int
    error: str


async def record(conn: AsyncConnection, difference: Difference, now: datetime, *, actor: str) -> bool:
    """Open a finding, which stops its claim. False when it is open already, or a person has lifted the very same."""
    rows = payout_findings.c
    newest = (
        await conn.execute(
            select(payout_findings)
            .where(rows.payout_id == difference.payout_id, rows.code == difference.code)
            .order_by(rows.id.desc())
            .limit(1)
        )
    ).first()
    if newest is not None and newest.state == "open":
        return False
    if newest is not None and newest.state == "lifted" and newest.detail == difference.detail:
        return False
    fresh = await conn.execute(
        upsert(payout_findings)
        .values(
            payout_id=difference.payout_id,
            claim_id=difference.claim_id,
            code=difference.code,
            detail=difference.detail[:500],
            found_by=actor,
            state="open",
            found_at=now,
        )
        .on_conflict_do_nothing()
        .returning(payout_findings.c.id)
    )
    if fresh.first() is None:
        return False  # another process has just found the same
    content = {"payout_id": difference.payout_id, "code": difference.code, "detail": difference.detail[:500]}
    await audit.append(conn, actor, "payout.finding_opened", difference.claim_id or difference.payout_id, content, now)
    return True


async def end_unmet(
    conn: AsyncConnection, met: Collection[tuple[str, str]], before: datetime, now: datetime, *, actor: str
) -> int:
    """End the open findings that a whole comparison no longer met. The comparison began at `before` and met only `met`
    (payout id, code); findings from before it that are not among them are over. Returns how many."""
    rows = payout_findings.c
    open_rows = await conn.execute(
        select(payout_findings).where(rows.state == "open", rows.found_at < before).with_for_update()
    )
    gone = [row for row in open_rows if (row.payout_id, row.code) not in met]
    for row in gone:
        content = await _end(conn, row, "over", "", now, actor=actor)
        await audit.append(conn, actor, "payout.finding_over", row.claim_id or row.payout_id, content, now)
    return len(gone)


async def lift(conn: AsyncConnection, finding_id: int, note: str, now: datetime, *, actor: str) -> Finding:
    """Lift a finding: a person has looked and lets the claim go on. Raises NotFound, and Conflict when the finding is
    not open."""
    query = select(payout_findings).where(payout_findings.c.id == finding_id).with_for_update()
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no finding {finding_id}")
    if row.state != "open":
        raise Conflict(f"finding {finding_id} is {row.state} already")
    content = await _end(conn, row, "lifted", note, now, actor=actor)
    await audit.append(conn, actor, "payout.finding_lifted", row.claim_id or row.payout_id, content, now)
    return _finding((await conn.execute(query)).one())


async def _end(
    conn: AsyncConnection, row: Row[Any], state: str, note: str, now: datetime, *, actor: str
) -> dict[str, object]:
    """End a finding. Returns what the audit record says."""
    await conn.execute(
        update(payout_findings)
        .where(payout_findings.c.id == row.id)
        .values(state=state, ended_at=now, ended_by=actor, note=note)
    )
    return {"payout_id": row.payout_id, "code": row.code, "note": note}


async def stopping(conn: AsyncConnection, claim_id: str) -> tuple[str, ...]:
    """Return the codes of the findings that stop this claim; none means that it may go on."""
    rows = payout_findings.c
    codes = await conn.execute(
        select(rows.code).where(rows.claim_id == claim_id, rows.state == "open").distinct().order_by(rows.code)
    )
    return tuple(codes.scalars())


async def check_not_stopped(conn: AsyncConnection, claim_id: str) -> None:
    """Raise ClaimStopped if a finding is open. Under a lock on the claim."""
    codes = await stopping(conn, claim_id)
    if codes:
        raise ClaimStopped(f"claim {claim_id} is stopped: bank and books disagree ({', '.join(codes)})")


async def listed(conn: AsyncConnection, *, claim_id: str = "", state: str = "open", limit: int = 100) -> list[Finding]:
    """Return findings, newest first; of one claim when it is given; any state when `state` is ""."""
    query = select(payout_findings).order_by(payout_findings.c.id.desc()).limit(limit)
    if claim_id:
        query = query.where(payout_findings.c.claim_id == claim_id)
    if state:
        query = query.where(payout_findings.c.state == state)
    return [_finding(row) for row in await conn.execute(query)]


async def counted(conn: AsyncConnection) -> Mapping[str, int]:
    """Return the number of open findings by code."""
    rows = payout_findings.c
    counts = await conn.execute(select(rows.code, func.count()).where(rows.state == "open").group_by(rows.code))
    return {row[0]: row[1] for row in counts}


async def claims_stopped(conn: AsyncConnection) -> int:
    rows = payout_findings.c
    count = await conn.execute(
        select(func.count(rows.claim_id.distinct())).where(rows.state == "open", rows.claim_id != "")
    )
    return count.scalar_one()


async def alone(conn: AsyncConnection) -> bool:
    """Keep others from reconciling before this transaction ends. Returns False when somebody already does."""
    return await engine.alone(conn, _LOCK)


async def note_run(conn: AsyncConnection, run: BankComparison) -> None:
    """Record the result of a comparison, and delete those older than KEPT."""
    await conn.execute(insert(reconciliations).values({name: getattr(run, name) for name in BankComparison.__slots__}))
    await conn.execute(delete(reconciliations).where(reconciliations.c.began_at < run.ended_at - KEPT))


async def last_run(conn: AsyncConnection, *, whole: bool = False) -> BankComparison | None:
    """Return the newest comparison; whole: the newest that could be made."""
    query = select(reconciliations).order_by(reconciliations.c.id.desc()).limit(1)
    if whole:
        query = query.where(reconciliations.c.error == "")
    row = (await conn.execute(query)).first()
    return None if row is None else BankComparison(**{name: getattr(row, name) for name in BankComparison.__slots__})


def _finding(row: Row[Any]) -> Finding:
    return Finding(**{name: getattr(row, name) for name in Finding.__slots__})

"""For operators and adjusters: money that claimants owe back, and payouts that bank and books disagree about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described
from api.http.access import Staff
from api.http.context import Ctx
from api.http.repeats import Reply, SentByOperator, SentByStaff
from api.http.schemas import recoveries as wire
from api.http.schemas.words import Id
from claims.store import findings, recoveries
from claims.store.findings import BankComparison, Finding
from claims.store.recoveries import Recovery

router = APIRouter(prefix="/v1", tags=["operators"])
FindingId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get(
    "/recoveries",
    summary="Money that claimants owe back, the oldest first",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def list_recoveries(
    context: Ctx,
    _: Staff,
    state: Annotated[wire.RecoveryState | Literal["all"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> wire.RecoveryList:
    async with context.engine.connect() as conn:
        wanted = "" if state == "all" else state
        listed = await recoveries.listed(conn, state=wanted, limit=limit, offset=offset)
        owed = await recoveries.owed(conn)
    return wire.RecoveryList(
        recoveries=[recovery_row(recovery) for recovery in listed],
        owed_minor={currency: minor for currency, (_, minor) in owed.items()},
    )


@router.post(
    "/recoveries/{recovery_id}/repayment",
    summary="The claimant has paid back what was owed",
    response_model=wire.RecoveryRow,
    responses=described.refusals(*described.CREATES, "not_found"),
)
async def repay_recovery(sent: SentByOperator, recovery_id: Id, asked: wire.RepaymentRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        now = sent.context.now()
        done = await recoveries.mark_repaid(conn, recovery_id, asked.reference, now, actor=sent.actor)
        return Reply(200, recovery_row(done))

    return await sent.once(asked, write)


@router.post(
    "/recoveries/{recovery_id}/write-off",
    summary="Give up what is still owed",
    response_model=wire.RecoveryRow,
    responses=described.refusals(*described.CREATES, "not_found"),
)
async def write_off_recovery(sent: SentByStaff, recovery_id: Id, asked: wire.WriteOffRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        done = await recoveries.write_off(conn, recovery_id, asked.note, sent.context.now(), actor=sent.actor)
        return Reply(200, recovery_row(done))

    return await sent.once(asked, write)


@router.get(
    "/findings",
    summary="Payouts that bank and books disagree about",
    description="While one is open its claim is stopped: nothing more is promised or sent. `reconciled` is the newest "
    "comparison.",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def list_findings(
    context: Ctx,
    _: Staff,
    state: Annotated[Literal["open", "lifted", "over", "all"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> wire.FindingList:
    async with context.engine.connect() as conn:
        listed = await findings.listed(conn, state="" if state == "all" else state, limit=limit)
        last = await findings.last_run(conn)
    return wire.FindingList(
        findings=[finding_row(finding) for finding in listed], reconciled=_run(last) if last is not None else None
    )


@router.post(
    "/findings/{finding_id}/lifting",
    summary="Let a stopped claim go on",
    description="A later reconciliation that meets the very same difference does not stop it again.",
    response_model=wire.FindingRow,
    responses=described.refusals(*described.CREATES, "not_found"),
)
async def lift_finding(sent: SentByOperator, finding_id: FindingId, asked: wire.LiftRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        done = await findings.lift(conn, finding_id, asked.note, sent.context.now(), actor=sent.actor)
        return Reply(200, finding_row(done))

    return await sent.once(asked, write)


def recovery_row(recovery: Recovery) -> wire.RecoveryRow:
    same: dict[str, Any] = {
        name: getattr(recovery, name)
        for name in wire.RecoveryRow.model_fields
        if name not in ("amount_minor", "currency", "owed_minor")
    }
    return wire.RecoveryRow(
        **same, amount_minor=recovery.amount.minor, currency=recovery.amount.currency, owed_minor=recovery.owed.minor
    )


def finding_row(finding: Finding) -> wire.FindingRow:
    same: dict[str, Any] = {name: getattr(finding, name) for name in Finding.__slots__}
    return wire.FindingRow(**same)


def _run(run: BankComparison) -> wire.ReconciliationRun:
    same: dict[str, Any] = {name: getattr(run, name) for name in BankComparison.__slots__}
    return wire.ReconciliationRun(**same)

"""Operators: figures of the whole, nobody's claim."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.http import described
from api.http.access import Operator
from api.http.context import Ctx
from api.http.schemas import figures as wire
from claims.evidence import UnmeasuredFact
from claims.store import figures, views
from claims.store.leasing import WorkBacklog

router = APIRouter(prefix="/v1", tags=["operators"])


@router.get(
    "/operations",
    summary="Rates, latency, backlog, payouts, live processes",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def get_operations(
    context: Ctx, _: Operator, hours: Annotated[int, Query(ge=1, le=720, description="The window, back from now")] = 24
) -> wire.Operations:
    async with context.engine.connect() as conn:
        seen = await figures.operator_figures(conn, context.now(), timedelta(hours=hours))
        payouts = await views.payouts_by_state(conn)
    return wire.Operations(
        at=seen.at,
        window_hours=hours,
        submitted=seen.submitted,
        claims_by_status=dict(seen.by_status),
        decisions_by_outcome=dict(seen.decisions),
        closed=seen.closed,
        closed_untouched=seen.closed_untouched,
        straight_through_rate=_measured(seen.straight_through_rate),
        decision_seconds_p50=_measured(seen.decision_seconds_p50),
        decision_seconds_p95=_measured(seen.decision_seconds_p95),
        paid_minor=dict(seen.paid_minor),
        payouts_by_state=payouts,
        payouts_failed=seen.payouts_failed,
        referrals_open=seen.referrals_open,
        referrals_overdue=seen.referrals_overdue,
        findings_open=dict(seen.findings_open),
        claims_stopped=seen.claims_stopped,
        reconciled_at=seen.reconciled.began_at if seen.reconciled is not None else None,
        recoveries_open={currency: count for currency, (count, _) in seen.recoveries_owed.items()},
        recoveries_owed_minor={currency: minor for currency, (_, minor) in seen.recoveries_owed.items()},
        floods_open=seen.floods_open,
        claims_held=seen.claims_held,
        waiting_for_resources=dict(seen.waiting_for_resources),
        adjudication=_backlog(seen.adjudication),
        settle=_backlog(seen.settle),
        refer=_backlog(seen.refer),
        processes=[
            wire.Process(name=one.name, kind=one.kind, at=one.at, report=dict(one.report)) for one in seen.processes
        ],
        prefect_ui_url=context.settings.prefect_ui_url,
    )


def _measured(value: float | UnmeasuredFact) -> float | None:
    """Unmeasured is null on the wire: never a zero."""
    return None if isinstance(value, UnmeasuredFact) else value


def _backlog(backlog: WorkBacklog) -> wire.Backlog:
    numbers: dict[str, Any] = {name: getattr(backlog, name) for name in WorkBacklog.__slots__}
    return wire.Backlog(**numbers)

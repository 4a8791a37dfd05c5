"""For operators: figures of the whole installation, about no single claim."""

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
        stored = await figures.operator_figures(conn, context.now(), timedelta(hours=hours))
        payouts = await views.payouts_by_state(conn)
    return wire.Operations(
        at=stored.at,
        window_hours=hours,
        submitted=stored.submitted,
        claims_by_status=dict(stored.by_status),
        decisions_by_outcome=dict(stored.decisions),
        closed=stored.closed,
        closed_untouched=stored.closed_untouched,
        straight_through_rate=_measured(stored.straight_through_rate),
        decision_seconds_p50=_measured(stored.decision_seconds_p50),
        decision_seconds_p95=_measured(stored.decision_seconds_p95),
        paid_minor=dict(stored.paid_minor),
        payouts_by_state=payouts,
        payouts_failed=stored.payouts_failed,
        referrals_open=stored.referrals_open,
        referrals_overdue=stored.referrals_overdue,
        findings_open=dict(stored.findings_open),
        claims_stopped=stored.claims_stopped,
        reconciled_at=stored.reconciled.began_at if stored.reconciled is not None else None,
        recoveries_open={currency: count for currency, (count, _) in stored.recoveries_owed.items()},
        recoveries_owed_minor={currency: minor for currency, (_, minor) in stored.recoveries_owed.items()},
        floods_open=stored.floods_open,
        claims_held=stored.claims_held,
        waiting_for_resources=dict(stored.waiting_for_resources),
        alerts=[
            wire.OpenAlert(
                name=alert.name,
                subject=alert.subject,
                severity=alert.severity,
                figures=dict(alert.figures),
                opened_at=alert.opened_at or alert.since,
                last_at=alert.last_at,
            )
            for alert in stored.alerts
        ],
        adjudication=_backlog(stored.adjudication),
        settle=_backlog(stored.settle),
        refer=_backlog(stored.refer),
        processes=[
            wire.Process(name=process.name, kind=process.kind, at=process.at, report=dict(process.report))
            for process in stored.processes
        ],
        prefect_ui_url=context.settings.prefect_pages,
    )


def _measured(value: float | UnmeasuredFact) -> float | None:
    """Returns the value, None (null on the wire) where it is unmeasured: never a zero."""
    return None if isinstance(value, UnmeasuredFact) else value


def _backlog(backlog: WorkBacklog) -> wire.Backlog:
    numbers: dict[str, Any] = {name: getattr(backlog, name) for name in WorkBacklog.__slots__}
    return wire.Backlog(**numbers)

"""The operator's page: how it runs, at a glance; flow runs are Prefect's own pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.http.context import Context, Ctx
from api.pages.adjuster import prefect_url
from api.pages.failures import PageRoute
from api.pages.rendering import language, product_name, render
from api.pages.session import Operator
from claims import explain
from claims.claim import Status
from claims.decision import Outcome
from claims.evidence import Unmeasured
from claims.store import figures, views

router = APIRouter(prefix="/operations", route_class=PageRoute)
WINDOWS: Final = (1, 24, 168, 720)  # hours
RECENT_ROWS: Final = 12
Hours = Annotated[int, Query(ge=1, le=720)]


@router.get("")
async def operations(context: Ctx, visitor: Operator, request: Request, hours: Hours = 24) -> Response:
    return render(request, "operations.html", visitor, **await _figures(context, request, hours))


@router.get("/figures")
async def live_figures(context: Ctx, visitor: Operator, request: Request, hours: Hours = 24) -> Response:
    """The figures alone, asked for every few seconds."""
    return render(request, "_figures.html", visitor, **await _figures(context, request, hours))


async def _figures(context: Context, request: Request, hours: int) -> dict[str, Any]:
    lang, now = language(request), context.now()
    async with context.engine.connect() as conn:
        seen = await figures.operator_figures(conn, now, timedelta(hours=hours))
        payouts = await views.payouts_by_state(conn)
        recent = await views.list_claims(conn, limit=RECENT_ROWS)
    return {
        "seen": seen,
        "hours": hours,
        "windows": WINDOWS,
        "rate": None if isinstance(seen.straight_through_rate, Unmeasured) else seen.straight_through_rate,
        "p50": None if isinstance(seen.decision_seconds_p50, Unmeasured) else seen.decision_seconds_p50,
        "p95": None if isinstance(seen.decision_seconds_p95, Unmeasured) else seen.decision_seconds_p95,
        "outcomes": [
            (outcome.value, explain.outcome_text(outcome, lang), seen.decisions.get(outcome, 0)) for outcome in Outcome
        ],
        "statuses": [
            (status.value, explain.status_text(status, lang), seen.by_status.get(status, 0))
            for status in Status
            if seen.by_status.get(status, 0)
        ],
        "payouts": [(state, payouts.get(state, 0)) for state in ("reserved", "sent", "paid", "failed")],
        "backlogs": [("adjudication", seen.adjudication), ("settle", seen.settle), ("refer", seen.refer)],
        "recent": [
            (row, explain.status_text(row.status, lang), product_name(context.catalogue, row.product, lang))
            for row in recent
        ],
        "prefect": prefect_url(context),
    }

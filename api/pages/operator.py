"""The operator's page: the state of the installation at a glance; flow runs are Prefect's own pages."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from api.http.context import Context
from api.http.languages import Lang
from api.http.problems import validated
from api.http.repeats import KeyedRequest
from api.http.routes import recoveries as routes
from api.http.schemas.recoveries import LiftRequest, RepaymentRequest, WriteOffRequest
from api.http.schemas.words import Id
from api.pages.adjuster import prefect_url
from api.pages.failures import FORM_ERRORS, PageRoute
from api.pages.rendering import product_name
from api.pages.session import Operator, posted
from api.pages.visit import Visit
from claims import explain
from claims.alerts import alert_text, steps_text
from claims.claim import Status
from claims.decision import Outcome
from claims.evidence import UnmeasuredFact
from claims.store import figures, findings, recoveries, views
from claims.store.brakes import Brake

router = APIRouter(prefix="/operations", route_class=PageRoute)
WINDOWS: Final = (1, 24, 168, 720)  # hours
RECENT_ROWS: Final = 12
MONEY_ROWS: Final = 50
Hours = Annotated[int, Query(ge=1, le=720)]


@router.get("")
async def operations(visit: Operator, hours: Hours = 24) -> Response:
    return await _page(visit, hours)


@router.get("/figures")
async def live_figures(visit: Operator, hours: Hours = 24) -> Response:
    """Show the figures alone; the page asks for them every few seconds."""
    return visit.render("_figures.html", **await _figures(visit, hours))


@router.post("/findings/{finding_id}/lifting")
async def lift(visit: Operator, finding_id: routes.FindingId) -> Response:
    """Lift a finding, so that its stopped claim goes on."""

    async def send(sent: KeyedRequest, fields: dict[str, str]) -> Response:
        asked = validated(LiftRequest, {"note": fields.get("note", "")})
        return await routes.lift_finding(sent, finding_id, asked)

    return await _done(visit, send)


@router.post("/recoveries/{recovery_id}/repayment")
async def repaid(visit: Operator, recovery_id: Id) -> Response:
    async def send(sent: KeyedRequest, fields: dict[str, str]) -> Response:
        asked = validated(RepaymentRequest, {"reference": fields.get("reference", "")})
        return await routes.repay_recovery(sent, recovery_id, asked)

    return await _done(visit, send)


@router.post("/recoveries/{recovery_id}/write-off")
async def write_off(visit: Operator, recovery_id: Id) -> Response:
    async def send(sent: KeyedRequest, fields: dict[str, str]) -> Response:
        asked = validated(WriteOffRequest, {"note": fields.get("note", "")})
        return await routes.write_off_recovery(sent, recovery_id, asked)

    return await _done(visit, send)


async def _done(visit: Visit, send: Callable[[KeyedRequest, dict[str, str]], Awaitable[Response]]) -> Response:
    """Carry out the form's request and show the page again, with the reason beside it where it was refused."""
    fields = await posted(visit)
    try:
        await send(visit.sent(fields), fields)
    except FORM_ERRORS as error:
        return await _page(visit, 24, failure=visit.message_of(error))
    return RedirectResponse("/operations", 303)


async def _page(visit: Visit, hours: int, *, failure: str = "") -> Response:
    async with visit.context.engine.connect() as conn:
        stopped = await findings.listed(conn, limit=MONEY_ROWS)
        owed = await recoveries.listed(conn, limit=MONEY_ROWS)
    shown = await _figures(visit, hours)
    money = {"findings": stopped, "recoveries": owed, "new_key": lambda: secrets.token_urlsafe(24)}
    status = 409 if failure else 200
    return visit.render("operations.html", status=status, **shown, **money, failure=failure)


async def _figures(visit: Visit, hours: int) -> dict[str, Any]:
    context, lang, now = visit.context, visit.lang, visit.context.now()
    async with context.engine.connect() as conn:
        stored = await figures.operator_figures(conn, now, timedelta(hours=hours))
        payouts = await views.payouts_by_state(conn)
        recent = await views.list_claims(conn, limit=RECENT_ROWS)
    return {
        "figures": stored,
        "hours": hours,
        "windows": WINDOWS,
        "rate": None if isinstance(stored.straight_through_rate, UnmeasuredFact) else stored.straight_through_rate,
        "p50": None if isinstance(stored.decision_seconds_p50, UnmeasuredFact) else stored.decision_seconds_p50,
        "p95": None if isinstance(stored.decision_seconds_p95, UnmeasuredFact) else stored.decision_seconds_p95,
        "outcomes": [
            (outcome.value, explain.outcome_text(outcome, lang), stored.decisions.get(outcome, 0))
            for outcome in Outcome
        ],
        "statuses": [
            (status.value, explain.status_text(status, lang), stored.by_status.get(status, 0))
            for status in Status
            if stored.by_status.get(status, 0)
        ],
        "payouts": [(state, payouts.get(state, 0)) for state in ("reserved", "sent", "paid", "failed")],
        "backlogs": [("adjudication", stored.adjudication), ("settle", stored.settle), ("refer", stored.refer)],
        "recent": [
            (row, explain.status_text(row.status, lang), product_name(context.catalogue, row.product, lang))
            for row in recent
        ],
        "alerts": [(alert, alert_text(alert, lang), steps_text(alert, lang)) for alert in stored.alerts],
        "brakes": [_brake(brake, context, lang) for brake in stored.brakes],
        "prefect": prefect_url(context),
    }


def _brake(brake: Brake, context: Context, lang: Lang) -> tuple[Brake, str, str]:
    """Returns a brake, the kind of work that it holds, and the product that it is about, "" for none."""
    kind, _, key = brake.name.partition(":")
    return brake, kind, product_name(context.catalogue, key, lang) if kind == "product" else ""

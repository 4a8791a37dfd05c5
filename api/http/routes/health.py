"""For machines: liveness, readiness, Prometheus."""

from __future__ import annotations

import asyncio

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from api.http.context import Context, Ctx
from api.http.metrics import Metrics, StoreFigures
from claims.store import figures, views
from claims.store.away import STORE_ERRORS
from claims.store.engine import may_rewrite

router = APIRouter(tags=["machines"])
log = structlog.get_logger("api.http")
_CHECK_SECONDS_MAX = 5.0
_NO_FILE = "0" * 64


class Health(BaseModel):
    status: str


class Readiness(BaseModel):
    """`checks`: "ok" or what went wrong, in one word. `role` is missing while the database does not answer;
    `too_powerful` is a warning: the process works, but as a role that could rewrite the ledger."""

    status: str
    checks: dict[str, str]


@router.get("/healthz", summary="The process lives")
async def healthz() -> Health:
    return Health(status="ok")


@router.get(
    "/readyz",
    summary="The database and the evidence store answer",
    responses={503: {"model": Readiness, "description": "One of them does not"}},
    response_model=Readiness,
)
async def readyz(request: Request, context: Ctx) -> Response:
    await context.rates.asks_unnamed(request)
    database, evidence = await asyncio.gather(_database(context), _evidence(context))
    ready = database["database"] == evidence == "ok"
    body = Readiness(status="ok" if ready else "unavailable", checks=database | {"evidence": evidence})
    return JSONResponse(body.model_dump(), 200 if ready else 503)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(request: Request, context: Ctx) -> Response:
    await context.rates.asks_unnamed(request)
    held: Metrics = request.app.state.metrics
    return Response(held.render(await _figures(context)), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _database(context: Context) -> dict[str, str]:
    try:
        async with asyncio.timeout(_CHECK_SECONDS_MAX), context.engine.connect() as conn:
            await conn.execute(text("SELECT count(*) FROM jobs WHERE false"))
            powerful = await may_rewrite(conn)
    except STORE_ERRORS as error:
        log.warning("not_ready", check="database", error=error)
        return {"database": "unavailable"}
    return {"database": "ok", "role": "too_powerful" if powerful else "ok"}


async def _evidence(context: Context) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS_MAX):
            await run_in_threadpool(context.blobs.exists, _NO_FILE)
    except STORE_ERRORS as error:
        log.warning("not_ready", check="evidence", error=error)
        return "unavailable"
    return "ok"


async def _figures(context: Context) -> StoreFigures | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS_MAX), context.engine.connect() as conn:
            stored = await figures.operator_figures(conn, context.now())
            return StoreFigures(stored, await views.payouts_by_state(conn))
    except STORE_ERRORS as error:
        log.warning("metrics_without_store", error=error)
        return None

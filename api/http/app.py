"""The API's application: middleware, routes, problems. It imports neither vision nor torch nor prefect: the store is
the hand-off. `api.serve` adds the pages to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.http import described, problems, tokens
from api.http.body import BodyGuard
from api.http.connections import CrowdGuard
from api.http.context import Context, utc_now
from api.http.headers import ResponseHeaders
from api.http.metrics import Metrics, RequestMetrics
from api.http.rates import Rates
from api.http.routes import claims, evidence, floods, health, insured, matches, operations, queue, recoveries, referrals
from api.http.schemas.claims import ClaimRequest
from api.settings import Settings
from claims.catalogue import load_catalogue
from claims.paper_kind import load_paper_kinds
from claims.store.blobs import BlobStore
from claims.store.engine import connect

DESCRIPTION = """Consumer-insurance claims, decided in seconds: photos and papers in, a decision with its reasons out.

Bearer tokens carry a role (claimant, adjuster, partner, operator, platform) and a subject. What belongs to somebody
else does not exist (404). Every POST that creates needs an `Idempotency-Key`; repeat a request with its key as often as
you like. Amounts are integers in minor units; times are ISO 8601. Refusals are RFC 9457 problems: branch on `code`."""


def create_app(settings: Settings, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """Returns the application for `settings`. Opens the store when it starts, not before; `now` must return UTC."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = connect(settings.database_url)
        app.state.context = Context(
            settings=settings,
            limits=settings.http,
            engine=engine,
            blobs=BlobStore(settings.evidence_url),
            catalogue=load_catalogue(),
            paper_kinds=load_paper_kinds(settings.paper_kinds),
            keys=tokens.KeyRing(settings.token_key, settings.token_keys_old, settings.home),
            rates=Rates(settings.http, app.state.metrics),
            now=now,
        )
        try:
            yield
        finally:
            await engine.dispose()

    app = FastAPI(
        title="Miaopei",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its scripts come from a foreign origin
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.metrics = Metrics()
    problems.install(app)
    for module in (insured, claims, matches, evidence, queue, floods, referrals, operations, recoveries, health):
        app.include_router(module.router)
    described.describe(app, ClaimRequest)
    # The last added is the outermost: headers and trace, metrics, the guard on crowds, the guard on bodies.
    app.add_middleware(BodyGuard, limits=settings.http)
    app.add_middleware(CrowdGuard, limits=settings.http)
    app.add_middleware(RequestMetrics, metrics=app.state.metrics)
    app.add_middleware(ResponseHeaders)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name

"""Adjusters: what waits for a person, and the verdict on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, showing
from api.http.access import Adjuster
from api.http.context import Ctx
from api.http.judging import judge
from api.http.languages import Language
from api.http.repeats import Key, Reply, once
from api.http.schemas import work as wire
from api.http.schemas.words import Id
from api.http.upload import fingerprint
from claims.errors import InvalidTransition
from claims.store import referrals, views

router = APIRouter(prefix="/v1", tags=["adjusters"])


@router.get(
    "/queue",
    summary="Cases that wait for a person, the most urgent first",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def get_queue(
    context: Ctx,
    _: Adjuster,
    lang: Language,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    held: Annotated[bool, Query(description="Cases that wait for a flood's ruling, instead of the others")] = False,
) -> wire.Queue:
    async with context.engine.connect() as conn:
        rows = await views.queue_rows(conn, limit=limit, offset=offset, held=held)
    return wire.Queue(cases=[showing.queue_row(row, context.catalogue, lang) for row in rows])


@router.post(
    "/claims/{claim_id}/review",
    summary="Approve with an amount, refuse, or ask the claimant",
    response_model=wire.VerdictTaken,
    responses=described.refusals(
        *described.CREATES, "not_found", "invalid_transition", "copy_paid", "decision_not_allowed", "currency_mismatch"
    ),
)
async def review_claim(
    context: Ctx, principal: Adjuster, key: Key, request: Request, claim_id: Id, verdict: wire.VerdictRequest
) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        view = await views.claim_view(conn, claim_id)
        waiting = next((one for one in view.referrals if one.state in referrals.OPEN), None)
        if waiting is None:
            raise InvalidTransition(f"a claim that is {view.claim.status} waits for nobody's verdict")
        return await judge(conn, context, principal, waiting, verdict)

    mark = fingerprint(request.method, request.url.path, verdict.model_dump(mode="json"))
    return await once(context, principal, key, mark, write)

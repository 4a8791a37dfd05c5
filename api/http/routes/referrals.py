"""Partner insurers: the cases referred to them, and their decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, showing
from api.http.access import Partner
from api.http.context import Ctx
from api.http.judging import judge
from api.http.languages import Language
from api.http.repeats import Key, Reply, once
from api.http.schemas import work as wire
from api.http.schemas.words import Id
from api.http.upload import fingerprint
from claims.store import referrals, views

router = APIRouter(prefix="/v1/referrals", tags=["partners"])


@router.get(
    "",
    summary="Cases that wait for this insurer, the most urgent first",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def list_referrals(
    context: Ctx,
    principal: Partner,
    lang: Language,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> wire.ReferralList:
    async with context.engine.connect() as conn:
        rows = await views.queue_rows(conn, partner=principal.subject, limit=limit, offset=offset)
    return wire.ReferralList(referrals=[showing.referral_row(row, context.catalogue, lang) for row in rows])


@router.post(
    "/{referral_id}/decision",
    summary="Decide a case: approve with an amount, refuse, or ask the claimant",
    response_model=wire.VerdictTaken,
    responses=described.refusals(
        *described.CREATES, "not_found", "invalid_transition", "copy_paid", "decision_not_allowed", "currency_mismatch"
    ),
)
async def decide_referral(
    context: Ctx, principal: Partner, key: Key, request: Request, referral_id: Id, verdict: wire.VerdictRequest
) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        referral = await referrals.get(conn, referral_id, principal.subject)
        return await judge(conn, context, principal, referral, verdict)

    mark = fingerprint(request.method, request.url.path, verdict.model_dump(mode="json"))
    return await once(context, principal, key, mark, write)

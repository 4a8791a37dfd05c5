"""For partner insurers: the cases referred to them, and their decisions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, showing
from api.http.access import Partner
from api.http.context import Ctx
from api.http.judging import judge
from api.http.languages import Language
from api.http.repeats import Reply, SentByPartner
from api.http.routes.queue import Filter
from api.http.schemas import work as wire
from api.http.schemas.words import Id
from claims.store import referrals, views, waiting

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
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    product: Annotated[Filter, Query(description="Key of the product to filter by")] = "",
    cause: Annotated[
        Literal["", "refer", "appeal", "payout_failed", "stopped"], Query(description="Why a person decides the cases")
    ] = "",
) -> wire.ReferralList:
    wanted = waiting.Wanted(partner=principal.subject, product=product, cause=cause)
    async with context.engine.connect() as conn:
        rows = await views.queue_rows(conn, wanted, context.now(), limit=limit, offset=offset)
        counted = await waiting.counts(conn, wanted, context.now())
    return wire.ReferralList(
        referrals=[showing.referral_row(row, context, lang) for row in rows], fitting=counted.fitting
    )


@router.post(
    "/{referral_id}/decision",
    summary="Decide a case: approve with an amount, refuse, or ask the claimant",
    response_model=wire.VerdictTaken,
    responses=described.refusals(
        *described.CREATES,
        *described.VERDICTS,
    ),
)
async def decide_referral(sent: SentByPartner, referral_id: Id, verdict: wire.VerdictRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        referral = await referrals.get(conn, referral_id, sent.principal.subject)
        return await judge(conn, sent, referral, verdict)

    return await sent.once(verdict, write)

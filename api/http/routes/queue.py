"""For adjusters: the cases that wait for a person, and the verdict on each."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, showing
from api.http.access import Adjuster
from api.http.context import Ctx
from api.http.judging import judge
from api.http.languages import Language
from api.http.repeats import Reply, SentByAdjuster
from api.http.schemas import work as wire
from api.http.schemas.words import Id
from claims.errors import InvalidTransition
from claims.store import referrals, views, waiting

router = APIRouter(prefix="/v1", tags=["adjusters"])
Filter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{0,100}$")]


@router.get(
    "/queue",
    summary="Cases that wait for a person, the most urgent first",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def get_queue(
    context: Ctx,
    principal: Adjuster,
    lang: Language,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    held: Annotated[bool, Query(description="Cases that wait for a flood's ruling, instead of the others")] = False,
    product: Annotated[Filter, Query(description="Key of the product to filter by")] = "",
    cause: Annotated[
        Literal["", "refer", "appeal", "payout_failed", "stopped"], Query(description="Why a person decides the cases")
    ] = "",
    partner: Annotated[Filter, Query(description="Key of the partner insurer to filter by")] = "",
    holder: Annotated[
        Literal["", "free", "mine"], Query(description="free: nobody has taken them; mine: you have")
    ] = "",
) -> wire.Queue:
    wanted = waiting.Wanted(
        partner=partner or None,
        product=product,
        cause="flood" if held else cause,
        holder=holder,
        me=principal.subject,
    )
    async with context.engine.connect() as conn:
        rows = await views.queue_rows(conn, wanted, context.now(), limit=limit, offset=offset)
        counted = await waiting.counts(conn, wanted, context.now())
    return wire.Queue(
        cases=[showing.queue_row(row, context, lang) for row in rows],
        fitting=counted.fitting,
        counts=showing.queue_counts(counted),
    )


@router.post(
    "/claims/{claim_id}/review",
    summary="Approve with an amount, refuse, or ask the claimant",
    response_model=wire.VerdictTaken,
    responses=described.refusals(
        *described.CREATES,
        *described.VERDICTS,
    ),
)
async def review_claim(sent: SentByAdjuster, claim_id: Id, verdict: wire.VerdictRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        view = await views.claim_view(conn, claim_id)
        waiting = next((referral for referral in view.referrals if referral.state in referrals.OPEN), None)
        if waiting is None:
            raise InvalidTransition(f"a claim that is {view.claim.status} waits for nobody's verdict")
        return await judge(conn, sent, waiting, verdict)

    return await sent.once(verdict, write)

"""For adjusters: pictures that suddenly match many claims, ruled on once for all of them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described
from api.http.access import Adjuster
from api.http.context import Ctx
from api.http.problems import Problem
from api.http.repeats import Reply, SentByAdjuster
from api.http.routes.evidence import JPEG, cacheable, stream
from api.http.schemas import matches as wire
from api.http.schemas.words import Id, PhotoId
from claims.store import floods
from claims.store.floods import Flood, Sighted

router = APIRouter(prefix="/v1/floods", tags=["adjusters"])
PICTURES = 12


@router.get(
    "",
    summary="Pictures that suddenly match many claims",
    responses=described.refusals(*described.SIGNED_IN, "invalid_request"),
)
async def list_floods(
    context: Ctx,
    _: Adjuster,
    state: Annotated[Literal["open", "ruled"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> wire.Floods:
    async with context.engine.connect() as conn:
        listed = await floods.list_floods(conn, state=state, limit=limit)
        shown = [(flood, await floods.pictures(conn, flood.id, PICTURES)) for flood in listed]
    return wire.Floods(floods=[flood_view(flood, pictures) for flood, pictures in shown])


@router.get(
    "/{flood_id}/pictures/{photo_id}",
    summary="One picture of a flood",
    description="It may be any claimant's: for adjusters alone.",
    response_class=StreamingResponse,
    responses=JPEG | described.refusals(*described.READS, "preview_pending"),
)
async def get_flood_picture(context: Ctx, _: Adjuster, flood_id: Id, photo_id: PhotoId) -> StreamingResponse:
    async with context.engine.connect() as conn:
        picture = await floods.picture(conn, flood_id, photo_id)
    if not picture.preview_sha256:
        raise Problem("preview_pending", "This picture has no preview.")
    return await stream(context, picture.preview_sha256, "image/jpeg", cacheable(picture.preview_sha256))


@router.post(
    "/{flood_id}/ruling",
    summary="Rule once on a flood: common, or copies",
    description="A worker carries it out: `common` has the claims that wait for it alone decided anew, `copies` puts "
    "each before a person.",
    response_model=wire.FloodView,
    responses=described.refusals(*described.CREATES, "not_found", "ruled_already"),
)
async def rule_flood(sent: SentByAdjuster, flood_id: Id, asked: wire.FloodRulingRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        flood = await floods.rule(conn, flood_id, asked.ruling, asked.note, sent.context.now(), actor=sent.actor)
        return Reply(200, flood_view(flood, await floods.pictures(conn, flood_id, PICTURES)))

    return await sent.once(asked, write)


def flood_view(flood: Flood, pictures: list[Sighted]) -> wire.FloodView:
    return wire.FloodView(
        id=flood.id,
        state="open" if flood.state == "open" else "ruled",
        opened_at=flood.opened_at,
        claims_seen=flood.claims_seen,
        claims_held=flood.claims_held,
        ruling=flood.ruling,
        note=flood.note,
        ruled_by=flood.ruled_by,
        ruled_at=flood.ruled_at,
        pictures=[
            wire.FloodPicture(
                photo_id=sighting.picture.photo_id,
                claim_id=sighting.picture.claim_id,
                matched=sighting.matched,
                href=f"/v1/floods/{flood.id}/pictures/{quote(sighting.picture.photo_id, safe='')}"
                if sighting.picture.preview_sha256
                else "",
            )
            for sighting in pictures
        ],
    )

"""For adjusters and partner insurers: the matches of a claim's photos, the proof, and rulings on them, which can be
taken back."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described
from api.http.access import Handler
from api.http.context import Ctx
from api.http.disclosure import disclosed
from api.http.matching import match_of, recorded_photos, rule, take_back
from api.http.problems import Problem
from api.http.repeats import Reply, SentByHandler
from api.http.routes.claims import scope
from api.http.routes.evidence import JPEG, cacheable, stream
from api.http.schemas import matches as wire
from api.http.schemas.words import Id, PhotoId
from claims.claim import Status
from claims.errors import ClaimErased, NotFound
from claims.evidence import MatchOwner, PhotoMatch, Placement
from claims.store import rulings, views
from claims.store.rulings import Ruling

router = APIRouter(prefix="/v1/claims/{claim_id}", tags=["matches"])


@router.get(
    "/matches",
    summary="The pictures that the claim's photos matched",
    description="For adjusters and the insurer that the claim was referred to.",
    responses=described.refusals(*described.READS),
)
async def list_matches(context: Ctx, principal: Handler, claim_id: Id) -> wire.Matches:
    async with context.engine.connect() as conn:
        view = await views.claim_view(conn, claim_id, **scope(principal))
        words = await rulings.of_claim(conn, claim_id)
        photos = recorded_photos(view.decisions)
        visible = await disclosed(conn, principal, (match for photo in photos for match in photo.matches))
    shown = [
        wire.PhotoMatchesView(
            evidence_id=photo.evidence_id,
            name=photo.name,
            verdict=photo.verdict,
            common=photo.common,
            matches=[
                _match(claim_id, photo.evidence_id, match, words.get((photo.evidence_id, match.photo_id)), visible)
                for match in photo.matches
                if match.owner is not MatchOwner.SAME_CLAIM
            ],
        )
        for photo in photos
    ]
    return wire.Matches(claim_id=claim_id, photos=shown)


@router.get(
    "/matches/{evidence_id}/{photo_id}/overlay",
    summary="Both pictures of a match, side by side, with the points that agree",
    description="It may show another claimant's photo: for adjusters; for an insurer only where both claims were "
    "referred to it.",
    response_class=StreamingResponse,
    responses=JPEG | described.refusals(*described.READS, "preview_pending", "erased"),
)
async def get_overlay(
    context: Ctx, principal: Handler, claim_id: Id, evidence_id: Id, photo_id: PhotoId
) -> StreamingResponse:
    async with context.engine.connect() as conn:
        view = await views.claim_view(conn, claim_id, **scope(principal))
        if view.claim.status is Status.ERASED:
            raise ClaimErased(f"claim {claim_id} was erased")
        _, match = match_of(recorded_photos(view.decisions), evidence_id, photo_id)
        if photo_id not in await disclosed(conn, principal, [match]):
            raise NotFound(f"{principal} may not see what photo {evidence_id} matched")
    if not match.overlay_sha256:
        raise Problem("preview_pending", "No overlay was drawn of this match.")
    return await stream(context, match.overlay_sha256, "image/jpeg", cacheable(match.overlay_sha256))


@router.post(
    "/rulings",
    status_code=201,
    summary="Confirm a match, reject it, or rule that everybody photographs this",
    response_model=wire.RulingTaken,
    responses=described.refusals(*described.CREATES, "not_found", "ruled_already"),
)
async def rule_match(sent: SentByHandler, claim_id: Id, asked: wire.RulingRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        return await rule(conn, sent, claim_id, asked)

    return await sent.once(asked, write)


@router.post(
    "/rulings/{ruling_id}/taking-back",
    summary="Take back a ruling on a match",
    description="The pair may be ruled on anew. Adjusters take back any ruling that was made in the claim, an insurer "
    "its own. Decisions that rested on it stay.",
    response_model=wire.RulingTakenBack,
    responses=described.refusals(*described.CREATES, "not_found"),
)
async def take_back_ruling(sent: SentByHandler, claim_id: Id, ruling_id: Id, asked: wire.TakeBackRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        return await take_back(conn, sent, claim_id, ruling_id, asked)

    return await sent.once(asked, write)


def _match(
    claim_id: str, evidence_id: str, match: PhotoMatch, word: Ruling | None, visible: Collection[str]
) -> wire.MatchView:
    """Returns a match as this caller may see it. visible: photo ids of pictures that the caller may see."""
    placed = match.placement
    shown = match.photo_id in visible
    overlay = f"/v1/claims/{claim_id}/matches/{evidence_id}/{quote(match.photo_id, safe='')}/overlay"
    return wire.MatchView(
        photo_id=match.photo_id,
        owner=match.owner,
        claim_id=match.claim_id if shown else "",
        claim_status=match.claim_status if shown else "",
        verdict=match.verdict,
        probability=match.probability,
        inliers=match.inliers,
        tight_inliers=match.tight_inliers,
        tight_ratio=match.tight_ratio,
        rigid_ratio=match.rigid_ratio,
        fine_ratio=match.fine_ratio,
        fine_rigid_ratio=match.fine_rigid_ratio,
        contained_ratio=match.contained_ratio,
        transform=match.transform,
        placement=wire.PlacementView(
            scale=placed.scale,
            degrees=placed.degrees,
            mirrored=placed.mirrored,
            shown_ratio=placed.shown_ratio,
            covers_ratio=placed.covers_ratio,
            outline=list(placed.outline),
        )
        if isinstance(placed, Placement)
        else None,
        common=match.common,
        flood=match.flood,
        ruling=word.ruling if word is not None else match.ruling,
        ruling_id=word.id if word is not None else "",
        overlay_href=overlay if match.overlay_sha256 and shown else "",
    )

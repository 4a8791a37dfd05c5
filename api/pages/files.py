"""Pictures and originals for whoever may see them: the API's own routes, asked by session instead of by token."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from api.http.context import Ctx
from api.http.routes import evidence, matches
from api.http.schemas.words import FileName, Id, PhotoId
from api.pages.failures import PageRoute
from api.pages.session import Handler, Party

router = APIRouter(prefix="/claims/{claim_id}", route_class=PageRoute)


@router.get("/files/{name}")
async def original(context: Ctx, visitor: Party, claim_id: Id, name: FileName) -> Response:
    """The file as it was sent, never shown in place."""
    return await evidence.get_evidence(context, visitor.principal, claim_id, name)


@router.get("/files/{name}/preview")
async def preview(context: Ctx, visitor: Party, claim_id: Id, name: FileName) -> Response:
    return await evidence.get_preview(context, visitor.principal, claim_id, name)


@router.get("/matches/{evidence_id}/{photo_id}/overlay")
async def overlay(context: Ctx, visitor: Handler, claim_id: Id, evidence_id: Id, photo_id: PhotoId) -> Response:
    """The proof of a match: both pictures with the points that agree."""
    return await matches.get_overlay(context, visitor.principal, claim_id, evidence_id, photo_id)


@router.get("/matches/{photo_id}")
async def match_preview(context: Ctx, visitor: Handler, claim_id: Id, photo_id: PhotoId) -> Response:
    """The picture that a photo of this claim matched; it may be another claimant's, so claimants never get it."""
    return await evidence.get_match_preview(context, visitor.principal, claim_id, photo_id)

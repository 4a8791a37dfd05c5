"""Serves pictures and originals to people who may see them: the API's own routes, called by session instead of by
token."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from api.http.routes import evidence, matches
from api.http.schemas.words import FileName, Id, PhotoId
from api.pages.failures import PageRoute
from api.pages.session import Handler, Party

router = APIRouter(prefix="/claims/{claim_id}", route_class=PageRoute)


@router.get("/files/{name}")
async def original(visit: Party, claim_id: Id, name: FileName) -> Response:
    """Send the file as it was sent, as a download, never shown in place."""
    return await evidence.get_evidence(visit.context, visit.principal, claim_id, name)


@router.get("/files/{name}/preview")
async def preview(visit: Party, claim_id: Id, name: FileName) -> Response:
    return await evidence.get_preview(visit.context, visit.principal, claim_id, name)


@router.get("/matches/{evidence_id}/{photo_id}/overlay")
async def overlay(visit: Handler, claim_id: Id, evidence_id: Id, photo_id: PhotoId) -> Response:
    """Show the proof of a match: both pictures with the points that agree."""
    return await matches.get_overlay(visit.context, visit.principal, claim_id, evidence_id, photo_id)


@router.get("/matches/{photo_id}")
async def match_preview(visit: Handler, claim_id: Id, photo_id: PhotoId) -> Response:
    """Show the picture that a photo of this claim matched; it may be another claimant's, so claimants never get it."""
    return await evidence.get_match_preview(visit.context, visit.principal, claim_id, photo_id)

"""The files of a claim: raw upload to a draft, originals as attachments, clean previews, and the pictures that photos
matched.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.http import described, names, showing
from api.http.access import Claimant, Handler, Party
from api.http.context import Context, Ctx
from api.http.disclosure import disclosed
from api.http.matching import recorded_photos
from api.http.originals import without_marks
from api.http.problems import Problem
from api.http.routes.claims import scope
from api.http.schemas import claims as wire
from api.http.schemas.words import FileName, Id, PhotoId
from api.http.tokens import Role
from api.http.upload import hold_files, receive_file
from claims.claim import EvidenceKind, Status
from claims.errors import ClaimErased, InvalidTransition, NotFound
from claims.store import intake, views
from claims.store.intake import NewEvidence

router = APIRouter(prefix="/v1/claims/{claim_id}", tags=["evidence"])
_PIECE_BYTES = 256 * 1024
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}}
_ATTACHMENT: described.Responses = {
    200: {"description": "The bytes as received", "content": _BINARY},
}
JPEG: described.Responses = {
    200: {"description": "A JPEG encoded anew", "content": {"image/jpeg": {"schema": {"type": "string"}}}},
}


@router.put(
    "/evidence/{name}",
    summary="Send one file, raw, to a draft or to a claim that waits for more",
    description="Repeat it as often as you like: the same bytes change nothing, other bytes replace a "
    "file that was not judged yet.",
    responses=described.refusals(
        *described.READS,
        *described.UPLOADS,
        "slow_upload",
        "conflict",
        "invalid_transition",
        "evidence_name_invalid",
    ),
    openapi_extra=described.body(_BINARY),
)
async def put_evidence(
    context: Ctx,
    principal: Claimant,
    request: Request,
    claim_id: Id,
    name: str,
    kind: Annotated[EvidenceKind, Query(description="What the file shows")],
) -> wire.Evidence:
    names.check(name, context.limits.name_characters_max)
    async with context.engine.connect() as conn:
        row = await views.claim_row(conn, claim_id, claimant_id=principal.subject)
    if row.status not in (Status.DRAFT, Status.AWAITING_INFORMATION):
        raise InvalidTransition(f"a claim that is {row.status} takes no evidence")
    async with receive_file(request, context.blobs, context.limits, kind=kind, name=name) as form:
        upload = form.uploads[0]
        await form.keep()
        async with context.engine.begin() as conn:
            file = NewEvidence(
                id=f"E-{secrets.token_hex(10)}",
                name=name,
                kind=kind,
                media_type=upload.media_type,
                size_bytes=upload.size_bytes,
                sha256=upload.sha256,
            )
            await intake.add_evidence(
                conn, claim_id, principal.subject, file, context.now(), files_max=context.limits.files_per_claim_max
            )
            stored = await views.evidence_file(conn, claim_id, name, claimant_id=principal.subject)
            await hold_files(conn, context.blobs, [file.sha256])
    return showing.evidence(claim_id, stored)


@router.get(
    "/evidence/{name}",
    summary="A file as it was sent, as an attachment",
    description="Its sender gets it byte for byte. Adjusters and insurers get it with positions, serial numbers, owner "
    "names, thumbnails and comments blanked: the same picture, the same length, another hash.",
    response_class=StreamingResponse,
    responses=_ATTACHMENT | described.refusals(*described.READS, "erased"),
)
async def get_evidence(context: Ctx, principal: Party, claim_id: Id, name: FileName) -> Response:
    async with context.engine.connect() as conn:
        file = await views.evidence_file(conn, claim_id, name, **scope(principal))
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Length": str(file.size_bytes),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if principal.role is not Role.CLAIMANT:
        # Place and camera of a photo are for the claimant and the pipeline alone.
        data = await run_in_threadpool(context.blobs.read, file.sha256)
        return Response(await run_in_threadpool(without_marks, data, file.media_type), 200, headers, file.media_type)
    return await stream(context, file.sha256, file.media_type, headers)


@router.get(
    "/evidence/{name}/preview",
    summary="A file as a clean picture",
    description="Encoded anew from decoded pixels by the pipeline: safe to show.",
    response_class=StreamingResponse,
    responses=JPEG | described.refusals(*described.READS, "preview_pending", "erased"),
)
async def get_preview(context: Ctx, principal: Party, claim_id: Id, name: FileName) -> StreamingResponse:
    async with context.engine.connect() as conn:
        file = await views.evidence_file(conn, claim_id, name, **scope(principal))
    if not file.preview_sha256:
        raise Problem("preview_pending", "The pipeline has not decoded this file (yet).", {"Retry-After": "2"})
    return await stream(context, file.preview_sha256, "image/jpeg", cacheable(file.preview_sha256))


@router.get(
    "/matches/{photo_id}/preview",
    summary="The picture that a photo of this claim matched",
    description="For adjusters; for an insurer only a picture of no claim, or of a claim that was referred to it, too. "
    "Only pictures named in the claim's newest facts are served.",
    response_class=StreamingResponse,
    responses=JPEG | described.refusals(*described.READS, "preview_pending", "erased"),
)
async def get_match_preview(context: Ctx, principal: Handler, claim_id: Id, photo_id: PhotoId) -> StreamingResponse:
    async with context.engine.connect() as conn:
        view = await views.claim_view(conn, claim_id, **scope(principal))
        if view.claim.status is Status.ERASED:
            raise ClaimErased(f"claim {claim_id} was erased")
        photos = recorded_photos(view.decisions)
        match = next(
            (candidate for photo in photos for candidate in photo.matches if candidate.photo_id == photo_id), None
        )
        if match is None or photo_id not in await disclosed(conn, principal, [match]):
            raise NotFound(f"claim {claim_id} matched no picture {photo_id!r} that {principal} may see")
    if not match.preview_sha256:
        raise Problem("preview_pending", "This picture has no preview.")
    return await stream(context, match.preview_sha256, "image/jpeg", cacheable(match.preview_sha256))


def cacheable(sha256: str) -> dict[str, str]:
    """Returns the headers of a picture that is shown in place."""
    # Named by its hash, so it cannot change; private, because it is somebody's photo.
    return {"Cache-Control": "private, max-age=3600", "ETag": f'"{sha256}"', "Content-Disposition": "inline"}


async def stream(context: Context, sha256: str, media_type: str, headers: dict[str, str]) -> StreamingResponse:
    """Stream a file. It is opened before the answer begins, so that a missing file gives a 404 and not a broken
    body."""
    opened = context.blobs.open(sha256)
    file = await run_in_threadpool(opened.__enter__)

    def pieces() -> Iterator[bytes]:
        try:
            while piece := file.read(_PIECE_BYTES):
                yield piece
        finally:
            opened.__exit__(None, None, None)

    return StreamingResponse(pieces(), media_type=media_type, headers=headers)

"""The checks of a claim's pictures, of damage and of noses alike: published to the library, searched for there,
compared, weighed.

Publish, then search: a photo's fingerprint is committed before others are searched for, so that of two claims that send
the same picture at the same moment at least one sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.errors import InFlight, StoreError
from claims.evidence import PhotoFact, UnmeasuredPhoto
from claims.store import adjudication, erasure, holding
from claims.store.adjudication import ClaimFile, EvidenceRow
from flows import evidence, matches
from flows.stage_context import StageContext
from flows.vision_pool import Stopwatch, VisionPool
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto
from vision.library import Candidate, LibraryPhoto, named, publish, search
from vision.library.memory import Memory
from vision.measurement import Unmeasured

MeasuredPhotos = Mapping[str, ExaminedPhoto | ImageRefused]
CheckedPhotos = dict[str, PhotoFact | UnmeasuredPhoto]


async def checked(
    context: StageContext,
    file: ClaimFile,
    rows: Sequence[EvidenceRow],
    photo_of: MeasuredPhotos,
    watch: Stopwatch,
    *,
    beside: Sequence[str] = (),
    in_floods: bool = True,
) -> CheckedPhotos:
    """Returns a fact for each file, by its evidence id.

    photo_of: the examined photo by the file's digest. beside: ids of pictures of the library that each photo is
    compared with whatever a search returns. in_floods: False for pictures that many claims may resemble by right.
    """
    # One file sent twelve times is one photo: published and searched for once, as its first row.
    first = {row.sha256: row for row in reversed(rows)}
    pairs = [(row, photo) for row in rows if isinstance(photo := photo_of[row.sha256], ExaminedPhoto)]
    async with writing(context, file, [photo.preview_sha256 for _, photo in pairs]) as conn:
        for row, photo in pairs:
            await adjudication.set_preview(conn, row.id, photo.preview_sha256)
        published = [_library_photo(file, row, photo) for row, photo in pairs if row is first[row.sha256]]
        await publish(conn, published)
    rows = [_with_preview(row, photo_of[row.sha256]) for row in rows]
    same = {sha256: [row for row in rows if row.sha256 == sha256] for sha256 in first}
    by_file = await asyncio.gather(
        *(_examined(context, file, same[key], photo_of[key], watch, beside, in_floods=in_floods) for key in same)
    )
    return {fact.evidence_id: fact for of_one_file in by_file for fact in of_one_file}


async def _examined(
    context: StageContext,
    file: ClaimFile,
    same: list[EvidenceRow],
    photo: ExaminedPhoto | ImageRefused,
    watch: Stopwatch,
    beside: Sequence[str],
    *,
    in_floods: bool,
) -> tuple[PhotoFact | UnmeasuredPhoto, ...]:
    """Returns a fact for each row that names one file; the first of these rows is the one in the library."""
    if isinstance(photo, ImageRefused):
        return tuple(evidence.refused_photo(row, photo) for row in same)
    if photo.not_comparable:
        return tuple(evidence.refused_photo(row, Unmeasured(photo.not_comparable)) for row in same)
    claim, vision = file.claim, context.vision
    # Search and comparison apart, so that no connection is held while the pool is busy.
    candidates = await candidates_of(context.engine, context.memory, photo, exclude_claim=claim.id, beside=beside)
    photo = await vision.compute(watch, vision.compare_photo, photo, candidates, claim.claimant_id)
    weighed = await matches.weigh(context, file, same[0], photo, watch, in_floods=in_floods)
    return tuple(
        evidence.photo_fact(row, photo, weighed, [other for other in same if other.id != row.id]) for row in same
    )


async def candidates_of(
    engine: AsyncEngine,
    memory: Memory | None,
    photo: ExaminedPhoto,
    *,
    exclude_claim: str = "",
    beside: Sequence[str] = (),
) -> list[Candidate]:
    """Returns the pictures that a photo is compared with, without those of `exclude_claim`."""
    async with engine.begin() as conn:
        candidates = await search(conn, photo.fingerprint, exclude_claim=exclude_claim, memory=memory)
        there = {candidate.photo_id for candidate in candidates}
        left = [photo_id for photo_id in beside if photo_id not in there]
        # First, as the likeliest: so many are compared by their points, and no more.
        return [*(await named(conn, photo.fingerprint, left) if left else ()), *candidates]


@asynccontextmanager
async def writing(context: StageContext, file: ClaimFile, previews: Sequence[str]) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that writes measurements of the claim's files, and the `previews` made of them.

    Raises InFlight when the claim was erased meanwhile: a worker that had lost its lease brings nothing back. Raises
    StoreError, to be tried again, when a preview was deleted with another claim that had the same picture.
    """
    try:
        async with context.engine.begin() as conn:
            await erasure.at_work(conn, file.claim.id)
            yield conn
            await hold(conn, context.vision, previews, f"claim {file.claim.id}")
    except InFlight:
        async with context.engine.begin() as conn:
            await erasure.leave_to_delete(conn, file.claim.id, previews, context.now())
        raise


async def hold(conn: AsyncConnection, vision: VisionPool, previews: Sequence[str], whose: str) -> None:
    """Hold the previews until the transaction ends. Raises StoreError, to be tried again, when one was deleted with
    something else that had the same picture."""
    await holding.hold(conn, previews)
    if not await asyncio.to_thread(vision.has_files, previews):
        raise StoreError(f"a preview of {whose} was deleted meanwhile")


def _with_preview(row: EvidenceRow, photo: ExaminedPhoto | ImageRefused) -> EvidenceRow:
    return replace(row, preview_sha256=photo.preview_sha256) if isinstance(photo, ExaminedPhoto) else row


def _library_photo(file: ClaimFile, row: EvidenceRow, photo: ExaminedPhoto) -> LibraryPhoto:
    return LibraryPhoto(
        photo_id=row.id,
        source="claim",
        fingerprint=photo.fingerprint,
        owner_claim=file.claim.id,
        owner_subject=file.claim.claimant_id,
        reference=row.name,
        preview_sha256=photo.preview_sha256,
    )

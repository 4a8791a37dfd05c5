"""The stages of adjudication, each a plain function from a claim's file to facts, and how those facts are kept.

    cover -> photos -> papers -> nose -> credit -> fraud -> repeats

Publish, then search: a photo's fingerprint, a paper's number and an order are committed before others are searched for,
so that of two claims that send the same thing at the same moment at least one sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import credit as scoring
from claims import paper_pages
from claims.catalogue import product_of
from claims.claim import EvidenceKind
from claims.errors import InFlight, StoreError
from claims.evidence import (
    CoverFact,
    CreditFact,
    FraudFact,
    NoseFact,
    PaperFact,
    PhotoFact,
    RepeatFact,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
)
from claims.orders import order_on
from claims.rules import RULES
from claims.store import adjudication, counts, erasure, gates, holding, noses, papers
from claims.store import repeats as repeated
from claims.store.adjudication import ClaimFile, EvidenceRow
from flows import evidence, matches
from flows.stage_context import StageContext
from flows.vision_pool import ReadPaper, Stopwatch
from vision.documents.gate import ReadPage
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto
from vision.library import LibraryPhoto, publish, search
from vision.measurement import Unmeasured as NotMeasured

PhotoFacts = tuple[PhotoFact | UnmeasuredPhoto, ...]
PaperFacts = tuple[PaperFact | UnmeasuredPaper, ...]
NoseFacts = tuple[NoseFact | UnmeasuredNose, ...]


async def cover(context: StageContext, file: ClaimFile, watch: Stopwatch) -> CoverFact:  # noqa: ARG001  (one shape for all)
    """Returns what the policy has paid and promised already."""
    async with context.engine.connect() as conn:
        return await counts.cover(conn, file.claim.id)


async def photos(context: StageContext, file: ClaimFile, watch: Stopwatch) -> PhotoFacts:
    """Examine every photo of the damage: decode it, publish it to the library, then search for it there."""
    rows = _of_kind(file, EvidenceKind.PHOTO)
    # One file sent twelve times is one photo: looked at, published and searched for once, as its first row.
    first = {row.sha256: row for row in reversed(rows)}
    measured = await asyncio.gather(
        *(context.vision.compute(watch, context.vision.photo, row) for row in first.values())
    )
    photo_of = dict(zip(first, measured, strict=True))
    pairs = [(row, photo) for row in rows if isinstance(photo := photo_of[row.sha256], ExaminedPhoto)]
    async with _writing(context, file, [photo.preview_sha256 for _, photo in pairs]) as conn:
        for row, photo in pairs:
            await adjudication.set_preview(conn, row.id, photo.preview_sha256)
        published = [_library_photo(file, row, photo) for row, photo in pairs if row is first[row.sha256]]
        await publish(conn, published)
    rows = [_with_preview(row, photo_of[row.sha256]) for row in rows]
    same = {sha256: [row for row in rows if row.sha256 == sha256] for sha256 in first}
    by_file = await asyncio.gather(*(_examined(context, file, same[key], photo_of[key], watch) for key in same))
    facts = {fact.evidence_id: fact for of_one_file in by_file for fact in of_one_file}
    return tuple(facts[row.id] for row in rows)


async def _examined(
    context: StageContext,
    file: ClaimFile,
    same: list[EvidenceRow],
    photo: ExaminedPhoto | ImageRefused,
    watch: Stopwatch,
) -> PhotoFacts:
    """Returns a fact for each row that names one file; the first of these rows is the one in the library."""
    if isinstance(photo, ImageRefused):
        return tuple(evidence.refused_photo(row, photo) for row in same)
    if photo.not_comparable:
        return tuple(evidence.refused_photo(row, NotMeasured(photo.not_comparable)) for row in same)
    claim, vision = file.claim, context.vision
    # Search and comparison apart, so that no connection is held while the pool is busy.
    async with context.engine.begin() as conn:
        candidates = await search(conn, photo.fingerprint, exclude_claim=claim.id, memory=context.memory)
    photo = await vision.compute(watch, vision.compare_photo, photo, candidates, claim.claimant_id)
    weighed = await matches.weigh(context, file, same[0], photo, watch)
    return tuple(
        evidence.photo_fact(row, photo, weighed, [other for other in same if other.id != row.id]) for row in same
    )


async def paper_facts(context: StageContext, file: ClaimFile, watch: Stopwatch) -> PaperFacts:
    """Examine every paper: read it page by page, publish its number, then search for it among other claims. Raises
    Held when people hold reading, before any paper is read."""
    rows = _of_kind(file, EvidenceKind.PAPER)
    if rows:
        async with context.engine.connect() as conn:
            await gates.pass_papers(conn, file.claim.id, file.round)
    vision = context.vision
    papers_read = await asyncio.gather(*(vision.compute(watch, vision.paper, row) for row in rows))
    pages = [(row, page) for row, paper in zip(rows, papers_read, strict=True) for page in _pages(paper)]
    kinds = context.paper_kinds
    read = [page for _, page in pages if isinstance(page, ReadPage)]
    identities = {id(page): evidence.paper_identities(page.reading, kinds) for page in read}
    numbers = [(identity, row.id) for row, page in pages for identity in identities.get(id(page), ())]
    previews = [paper.preview_sha256 for paper in papers_read if isinstance(paper, ReadPaper)]
    async with _writing(context, file, previews) as conn:
        for row, paper in zip(rows, papers_read, strict=True):
            if isinstance(paper, ReadPaper):
                await adjudication.set_preview(conn, row.id, paper.preview_sha256)
        await papers.publish_numbers(conn, file.claim.id, numbers, context.now())
    async with context.engine.connect() as conn:
        before = await papers.claims_with_number(conn, [key for key, _ in numbers], exclude_claim=file.claim.id)
    facts = tuple(
        evidence.paper_fact(row, page, _others(before, identities[id(page)]), kinds)
        if isinstance(page, ReadPage)
        else evidence.refused_paper(row, page)
        for row, page in pages
    )
    async with _writing(context, file, ()) as conn:
        currency = product_of(file.claim.product).currency
        orders = [order_on(fact, file.claim.merchant_id, currency) for fact in facts if isinstance(fact, PaperFact)]
        await repeated.publish_orders(conn, file.claim.id, orders, context.now())
    return facts


async def nose_facts(context: StageContext, file: ClaimFile, watch: Stopwatch) -> NoseFacts:
    """Compare every nose photo with the enrolment of the insured pet; returns nothing for a policy that insures no
    pet."""
    rows = _of_kind(file, EvidenceKind.NOSE)
    pet_id = file.policy.pet_id
    if not rows or not pet_id:
        return ()
    async with context.engine.connect() as conn:
        enrolled = [stored.template for stored in await noses.list_templates(conn, pet_id)]
    return tuple(await asyncio.gather(*(_nose(context, file, row, pet_id, enrolled, watch) for row in rows)))


async def _nose(
    context: StageContext, file: ClaimFile, row: EvidenceRow, pet_id: str, enrolled: list[bytes], watch: Stopwatch
) -> NoseFact | UnmeasuredNose:
    vision = context.vision
    nose = await vision.compute(watch, vision.nose, row.sha256)
    if isinstance(nose, ImageRefused):
        return evidence.refused_nose(row, pet_id, nose)
    async with _writing(context, file, [nose.preview_sha256]) as conn:
        await adjudication.set_preview(conn, row.id, nose.preview_sha256)
    if isinstance(nose.template, NotMeasured):
        return evidence.refused_nose(row, pet_id, nose.template)
    if not enrolled:
        return evidence.unenrolled_nose(row, pet_id)
    comparison = await vision.compute(watch, vision.compare_nose, nose.template, enrolled, pet_id)
    if isinstance(comparison, NotMeasured):
        return evidence.refused_nose(row, pet_id, comparison)
    return evidence.nose_fact(row, pet_id, comparison)


async def credit(context: StageContext, file: ClaimFile, watch: Stopwatch) -> CreditFact | UnmeasuredFact:  # noqa: ARG001
    """Returns the claimant's credit score, from the attributes that the platform supplied."""
    return scoring.score(file.credit_attributes, context.scorecard)


async def fraud(context: StageContext, file: ClaimFile, watch: Stopwatch) -> FraudFact | UnmeasuredFact:  # noqa: ARG001
    """Returns how many claims share a device, an account, an address, a merchant or the claimant, in time windows
    before this one."""
    async with context.engine.connect() as conn:
        return FraudFact(await counts.window_counts(conn, file.claim.id))


async def repeats(context: StageContext, file: ClaimFile, watch: Stopwatch) -> RepeatFact:  # noqa: ARG001
    """Returns other claims for the same order or about the same event, and other ids of the claimant. Runs after the
    papers, which may show an order that the claim does not state."""
    async with context.engine.connect() as conn:
        return await repeated.of_claim(conn, file.claim, product_of(file.claim.product), RULES)


@asynccontextmanager
async def _writing(context: StageContext, file: ClaimFile, previews: Sequence[str]) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that writes measurements of the claim's files, and the `previews` made of them.

    Raises InFlight when the claim was erased meanwhile: a worker that had lost its lease brings nothing back. Raises
    StoreError, to be tried again, when a preview was deleted with another claim that had the same picture.
    """
    try:
        async with context.engine.begin() as conn:
            await erasure.at_work(conn, file.claim.id)
            yield conn
            await holding.hold(conn, previews)
            if not await asyncio.to_thread(context.vision.has_files, previews):
                raise StoreError(f"a preview of claim {file.claim.id} was deleted with another claim's")
    except InFlight:
        async with context.engine.begin() as conn:
            await erasure.leave_to_delete(conn, file.claim.id, previews, context.now())
        raise


Stage = Callable[[StageContext, ClaimFile, Stopwatch], Awaitable[Any]]

# In order; each with the type its stored result reads back into.
STAGES: Mapping[str, tuple[Stage, TypeAdapter[Any]]] = MappingProxyType(
    {
        "cover": (cover, TypeAdapter(CoverFact)),
        "photos": (photos, TypeAdapter(PhotoFacts)),
        "papers": (paper_facts, TypeAdapter(PaperFacts)),
        "nose": (nose_facts, TypeAdapter(NoseFacts)),
        "credit": (credit, TypeAdapter(CreditFact | UnmeasuredFact)),
        "fraud": (fraud, TypeAdapter(FraudFact | UnmeasuredFact)),
        "repeats": (repeats, TypeAdapter(RepeatFact)),
    }
)


def _others(before: Mapping[str, tuple[str, ...]], keys: Sequence[str]) -> tuple[str, ...]:
    """Returns the other claims that share any of a paper's keys."""
    return tuple(dict.fromkeys(claim for key in keys for claim in before.get(key, ())))


def _of_kind(file: ClaimFile, kind: EvidenceKind) -> list[EvidenceRow]:
    return [row for row in file.evidence if row.kind is kind]


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


def _pages(paper: ReadPaper | ImageRefused) -> tuple[ReadPage | NotMeasured | ImageRefused, ...]:
    if isinstance(paper, ImageRefused):
        return (paper,)
    return paper_pages.counting(
        [(page, page.reading.kind if isinstance(page, ReadPage) else "") for page in paper.pages]
    )

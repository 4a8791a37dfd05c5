"""The stages of adjudication, each a plain function from a claim's file to facts, and how those facts are kept.

    cover -> photos -> papers -> nose -> credit -> fraud -> repeats

Publish, then search: a photo's fingerprint (`flows.photo_checks`), a paper's number and an order are committed before
others are searched for, so that of two claims that send the same thing at the same moment at least one sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from claims import credit as scoring
from claims import paper_pages
from claims.catalogue import product_of
from claims.claim import EvidenceKind
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
from claims.store import adjudication, counts, gates, noses, papers
from claims.store import repeats as repeated
from claims.store.adjudication import ClaimFile, EvidenceRow
from flows import evidence, photo_checks
from flows.enrolled_photos import enrolled_photo_ids
from flows.stage_context import StageContext
from flows.vision_pool import MeasuredNose, ReadPaper, Stopwatch
from vision.documents.gate import ReadPage
from vision.errors import ImageRefused, TemplatesIncompatible, TemplateUnreadable
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
    # One file sent twelve times is one photo: looked at once, as its first row.
    first = {row.sha256: row for row in reversed(rows)}
    measured = await asyncio.gather(
        *(context.vision.compute(watch, context.vision.photo, row) for row in first.values())
    )
    facts = await photo_checks.checked(context, file, rows, dict(zip(first, measured, strict=True)), watch)
    return tuple(facts[row.id] for row in rows)


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
    async with photo_checks.writing(context, file, previews) as conn:
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
    async with photo_checks.writing(context, file, ()) as conn:
        currency = product_of(file.claim.product).currency
        orders = [order_on(fact, file.claim.merchant_id, currency) for fact in facts if isinstance(fact, PaperFact)]
        await repeated.publish_orders(conn, file.claim.id, orders, context.now())
    return facts


async def nose_facts(context: StageContext, file: ClaimFile, watch: Stopwatch) -> NoseFacts:
    """Check every nose photo as photos of damage are, and against those that the insured pet was enrolled with, and
    compare the nose with that enrolment; returns nothing for a policy that insures no pet."""
    rows = _of_kind(file, EvidenceKind.NOSE)
    pet_id = file.policy.pet_id
    if not rows or not pet_id:
        return ()
    vision = context.vision
    async with context.engine.connect() as conn:
        stored = await noses.list_templates(conn, pet_id)
    first = {row.sha256: row for row in reversed(rows)}
    measured = await asyncio.gather(*(vision.compute(watch, vision.nose, sha256) for sha256 in first))
    nose_of = dict(zip(first, measured, strict=True))
    photo_of = {key: nose if isinstance(nose, ImageRefused) else nose.photo for key, nose in nose_of.items()}
    photos = await photo_checks.checked(
        context, file, rows, photo_of, watch, beside=enrolled_photo_ids(pet_id, stored), in_floods=False
    )
    enrolled = [template.template for template in stored]
    return tuple(
        await asyncio.gather(
            *(_nose(context, row, pet_id, enrolled, nose_of[row.sha256], photos[row.id], watch) for row in rows)
        )
    )


async def _nose(
    context: StageContext,
    row: EvidenceRow,
    pet_id: str,
    enrolled: list[bytes],
    nose: MeasuredNose | ImageRefused,
    photo: PhotoFact | UnmeasuredPhoto,
    watch: Stopwatch,
) -> NoseFact | UnmeasuredNose:
    if isinstance(nose, ImageRefused):
        return evidence.refused_nose(row, pet_id, nose, photo)
    if isinstance(nose.template, NotMeasured):
        return evidence.refused_nose(row, pet_id, nose.template, photo)
    if not enrolled:
        return evidence.unenrolled_nose(row, pet_id, photo)
    vision = context.vision
    try:
        compared = await vision.compute(watch, vision.compare_nose, nose.template, enrolled, pet_id)
    except (TemplatesIncompatible, TemplateUnreadable):
        return evidence.outdated_enrolment(row, pet_id, photo)
    if isinstance(compared, NotMeasured):
        return evidence.refused_nose(row, pet_id, compared, photo)
    comparison, pieces = compared
    species = (nose.template.species, nose.template.species_confidence)
    return evidence.nose_fact(row, pet_id, comparison, photo, species, pieces)


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


def _pages(paper: ReadPaper | ImageRefused) -> tuple[ReadPage | NotMeasured | ImageRefused, ...]:
    if isinstance(paper, ImageRefused):
        return (paper,)
    return paper_pages.counting(
        [(page, page.reading.kind if isinstance(page, ReadPage) else "") for page in paper.pages]
    )

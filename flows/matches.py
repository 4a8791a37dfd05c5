"""What a photo's matches mean: whose they are, what people have said of them, what explains them, and whether they are
part of a flood.

The library's answer is measured; here the store and the negative bank are asked about it. Only copies and what is maybe
one are asked about, so an honest photo costs one small query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from claims.copies import COPIES
from claims.events import OtherClaim, owner_of
from claims.evidence import MatchOwner, MatchRuling, PhotoMatch, PhotoVerdict
from claims.floods import counts
from claims.rules import RULES
from claims.store import erasure, floods, rulings
from claims.store.adjudication import ClaimFile, EvidenceRow
from claims.store.floods import Picture
from flows import evidence
from vision.examine import PhotoExamination, PhotoRelation
from vision.library import Candidate, known_pictures
from vision.library.known_pictures import Bank

if TYPE_CHECKING:
    from flows.looking import SeenPhoto, Stopwatch
    from flows.stages import Context

# As many as a person reads. All proven copies are weighed; those that count are reported first, so that nothing that
# is excused crowds out a copy that is not.
REPORTED_MAX: Final = 5
OVERLAYS_MAX: Final = 2  # of one photo; more would prove nothing more


@dataclass(slots=True)
class BankKeeper:
    """The negative bank in memory, read again when it has changed."""

    _bank: Bank = field(default_factory=lambda: known_pictures.assemble(()))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bank(self, conn: AsyncConnection) -> Bank:
        if await known_pictures.version(conn) == self._bank.version:
            return self._bank
        async with self._lock:
            if await known_pictures.version(conn) != self._bank.version:
                self._bank = await known_pictures.load(conn)
            return self._bank


@dataclass(frozen=True, slots=True)
class _Around:
    """What the store knows around a photo's copies, proven or maybe."""

    claims: Mapping[str, OtherClaim]
    said: Mapping[str, MatchRuling]
    bank: Bank


async def of_photo(
    context: Context,
    file: ClaimFile,
    row: EvidenceRow,
    seen: SeenPhoto,
    examination: PhotoExamination,
    candidates: Sequence[Candidate],
    watch: Stopwatch,
) -> tuple[tuple[PhotoMatch, ...], str]:
    """The matches as facts, those that count first, and the common picture that the photo itself is ("" for none)."""
    around = await _around(context, row.id, seen, [one for one in examination.matches if _weighs(one)])
    looking, fingerprint = context.looking, seen.fingerprint
    itself = around.bank.exact(fingerprint.sha256, fingerprint.pixel_sha256)
    found = [_fact(file, relation, around, itself) for relation in examination.matches]
    keypoints = {one.photo_id: one for one in candidates}
    for place, (match, relation) in enumerate(zip(found, examination.matches, strict=True)):
        if _by_points(match) and not match.ruling and relation.photo_id in keypoints:
            common = await looking.compute(
                watch, looking.explain_photo, fingerprint, keypoints[relation.photo_id], relation.geometry, around.bank
            )
            found[place] = replace(match, common=common)
    copies_of = [
        Picture(match.photo_id, match.claim_id if match.claim_id in around.claims else "", match.preview_sha256)
        for match in found
        if counts(match)
    ]
    if copies_of:
        photo = Picture(row.id, file.claim.id, seen.preview_sha256)
        async with context.engine.begin() as conn:
            gone = await erasure.at_work(conn, file.claim.id, [one.claim_id for one in copies_of])
            there = [one for one in copies_of if one.claim_id not in gone]
            flood = await floods.sight(conn, photo, there, context.now(), context.floods)
        found = [replace(match, flood=flood) if counts(match) else match for match in found]
    found.sort(key=lambda match: _weighs(match) and _excused(match))
    reported = found[:REPORTED_MAX]
    return tuple(await _proven(context, seen, reported, watch)), itself


async def _around(context: Context, photo_id: str, seen: SeenPhoto, copies: Sequence[PhotoRelation]) -> _Around:
    async with context.engine.connect() as conn:
        bank = await context.bank.bank(conn)
        if not copies:
            return _Around({}, {}, bank)
        known = await known_pictures.pixels(conn, [one.photo_id for one in copies])
        pairs = {one.photo_id: known.get(one.photo_id, "") for one in copies}
        return _Around(
            await rulings.other_claims(conn, sorted({one.owner_claim for one in copies if one.owner_claim})),
            await rulings.of_photo(conn, photo_id, seen.fingerprint.pixel_sha256, pairs),
            bank,
        )


def _fact(file: ClaimFile, relation: PhotoRelation, around: _Around, itself: str) -> PhotoMatch:
    other = around.claims.get(relation.owner_claim)
    exact = PhotoVerdict(relation.verdict) in (PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE)
    said = around.said.get(relation.photo_id)
    return evidence.photo_match(
        relation,
        owner=owner_of(file.claim, other, RULES) if other is not None else None,
        claim_status=other.status if other is not None else "",
        claim_paid=other is not None and other.paid,
        common=itself if exact else "",
        ruling=said if said in (MatchRuling.CONFIRM, MatchRuling.REJECT) else "",
    )


def _weighs(one: PhotoRelation | PhotoMatch) -> bool:
    """Whether it is a copy, or maybe one by the rules that the claim will be judged with."""
    return PhotoVerdict(one.verdict) in COPIES or one.probability >= RULES.photo_maybe_copied_min


def _by_points(match: PhotoMatch) -> bool:
    """Whether it weighs by what was compared, not by equal pixels."""
    return _weighs(match) and match.verdict not in (PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE)


def _excused(match: PhotoMatch) -> bool:
    """Whether a copy leads to nothing by itself: said to be none, common, or the claimant's own affair."""
    return match.ruling == MatchRuling.REJECT or bool(match.common) or match.owner is MatchOwner.SAME_EVENT


async def _proven(
    context: Context, seen: SeenPhoto, matches: Sequence[PhotoMatch], watch: Stopwatch
) -> list[PhotoMatch]:
    """With the picture that proves it to a person, for the first edited copies and those that are maybe one."""
    looking, out = context.looking, list(matches)
    wanted = [place for place, match in enumerate(out) if _by_points(match) and match.pairs and match.preview_sha256]
    for place in wanted[:OVERLAYS_MAX]:
        overlay = await looking.compute(watch, looking.overlay, seen.preview_sha256, out[place])
        out[place] = replace(out[place], overlay_sha256=overlay)
    return out

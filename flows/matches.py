"""Weighs a photo's matches: whose pictures they are, what people ruled on them, which known picture explains them, and
whether they are part of a flood.

The library's answer is measured, and `claims.copies` judges it; here the store and the known pictures are asked about
it. The store is asked about copies, possible copies and photos of one scene, the known pictures about what a person
must compare, so an honest photo costs one small query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from claims.copies import (
    ABOUT_THE_PAIR,
    EXACT,
    is_excused,
    is_scene_of_the_event,
    rests_on_points,
    to_compare,
)
from claims.events import OtherClaim, owner_of
from claims.evidence import MatchOwner, MatchRuling, PhotoMatch, PhotoVerdict
from claims.floods import counts
from claims.rules import RULES
from claims.store import erasure, floods, rulings
from claims.store.adjudication import ClaimFile, EvidenceRow
from claims.store.floods import SightedPicture
from flows import evidence
from flows.evidence import CalledRelation, WeighedMatches
from flows.stage_context import StageContext
from flows.vision_pool import Stopwatch
from vision.copies.fingerprint import Fingerprint
from vision.examine import ExaminedPhoto, PhotoRelation
from vision.library import known_pictures
from vision.library.known_pictures import KnownPictures

REPORTED_MAX: Final = 5  # the most that a person reads
OVERLAYS_MAX: Final = 2  # for one photo; more would prove nothing further


@dataclass(frozen=True, slots=True)
class _Around:
    """The store's records around a photo's copies, proven or possible, and photos of its scene.

    rulings: a person's ruling on the pair, by the picture's id. itself: id of the known picture that equals the photo
    pixel for pixel, "" for none.
    """

    claims: Mapping[str, OtherClaim]
    rulings: Mapping[str, MatchRuling]
    known_pictures: KnownPictures
    itself: str


async def weigh(
    context: StageContext,
    file: ClaimFile,
    row: EvidenceRow,
    photo: ExaminedPhoto,
    watch: Stopwatch,
    *,
    in_floods: bool = True,
) -> WeighedMatches:
    """Call the photo's relations by the rules, and ask the store and the known pictures about those that weigh.
    in_floods: count its copies in floods, and have the claim wait for a ruling on one."""
    called = evidence.call(photo.relations)
    around = await _around(context, row.id, photo.fingerprint, called)
    matches = [_match(file, relation, around) for relation in called]
    matches = await _explained(context, photo, matches, around, watch)
    if in_floods:
        matches = await _counted_in_floods(context, file, row, photo, matches, around)
    # All proven copies are weighed; those that count are reported first, so that nothing that is excused crowds out a
    # copy that is not.
    matches.sort(key=_place)
    reported = await _proven(context, photo, matches[:REPORTED_MAX], watch)
    return WeighedMatches(evidence.strongest(called), tuple(reported), around.itself)


def _place(match: PhotoMatch) -> int:
    """Returns the group in which a match is reported, the lowest first; within a group the strongest stays first."""
    if to_compare(match, RULES):
        return 3 if is_excused(match) else 0
    return 1 if is_scene_of_the_event(match) else 2


async def _around(
    context: StageContext, photo_id: str, fingerprint: Fingerprint, called: Sequence[CalledRelation]
) -> _Around:
    weighing = [match.relation for match in called if match.weighs or match.verdict is PhotoVerdict.SAME_SCENE]
    async with context.engine.connect() as conn:
        known = await context.known_pictures.current(conn)
        itself = known.exact(fingerprint.sha256, fingerprint.pixel_sha256)
        if not weighing:
            return _Around({}, {}, known, itself)
        pixels = await known_pictures.pixels(conn, [relation.photo_id for relation in weighing])
        pairs = {relation.photo_id: pixels.get(relation.photo_id, "") for relation in weighing}
        owners = sorted({relation.owner_claim for relation in weighing if relation.owner_claim})
        return _Around(
            await rulings.other_claims(conn, owners),
            await rulings.of_photo(conn, photo_id, fingerprint.pixel_sha256, pairs),
            known,
            itself,
        )


def _match(file: ClaimFile, called: CalledRelation, around: _Around) -> PhotoMatch:
    relation = called.relation
    other = around.claims.get(relation.owner_claim)
    ruling = around.rulings.get(relation.photo_id)
    return evidence.photo_match(
        called,
        owner=owner_of(file.claim, other, RULES) if other is not None else _of_an_enrolment(file, relation),
        claim_status=other.status if other is not None else "",
        claim_paid=other is not None and other.paid,
        common=around.itself if called.verdict in EXACT else "",
        ruling=ruling if ruling in ABOUT_THE_PAIR else "",
    )


def _of_an_enrolment(file: ClaimFile, relation: PhotoRelation) -> MatchOwner | None:
    """Returns whose enrolment the picture is of; None where it is of none."""
    if relation.source != "enrolment":
        return None
    ours = bool(file.policy.pet_id) and relation.reference == file.policy.pet_id
    return MatchOwner.OWN_ENROLMENT if ours else MatchOwner.OTHER_ENROLMENT


async def _explained(
    context: StageContext, photo: ExaminedPhoto, matches: Sequence[PhotoMatch], around: _Around, watch: Stopwatch
) -> list[PhotoMatch]:
    """Returns the matches, each with the known picture that explains it, where no person has ruled on the pair."""
    vision = context.vision
    candidates = {candidate.photo_id: candidate for candidate in photo.candidates}
    geometries = {relation.photo_id: relation.geometry for relation in photo.relations}
    explained = list(matches)
    for place, match in enumerate(matches):
        if rests_on_points(match, RULES) and not match.ruling and match.photo_id in candidates:
            candidate, geometry = candidates[match.photo_id], geometries[match.photo_id]
            common = await vision.compute(
                watch, vision.explain_photo, photo.fingerprint, candidate, geometry, around.known_pictures
            )
            explained[place] = replace(match, common=common)
    return explained


async def _counted_in_floods(
    context: StageContext,
    file: ClaimFile,
    row: EvidenceRow,
    photo: ExaminedPhoto,
    matches: list[PhotoMatch],
    around: _Around,
) -> list[PhotoMatch]:
    """Returns the matches, each with the open flood that it waits for, where it is part of one."""
    copies_of = [
        SightedPicture(match.photo_id, match.claim_id if match.claim_id in around.claims else "", match.preview_sha256)
        for match in matches
        if counts(match)
    ]
    if not copies_of:
        return matches
    picture = SightedPicture(row.id, file.claim.id, photo.preview_sha256)
    async with context.engine.begin() as conn:
        gone = await erasure.at_work(conn, file.claim.id, [other.claim_id for other in copies_of])
        there = [other for other in copies_of if other.claim_id not in gone]
        flood = await floods.sight(conn, picture, there, context.now(), context.floods)
    return [replace(match, flood=flood) if counts(match) else match for match in matches]


async def _proven(
    context: StageContext, photo: ExaminedPhoto, matches: Sequence[PhotoMatch], watch: Stopwatch
) -> list[PhotoMatch]:
    """Returns the matches with an overlay that shows a person the proof, for the first edited and possible copies."""
    vision, proven = context.vision, list(matches)
    wanted = [
        place
        for place, match in enumerate(proven)
        if rests_on_points(match, RULES) and match.pairs and match.preview_sha256
    ]
    for place in wanted[:OVERLAYS_MAX]:
        overlay = await vision.compute(watch, vision.overlay, photo.preview_sha256, proven[place])
        proven[place] = replace(proven[place], overlay_sha256=overlay)
    return proven

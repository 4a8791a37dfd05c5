"""From vision's measurements to the facts of claims: names and units carried over, nothing judged.

`vision` and `claims` do not know each other; this module is the only one that knows both vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from claims import copies
from claims.evidence import (
    NOT_RECORDED,
    Box,
    FieldDoubt,
    KeypointPair,
    MatchOwner,
    NoseFact,
    NoseSpecies,
    PaperCheck,
    PaperCurrency,
    PaperFact,
    PaperField,
    PaperItem,
    PaperStanding,
    PhotoFact,
    PhotoMatch,
    PhotoVerdict,
    Placement,
    ProvenanceSign,
    SignKind,
    StandingKind,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
)
from claims.paper_keys import identities
from claims.paper_kind import PaperKinds, traits_of_kind
from claims.rules import RULES, Rules
from claims.store.adjudication import EvidenceRow
from claims.subject import ClassShare, Subject, SubjectFact, SubjectShare
from vision import measurement
from vision.copies import placement
from vision.documents.gate import ReadPage
from vision.documents.text.page import CurrencyReading, PageBox, PaperReading
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto, PhotoRelation
from vision.nose import NoseComparison
from vision.nose.patchwork import NosePatchwork
from vision.origin.sign import Sign
from vision.subject import SubjectReading

PAIRS_MAX = 40  # the most lines that a person can follow on a screen

E = TypeVar("E", datetime, str)

_ITEM_CLASSES = {"自费": "own"}


@dataclass(frozen=True, slots=True)
class CalledRelation:
    """A compared picture with the verdict of the rules. weighs: it is a copy, or a person compares the two. transform:
    the edit in words, "" for a match that does not count as one."""

    relation: PhotoRelation
    verdict: PhotoVerdict
    weighs: bool
    transform: str


@dataclass(frozen=True, slots=True)
class WeighedMatches:
    """The result of weighing a photo's relations against the store and the known pictures (`flows.matches`).

    verdict: that of the strongest relation, before anything excused it. matches: those to report, the ones that count
    first. common: id of the known picture that the photo itself is, "" for none.
    """

    verdict: PhotoVerdict
    matches: tuple[PhotoMatch, ...]
    common: str


def call(relations: Sequence[PhotoRelation], rules: Rules = RULES) -> list[CalledRelation]:
    """Returns each relation with the verdict of the rules, the strongest verdict first, otherwise in the same order.
    Relations called unseen are left out: they are no match."""
    called = []
    for relation in relations:
        likeness = _likeness(relation)
        verdict = copies.called(likeness, rules)
        if verdict is not PhotoVerdict.UNSEEN:
            weighs = copies.weighs(verdict, likeness, rules)
            called.append(CalledRelation(relation, verdict, weighs, _transform(relation, verdict) if weighs else ""))
    return sorted(called, key=lambda match: copies.strength(match.verdict, weighing=match.weighs))


def _likeness(relation: PhotoRelation) -> copies.Likeness:
    return copies.Likeness(
        same=relation.same,
        probability=relation.probability,
        looks_alike=relation.looks_alike,
        inliers=relation.inliers,
        **_measures(relation),
    )


def _measures(relation: PhotoRelation) -> dict[str, Any]:
    """Returns what `Likeness` and `PhotoMatch` both hold of a comparison, under one name each."""
    exact = relation.geometry.exactness
    return {
        "tight_inliers": exact.tight,
        "tight_ratio": exact.tight_ratio,
        "rigid_ratio": exact.rigid_ratio,
        "contained_ratio": relation.geometry.contained_ratio,
        "pdq_bits": relation.pdq_bits,
        "fit_agreement": relation.fit_agreement,
        "fine_ratio": exact.fine_ratio,
        "fine_rigid_ratio": exact.fine_rigid_ratio,
        "agreement_floor": relation.agreement_floor,
    }


def strongest(called: Sequence[CalledRelation]) -> PhotoVerdict:
    """Returns the verdict on a photo with these relations, the strongest first."""
    return called[0].verdict if called else PhotoVerdict.UNSEEN


def _transform(relation: PhotoRelation, verdict: PhotoVerdict) -> str:
    if verdict is PhotoVerdict.SAME_BYTES:
        return "the same file"
    if verdict is PhotoVerdict.SAME_PICTURE:
        return "the same pixels in another file"
    return relation.transform or "the whole picture, recognised by its appearance"


def photo_fact(
    row: EvidenceRow, photo: ExaminedPhoto, weighed: WeighedMatches, same_claim: Sequence[EvidenceRow]
) -> PhotoFact:
    """Turn a photo that was examined into a fact. same_claim: other files of the claim with the same bytes."""
    return PhotoFact(
        evidence_id=row.id,
        name=row.name,
        sha256=row.sha256,
        width_px=photo.width_px,
        height_px=photo.height_px,
        verdict=weighed.verdict,
        matches=(*weighed.matches, *(_twin(other) for other in same_claim)),
        taken_at=_exif(photo.exif.taken_at),
        software=_exif(photo.exif.software),
        camera=_exif(photo.exif.camera),
        common=weighed.common,
        subject=_subject(photo.subject),
        signs=signs_of(photo),
        notes=photo.notes,
    )


def signs_of(photo: ExaminedPhoto) -> tuple[ProvenanceSign, ...]:
    """Returns the signs of a photo's origin."""
    return tuple(_sign(sign) for sign in photo.signs)


def _sign(sign: Sign) -> ProvenanceSign:
    score = None if sign.score is None else round(sign.score, 4)
    return ProvenanceSign(SignKind(sign.kind), sign.state, sign.value, sign.detail, score, sign.said)


def _subject(shows: SubjectReading | measurement.Unmeasured) -> SubjectFact | UnmeasuredFact:
    if isinstance(shows, measurement.Unmeasured):
        return UnmeasuredFact(shows.reason, retryable=False)
    return SubjectFact(
        subjects=tuple(SubjectShare(Subject(name), probability) for name, probability in shows.subjects),
        classes=tuple(ClassShare(name, probability) for name, probability in shows.classes),
        model=shows.model,
    )


def refused_photo(row: EvidenceRow, refusal: ImageRefused | measurement.Unmeasured) -> UnmeasuredPhoto:
    return UnmeasuredPhoto(row.id, row.name, row.sha256, *_words(refusal))


def paper_fact(row: EvidenceRow, page: ReadPage, claimed_before: tuple[str, ...], kinds: PaperKinds) -> PaperFact:
    """Turn one page of a paper into a fact. `claimed_before`: ids of other claims with this paper. `kinds`: the
    insurer's half of every kind that the reader knows; what it says of this paper's kind travels with the fact."""
    reading = page.reading
    return PaperFact(
        evidence_id=row.id,
        name=row.name,
        sha256=row.sha256,
        kind=reading.kind,
        fields=tuple(
            PaperField(
                field.name,
                field.value,
                field.confidence,
                _box(field.box),
            )
            for field in reading.fields
        ),
        items=tuple(
            PaperItem(item.text, _ITEM_CLASSES.get(item.item_class, item.item_class), item.amount_minor)
            for item in reading.items
        ),
        checks=tuple(PaperCheck(check.name, check.passed, check.detail) for check in reading.checks),
        read_confidence=reading.read_confidence,
        missing_fields=reading.missing_fields,
        number_claimed_before=claimed_before,
        accepted=not page.not_accepted_because,
        not_accepted_because=page.not_accepted_because,
        identities=paper_identities(reading, kinds),
        doubts=tuple(FieldDoubt(field.name, field.reason) for field in reading.refused),
        places_in_doubt=tuple(FieldDoubt(field.name, field.reason) for field in reading.doubtful),
        may_show=reading.may_show,
        traits=traits_of_kind(kinds, reading.kind),
        currency=_currency(reading.currency),
        standing=tuple(
            PaperStanding(StandingKind(sign.standing), sign.words, sign.told_by, _box(sign.box))
            for sign in reading.standing
        ),
    )


def _currency(read: CurrencyReading | None) -> PaperCurrency | UnmeasuredFact:
    if read is None:
        return UnmeasuredFact("the kind of paper is not known", retryable=False)
    return PaperCurrency(read.code, read.read_from, read.text, _box(read.box))


def _box(box: PageBox) -> Box:
    return Box(box.left, box.top, box.right, box.bottom)


def refused_paper(row: EvidenceRow, refusal: ImageRefused | measurement.Unmeasured) -> UnmeasuredPaper:
    return UnmeasuredPaper(row.id, row.name, row.sha256, *_words(refusal))


def paper_identities(reading: PaperReading, kinds: PaperKinds) -> tuple[str, ...]:
    """Returns the keys that identify the paper among all claims (`claims.paper_keys`); none where it shows too
    little."""
    return identities(kinds, reading.kind, reading.value)


def nose_fact(
    row: EvidenceRow,
    pet_id: str,
    comparison: NoseComparison,
    photo: PhotoFact | UnmeasuredPhoto,
    species: tuple[str, float],
    pieces: NosePatchwork,
) -> NoseFact:
    """Turn a compared nose into a fact. species: the word of it and the finder's confidence, "" where it tells none."""
    return NoseFact(
        evidence_id=row.id,
        pet_id=pet_id,
        similarity=comparison.similarity,
        inliers=comparison.inliers,
        templates=comparison.templates,
        model=comparison.model,
        photo=photo,
        species=NoseSpecies(*species) if species[0] else NOT_RECORDED,
        alike_ratio=round(pieces.alike_ratio, 4),
        unlike_ratio=round(pieces.unlike_ratio, 4),
    )


def refused_nose(
    row: EvidenceRow, pet_id: str, refusal: ImageRefused | measurement.Unmeasured, photo: PhotoFact | UnmeasuredPhoto
) -> UnmeasuredNose:
    return UnmeasuredNose(row.id, pet_id, *_words(refusal), photo=photo)


def unenrolled_nose(row: EvidenceRow, pet_id: str, photo: PhotoFact | UnmeasuredPhoto) -> UnmeasuredNose:
    """Returns the fact for a nose photo of a pet without an enrolment. Another photo would not help, so a person
    decides."""
    return UnmeasuredNose(row.id, pet_id, "no enrolment: this pet's nose was never recorded", False, photo=photo)


def outdated_enrolment(row: EvidenceRow, pet_id: str, photo: PhotoFact | UnmeasuredPhoto) -> UnmeasuredNose:
    """Returns the fact for a nose photo of a pet whose enrolment was made by another version of the reader, or cannot
    be read. Another photo would not help, so a person decides."""
    return UnmeasuredNose(
        row.id, pet_id, "no enrolment: it was made by another version; enrol the pet again", False, photo=photo
    )


def photo_match(
    called: CalledRelation, *, owner: MatchOwner | None, claim_status: str, claim_paid: bool, common: str, ruling: str
) -> PhotoMatch:
    """Turn a picture that the photo relates to into a match. owner: whose picture it is, None where the store does not
    know and the library's record decides."""
    relation = called.relation
    pairs = tuple(KeypointPair(*pair) for pair in relation.pairs[:PAIRS_MAX])
    return PhotoMatch(
        photo_id=relation.photo_id,
        owner=owner if owner is not None else _owner(relation),
        claim_id=relation.owner_claim,
        verdict=called.verdict,
        probability=relation.probability,
        inliers=relation.inliers,
        transform=called.transform,
        pairs=pairs,
        preview_sha256=relation.preview_sha256,
        placement=_placement(relation.placement),
        claim_status=claim_status,
        claim_paid=claim_paid,
        common=common,
        ruling=ruling,
        **_measures(relation),
    )


def _placement(measured: placement.MeasuredPlacement | measurement.Unmeasured) -> Placement | UnmeasuredFact:
    if isinstance(measured, measurement.Unmeasured):
        return UnmeasuredFact(measured.reason, retryable=False)
    return Placement(
        measured.scale,
        measured.degrees,
        measured.mirrored,
        measured.shown_ratio,
        measured.covers_ratio,
        outline=measured.outline,
    )


def _owner(relation: PhotoRelation) -> MatchOwner:
    """Returns the owner by what the picture was published with, for pictures whose claim the store does not know."""
    if relation.source == "web":
        return MatchOwner.WEB
    if relation.source == "stock":
        return MatchOwner.STOCK
    return MatchOwner.OWN_EARLIER_CLAIM if relation.own else MatchOwner.OTHER_CLAIMANT


def _twin(other: EvidenceRow) -> PhotoMatch:
    return PhotoMatch(
        photo_id=other.id,
        owner=MatchOwner.SAME_CLAIM,
        claim_id="",
        verdict=PhotoVerdict.SAME_BYTES,
        probability=1.0,
        inliers=0,
        transform="the same file",
        pairs=(),
        preview_sha256=other.preview_sha256,
    )


def _exif(value: E | measurement.Unmeasured) -> E | UnmeasuredFact:
    return UnmeasuredFact(value.reason, retryable=False) if isinstance(value, measurement.Unmeasured) else value


def _words(refusal: ImageRefused | measurement.Unmeasured) -> tuple[str, bool]:
    """Returns the reason in words, and True if better evidence could change it."""
    if isinstance(refusal, ImageRefused):
        return f"{refusal.code}: {refusal.detail}", refusal.retryable
    return refusal.reason, True

"""One photo against the library: what it is a copy of, how sure that is, and whose the other picture is.

Publish, commit, then examine: of two claims that send one photo at the same moment at least one then sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.copies import geometry
from vision.copies.copy_score import (
    NO_AGREEMENT,
    Agreement,
    CopySignals,
    FusionModel,
    agreement,
    fit_agreement,
    fusion_model,
)
from vision.copies.fingerprint import Fingerprint
from vision.copies.geometry import NO_GEOMETRY, Geometry, GeometryLimits, Keypoints
from vision.copies.placement import Placement, place
from vision.library.photos import Source
from vision.library.search import Candidate, SearchLimits, search
from vision.measurement import Unmeasured


class Verdict(StrEnum):
    """How a photo relates to a picture of the library, strongest first."""

    SAME_BYTES = "same_bytes"
    SAME_PICTURE = "same_picture"  # other bytes, the same pixels
    EDITED_COPY = "edited_copy"  # cropped, mirrored, recompressed, inside a screenshot, ...
    SIMILAR = "similar"  # looks alike, or maybe a copy: no proof that it is the same picture
    UNSEEN = "unseen"


_ORDER = tuple(Verdict)
NOT_COMPARED: Final = Unmeasured("not compared point by point")


@dataclass(frozen=True, slots=True)
class ExamineLimits:
    """verify_max: how many candidates are compared point by point. certain_inliers: from here on the whole picture's
    keypoints say enough, and a part's are not asked. view_excess_min: cosine excess of a part below which its keypoints
    are not worth taking. maybe_probability_min: from here on a picture that is no proven copy is reported as similar,
    with its transform. relations_max: how many are reported."""

    search: SearchLimits = field(default_factory=SearchLimits)
    geometry: GeometryLimits = field(default_factory=GeometryLimits)
    verify_max: int = 8
    certain_inliers: int = 40
    view_excess_min: float = 0.1
    maybe_probability_min: float = 0.5
    relations_max: int = 5


@dataclass(frozen=True, slots=True)
class PhotoRelation:
    """One picture of the library that the photo relates to. All fields as measured; `owner_*` are "" for web and stock.

    probability: calibrated, 0..1, that one is a copy of the other. inliers: keypoints that agree on one transform.
    transform: that transform in words, from the library's picture to this photo. pairs: (x, y, match_x, match_y) as
    fractions 0..1 of the width and height of this photo and of the match. placement: the transform in numbers.
    geometry: the same in working pixels, for whoever compares further.
    """

    photo_id: str
    source: Source
    owner_claim: str
    owner_subject: str
    own: bool  # of the same subject: an earlier photo of the claimant's own
    reference: str
    verdict: Verdict
    probability: float
    inliers: int
    transform: str
    pairs: tuple[tuple[float, float, float, float], ...]
    preview_sha256: str
    placement: Placement | Unmeasured = NOT_COMPARED
    geometry: Geometry = NO_GEOMETRY


@dataclass(frozen=True, slots=True)
class PhotoExamination:
    """verdict: that of the strongest relation, UNSEEN without one. matches: strongest first."""

    verdict: Verdict
    matches: tuple[PhotoRelation, ...]
    models: tuple[str, ...]


async def examine(
    conn: AsyncConnection,
    fingerprint: Fingerprint,
    *,
    claim_id: str,
    subject: str,
    limits: ExamineLimits = ExamineLimits(),
    fusion: FusionModel | None = None,
) -> PhotoExamination | Unmeasured:
    """Searches the library and judges what it brings up. The claim's own photos do not count; the subject's earlier
    ones do. fusion: as for `judge`.

    A picture with nothing to compare by (all white, out of focus beyond use) is Unmeasured, and never a match.
    """
    if fingerprint.featureless:
        return Unmeasured(fingerprint.featureless)
    candidates = await search(conn, fingerprint, exclude_claim=claim_id, limits=limits.search)
    return await asyncio.to_thread(judge, fingerprint, candidates, subject, limits, fusion)


def judge(
    fingerprint: Fingerprint,
    candidates: Sequence[Candidate],
    subject: str,
    limits: ExamineLimits = ExamineLimits(),
    fusion: FusionModel | None = None,
) -> PhotoExamination:
    """The pure half of `examine`: candidates compared point by point, and a verdict on each.

    fusion: the model fitted for the fingerprint's descriptor (`Fingerprinter.fusion`); that of our own where none is
    given.
    """
    model = fusion or fusion_model()
    relations = [
        _relation(fingerprint, candidate, subject, model, limits, verify=rank < limits.verify_max)
        for rank, candidate in enumerate(candidates)
    ]
    kept = [relation for relation in relations if relation.verdict is not Verdict.UNSEEN]
    kept.sort(key=lambda relation: (_ORDER.index(relation.verdict), -relation.probability, relation.photo_id))
    return PhotoExamination(
        verdict=kept[0].verdict if kept else Verdict.UNSEEN,
        matches=tuple(kept[: limits.relations_max]),
        models=(fingerprint.descriptor_model, model.label),
    )


def signals(
    fingerprint: Fingerprint, candidate: Candidate, limits: ExamineLimits, *, verify: bool = True
) -> CopySignals:
    """All that speaks for or against `candidate` being the photo's original; without `verify`, keypoints and pixels
    are not compared."""
    found, agreed, fitted = NO_GEOMETRY, NO_AGREEMENT, 0.0
    if verify:
        whole = fingerprint.keypoints
        found = geometry.relate(whole, candidate.keypoints, limits.geometry)
        agreed = _agreement(found, fingerprint.thumbnail, whole, candidate)
        fitted = fit_agreement(fingerprint.thumbnail, candidate.thumbnail)
        if candidate.view and found.inliers < limits.certain_inliers:
            view = fingerprint.views[candidate.view - 1]
            fitted = max(fitted, fit_agreement(view.thumbnail, candidate.thumbnail))
            part = NO_GEOMETRY
            if candidate.cosine_excess >= limits.view_excess_min:
                part = geometry.relate(view.keypoints, candidate.keypoints, limits.geometry)
            if part.inliers > found.inliers:
                agreed = _agreement(part, view.thumbnail, view.keypoints, candidate)
                found = geometry.placed(part, (view.box.left, view.box.top), view.factor, view.keypoints, whole)
    return CopySignals(found, agreed, fitted, candidate.pdq_bits, candidate.cosine, candidate.cosine_excess)


def _agreement(found: Geometry, thumbnail: NDArray[np.uint8], keypoints: Keypoints, candidate: Candidate) -> Agreement:
    return agreement(
        thumbnail,
        candidate.thumbnail,
        found,
        thumbnail.shape[1] / keypoints.width_px,
        candidate.thumbnail.shape[1] / candidate.keypoints.width_px,
    )


def _relation(
    fingerprint: Fingerprint,
    candidate: Candidate,
    subject: str,
    model: FusionModel,
    limits: ExamineLimits,
    *,
    verify: bool,
) -> PhotoRelation:
    measured = signals(fingerprint, candidate, limits, verify=verify)
    probability = 1.0 if candidate.same_bytes or candidate.same_pixels else model.probability(measured)
    if candidate.same_bytes:
        verdict, transform = Verdict.SAME_BYTES, "the same file"
    elif candidate.same_pixels:
        verdict, transform = Verdict.SAME_PICTURE, "the same pixels in another file"
    elif probability >= model.copy_probability_min:
        verdict, transform = Verdict.EDITED_COPY, _words(fingerprint, candidate, measured.geometry)
    elif probability >= limits.maybe_probability_min:
        verdict, transform = Verdict.SIMILAR, _words(fingerprint, candidate, measured.geometry)
    else:
        alike = candidate.cosine >= model.similar_cosine_min
        verdict, transform = (Verdict.SIMILAR if alike else Verdict.UNSEEN), ""
    return PhotoRelation(
        photo_id=candidate.photo_id,
        source=candidate.source,
        owner_claim=candidate.owner_claim,
        owner_subject=candidate.owner_subject,
        own=bool(subject) and candidate.owner_subject == subject,
        reference=candidate.reference,
        verdict=verdict,
        probability=probability,
        inliers=measured.geometry.inliers,
        transform=transform,
        pairs=measured.geometry.pairs,
        preview_sha256=candidate.preview_sha256,
        placement=place(
            measured.geometry, fingerprint.keypoints, candidate.keypoints, _source_scale(fingerprint, candidate)
        ),
        geometry=measured.geometry,
    )


def _words(fingerprint: Fingerprint, candidate: Candidate, found: Geometry) -> str:
    if found.inliers == 0:
        return "the whole picture, recognised by its appearance"
    return geometry.describe(found, _source_scale(fingerprint, candidate))


def _source_scale(fingerprint: Fingerprint, candidate: Candidate) -> float:
    """How much the files' own resolutions differ from those of the working pictures."""
    query_scale = fingerprint.width_px / fingerprint.keypoints.width_px
    return query_scale / (candidate.width_px / candidate.keypoints.width_px)

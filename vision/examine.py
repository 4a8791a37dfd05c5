"""Examines one photo: measures its file, then compares it with the pictures that a library search returns.

    measure -> (publish) -> vision.library.search -> against

The worker and the command line both use this path. Publish and commit before the search: of two claims that send one
photo at the same moment at least one then finds the other. This module returns probabilities and their proof;
`claims.copies` decides what to call them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vision.copies import geometry
from vision.copies.copy_score import (
    NO_AGREEMENT,
    PDQ_FAR_BITS,
    Agreement,
    CopySignals,
    FusionModel,
    agreement,
    fit_agreement,
    fusion_model,
)
from vision.copies.fingerprint import Fingerprint, Fingerprinter, NegativeView
from vision.copies.geometry import NO_GEOMETRY, Geometry
from vision.copies.keypoints import GeometryLimits, Keypoints
from vision.copies.placement import MeasuredPlacement, place
from vision.decode.exif import ExifReading
from vision.decode.image import Decoder, Picture
from vision.library.photos import Source
from vision.library.search import NO_PDQ, Candidate, SearchLimits
from vision.measurement import Unmeasured
from vision.origin.sign import Sign
from vision.origin.signs import look_for_signs
from vision.subject import SubjectModel, SubjectReading

SamePart = Literal["", "pixels", "bytes"]

_BY_SAMENESS: Final[tuple[SamePart, ...]] = ("bytes", "pixels", "")
NOT_COMPARED: Final = Unmeasured("not compared point by point")


@dataclass(frozen=True, slots=True)
class ExamineLimits:
    """Limits of the comparison.

    certain_inliers: with this many inliers for the whole picture, the matching part is not compared, and candidates
    that merely look alike are no longer. view_excess_min: cosine excess below which a candidate merely looks alike: the
    keypoints of a part are not extracted for it.
    """

    search: SearchLimits = field(default_factory=SearchLimits)
    geometry: GeometryLimits = field(default_factory=GeometryLimits)
    certain_inliers: int = 40
    view_excess_min: float = 0.1

    @property
    def verify_max(self) -> int:
        """How many candidates are compared by keypoints: all that a search keeps."""
        return self.search.candidates_max


@dataclass(frozen=True, slots=True)
class PhotoInstruments:
    """The models and settings that photos are measured with, loaded once a process.

    subjects: None if nobody asks what a photo shows. c2pa_anchors: trusted certificates, as `Decoder.credentials` takes
    them. long_edge_px: the pixels are shrunk to this.
    """

    decoder: Decoder
    fingerprinter: Fingerprinter
    subjects: SubjectModel | None = None
    c2pa_anchors: bytes = b""
    long_edge_px: int = 1024


@dataclass(frozen=True, slots=True)
class PhotoRelation:
    """One picture of the library, and how the photo compares with it. `owner_*` are "" for web and stock.

    same: "bytes" for the same file, "pixels" for the same picture in another file, "" for neither. probability:
    calibrated, 0..1, that one is a copy of the other. looks_alike: their descriptors are closer than those of 98% of
    unrelated photos are to their nearest neighbour. inliers: keypoints that agree on one transform. transform: that
    transform in words, from the library's picture to this photo, "" if no keypoints agree. pairs: (x, y, match_x,
    match_y) as fractions 0..1 of the width and height of this photo and of the match. placement: the transform in
    numbers. geometry: the same in working pixels, for further comparison. pdq_bits: 0..256, in which the two PDQ hashes
    differ in the nearest of eight orientations; 256 where not comparable. fit_agreement: -1..1, of the pixels when one
    is stretched over the other. agreement_floor: -1..1, of the pixels under the transform, what nine tenths reach.
    """

    photo_id: str
    source: Source
    owner_claim: str
    owner_subject: str
    own: bool  # of the same subject: an earlier photo of the claimant's own
    reference: str
    same: SamePart
    probability: float
    looks_alike: bool
    inliers: int
    transform: str
    pairs: tuple[tuple[float, float, float, float], ...]
    preview_sha256: str
    placement: MeasuredPlacement | Unmeasured = NOT_COMPARED
    geometry: Geometry = NO_GEOMETRY
    pdq_bits: int = NO_PDQ
    fit_agreement: float = 0.0
    agreement_floor: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ExaminedPhoto:
    """One photo's measurements, from the decoder to the fact, without its pixels.

    width_px, height_px: the file's own, upright. preview_sha256: key of its clean preview, "" where none was kept.
    notes: as `Picture.notes`.
    candidates: the search's results, likeliest first. relations: the same pictures compared, strongest first; both are
    empty until `against`.
    """

    fingerprint: Fingerprint
    exif: ExifReading
    width_px: int
    height_px: int
    subject: SubjectReading | Unmeasured
    signs: tuple[Sign, ...] = ()
    notes: tuple[str, ...] = ()
    preview_sha256: str = ""
    candidates: tuple[Candidate, ...] = ()
    relations: tuple[PhotoRelation, ...] = ()

    @property
    def not_comparable(self) -> str:
        """Why the photo cannot be compared with anything (all white, hopelessly out of focus), "" if it can."""
        return self.fingerprint.featureless


def measure(instruments: PhotoInstruments, data: bytes, sha256: str) -> tuple[ExaminedPhoto, Picture]:
    """Decode and measure one photo on its own. Returns it with its pixels, for a preview.

    data: the file's bytes. sha256: of the file, in hex. Raises ImageRefused for the file, DecoderUnavailable for the
    machine.
    """
    picture = instruments.decoder.decode(data, instruments.long_edge_px, marks=True)
    fingerprint = instruments.fingerprinter.fingerprint(picture, sha256)
    subjects = instruments.subjects
    photo = ExaminedPhoto(
        fingerprint=fingerprint,
        exif=picture.exif,
        width_px=picture.source_width_px,
        height_px=picture.source_height_px,
        subject=subjects.look([picture.pixels])[0] if subjects is not None else Unmeasured("not looked"),
        signs=look_for_signs(instruments.decoder, data, picture, fingerprint, anchors=instruments.c2pa_anchors),
        notes=picture.notes,
    )
    return photo, picture


def against(
    photo: ExaminedPhoto, candidates: Sequence[Candidate], subject: str, fusion: FusionModel | None = None
) -> ExaminedPhoto:
    """Return the photo compared with every candidate. subject, fusion: as for `compare`."""
    relations = compare(photo.fingerprint, candidates, subject, fusion=fusion)
    return replace(photo, candidates=tuple(candidates), relations=relations)


def compare(
    fingerprint: Fingerprint,
    candidates: Sequence[Candidate],
    subject: str,
    limits: ExamineLimits = ExamineLimits(),
    fusion: FusionModel | None = None,
) -> tuple[PhotoRelation, ...]:
    """Compare the photo with each candidate by keypoints and pixels; strongest first.

    subject: whose photo it is, "" for nobody's. fusion: the model fitted for the fingerprint's descriptor
    (`Fingerprinter.fusion`); our own descriptor's if None.
    """
    model = fusion or fusion_model()
    relations: list[PhotoRelation] = []
    alike_max = -math.inf  # cosine excess up to which a candidate need not be compared any more
    for rank, candidate in enumerate(candidates):
        verify = rank < limits.verify_max and not _merely_alike(candidate, alike_max)
        relations.append(_relation(fingerprint, candidate, subject, model, limits, verify=verify))
        if relations[-1].inliers >= limits.certain_inliers:
            alike_max = max(alike_max, min(limits.view_excess_min, candidate.cosine_excess / 2))
    return tuple(sorted(relations, key=by_strength))


def _merely_alike(candidate: Candidate, excess_max: float) -> bool:
    """True if nothing but a likeness as of unrelated pictures speaks for the candidate.

    Once the photo is proven to be a copy of another picture, such a candidate is not compared. All other photos of that
    same picture, in whichever claims, resemble this one about as much as it does, and the other originals of a collage
    resemble their own cells: both lie far above.
    """
    same = candidate.same_bytes or candidate.same_pixels
    return not same and candidate.pdq_bits >= PDQ_FAR_BITS and candidate.cosine_excess < excess_max


def by_strength(relation: PhotoRelation) -> tuple[int, float, str]:
    """Sort key: same bytes first, then same pixels, then by falling probability."""
    return _BY_SAMENESS.index(relation.same), -relation.probability, relation.photo_id


def signals(
    fingerprint: Fingerprint, candidate: Candidate, limits: ExamineLimits, *, verify: bool = True
) -> CopySignals:
    """Return all evidence that `candidate` is the photo's original. Without `verify`, keypoints and pixels are not
    compared."""
    relation, agreed, fitted = NO_GEOMETRY, (NO_AGREEMENT, NO_AGREEMENT), 0.0
    if verify:
        whole = fingerprint.keypoints
        relation = geometry.relate(whole, candidate.keypoints, limits.geometry)
        agreed = _agreement(relation, fingerprint.thumbnail, whole, candidate)
        # Most candidates of an honest photo: the pixels of two such pictures agree by chance if at all, and comparing
        # them takes as long as the keypoints.
        pixels = relation.inliers > 0 or not _merely_alike(candidate, limits.view_excess_min)
        if pixels:
            fitted = fit_agreement(fingerprint.thumbnail, candidate.thumbnail)
        if candidate.view and pixels and relation.inliers < limits.certain_inliers:
            view = fingerprint.views[candidate.view - 1]
            fitted = max(fitted, fit_agreement(view.thumbnail, candidate.thumbnail))
            part = NO_GEOMETRY
            if candidate.cosine_excess >= limits.view_excess_min:
                part = geometry.relate(view.keypoints, candidate.keypoints, limits.geometry)
            if part.inliers > relation.inliers:
                agreed = _agreement(part, view.thumbnail, view.keypoints, candidate)
                relation = geometry.placed(part, view.corners, view.keypoints, whole)
                relation = replace(relation, negative=isinstance(view, NegativeView))
    return CopySignals(relation, *agreed, fitted, candidate.pdq_bits, candidate.cosine, candidate.cosine_excess)


def _agreement(
    relation: Geometry, thumbnail: NDArray[np.uint8], keypoints: Keypoints, candidate: Candidate
) -> tuple[Agreement, Agreement]:
    return agreement(
        thumbnail,
        candidate.thumbnail,
        relation,
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
    same: SamePart = "bytes" if candidate.same_bytes else "pixels" if candidate.same_pixels else ""
    source_scale = _source_scale(fingerprint, candidate)
    return PhotoRelation(
        photo_id=candidate.photo_id,
        source=candidate.source,
        owner_claim=candidate.owner_claim,
        owner_subject=candidate.owner_subject,
        own=bool(subject) and candidate.owner_subject == subject,
        reference=candidate.reference,
        same=same,
        probability=1.0 if same else model.probability(measured),
        looks_alike=candidate.cosine >= model.similar_cosine_min,
        inliers=measured.geometry.inliers,
        transform=geometry.describe(measured.geometry, source_scale) if measured.geometry.inliers else "",
        pairs=measured.geometry.pairs,
        preview_sha256=candidate.preview_sha256,
        placement=place(measured.geometry, fingerprint.keypoints, candidate.keypoints, source_scale),
        geometry=measured.geometry,
        pdq_bits=measured.pdq_bits,
        fit_agreement=measured.fit_agreement,
        agreement_floor=measured.agreement.floor,
    )


def _source_scale(fingerprint: Fingerprint, candidate: Candidate) -> float:
    """Return how much the files' resolutions differ, relative to those of the working pictures."""
    query_scale = fingerprint.width_px / fingerprint.keypoints.width_px
    return query_scale / (candidate.width_px / candidate.keypoints.width_px)

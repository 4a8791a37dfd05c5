"""Known pictures: those that everybody photographs, and parts that unrelated photos share (a courier's label, a shop's
icon). A known picture explains a proven match if all that the two photos share lies where both show the same part of
it; the match then stays on record, but does not refer anybody on its own.

Fails closed. Agreement outside of the known part, or an outside that cannot be compared, means a copy; a photo's own
bytes and pixels are excused only if a person said so of exactly that picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.copies.fingerprint import Fingerprint
from vision.copies.geometry import Geometry, relate
from vision.copies.keypoints import GeometryLimits, Keypoints
from vision.measurement import Unmeasured

_BLOCK_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class CommonLimits:
    """Limits of learning and explaining, measured by `benchmarks.commons` on Caltech 101 photos that share a pasted
    label; the figures are its output.

    inliers_min: keypoints of the known part that each of the two photos must show. explained_share_min: share of the
    agreeing points that must lie on it. reach_ratio: how far outside its hull a point still lies on it, as a share of
    the hull's size. apart_ratio_max: how far apart the two ends of a pair may lie on it, as a share of the same.
    outside_ratio_min: share of the photo's area that the match must cover outside of the known part, to be comparable
    there. outside_agreement_max: if the pixels outside agree more than this, the match is a copy. candidates_max: known
    pictures compared by keypoints for one match. votes_min, likeness_min: how many descriptors must be that similar
    (cosine of RootSIFT) for a picture to be a candidate. bank_max: how many known pictures are used, the newest first;
    the others excuse nobody. learn_share_min: share of the other photos that must agree on a point for it to be learnt.
    learn_photos_max: other photos compared while learning.
    """

    inliers_min: int = 8
    explained_share_min: float = 0.9
    reach_ratio: float = 0.15
    apart_ratio_max: float = 0.15
    outside_ratio_min: float = 0.10
    outside_agreement_max: float = 0.15
    candidates_max: int = 4
    votes_min: int = 4
    likeness_min: float = 0.85
    bank_max: int = 1000
    learn_share_min: float = 0.5
    learn_photos_max: int = 12


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """One known picture. keypoints: those of the known part, in the working pixels of the picture that shows it.
    sha256, pixel_sha256: "" unless the whole picture is known."""

    common_id: str
    source: str  # ruling, imported
    whole: bool
    photo_ids: tuple[str, ...]
    reference: str
    preview_sha256: str
    sha256: str
    pixel_sha256: str
    keypoints: Keypoints


@dataclass(frozen=True, slots=True, eq=False)
class KnownPictures:
    """The known pictures in memory. version: changes whenever the table does. descriptors: uint8 (n, 128). owners: int
    (n,), index of the picture that each descriptor belongs to."""

    version: str
    pictures: tuple[Common, ...]
    descriptors: NDArray[np.uint8]
    owners: NDArray[np.intp]

    def exact(self, sha256: str, pixel_sha256: str) -> str:
        """Return the id of the known picture with these bytes or pixels, "" if there is none."""
        matches = (
            picture.common_id
            for picture in self.pictures
            if picture.whole and (picture.pixel_sha256 == pixel_sha256 or picture.sha256 == sha256)
        )
        return next(matches, "")


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A picture of the library with the data that a ruling on it needs."""

    photo_id: str
    sha256: str
    pixel_sha256: str
    preview_sha256: str
    keypoints: Keypoints


_INSERT: Final = text(
    """
    INSERT INTO library_commons (
        common_id, source, whole, photo_ids, reference, preview_sha256, sha256, pixel_sha256, keypoints
    ) VALUES (
        :common_id, :source, :whole, CAST(:photo_ids AS text[]), :reference, :preview_sha256, :sha256, :pixel_sha256,
        :keypoints
    )
    ON CONFLICT (common_id) DO NOTHING
    """
)
_FORGET: Final = text(
    """
    DELETE FROM library_commons WHERE photo_ids && ARRAY(
        SELECT photo_id FROM library_photos WHERE owner_claim = :claim_id AND source = 'claim'
    )
    """
)


async def known(conn: AsyncConnection, photo_ids: Sequence[str]) -> dict[str, Known]:
    """Return the library's pictures with these ids; those that no longer exist are missing."""
    rows = await conn.execute(
        text(
            "SELECT photo_id, sha256, pixel_sha256, preview_sha256, keypoints FROM library_photos"
            " WHERE photo_id = ANY(CAST(:ids AS text[]))"
        ),
        {"ids": list(photo_ids)},
    )
    return {
        row.photo_id: Known(
            row.photo_id, row.sha256, row.pixel_sha256, row.preview_sha256, Keypoints.from_bytes(row.keypoints)
        )
        for row in rows
    }


async def pixels(conn: AsyncConnection, photo_ids: Sequence[str]) -> dict[str, str]:
    """Return the pixel hash of each photo id; photos that no longer exist are missing."""
    rows = await conn.execute(
        text("SELECT photo_id, pixel_sha256 FROM library_photos WHERE photo_id = ANY(CAST(:ids AS text[]))"),
        {"ids": list(photo_ids)},
    )
    return {row.photo_id: row.pixel_sha256 for row in rows}


async def version(conn: AsyncConnection) -> str:
    """Return the version of the known pictures; it changes whenever the table does."""
    row = (await conn.execute(text("SELECT count(*) AS n, coalesce(max(seq), 0) AS last FROM library_commons"))).one()
    return f"{row.n}:{row.last}"


async def load(conn: AsyncConnection, limits: CommonLimits = CommonLimits()) -> KnownPictures:
    """Return the newest `limits.bank_max` known pictures."""
    current_version = await version(conn)
    return assemble(await every(conn, limit=limits.bank_max), current_version)


def assemble(pictures: Sequence[Common], table_version: str = "") -> KnownPictures:
    """Put these pictures together as the known pictures in memory."""
    counts = [len(picture.keypoints) for picture in pictures]
    owners = np.repeat(np.arange(len(pictures)), counts) if pictures else np.empty(0, np.intp)
    stacked = [picture.keypoints.descriptors for picture in pictures]
    descriptors = np.concatenate(stacked) if stacked else np.empty((0, 128), np.uint8)
    return KnownPictures(table_version, tuple(pictures), descriptors, owners)


async def every(conn: AsyncConnection, *, limit: int = 1000) -> list[Common]:
    """Return the known pictures, newest first."""
    rows = await conn.execute(text("SELECT * FROM library_commons ORDER BY seq DESC LIMIT :n"), {"n": limit})
    return [_common(row) for row in rows]


async def add(conn: AsyncConnection, common: Common) -> bool:
    """Add a known picture. Returns False if its id is already there; that one stays as it is. The caller commits."""
    values = {
        name: getattr(common, name)
        for name in ("common_id", "source", "whole", "reference", "preview_sha256", "sha256", "pixel_sha256")
    }
    values |= {"photo_ids": list(common.photo_ids), "keypoints": common.keypoints.to_bytes()}
    return (await conn.execute(_INSERT, values)).rowcount == 1


async def remove(conn: AsyncConnection, common_id: str) -> bool:
    """Remove a known picture. Returns False if it was not there."""
    gone = await conn.execute(text("DELETE FROM library_commons WHERE common_id = :id"), {"id": common_id})
    return gone.rowcount == 1


async def forget_claim(conn: AsyncConnection, claim_id: str) -> int:
    """Erase what was learnt from this claim's photos. Call it before the photos themselves leave the library."""
    if not claim_id:
        raise ValueError("forget_claim needs a claim id")
    return (await conn.execute(_FORGET, {"claim_id": claim_id})).rowcount


def imported(fingerprint: Fingerprint, reference: str, preview_sha256: str) -> Common:
    """Return a whole known picture that an operator says everybody has."""
    return Common(
        common_id=f"common:{fingerprint.sha256}",
        source="imported",
        whole=True,
        photo_ids=(),
        reference=reference,
        preview_sha256=preview_sha256,
        sha256=fingerprint.sha256,
        pixel_sha256=fingerprint.pixel_sha256,
        keypoints=fingerprint.keypoints,
    )


def learn(
    common_id: str, base: Known, others: Sequence[Known], limits: CommonLimits = CommonLimits()
) -> Common | Unmeasured:
    """Return what `base` shares with these other pictures, as a person's ruling said.

    The whole picture if at least half of the others have the same pixels; otherwise the points on which at least
    `limits.learn_share_min` of the others agree with it. Unmeasured if they share too little to be recognised again.
    """
    same = sum(other.pixel_sha256 == base.pixel_sha256 for other in others)
    ids = (base.photo_id, *(other.photo_id for other in others))
    made = Common(common_id, "ruling", False, ids, "", base.preview_sha256, "", "", base.keypoints)
    if others and same * 2 >= len(others):
        return replace(made, whole=True, sha256=base.sha256, pixel_sha256=base.pixel_sha256)
    compared = others[: limits.learn_photos_max]
    agreeing = np.zeros(len(base.keypoints), np.intp)
    every_pair = GeometryLimits(pairs_max=len(base.keypoints) + 1)
    for other in compared:
        relation = relate(other.keypoints, base.keypoints, every_pair)
        agreeing += _near(base.keypoints, [(x, y) for _, _, x, y in relation.pairs])
    kept = agreeing >= max(1.0, limits.learn_share_min * len(compared))
    kept &= _together(base.keypoints.points[:, :2], kept)
    if int(kept.sum()) < limits.inliers_min:
        return Unmeasured(f"the pictures share {int(kept.sum())} points, {limits.inliers_min} are needed")
    part = replace(base.keypoints, points=base.keypoints.points[kept], descriptors=base.keypoints.descriptors[kept])
    return replace(made, keypoints=part)


def explain(
    fingerprint: Fingerprint,
    match: Keypoints,
    match_thumbnail: NDArray[np.uint8],
    relation: Geometry,
    known_pictures: KnownPictures,
    limits: CommonLimits = CommonLimits(),
) -> str:
    """Return the id of the known picture that explains an edited copy, "" if none does.

    relation: the transform from the match to the photo, in working pixels.
    """
    if relation.inliers == 0 or not relation.pairs or not known_pictures.pictures:
        return ""
    for picture in _candidates(match, relation, known_pictures, limits):
        in_match = relate(match, picture.keypoints)
        if in_match.inliers < limits.inliers_min:
            continue
        in_photo = relate(fingerprint.keypoints, picture.keypoints)
        if in_photo.inliers < limits.inliers_min:
            continue
        spots = np.ascontiguousarray(picture.keypoints.points[:, :2])
        hull = np.asarray(cv2.convexHull(spots), dtype=np.float32)
        if _explained(fingerprint.keypoints, match, relation, in_photo, in_match, hull, limits) and not _agrees_outside(
            fingerprint, match, match_thumbnail, relation, in_photo, hull, limits
        ):
            return picture.common_id
    return ""


def _candidates(
    match: Keypoints, relation: Geometry, known_pictures: KnownPictures, limits: CommonLimits
) -> list[Common]:
    """Return the known pictures that share descriptors with the agreeing points, likeliest first."""
    at = _near(match, [(x, y) for _, _, x, y in relation.pairs]).astype(bool)
    asked = _root(match.descriptors[at])
    votes = np.zeros(len(known_pictures.pictures), np.intp)
    for start in range(0, len(known_pictures.descriptors), _BLOCK_ROWS):
        likeness = asked @ _root(known_pictures.descriptors[start : start + _BLOCK_ROWS]).T
        # Each picture is asked by itself: a label that is known twice must not outvote itself.
        owners = known_pictures.owners[start : start + _BLOCK_ROWS]  # in order: each picture's rows lie together
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        nearest = np.maximum.reduceat(likeness, firsts, axis=1)
        votes[owners[firsts]] += (nearest >= limits.likeness_min).sum(axis=0)
    ranked = [int(index) for index in np.argsort(-votes, kind="stable") if votes[index] >= limits.votes_min]
    return [known_pictures.pictures[index] for index in ranked[: limits.candidates_max]]


def _explained(
    photo: Keypoints,
    match: Keypoints,
    relation: Geometry,
    in_photo: Geometry,
    in_match: Geometry,
    hull: NDArray[np.float32],
    limits: CommonLimits,
) -> bool:
    """True if both ends of (nearly) every agreeing pair lie on the same spot of the known part."""
    pairs = np.array(relation.pairs, dtype=np.float64)
    ends = (
        _back(pairs[:, :2] * (photo.width_px, photo.height_px), photo, in_photo),
        _back(pairs[:, 2:] * (match.width_px, match.height_px), match, in_match),
    )
    size = float(np.sqrt(max(1.0, cv2.contourArea(hull))))
    reach, apart = limits.reach_ratio * size, limits.apart_ratio_max * size
    on = [
        all(cv2.pointPolygonTest(hull, (float(x), float(y)), True) >= -reach for x, y in (a, b))
        and float(np.hypot(*(a - b))) <= apart
        for a, b in zip(*ends, strict=True)
    ]
    return sum(on) >= limits.explained_share_min * len(on)


def _agrees_outside(
    fingerprint: Fingerprint,
    match: Keypoints,
    match_thumbnail: NDArray[np.uint8],
    relation: Geometry,
    in_photo: Geometry,
    hull: NDArray[np.float32],
    limits: CommonLimits,
) -> bool:
    """True if the two photos agree outside of the known part, or if there is too little outside to tell, or if the
    photo shows the match at an angle or as a negative, which are not laid over one another here."""
    if relation.warp is not None or relation.negative:
        return True
    photo, thumbnail = fingerprint.keypoints, fingerprint.thumbnail
    height, width = thumbnail.shape
    ratio, match_ratio = width / photo.width_px, match_thumbnail.shape[1] / match.width_px
    laid = relation.matrix.copy()
    laid[:, :2] *= ratio / match_ratio
    laid[:, 2] *= ratio
    shrink = float(np.hypot(laid[0, 0], laid[1, 0]))
    smooth = match_thumbnail.astype(np.float32)
    if shrink < 1.0:
        sigma = 0.45 * float(np.sqrt(max(1e-3, shrink**-2 - 1.0)))
        smooth = np.asarray(cv2.GaussianBlur(smooth, (0, 0), sigma), dtype=np.float32)
    moved = np.asarray(cv2.warpAffine(smooth, laid, (width, height), flags=cv2.INTER_LINEAR), dtype=np.float32)
    covered = cv2.warpAffine(np.ones(match_thumbnail.shape, np.uint8), laid, (width, height), flags=cv2.INTER_NEAREST)
    shown = thumbnail.astype(np.float32)
    if relation.mirrored:
        shown = np.ascontiguousarray(shown[:, ::-1])
    region = (hull[:, 0, :] @ in_photo.matrix[:, :2].T + in_photo.matrix[:, 2]) * ratio
    if relation.mirrored != in_photo.mirrored:
        region[:, 0] = width - 1 - region[:, 0]
    known_part = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(known_part, np.rint(region).astype(np.int32), 1)
    edge = max(3, round(limits.reach_ratio * float(np.sqrt(max(1, int(known_part.sum()))))))
    known_part = np.asarray(cv2.dilate(known_part, np.ones((2 * edge + 1, 2 * edge + 1), np.uint8)))
    outside = (covered > 0) & (known_part == 0)
    if outside.mean() < limits.outside_ratio_min:
        return True
    agreement = _correlation(shown, moved, outside)
    return isinstance(agreement, Unmeasured) or agreement > limits.outside_agreement_max


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32], where: NDArray[np.bool_]) -> float | Unmeasured:
    """Return the mean correlation of 9 x 9 windows, -1..1, weighted by their contrast."""
    window = (9, 9)
    a, b = np.asarray(cv2.GaussianBlur(a, (0, 0), 0.8)), np.asarray(cv2.GaussianBlur(b, (0, 0), 0.8))
    mean_a, mean_b = cv2.blur(a, window), cv2.blur(b, window)
    var_a = np.maximum(cv2.blur(a * a, window) - mean_a * mean_a, 0.0)
    var_b = np.maximum(cv2.blur(b * b, window) - mean_b * mean_b, 0.0)
    both = cv2.blur(a * b, window) - mean_a * mean_b
    correlation = both / np.sqrt((var_a + 9.0) * (var_b + 9.0))
    weight = np.minimum(np.sqrt(np.maximum(var_a, var_b)), 20.0) * where
    total = float(weight.sum())
    if total < 3.0 * float(where.sum()):
        return Unmeasured("too flat outside of the common part to compare")
    return float((correlation * weight).sum() / total)


def _near(keypoints: Keypoints, fractions: Sequence[tuple[float, float]]) -> NDArray[np.intp]:
    """Return 1 for each keypoint that lies on one of the points (fractions of the frame), else 0."""
    if not fractions or not len(keypoints):
        return np.zeros(len(keypoints), np.intp)
    points = np.array(fractions, dtype=np.float64) * (keypoints.width_px, keypoints.height_px)
    apart = np.abs(keypoints.points[:, None, :2] - points[None, :, :]).max(axis=2).min(axis=1)
    near: NDArray[np.intp] = (apart <= 2.0).astype(np.intp)
    return near


def _together(points: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop stray points: one wrong pair far away would stretch the known part over the whole picture."""
    if not kept.any():
        return kept
    chosen = points[kept]
    away = np.abs(points - np.median(chosen, axis=0)).max(axis=1)
    typical = float(np.median(away[kept]))
    close: NDArray[np.bool_] = away <= max(8.0, 3.0 * typical)
    return close


def _back(points: NDArray[np.float64], frame: Keypoints, relation: Geometry) -> NDArray[np.float64]:
    """Map working pixels of a photo to working pixels of the known picture."""
    at = points.copy()
    if relation.mirrored:
        at[:, 0] = frame.width_px - 1 - at[:, 0]
    inverse = np.asarray(cv2.invertAffineTransform(relation.matrix), dtype=np.float64)
    back: NDArray[np.float64] = at @ inverse[:, :2].T + inverse[:, 2]
    return back


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RootSIFT descriptors, as `vision.copies.geometry` compares them."""
    value = descriptors.astype(np.float32)
    rooted: NDArray[np.float32] = np.sqrt(value / np.maximum(value.sum(axis=1, keepdims=True), 1e-6))
    return rooted


def _common(row: Any) -> Common:
    return Common(
        common_id=row.common_id,
        source=row.source,
        whole=row.whole,
        photo_ids=tuple(row.photo_ids),
        reference=row.reference,
        preview_sha256=row.preview_sha256,
        sha256=row.sha256,
        pixel_sha256=row.pixel_sha256,
        keypoints=Keypoints.from_bytes(row.keypoints),
    )

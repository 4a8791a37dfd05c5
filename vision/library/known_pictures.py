"""The negative bank: pictures that everybody photographs, and parts that unrelated photos share (a courier's label, a
shop's icon). A proven match is explained by it when all that the two photos share lies where both show the same thing
of the bank; it then stays on record, and refers nobody by itself.

Fails closed. What agrees outside of the common part, or cannot be looked at, is a copy; a photo's own bytes and pixels
are excused only when a person said so of exactly that picture.
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
from vision.copies.geometry import Geometry, GeometryLimits, Keypoints, relate
from vision.measurement import Unmeasured

_BLOCK_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class CommonLimits:
    """Measured by `benchmarks.commons` on Caltech 101 photos that share a pasted label; the figures are its output.

    inliers_min: keypoints of the common part that each of the two photos must show. explained_share_min: of the
    agreeing points, that must lie on it. reach_ratio: how far outside its hull a point still lies on it, as a share of
    the hull's size. outside_ratio_min: of the photo's area, covered by the match outside of the common part, that must
    be there to be looked at. outside_agreement_max: pixels that agree more than this outside are a copy's.
    candidates_max: pictures of the bank compared point by point for one match. votes_min, likeness_min: descriptors
    (cosine of RootSIFT) that bring a picture up at all. bank_max: pictures looked through; what is beyond excuses
    nobody. learn_share_min: of the other photos, that must agree on a point for it to be common.
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
    """One picture of the bank. keypoints: of what is common, in the working pixels of the picture that it lies in.
    sha256, pixel_sha256: "" unless the whole picture is common."""

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
    """The bank in memory. version: changes whenever the table does. descriptors: uint8 (n, 128), owners: int (n,), the
    picture that each descriptor is of."""

    version: str
    commons: tuple[Common, ...]
    descriptors: NDArray[np.uint8]
    owners: NDArray[np.intp]

    def exact(self, sha256: str, pixel_sha256: str) -> str:
        """The common picture that has these bytes or pixels, "" for none."""
        found = (
            one.common_id
            for one in self.commons
            if one.whole and (one.pixel_sha256 == pixel_sha256 or one.sha256 == sha256)
        )
        return next(found, "")


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Of a picture of the library: what a ruling on it needs."""

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
    """The library's pictures of these ids; those that have gone are missing."""
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
    """Photo id to the hash of its pixels; those that have gone are missing."""
    rows = await conn.execute(
        text("SELECT photo_id, pixel_sha256 FROM library_photos WHERE photo_id = ANY(CAST(:ids AS text[]))"),
        {"ids": list(photo_ids)},
    )
    return {row.photo_id: row.pixel_sha256 for row in rows}


async def version(conn: AsyncConnection) -> str:
    """Changes whenever the bank does."""
    row = (await conn.execute(text("SELECT count(*) AS n, coalesce(max(seq), 0) AS last FROM library_commons"))).one()
    return f"{row.n}:{row.last}"


async def load(conn: AsyncConnection, limits: CommonLimits = CommonLimits()) -> KnownPictures:
    """The newest `limits.bank_max` pictures of the bank."""
    found = await version(conn)
    commons = tuple(await every(conn, limit=limits.bank_max))
    return assemble(commons, found)


def assemble(commons: Sequence[Common], found: str = "") -> KnownPictures:
    """A bank of these pictures. found: its version."""
    counts = [len(one.keypoints) for one in commons]
    owners = np.repeat(np.arange(len(commons)), counts) if commons else np.empty(0, np.intp)
    stacked = [one.keypoints.descriptors for one in commons]
    descriptors = np.concatenate(stacked) if stacked else np.empty((0, 128), np.uint8)
    return KnownPictures(found, tuple(commons), descriptors, owners)


async def every(conn: AsyncConnection, *, limit: int = 1000) -> list[Common]:
    """The bank's pictures, newest first."""
    rows = await conn.execute(text("SELECT * FROM library_commons ORDER BY seq DESC LIMIT :n"), {"n": limit})
    return [_common(row) for row in rows]


async def add(conn: AsyncConnection, common: Common) -> bool:
    """Whether it is new; one that is there under its id stays as it is. The caller commits."""
    values = {
        name: getattr(common, name)
        for name in ("common_id", "source", "whole", "reference", "preview_sha256", "sha256", "pixel_sha256")
    }
    values |= {"photo_ids": list(common.photo_ids), "keypoints": common.keypoints.to_bytes()}
    return (await conn.execute(_INSERT, values)).rowcount == 1


async def remove(conn: AsyncConnection, common_id: str) -> bool:
    """Take a picture out of the bank again; whether it was there."""
    gone = await conn.execute(text("DELETE FROM library_commons WHERE common_id = :id"), {"id": common_id})
    return gone.rowcount == 1


async def forget_claim(conn: AsyncConnection, claim_id: str) -> int:
    """Erase what was learnt from this claim's photos; before they leave the library themselves."""
    if not claim_id:
        raise ValueError("forget_claim needs a claim id")
    return (await conn.execute(_FORGET, {"claim_id": claim_id})).rowcount


def imported(fingerprint: Fingerprint, reference: str, preview_sha256: str) -> Common:
    """A whole picture that an operator says everybody has."""
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
    """What `base` shares with these other pictures, by a person's word.

    The whole of it when at least half of them are that very picture, pixel for pixel; else the points on which at least
    `limits.learn_share_min` of the others agree with it. Unmeasured when they share too little to be told again.
    """
    same = sum(one.pixel_sha256 == base.pixel_sha256 for one in others)
    ids = (base.photo_id, *(one.photo_id for one in others))
    made = Common(common_id, "ruling", False, ids, "", base.preview_sha256, "", "", base.keypoints)
    if others and same * 2 >= len(others):
        return replace(made, whole=True, sha256=base.sha256, pixel_sha256=base.pixel_sha256)
    compared = others[: limits.learn_photos_max]
    agreeing = np.zeros(len(base.keypoints), np.intp)
    every_pair = GeometryLimits(pairs_max=len(base.keypoints) + 1)
    for other in compared:
        found = relate(other.keypoints, base.keypoints, every_pair)
        agreeing += _near(base.keypoints, [(x, y) for _, _, x, y in found.pairs])
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
    found: Geometry,
    bank: KnownPictures,
    limits: CommonLimits = CommonLimits(),
) -> str:
    """The picture of the bank that explains an edited copy, "" when none does.

    found: the transform from the match to the photo, in working pixels.
    """
    if found.inliers == 0 or not found.pairs or not bank.commons:
        return ""
    for common in _brought_up(match, found, bank, limits):
        in_match = relate(match, common.keypoints)
        if in_match.inliers < limits.inliers_min:
            continue
        in_photo = relate(fingerprint.keypoints, common.keypoints)
        if in_photo.inliers < limits.inliers_min:
            continue
        spots = np.ascontiguousarray(common.keypoints.points[:, :2])
        hull = np.asarray(cv2.convexHull(spots), dtype=np.float32)
        if _explained(fingerprint.keypoints, match, found, in_photo, in_match, hull, limits) and not _agrees_outside(
            fingerprint, match, match_thumbnail, found, in_photo, hull, limits
        ):
            return common.common_id
    return ""


def _brought_up(match: Keypoints, found: Geometry, bank: KnownPictures, limits: CommonLimits) -> list[Common]:
    """Pictures of the bank that have the agreeing points' descriptors, the likeliest first."""
    at = _near(match, [(x, y) for _, _, x, y in found.pairs]).astype(bool)
    asked = _root(match.descriptors[at])
    votes = np.zeros(len(bank.commons), np.intp)
    for start in range(0, len(bank.descriptors), _BLOCK_ROWS):
        likeness = asked @ _root(bank.descriptors[start : start + _BLOCK_ROWS]).T
        # Each picture is asked by itself: a label that is in the bank twice must not outvote itself.
        owners = bank.owners[start : start + _BLOCK_ROWS]  # in order: each picture's rows lie together
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        nearest = np.maximum.reduceat(likeness, firsts, axis=1)
        votes[owners[firsts]] += (nearest >= limits.likeness_min).sum(axis=0)
    ranked = [int(index) for index in np.argsort(-votes, kind="stable") if votes[index] >= limits.votes_min]
    return [bank.commons[index] for index in ranked[: limits.candidates_max]]


def _explained(
    photo: Keypoints,
    match: Keypoints,
    found: Geometry,
    in_photo: Geometry,
    in_match: Geometry,
    hull: NDArray[np.float32],
    limits: CommonLimits,
) -> bool:
    """Whether both ends of (nearly) every agreeing pair lie on the same spot of the common part."""
    pairs = np.array(found.pairs, dtype=np.float64)
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
    found: Geometry,
    in_photo: Geometry,
    hull: NDArray[np.float32],
    limits: CommonLimits,
) -> bool:
    """Whether the two photos agree where the common part is not; so, too, when there is too little to tell."""
    photo, thumbnail = fingerprint.keypoints, fingerprint.thumbnail
    height, width = thumbnail.shape
    ratio, match_ratio = width / photo.width_px, match_thumbnail.shape[1] / match.width_px
    laid = found.matrix.copy()
    laid[:, :2] *= ratio / match_ratio
    laid[:, 2] *= ratio
    shrink = float(np.hypot(laid[0, 0], laid[1, 0]))
    smooth = match_thumbnail.astype(np.float32)
    if shrink < 1.0:
        sigma = 0.45 * float(np.sqrt(max(1e-3, shrink**-2 - 1.0)))
        smooth = np.asarray(cv2.GaussianBlur(smooth, (0, 0), sigma), dtype=np.float32)
    moved = np.asarray(cv2.warpAffine(smooth, laid, (width, height), flags=cv2.INTER_LINEAR), dtype=np.float32)
    covered = cv2.warpAffine(np.ones(match_thumbnail.shape, np.uint8), laid, (width, height), flags=cv2.INTER_NEAREST)
    seen = thumbnail.astype(np.float32)
    if found.mirrored:
        seen = np.ascontiguousarray(seen[:, ::-1])
    region = (hull[:, 0, :] @ in_photo.matrix[:, :2].T + in_photo.matrix[:, 2]) * ratio
    if found.mirrored != in_photo.mirrored:
        region[:, 0] = width - 1 - region[:, 0]
    common = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(common, np.rint(region).astype(np.int32), 1)
    edge = max(3, round(limits.reach_ratio * float(np.sqrt(max(1, int(common.sum()))))))
    common = np.asarray(cv2.dilate(common, np.ones((2 * edge + 1, 2 * edge + 1), np.uint8)))
    outside = (covered > 0) & (common == 0)
    if outside.mean() < limits.outside_ratio_min:
        return True
    agreement = _correlation(seen, moved, outside)
    return isinstance(agreement, Unmeasured) or agreement > limits.outside_agreement_max


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32], where: NDArray[np.bool_]) -> float | Unmeasured:
    """Mean local correlation of 9 x 9 windows, -1..1, weighted by how much there is to see in them."""
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
    """For each keypoint 1 where one of the points (fractions of the frame) lies on it, else 0."""
    if not fractions or not len(keypoints):
        return np.zeros(len(keypoints), np.intp)
    points = np.array(fractions, dtype=np.float64) * (keypoints.width_px, keypoints.height_px)
    apart = np.abs(keypoints.points[:, None, :2] - points[None, :, :]).max(axis=2).min(axis=1)
    near: NDArray[np.intp] = (apart <= 2.0).astype(np.intp)
    return near


def _together(points: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without stray points: one wrong pair far off would stretch the common part over the whole picture."""
    if not kept.any():
        return kept
    chosen = points[kept]
    away = np.abs(points - np.median(chosen, axis=0)).max(axis=1)
    typical = float(np.median(away[kept]))
    close: NDArray[np.bool_] = away <= max(8.0, 3.0 * typical)
    return close


def _back(points: NDArray[np.float64], frame: Keypoints, found: Geometry) -> NDArray[np.float64]:
    """Working pixels of a photo to working pixels of the common picture."""
    at = points.copy()
    if found.mirrored:
        at[:, 0] = frame.width_px - 1 - at[:, 0]
    inverse = np.asarray(cv2.invertAffineTransform(found.matrix), dtype=np.float64)
    back: NDArray[np.float64] = at @ inverse[:, :2].T + inverse[:, 2]
    return back


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RootSIFT, as `vision.copies.geometry` compares."""
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

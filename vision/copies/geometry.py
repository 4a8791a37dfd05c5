"""Tells whether two photos show one picture: matches keypoints, fits one similarity transform and checks the fit.

SIFT after Lowe, Distinctive image features from scale-invariant keypoints, 2004; RootSIFT after Arandjelović and
Zisserman, 2012; RANSAC after Fischler and Bolles, 1981; MAGSAC++ after Barath et al., 2020. How exactly the points fit
tells a copy, whose points keep one transform to a pixel, from another photo of the same scene (Hartley and Zisserman,
Multiple view geometry, 2004: only a plane or a camera that turns without moving gives a homography).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.copies.keypoints import GeometryLimits, Keypoints
from vision.copies.parts import Corners, from_frame, is_upright

LIMITS: Final = GeometryLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Exactness:
    """How exactly keypoint pairs keep one transform, for a geometry with enough of them; zeros without.

    homography: float64 (3, 3), from working pixels of the match to those of the query, after mirroring the query where
    the geometry says so. at, of: float64 (projected, 2), the pairs that keep it, in the query and in the match.

    projected: pairs within `reprojection_px` of one homography. tight: those within `tight_px` of it. tight_ratio:
    tight of projected. rigid_ratio: pairs within `tight_px` of one *similarity* transform, of projected: near 1 for a
    copy that was only scaled, turned, cropped or pasted. fine_ratio, fine_rigid_ratio: the same two shares of pairs
    within `fine_px`; two photos of a thing that lies still keep one transform to a pixel, hardly to half of one.
    shown_ratio, covers_ratio: as in Geometry, by the homography.
    """

    projected: int
    tight: int
    tight_ratio: float
    rigid_ratio: float
    fine_ratio: float
    fine_rigid_ratio: float
    shown_ratio: float
    covers_ratio: float
    homography: NDArray[np.float64]
    at: NDArray[np.float64]
    of: NDArray[np.float64]

    @property
    def contained_ratio(self) -> float:
        """How far one of the two frames contains the other, 0..1: a camera that turned leaves both with something of
        their own."""
        return max(self.shown_ratio, self.covers_ratio)


_NOWHERE: Final = np.empty((0, 2), dtype=np.float64)
NO_EXACTNESS: Final = Exactness(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.eye(3), _NOWHERE, _NOWHERE)


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The transform on which keypoints agree.

    inliers: keypoint pairs that agree; 0 when there is no sensible transform. matrix: float64 (2, 3), from working
    pixels of the match (the original) to working pixels of the query, after mirroring the query when `mirrored`.
    pairs: query and match as fractions (x, y, match_x, match_y) of width and height, best spread first, in
    unmirrored query coordinates. shown_ratio: share of the original's area that the query shows. covers_ratio: share
    of the query's area that it fills. negative: the query's colours are inverted. warp: float64 (3, 3), from and to
    the same pixels as `matrix`, where the match lies in a part of the query that is seen at an angle; `matrix` then is
    the nearest similarity transform.
    """

    inliers: int
    candidates: int  # keypoint pairs that went into the fit
    mirrored: bool
    matrix: NDArray[np.float64]
    scale: float
    degrees: float
    shown_ratio: float
    covers_ratio: float
    pairs: tuple[tuple[float, float, float, float], ...]
    exactness: Exactness = NO_EXACTNESS
    negative: bool = False
    warp: NDArray[np.float64] | None = None

    @property
    def contained_ratio(self) -> float:
        """How far one of the two frames contains the other, 0..1: by the homography, or by the similarity transform
        where the homography has no sensible outline."""
        return self.exactness.contained_ratio or max(self.shown_ratio, self.covers_ratio)


NO_GEOMETRY: Final = Geometry(0, 0, False, np.zeros((2, 3)), 0.0, 0.0, 0.0, 0.0, ())


def extract(grey: NDArray[np.uint8], limits: GeometryLimits = LIMITS, count: int = 0) -> Keypoints:
    """Extract keypoints. grey: uint8 (h, w), clean pixels at working size. count: the most keypoints, 0 for
    `limits.keypoints_max`."""
    sift = cv2.SIFT.create(nfeatures=count or limits.keypoints_max)
    detected, descriptors = sift.detectAndCompute(grey, None)
    height, width = grey.shape
    if descriptors is None:
        return Keypoints(width, height, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
    wanted = count or limits.keypoints_max
    points = np.array([(k.pt[0], k.pt[1], k.size, k.angle) for k in detected[:wanted]], dtype=np.float32)
    return Keypoints(width, height, points, descriptors[:wanted].astype(np.uint8))


def relate(
    query: Keypoints, match: Keypoints, limits: GeometryLimits = LIMITS, *, also_mirrored: bool = True
) -> Geometry:
    """Return the best transform from `match` to `query`, straight or mirrored; NO_GEOMETRY if none is plausible."""
    if len(query) < 3 or len(match) < 3:
        return NO_GEOMETRY
    target = _root(match.descriptors)
    best = _fit(query, match, target, limits, mirrored=False)
    if also_mirrored:
        turned = _fit(query.mirrored(), match, target, limits, mirrored=True)
        best = max(best, turned, key=lambda geometry: geometry.inliers)
    return best


def placed(geometry: Geometry, corners: Corners, part: Keypoints, whole: Keypoints) -> Geometry:
    """Return the geometry of a part of the query, converted to working pixels of the whole query.

    corners: of the part, in working pixels of the whole, clockwise from the part's own top left. part, whole: keypoints
    whose frames the geometry was found in and is converted to.
    """
    if geometry.inliers == 0:
        return geometry
    if not is_upright(corners):
        return _placed_at_an_angle(geometry, corners, part, whole)
    (left, top), (right, _), *_ = corners
    factor = (right - left) / part.width_px
    matrix = geometry.matrix * factor
    # A mirrored query is measured from its right edge.
    matrix[0, 2] += whole.width_px - 1 - left - (part.width_px - 1) * factor if geometry.mirrored else left
    matrix[1, 2] += top
    across, down = part.width_px * factor, part.height_px * factor
    return replace(
        geometry,
        matrix=matrix,
        scale=geometry.scale * factor,
        covers_ratio=min(1.0, geometry.covers_ratio * across * down / (whole.width_px * whole.height_px)),
        pairs=tuple(
            ((left + x * across) / whole.width_px, (top + y * down) / whole.height_px, match_x, match_y)
            for x, y, match_x, match_y in geometry.pairs
        ),
    )


def _placed_at_an_angle(geometry: Geometry, corners: Corners, part: Keypoints, whole: Keypoints) -> Geometry:
    """As `placed`, of a part that is no upright box."""
    to_whole = from_frame(corners, part.width_px, part.height_px)
    from_match = homogeneous(geometry.matrix)
    warp = to_whole @ from_match
    if geometry.mirrored:
        warp = _flip(whole) @ to_whole @ _flip(part) @ from_match
    pairs = np.array(geometry.pairs)
    at = _through(to_whole, pairs[:, :2] * (part.width_px, part.height_px))
    # The nearest similarity transform where the two overlap: at the part's corners.
    in_match = _through(np.asarray(np.linalg.inv(from_match), dtype=np.float64), _corners(part))
    in_whole = _through(warp, in_match)
    matrix = _similarity(in_match, in_whole)
    area = float(cv2.contourArea(np.array(corners, dtype=np.float32)))
    return replace(
        geometry,
        matrix=matrix,
        warp=warp / warp[2, 2],
        scale=math.hypot(matrix[0, 0], matrix[1, 0]),
        degrees=math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])),
        covers_ratio=min(1.0, geometry.covers_ratio * area / (whole.width_px * whole.height_px)),
        pairs=tuple(
            (float(x) / whole.width_px, float(y) / whole.height_px, match_x, match_y)
            for (x, y), (_, _, match_x, match_y) in zip(at.clip(0), geometry.pairs, strict=True)
        ),
    )


def _flip(frame: Keypoints) -> NDArray[np.float64]:
    """Return the mirroring of a frame left to right, float64 (3, 3)."""
    return np.array([[-1.0, 0.0, frame.width_px - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def _through(homography: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points (n, 2) mapped by a homography."""
    return np.asarray(cv2.perspectiveTransform(points[None], homography)[0], dtype=np.float64)


def homogeneous(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an affine transform (2, 3) as a homography (3, 3)."""
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def _similarity(of: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarity transform, float64 (2, 3), that maps `of` to `at` with the least squared error."""
    source, target = of @ (1, 1j), at @ (1, 1j)
    middle, goal = source.mean(), target.mean()
    turn = np.vdot(source - middle, target - goal) / np.vdot(source - middle, source - middle)
    shift = goal - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def describe(geometry: Geometry, source_scale: float = 1.0) -> str:
    """Return the transform in words, from the original to the photo at hand.

    source_scale: how much the files' own resolutions differ, relative to the working pictures' (1.0 if unknown).
    """
    words = ["colours inverted"] if geometry.negative else []
    words += ["mirrored"] if geometry.mirrored else []
    scale = geometry.scale * source_scale
    words.append("same scale" if abs(math.log(max(scale, 1e-6))) < math.log(1.03) else f"scaled to {scale * 100:.0f}%")
    degrees = round(geometry.degrees)
    words.append("not rotated" if abs(degrees) <= 1 else f"rotated {degrees} degrees")
    if geometry.shown_ratio < 0.97:
        words.append(f"cropped to {geometry.shown_ratio * 100:.0f}% of the original")
    else:
        words.append("whole original shown")
    if geometry.covers_ratio < 0.9:
        words.append(f"it fills {geometry.covers_ratio * 100:.0f}% of this picture")
    return ", ".join(words)


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RootSIFT: rows of length 1 whose dot product is the Hellinger kernel."""
    value = descriptors.astype(np.float32)
    rooted: NDArray[np.float32] = np.sqrt(value / np.maximum(value.sum(axis=1, keepdims=True), 1e-6))
    return rooted


def _fit(
    query: Keypoints, match: Keypoints, target: NDArray[np.float32], limits: GeometryLimits, *, mirrored: bool
) -> Geometry:
    pairs = _nearest(_root(query.descriptors), target, limits.ratio_max)
    if len(pairs) < 3:
        return NO_GEOMETRY
    at, of = query.points[pairs[:, 0]], match.points[pairs[:, 1]]
    fitted, mask = cv2.estimateAffinePartial2D(
        np.ascontiguousarray(of[:, :2]),
        np.ascontiguousarray(at[:, :2]),
        method=cv2.RANSAC,
        ransacReprojThreshold=limits.reprojection_px,
        maxIters=limits.ransac_iterations_max,
        confidence=limits.ransac_confidence,
        refineIters=5,
    )
    if fitted is None:
        return NO_GEOMETRY
    matrix = np.asarray(fitted, dtype=np.float64)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if not limits.scale_min <= scale <= limits.scale_max:
        return NO_GEOMETRY
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    turns = (at[:, 3] - of[:, 3] - degrees + 180.0) % 360.0 - 180.0
    octaves = np.log2(np.maximum(at[:, 2], 1e-3) / np.maximum(of[:, 2], 1e-3)) - math.log2(scale)
    agree = mask.ravel().astype(bool)
    agree &= (np.abs(turns) <= limits.turn_degrees_max) & (np.abs(octaves) <= limits.scale_octaves_max)
    agree = _distinct(agree, at, of)
    inliers = int(agree.sum())
    if inliers < 3 or min(_spread(at[agree, :2]), _spread(of[agree, :2])) < limits.spread_px_min:
        return NO_GEOMETRY
    shown, covers = _overlap(_corners(match) @ matrix[:, :2].T + matrix[:, 2], query)
    return Geometry(
        inliers=inliers,
        candidates=len(pairs),
        mirrored=mirrored,
        matrix=matrix,
        scale=scale,
        degrees=degrees,
        shown_ratio=shown,
        covers_ratio=covers,
        pairs=_fractions(at[agree], of[agree], query, match, mirrored, limits.pairs_max),
        exactness=_exactness(at[:, :2], of[:, :2], matrix, inliers, query, match, limits),
    )


def _exactness(
    at: NDArray[np.float32],
    of: NDArray[np.float32],
    similarity: NDArray[np.float64],
    inliers: int,
    query: Keypoints,
    match: Keypoints,
    limits: GeometryLimits,
) -> Exactness:
    """Measure how exactly the pairs at, of (n, 2) keep a homography and a similarity transform."""
    if inliers < limits.exactness_inliers_min:
        return NO_EXACTNESS
    near, far = at.astype(np.float64), of.astype(np.float64)
    enlarged = max(1.0, math.hypot(similarity[0, 0], similarity[1, 0]))
    tight_px, fine_px = limits.tight_px * enlarged, limits.fine_px * enlarged
    fitted, _ = cv2.findHomography(
        far,
        near,
        cv2.USAC_MAGSAC,
        limits.reprojection_px,
        maxIters=limits.ransac_iterations_max,
        confidence=limits.ransac_confidence,
    )
    start = homogeneous(similarity)
    homography, projected, tight = max(
        (
            _refitted(np.asarray(first, dtype=np.float64), near, far, tight_px, limits, _fit_homography)
            for first in (fitted, start)
            if first is not None
        ),
        key=lambda refitted: (refitted[2], refitted[1]),
    )
    similar, _, rigid = _refitted(start, near, far, tight_px, limits, _fit_similarity)
    if projected == 0:
        return NO_EXACTNESS
    _, _, fine = _refitted(homography, near, far, fine_px, limits, _fit_homography)
    _, _, fine_rigid = _refitted(similar, near, far, fine_px, limits, _fit_similarity)
    corners = _through(homography, _corners(match))
    whole = cv2.isContourConvex(corners.astype(np.float32))
    shown, covers = _overlap(corners, query) if whole else (0.0, 0.0)
    keep = _errors(homography, near, far) <= max(limits.reprojection_px, tight_px)
    tight_ratio, rigid_ratio, fine_ratio, fine_rigid_ratio = (
        min(1.0, count / projected) for count in (tight, rigid, fine, fine_rigid)
    )
    return Exactness(
        projected=projected,
        tight=tight,
        tight_ratio=tight_ratio,
        rigid_ratio=rigid_ratio,
        fine_ratio=fine_ratio,
        fine_rigid_ratio=fine_rigid_ratio,
        shown_ratio=shown,
        covers_ratio=covers,
        homography=homography,
        at=near[keep],
        of=far[keep],
    )


def _errors(transform: NDArray[np.float64], at: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each point of `of`, transformed, lies from its point of `at`, in pixels of the query."""
    return np.asarray(np.linalg.norm(_through(transform, of) - at, axis=1), dtype=np.float64)


def _refitted(
    transform: NDArray[np.float64],
    at: NDArray[np.float64],
    of: NDArray[np.float64],
    tight_px: float,
    limits: GeometryLimits,
    fit: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64] | None],
) -> tuple[NDArray[np.float64], int, int]:
    """Fit again on the pairs that are tight, as long as that makes more of them tight. Return the transform, and how
    many pairs are within the limit and how many are tight."""
    best: tuple[NDArray[np.float64], int, int] = (transform, 0, 0)
    for _ in range(limits.exactness_rounds):
        errors = _errors(transform, at, of)
        tight = errors <= tight_px
        counts = int((errors <= max(limits.reprojection_px, tight_px)).sum()), int(tight.sum())
        if counts[1] < best[2] or (counts[1] == best[2] and counts[0] <= best[1]):
            break
        best = (transform, *counts)
        if counts[1] < limits.exactness_inliers_min:
            break
        again = fit(at[tight], of[tight])
        if again is None:
            break
        transform = again
    return best


def _fit_homography(at: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64] | None:
    fitted, _ = cv2.findHomography(of, at, 0)
    return None if fitted is None else np.asarray(fitted, dtype=np.float64)


def _fit_similarity(at: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    return homogeneous(_similarity(of, at))


def _nearest(query: NDArray[np.float32], target: NDArray[np.float32], ratio_max: float) -> NDArray[np.intp]:
    """Return pairs (query, target) that are each other's nearest, clearly nearer than the second."""
    similarity = query @ target.T
    rows = np.arange(len(query))
    back = similarity.argmax(axis=0)
    first = similarity.argmax(axis=1)
    nearest = similarity[rows, first]
    similarity[rows, first] = -np.inf  # two passes for the largest are several times faster than a partition
    second = similarity.max(axis=1)
    distance, runner_up = (np.sqrt(np.maximum(2.0 - 2.0 * value, 0.0)) for value in (nearest, second))
    keep = (distance < ratio_max * runner_up) & (back[first] == rows)
    return np.stack([rows[keep], first[keep]], axis=1)


def _distinct(agree: NDArray[np.bool_], at: NDArray[np.float32], of: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep one pair per spot: SIFT gives several keypoints (with several angles) at one place, which prove nothing
    more."""
    kept = np.zeros_like(agree)
    taken: set[tuple[int, int]] = set()
    for index in np.flatnonzero(agree):
        spots = (
            (int(at[index, 0] / 2), int(at[index, 1] / 2)),
            (-1 - int(of[index, 0] / 2), int(of[index, 1] / 2)),
        )
        if not any(spot in taken for spot in spots):
            taken.update(spots)
            kept[index] = True
    return kept


def _spread(points: NDArray[np.float32]) -> float:
    """Return the standard deviation across the narrower direction, in pixels: near 0 if all lie on one line or spot."""
    covariance = np.cov(points, rowvar=False)
    return math.sqrt(max(0.0, float(np.linalg.eigvalsh(covariance)[0])))


def _corners(picture: Keypoints) -> NDArray[np.float64]:
    width, height = picture.width_px, picture.height_px
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


def _overlap(placed: NDArray[np.float64], query: Keypoints) -> tuple[float, float]:
    """Return the shares of the placed outline (4, 2) and of the query's frame that both have in common."""
    outline, frame = placed.astype(np.float32), _corners(query).astype(np.float32)
    common, _ = cv2.intersectConvexConvex(outline, frame)
    whole = abs(float(cv2.contourArea(outline)))
    return min(1.0, common / max(whole, 1e-6)), min(1.0, common / (query.width_px * query.height_px))


def _fractions(
    at: NDArray[np.float32],
    of: NDArray[np.float32],
    query: Keypoints,
    match: Keypoints,
    mirrored: bool,
    pairs_max: int,
) -> tuple[tuple[float, float, float, float], ...]:
    x = at[:, 0] / query.width_px
    columns = [
        1.0 - x if mirrored else x,
        at[:, 1] / query.height_px,
        of[:, 0] / match.width_px,
        of[:, 1] / match.height_px,
    ]
    rows = np.clip(np.stack(columns, axis=1), 0.0, 1.0)
    chosen = np.linspace(0, len(rows) - 1, min(pairs_max, len(rows))).round().astype(int)
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in rows[chosen])

"""Calibrates the probability that two pictures are one: a logistic model over descriptor, PDQ, keypoints and pixels.

Trained by `models/train/copy_fusion.py`; the card copy_fusion describes the training set and the calibration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.registry import card, weights_path
from vision.copies.geometry import Geometry, homogeneous

NAME: Final = "copy_fusion"
FEATURES: Final = (
    "agreement",
    "inlier_ratio_times_agreement",
    "log_inliers_times_agreement",
    "log_inliers_times_floor",
    "fine_rigid",
    "fine_rigid_times_points",
    "fine_rigid_times_points_floor",
    "log_fine_rigid_times_points",
    "fine_whole",
    "log_fine_whole",
    "not_loose",
    "pdq_nearness",
    "cosine_excess",
    "fit_agreement",
    "cosine_excess_times_agreement",
)
PDQ_FAR_BITS: Final = 64  # from here on PDQ says nothing: unrelated photos can be as near as 70 bits
PROOF_INLIERS_MIN: Final = 6  # fewer agree by chance with one of some twenty candidates
PROOF_PDQ_BITS_MAX: Final = 40  # unrelated photos lie at 70 and more; Meta's own threshold is 31
PROOF_FIT_MIN: Final = 0.75
UNPROVEN_MAX: Final = 0.45
_WINDOW: Final = (9, 9)
_NEAR_PX: Final = 3  # windows so near a point show what its keypoint was described by
_FLAT_LEVELS: Final = 3.0  # noise of compression; a patch that varies less carries no information
_ENOUGH_LEVELS: Final = 20.0  # cap on a patch's weight: otherwise one bold label would outweigh the scene


_FLOOR_SHARE: Final = 0.1


class Agreement(NamedTuple):
    """Agreement of the pixels of two pictures laid over one another. mean: local correlation, -1..1. floor: 10th
    percentile of the local correlations, weighted by contrast. Both 0 if there is too little to compare."""

    mean: float
    floor: float


NO_AGREEMENT: Final = Agreement(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class CopySignals:
    """The evidence that two pictures are one. pdq_bits: 0..256, 256 if unusable. agreement, at_points: see `agreement`;
    zeros without a geometry. fit_agreement: its mean when the two are simply stretched over one another."""

    geometry: Geometry
    agreement: Agreement
    at_points: Agreement
    fit_agreement: float
    pdq_bits: int
    cosine: float
    cosine_excess: float

    @property
    def proven(self) -> bool:
        """True if there is more than likeness: keypoints that agree, a near PDQ, or pixels that agree when one is laid
        over the other. Without it two goods on a plain ground are as alike as two copies."""
        return (
            self.geometry.inliers >= PROOF_INLIERS_MIN
            or self.pdq_bits <= PROOF_PDQ_BITS_MAX
            or self.fit_agreement >= PROOF_FIT_MIN
        )

    def features(self) -> NDArray[np.float64]:
        """Return the features in the order of FEATURES.

        fine_rigid: a picture that was cropped, turned, pasted or cut out keeps one similarity transform to half a
        pixel, another photo of the same thing does not, however still it lay. fine_whole: a picture photographed off a
        screen or paper keeps a homography, and all of it is there, to the edges. not_loose: many points that keep
        neither say that the camera moved. floor: for two banknotes or two bikes of one make most points agree, but some
        clearly do not.
        """
        geometry, exact = self.geometry, self.geometry.exactness
        log_inliers = math.log1p(geometry.inliers)
        agreement, floor = max(0.0, self.agreement.mean), max(0.0, self.agreement.floor)
        points, points_floor = max(0.0, self.at_points.mean), max(0.0, self.at_points.floor)
        rigid = exact.fine_rigid_ratio
        whole = (exact.fine_ratio * exact.contained_ratio) ** 2 * floor
        log_projected = math.log1p(exact.projected)
        loose = log_projected * (1.0 - max(rigid, whole))
        return np.array(
            [
                self.agreement.mean,
                geometry.inliers / max(1, geometry.candidates) * agreement,
                log_inliers * agreement,
                log_inliers * floor,
                rigid,
                rigid * points,
                rigid * points_floor,
                math.log1p(rigid * exact.projected) * rigid * points,
                whole,
                log_projected * whole,
                -loose,
                max(0.0, 1.0 - self.pdq_bits / PDQ_FAR_BITS),
                self.cosine_excess,
                max(0.0, self.fit_agreement),
                max(0.0, self.cosine_excess) * max(agreement, self.fit_agreement),
            ]
        )


@dataclass(frozen=True, slots=True, eq=False)
class FusionModel:
    """Weights (15,) in the order of FEATURES, and the intercept. similar_cosine_min: above it two pictures look alike,
    which is noted but judges nobody; it depends on the descriptor, as the weights do.

    The probability from which a photo is called a copy is not part of the model but a rule (`claims.copies`).
    """

    weights: NDArray[np.float64]
    intercept: float
    similar_cosine_min: float
    label: str

    def probability(self, signals: CopySignals) -> float:
        """Return the probability, 0..1, calibrated on edited copies against look-alikes that a search returns and other
        photos of the same scene; below UNPROVEN_MAX where nothing but likeness speaks for a copy."""
        probability = 1.0 / (1.0 + math.exp(-float(self.weights @ signals.features()) - self.intercept))
        return probability if signals.proven else min(probability, UNPROVEN_MAX)


@cache
def fusion_model() -> FusionModel:
    """Return the trained model. Raises ModelMissing, ModelCorrupt, ValueError if its features are not these."""
    return read_fusion(weights_path(NAME), card(NAME).label)


def read_fusion(path: Path, label: str) -> FusionModel:
    """Read a model as `models/train/copy_fusion.py` writes it. Raises ValueError or KeyError if it does not fit these
    features."""
    return fusion_of(json.loads(path.read_text(encoding="utf-8")), label)


def fusion_of(content: Mapping[str, Any], label: str) -> FusionModel:
    """Return the model in the file's JSON object; as `read_fusion`."""
    if tuple(content["features"]) != FEATURES:
        raise ValueError(f"the fusion was trained on other features: {content['features']}")
    return FusionModel(
        np.array(content["weights"], dtype=np.float64),
        float(content["intercept"]),
        float(content["similar_cosine_min"]),
        label,
    )


def agreement(
    query: NDArray[np.uint8], match: NDArray[np.uint8], geometry: Geometry, query_ratio: float, match_ratio: float
) -> tuple[Agreement, Agreement]:
    """Measure how well the pixels agree where the transform lays one picture over the other: over all that both show,
    and about the points that keep the transform.

    query, match: grey thumbnails of the two; query_ratio, match_ratio: their size as a share of the working pictures
    that the geometry was found in. Local correlations are of 9 x 9 windows, weighted by contrast, so that a shared
    label on two otherwise different photos scores low over all, and a picture under stickers, or a piece of it that was
    pasted elsewhere, scores high about its points. NO_AGREEMENT where there is too little to compare.
    """
    if geometry.inliers == 0:
        return NO_AGREEMENT, NO_AGREEMENT
    exact = geometry.exactness
    matrix = exact.homography if exact.projected else homogeneous(geometry.matrix)
    small = np.diag([query_ratio, query_ratio, 1.0]) @ matrix @ np.diag([1 / match_ratio, 1 / match_ratio, 1.0])
    points = (exact.at * query_ratio, exact.of * match_ratio) if exact.projected else None
    return _overlaid(query, match, small / small[2, 2], mirrored=geometry.mirrored, points=points)


def fit_agreement(query: NDArray[np.uint8], match: NDArray[np.uint8]) -> float:
    """Return the agreement when one thumbnail is stretched over the other, straight or mirrored: the only comparison
    left if there are too few keypoints for a transform."""
    stretch = np.diag([query.shape[1] / match.shape[1], query.shape[0] / match.shape[0], 1.0])
    return max(
        _overlaid(query, match, stretch, mirrored=mirrored, with_floor=False)[0].mean for mirrored in (False, True)
    )


def _overlaid(
    query: NDArray[np.uint8],
    match: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    *,
    mirrored: bool,
    with_floor: bool = True,
    points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> tuple[Agreement, Agreement]:
    """Return the agreement over all and about the points. matrix: (3, 3), from pixels of `match` to those of `query`,
    mirrored where so. points: (n, 2) in the query's pixels, mirrored, and in those of the match."""
    query_f, match_f = query.astype(np.float32), match.astype(np.float32)
    if mirrored:
        query_f = np.ascontiguousarray(query_f[:, ::-1])
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if scale <= 1.0:  # compare in the coarser frame: the finer picture is blurred to match it
        base, shape = query_f, query_f.shape
        other, covered = _laid_over(match_f, matrix, shape, 1.0 / max(scale, 1e-3))
        spots = None if points is None else points[0]
    else:
        base, shape = match_f, match_f.shape
        other, covered = _laid_over(query_f, np.asarray(np.linalg.inv(matrix), dtype=np.float64), shape, scale)
        spots = None if points is None else points[1]
    windows = _correlation(base, other)
    inside = cv2.erode(
        covered.astype(np.uint8), np.ones(_WINDOW, np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1
    )
    whole = _weighed(windows, inside > 0, with_floor)
    if spots is None:
        return whole, NO_AGREEMENT
    near = np.zeros(shape, np.uint8)
    for x, y in spots.round().astype(int).tolist():
        cv2.circle(near, (x, y), _NEAR_PX, 1, -1)
    return whole, _weighed(windows, (inside > 0) & (near > 0), with_floor)


def _laid_over(
    picture: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...], shrink: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Warp the picture by the matrix into a frame of that shape; return it with the mask of the frame that it
    covers."""
    sigma = 0.45 * math.sqrt(max(0.0, shrink**2 - 1.0))
    smooth = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture
    size = (shape[1], shape[0])
    moved = cv2.warpPerspective(smooth, matrix, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpPerspective(np.ones_like(picture), matrix, size, flags=cv2.INTER_NEAREST)
    return np.asarray(moved, dtype=np.float32), np.asarray(covered > 0.5, dtype=np.bool_)


class _Windows(NamedTuple):
    """Local correlation of two pictures at every pixel, -1..1, and its weight by contrast; float32 (h, w) each."""

    correlation: NDArray[np.float32]
    weight: NDArray[np.float32]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> _Windows:
    a, b = np.asarray(cv2.GaussianBlur(a, (0, 0), 0.8)), np.asarray(cv2.GaussianBlur(b, (0, 0), 0.8))
    mean_a, mean_b = cv2.blur(a, _WINDOW), cv2.blur(b, _WINDOW)
    var_a = np.maximum(cv2.blur(a * a, _WINDOW) - mean_a * mean_a, 0.0)
    var_b = np.maximum(cv2.blur(b * b, _WINDOW) - mean_b * mean_b, 0.0)
    both = cv2.blur(a * b, _WINDOW) - mean_a * mean_b
    correlation = both / np.sqrt((var_a + _FLAT_LEVELS**2) * (var_b + _FLAT_LEVELS**2))
    return _Windows(correlation, np.minimum(np.sqrt(np.maximum(var_a, var_b)), _ENOUGH_LEVELS))


def _weighed(windows: _Windows, inside: NDArray[np.bool_], with_floor: bool) -> Agreement:
    """Average the windows whose middle is `inside`. with_floor: takes as long as all the rest; 0 without."""
    if int(inside.sum()) < _WINDOW[0] * _WINDOW[1]:
        return NO_AGREEMENT
    weight = windows.weight * inside
    total = float(weight.sum())
    if total <= _FLAT_LEVELS:
        return NO_AGREEMENT
    textured = weight > _FLAT_LEVELS  # without texture, noise correlates with noise
    floor = (
        _weighted_quantile(windows.correlation[textured], weight[textured], _FLOOR_SHARE)
        if with_floor and textured.any()
        else 0.0
    )
    return Agreement(float((windows.correlation * weight).sum() / total), floor)


def _weighted_quantile(values: NDArray[np.float32], weights: NDArray[np.float32], share: float) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][int(np.searchsorted(below, share * below[-1]))])

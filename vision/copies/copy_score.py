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
from vision.copies.geometry import Geometry

NAME: Final = "copy_fusion"
FEATURES: Final = (
    "log_inliers",
    "agreement",
    "inlier_ratio_times_agreement",
    "log_inliers_times_agreement",
    "log_inliers_times_floor",
    "log_inliers_times_span",
    "pdq_nearness",
    "cosine_excess",
    "fit_agreement",
    "cosine_excess_times_agreement",
)
PDQ_FAR_BITS: Final = 64  # from here on PDQ says nothing: unrelated photos can be as near as 70 bits
_WINDOW: Final = (9, 9)
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
    """The evidence that two pictures are one. pdq_bits: 0..256, 256 if unusable. agreement: see `agreement`; zeros
    without a geometry. fit_agreement: its mean when the two are simply stretched over one another."""

    geometry: Geometry
    agreement: Agreement
    fit_agreement: float
    pdq_bits: int
    cosine: float
    cosine_excess: float

    def features(self) -> NDArray[np.float64]:
        """Return the features in the order of FEATURES.

        span: a true copy shows most of the original, or is filled by it; a shared label is a small part of both. floor:
        for two banknotes or two bikes of one make most points agree, but some clearly do not.
        """
        geometry = self.geometry
        log_inliers = math.log1p(geometry.inliers)
        agreement = max(0.0, self.agreement.mean)
        return np.array(
            [
                log_inliers,
                self.agreement.mean,
                geometry.inliers / max(1, geometry.candidates) * agreement,
                log_inliers * agreement,
                log_inliers * max(0.0, self.agreement.floor),
                log_inliers * max(geometry.shown_ratio, geometry.covers_ratio),
                max(0.0, 1.0 - self.pdq_bits / PDQ_FAR_BITS),
                self.cosine_excess,
                max(0.0, self.fit_agreement),
                max(0.0, self.cosine_excess) * max(agreement, self.fit_agreement),
            ]
        )


@dataclass(frozen=True, slots=True, eq=False)
class FusionModel:
    """Weights (10,) in the order of FEATURES, and the intercept. similar_cosine_min: above it two pictures look alike,
    which is noted but judges nobody; it depends on the descriptor, as the weights do.

    The probability from which a photo is called a copy is not part of the model but a rule (`claims.copies`).
    """

    weights: NDArray[np.float64]
    intercept: float
    similar_cosine_min: float
    label: str

    def probability(self, signals: CopySignals) -> float:
        """Return the probability, 0..1, calibrated on edited copies against look-alikes that a search returns."""
        return 1.0 / (1.0 + math.exp(-float(self.weights @ signals.features()) - self.intercept))


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
) -> Agreement:
    """Measure how well the pixels agree where the transform lays one picture over the other.

    query, match: grey thumbnails of the two; query_ratio, match_ratio: their size as a share of the working pictures
    that the geometry was found in. Local correlations are of 9 x 9 windows, weighted by contrast, so that a shared
    label on two otherwise different photos scores low. NO_AGREEMENT if the overlap is too small.
    """
    if geometry.inliers == 0:
        return NO_AGREEMENT
    matrix = geometry.matrix.copy()
    matrix[:, :2] *= query_ratio / match_ratio
    matrix[:, 2] *= query_ratio
    return _overlaid(query, match, matrix, mirrored=geometry.mirrored)


def fit_agreement(query: NDArray[np.uint8], match: NDArray[np.uint8]) -> float:
    """Return the agreement when one thumbnail is stretched over the other, straight or mirrored: the only comparison
    left if there are too few keypoints for a transform."""
    matrix = np.zeros((2, 3))
    matrix[0, 0], matrix[1, 1] = query.shape[1] / match.shape[1], query.shape[0] / match.shape[0]
    return max(_overlaid(query, match, matrix, mirrored=mirrored, with_floor=False).mean for mirrored in (False, True))


def _overlaid(
    query: NDArray[np.uint8],
    match: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    *,
    mirrored: bool,
    with_floor: bool = True,
) -> Agreement:
    query_f, match_f = query.astype(np.float32), match.astype(np.float32)
    if mirrored:
        query_f = np.ascontiguousarray(query_f[:, ::-1])
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if scale <= 1.0:  # compare in the coarser frame: the finer picture is blurred to match it
        return _correlation(query_f, *_laid_over(match_f, matrix, query_f.shape, 1.0 / max(scale, 1e-3)), with_floor)
    inverse = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
    return _correlation(match_f, *_laid_over(query_f, inverse, match_f.shape, scale), with_floor)


def _laid_over(
    picture: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...], shrink: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Warp the picture by the matrix into a frame of that shape; return it with the mask of the frame that it
    covers."""
    sigma = 0.45 * math.sqrt(max(0.0, shrink**2 - 1.0))
    smooth = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture
    size = (shape[1], shape[0])
    moved = cv2.warpAffine(smooth, matrix, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(np.ones_like(picture), matrix, size, flags=cv2.INTER_NEAREST)
    return np.asarray(moved, dtype=np.float32), np.asarray(covered > 0.5, dtype=np.bool_)


def _correlation(
    a: NDArray[np.float32], b: NDArray[np.float32], covered: NDArray[np.bool_], with_floor: bool
) -> Agreement:
    """Correlate the windows of a and b inside `covered`. with_floor: takes as long as all the rest; the floor is 0
    without."""
    kernel = np.ones(_WINDOW, np.uint8)
    inside = cv2.erode(covered.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    if int(inside.sum()) < _WINDOW[0] * _WINDOW[1]:
        return NO_AGREEMENT
    a, b = np.asarray(cv2.GaussianBlur(a, (0, 0), 0.8)), np.asarray(cv2.GaussianBlur(b, (0, 0), 0.8))
    mean_a, mean_b = cv2.blur(a, _WINDOW), cv2.blur(b, _WINDOW)
    var_a = np.maximum(cv2.blur(a * a, _WINDOW) - mean_a * mean_a, 0.0)
    var_b = np.maximum(cv2.blur(b * b, _WINDOW) - mean_b * mean_b, 0.0)
    both = cv2.blur(a * b, _WINDOW) - mean_a * mean_b
    correlation = both / np.sqrt((var_a + _FLAT_LEVELS**2) * (var_b + _FLAT_LEVELS**2))
    weight = np.minimum(np.sqrt(np.maximum(var_a, var_b)), _ENOUGH_LEVELS) * (inside > 0)
    total = float(weight.sum())
    if total <= _FLAT_LEVELS:
        return NO_AGREEMENT
    textured = weight > _FLAT_LEVELS  # without texture, noise correlates with noise
    floor = (
        _weighted_quantile(correlation[textured], weight[textured], _FLOOR_SHARE)
        if with_floor and textured.any()
        else 0.0
    )
    return Agreement(float((correlation * weight).sum() / total), floor)


def _weighted_quantile(values: NDArray[np.float32], weights: NDArray[np.float32], share: float) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][int(np.searchsorted(below, share * below[-1]))])

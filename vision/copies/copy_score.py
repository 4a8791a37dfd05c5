"""How likely two pictures are one: a logistic model over what the descriptor, PDQ, the keypoints and the pixels
themselves say.

Trained by `models/train/copy_fusion.py`; the card copy_fusion says on what and how well it is calibrated.
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
PDQ_FAR_BITS: Final = 64  # from here on PDQ says nothing: unrelated photos come as near as 70 bits
_WINDOW: Final = (9, 9)
_FLAT_LEVELS: Final = 3.0  # noise of compression; a patch that varies less says nothing
_ENOUGH_LEVELS: Final = 20.0  # a patch that varies more counts no more: else one bold label outweighs the scene


_FLOOR_SHARE: Final = 0.1


class Agreement(NamedTuple):
    """Of the pixels of two pictures laid over one another. mean: local correlation, -1..1. floor: that which a tenth of
    what there is to see stays below; both 0 where there is too little to compare."""

    mean: float
    floor: float


NO_AGREEMENT: Final = Agreement(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class CopySignals:
    """pdq_bits: 0..256, 256 where unusable. agreement: see `agreement`; zeros without a geometry. fit_agreement: its
    mean where the two are simply stretched over one another."""

    geometry: Geometry
    agreement: Agreement
    fit_agreement: float
    pdq_bits: int
    cosine: float
    cosine_excess: float

    def features(self) -> NDArray[np.float64]:
        """In the order of FEATURES. span: a true copy shows most of the original, or is filled by it; a shared label is
        a small part of both. floor: of two banknotes or two bikes of one make most points agree, and some surely
        do not."""
        found = self.geometry
        log_inliers = math.log1p(found.inliers)
        agreement = max(0.0, self.agreement.mean)
        return np.array(
            [
                log_inliers,
                self.agreement.mean,
                found.inliers / max(1, found.candidates) * agreement,
                log_inliers * agreement,
                log_inliers * max(0.0, self.agreement.floor),
                log_inliers * max(found.shown_ratio, found.covers_ratio),
                max(0.0, 1.0 - self.pdq_bits / PDQ_FAR_BITS),
                self.cosine_excess,
                max(0.0, self.fit_agreement),
                max(0.0, self.cosine_excess) * max(agreement, self.fit_agreement),
            ]
        )


@dataclass(frozen=True, slots=True, eq=False)
class FusionModel:
    """Weights (10,) in the order of FEATURES, and the intercept. similar_cosine_min: above it two pictures look alike,
    which is noted and judges nobody; it depends on the descriptor, as the weights do.

    From what probability on a photo is called a copy is no part of the model: a rule says so (`claims.copies`)."""

    weights: NDArray[np.float64]
    intercept: float
    similar_cosine_min: float
    label: str

    def probability(self, signals: CopySignals) -> float:
        """0..1, calibrated on edited copies against look-alikes that a search brings up."""
        return 1.0 / (1.0 + math.exp(-float(self.weights @ signals.features()) - self.intercept))


@cache
def fusion_model() -> FusionModel:
    """The trained model. Raises ModelMissing, ModelCorrupt, ValueError when its features are not these."""
    return read_fusion(weights_path(NAME), card(NAME).label)


def read_fusion(path: Path, label: str) -> FusionModel:
    """A model as `models/train/copy_fusion.py` writes it. Raises ValueError or KeyError when it is none for these
    features."""
    return fusion_of(json.loads(path.read_text(encoding="utf-8")), label)


def fusion_of(content: Mapping[str, Any], label: str) -> FusionModel:
    """The same, of the file's JSON object."""
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
    """Whether the pixels agree where the transform lays one picture over the other.

    query, match: grey thumbnails of the two; query_ratio, match_ratio: their size as a share of the working pictures
    that the geometry was found in. Local correlations are of 9 x 9 windows, weighted by how much there is to see in
    them, so that a shared label on two otherwise different photos scores low. NO_AGREEMENT where the overlap is too
    small.
    """
    if geometry.inliers == 0:
        return NO_AGREEMENT
    matrix = geometry.matrix.copy()
    matrix[:, :2] *= query_ratio / match_ratio
    matrix[:, 2] *= query_ratio
    return _overlaid(query, match, matrix, mirrored=geometry.mirrored)


def fit_agreement(query: NDArray[np.uint8], match: NDArray[np.uint8]) -> float:
    """The agreement when one thumbnail is stretched over the other, straight or mirrored: what is left to compare where
    there are too few keypoints for a transform."""
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
    if scale <= 1.0:  # compare in the coarser frame: the finer picture is blurred down to it
        return _correlation(query_f, *_laid_over(match_f, matrix, query_f.shape, 1.0 / max(scale, 1e-3)), with_floor)
    inverse = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
    return _correlation(match_f, *_laid_over(query_f, inverse, match_f.shape, scale), with_floor)


def _laid_over(
    picture: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...], shrink: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The picture moved by the matrix into a frame of that shape, and where the frame is covered by it."""
    sigma = 0.45 * math.sqrt(max(0.0, shrink**2 - 1.0))
    smooth = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture
    size = (shape[1], shape[0])
    moved = cv2.warpAffine(smooth, matrix, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(np.ones_like(picture), matrix, size, flags=cv2.INTER_NEAREST)
    return np.asarray(moved, dtype=np.float32), np.asarray(covered > 0.5, dtype=np.bool_)


def _correlation(
    a: NDArray[np.float32], b: NDArray[np.float32], covered: NDArray[np.bool_], with_floor: bool
) -> Agreement:
    """Of the windows of a and b inside `covered`. with_floor: it takes as long as all the rest; 0 without."""
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
    seen = weight > _FLAT_LEVELS  # where there is nothing to see, noise correlates with noise
    floor = _weighted_quantile(correlation[seen], weight[seen], _FLOOR_SHARE) if with_floor and seen.any() else 0.0
    return Agreement(float((correlation * weight).sum() / total), floor)


def _weighted_quantile(values: NDArray[np.float32], weights: NDArray[np.float32], share: float) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][int(np.searchsorted(below, share * below[-1]))])

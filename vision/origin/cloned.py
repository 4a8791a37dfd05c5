"""Finds a part of the picture that appears in it twice, by comparing its keypoints with one another.

After Amerini et al., A SIFT-based forensic method for copy-move attack detection, 2011: nearest neighbours among a
picture's own keypoints, clearly nearer than the second nearest, that agree on one transform over a distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.copies.keypoints import Keypoints


@dataclass(frozen=True, slots=True)
class CloneLimits:
    """Limits of the search; distances are shares of the longer edge."""

    ratio_max: float = 0.6  # against the second neighbour elsewhere; a repeated form has many near neighbours
    distance_max: float = 0.45  # of RootSIFT descriptors (0..1.41): pasted pixels are nearly the same
    apart_min: float = 0.08
    reprojection_px: float = 3.0
    pairs_min: int = 4


@dataclass(frozen=True, slots=True)
class Clone:
    """A repeated part. points: distinct places that agree on one transform, 0 if none. apart: how far it moves them."""

    points: int
    apart: float


def clone(keypoints: Keypoints, limits: CloneLimits = CloneLimits()) -> Clone:
    """Return the strongest repetition in one picture."""
    nothing = Clone(0, 0.0)
    if len(keypoints) < 2 * limits.pairs_min:
        return nothing
    value = keypoints.descriptors.astype(np.float32)
    rooted = np.sqrt(value / np.maximum(value.sum(axis=1, keepdims=True), 1e-6))
    edge = float(max(keypoints.width_px, keypoints.height_px))
    places = keypoints.points[:, :2]
    offset = places[:, None] - places[None]
    near = np.hypot(offset[:, :, 0], offset[:, :, 1]) < limits.apart_min * edge
    similarity = rooted @ rooted.T
    similarity[near] = -1.0
    pairs = _pairs(similarity, places, limits, edge)
    if len(pairs) < limits.pairs_min:
        return nothing
    at, of = places[pairs[:, 0]], places[pairs[:, 1]]
    fitted, mask = cv2.estimateAffinePartial2D(
        np.ascontiguousarray(of), np.ascontiguousarray(at), method=cv2.RANSAC,
        ransacReprojThreshold=limits.reprojection_px, maxIters=500, confidence=0.99,
    )  # fmt: skip
    if fitted is None or not 0.5 <= math.hypot(fitted[0, 0], fitted[1, 0]) <= 2.0:
        return nothing
    agree = mask.ravel().astype(bool)
    moved = float(np.median(np.hypot(*(at[agree] - of[agree]).T))) / edge if agree.any() else 0.0
    places_seen = {(int(x / 4), int(y / 4)) for x, y in at[agree]}
    return Clone(len(places_seen), moved)


def _pairs(
    similarity: NDArray[np.float32], places: NDArray[np.float32], limits: CloneLimits, edge: float
) -> NDArray[np.intp]:
    """Return pairs of keypoints that are each other's nearest elsewhere, clearly nearer than the next place; each pair
    once."""
    rows = np.arange(len(similarity))
    first = similarity.argmax(axis=1)
    nearest = similarity[rows, first]
    elsewhere = similarity.copy()
    offset = places[first][:, None] - places[None]
    elsewhere[np.hypot(offset[:, :, 0], offset[:, :, 1]) < limits.apart_min * edge] = -1.0
    second = elsewhere.max(axis=1)
    distance, runner_up = (np.sqrt(np.maximum(2.0 - 2.0 * value, 0.0)) for value in (nearest, second))
    keep = (distance <= limits.distance_max) & (distance < limits.ratio_max * runner_up)
    # Keep one direction of each pair, the same for a whole patch: in reading order.
    order = (places[:, 1] * 4096 + places[:, 0]) < (places[first, 1] * 4096 + places[first, 0])
    return np.stack([rows[keep & order], first[keep & order]], axis=1)

"""Keypoints of a nose in its frame: RootSIFT on CLAHE, mutual ratio matches, one similarity transform by RANSAC.

RootSIFT after Arandjelovic and Zisserman, 2012. Inliers are evidence of sameness; their absence says little (blur and
wetness remove keypoints).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.align import FRAME_PX

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

KEYPOINTS_MAX = 250  # so that a template stays below 32 kB; with 300 the AUC of inliers is the same to .003
RATIO = 0.85
NEAR = 0.15 * FRAME_PX  # the frame is already aligned: a match farther away than this is another bead
RANSAC_PX = 6.0
SCALE_MIN, SCALE_MAX = 0.8, 1.25
LEVEL_MAX = 15  # a descriptor's entry takes four bits
LEVELS_OF_ONE = 512.0 / 9  # levels of an entry of 1; those above 135 / 512 are cut, which few reach


@dataclass(frozen=True, slots=True)
class NoseKeypoints:
    """Keypoints of one nose. points: float32 (n, 2), frame pixels, to 1/64 px. descriptors: uint8 (n, 128), RootSIFT
    in 16 levels."""

    points: Floats
    descriptors: Bytes


@dataclass(frozen=True, slots=True)
class NoseAgreement:
    """Agreement of two noses. inliers: matches that agree on `matrix`, float64 (2, 3), first frame to second; the
    identity if none agree (inliers 0)."""

    inliers: int
    matrix: npt.NDArray[np.float64]


def extract(grey: Bytes, inside: npt.NDArray[np.bool_]) -> NoseKeypoints:
    """Return the strongest 250 keypoints within `inside` of a frame, grey uint8 (320, 320), strongest first; there may
    be none."""
    even = cv2.createCLAHE(3.0, (8, 8)).apply(grey)
    sift = cv2.SIFT_create(nfeatures=3 * KEYPOINTS_MAX, contrastThreshold=0.01, edgeThreshold=20)  # type: ignore[attr-defined]
    detected, raw = sift.detectAndCompute(even, inside.astype(np.uint8))
    if raw is None or not detected:
        return NoseKeypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    order = np.argsort([-point.response for point in detected], kind="stable")[:KEYPOINTS_MAX]
    points = np.asarray([detected[index].pt for index in order], np.float32)
    points = np.asarray(np.clip(np.round(points * 64), 0, FRAME_PX * 64) / 64, np.float32)
    root = np.sqrt(raw[order] / np.maximum(raw[order].sum(axis=1, keepdims=True), 1e-6))
    return NoseKeypoints(points, levels(root))


def levels(root: npt.NDArray[np.floating[Any]]) -> Bytes:
    """Return RootSIFT entries, 0..1, as the 16 levels that a template keeps."""
    return np.clip(np.round(root * LEVELS_OF_ONE), 0, LEVEL_MAX).astype(np.uint8)


def agree(first: NoseKeypoints, second: NoseKeypoints) -> NoseAgreement:
    """Count the keypoints of two noses that agree on one similarity transform. Deterministic."""
    none = NoseAgreement(0, np.eye(2, 3))
    if len(first.points) < 4 or len(second.points) < 4:
        return none
    similarity = _unit(first.descriptors) @ _unit(second.descriptors).T
    distance = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    apart = np.hypot(*(first.points[:, None, axis] - second.points[None, :, axis] for axis in (0, 1)))
    distance = np.where(apart < NEAR, distance, 9.0)
    rows = np.arange(len(distance))
    nearest = distance.argmin(axis=1)
    best = distance[rows, nearest]
    others = distance.copy()
    others[rows, nearest] = 9.0
    # If the neighbourhood holds no second candidate, a typical distance between strangers stands in for it.
    keep = (best < RATIO * np.minimum(others.min(axis=1), 1.2)) & (distance.argmin(axis=0)[nearest] == rows)
    chosen = np.flatnonzero(keep)
    if len(chosen) < 3:
        return none
    matrix, flags = cv2.estimateAffinePartial2D(
        first.points[chosen], second.points[nearest[chosen]], method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PX
    )
    if matrix is None or not SCALE_MIN < float(np.hypot(matrix[0, 0], matrix[1, 0])) < SCALE_MAX:
        return none
    return NoseAgreement(int(flags.sum()), np.asarray(matrix, np.float64))


def _unit(descriptors: Bytes) -> Floats:
    values = descriptors.astype(np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)

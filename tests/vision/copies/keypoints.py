"""Compares keypoints that were derived with those that OpenCV extracts."""

from __future__ import annotations

import numpy as np

from vision.copies.keypoints import Keypoints


def alike(derived: Keypoints, computed: Keypoints) -> int:
    """Returns how many of the derived keypoints OpenCV extracted as well: at the same place, in the same direction,
    with nearly the same descriptor."""
    same = 0
    for point, descriptor in zip(derived.points, derived.descriptors, strict=True):
        near = np.abs(computed.points[:, :2] - point[:2]).max(axis=1) < 0.8
        near &= np.abs((computed.points[:, 3] - point[3] + 180) % 360 - 180) < 5
        distances = np.linalg.norm(computed.descriptors[near].astype(float) - descriptor.astype(float), axis=1)
        same += bool(len(distances)) and float(distances.min()) < 60
    return same

"""The keypoints of a picture, their form in the library, and the limits of what is compared by them.

A mirrored photo needs no second extraction: mirroring maps a SIFT descriptor to a permutation of itself (rows of its
4 x 4 grid in reverse order, orientation bins negated), which equals what OpenCV extracts from the mirrored pixels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HEADER: Final = struct.Struct("<4sHHH")
_MAGIC: Final = b"SKP1"
_GRID = np.arange(128).reshape(4, 4, 8)
_MIRROR: Final = np.flip(_GRID, axis=0)[:, :, (-np.arange(8)) % 8].reshape(-1)
# In a negative every gradient points the other way: the keypoint's direction turns by 180 degrees, and with it the
# grid that is laid along it; relative to that direction the gradients stay as they were.
_NEGATIVE: Final = np.flip(_GRID, axis=(0, 1)).reshape(-1)


@dataclass(frozen=True, slots=True)
class GeometryLimits:
    """Limits of an accepted transform. Lengths in pixels of the working picture (long edge `work_edge_px`).

    The consistency limits compare each keypoint pair's own turn and scale with the fitted transform: a pair at the
    right place with another direction is a coincidence.
    """

    work_edge_px: int = 512
    keypoints_max: int = 300
    ratio_max: float = 0.85  # nearest against second nearest distance
    reprojection_px: float = 5.0
    tight_px: float = 1.5  # a copy's points stay within it; in the original's pixels where the copy is enlarged
    fine_px: float = 0.5  # of a copy that no camera made, most points stay within it; in the same pixels
    exactness_inliers_min: int = 6  # fewer points fit any transform
    exactness_rounds: int = 4  # refits on the points that are within `tight_px`
    ransac_iterations_max: int = 1000
    ransac_confidence: float = 0.995
    turn_degrees_max: float = 25.0
    scale_octaves_max: float = 0.8
    scale_min: float = 0.08
    scale_max: float = 12.0
    spread_px_min: float = 6.0  # spread of the inliers across their narrower direction, in both pictures
    pairs_max: int = 40


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Keypoints of one picture.

    points: float32 (n, 4): x, y, size in working pixels, angle in degrees. descriptors: uint8 (n, 128), raw SIFT.
    width_px, height_px: of the working picture.
    """

    width_px: int
    height_px: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)

    def mirrored(self) -> Keypoints:
        """Return the keypoints of the same picture mirrored left to right."""
        points = self.points.copy()
        points[:, 0] = self.width_px - 1 - points[:, 0]
        points[:, 3] = (180.0 - points[:, 3]) % 360.0
        return Keypoints(self.width_px, self.height_px, points, self.descriptors[:, _MIRROR])

    def negated(self) -> Keypoints:
        """Return the keypoints of the same picture with its colours inverted."""
        points = self.points.copy()
        points[:, 3] = (points[:, 3] + 180.0) % 360.0
        return Keypoints(self.width_px, self.height_px, points, self.descriptors[:, _NEGATIVE])

    def to_bytes(self) -> bytes:
        """Return 144 bytes a keypoint, which `from_bytes` reads on any machine."""
        header = _HEADER.pack(_MAGIC, len(self), self.width_px, self.height_px)
        return header + self.points.astype("<f4").tobytes() + self.descriptors.tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> Keypoints:
        """Read what `to_bytes` wrote. Raises ValueError for anything else."""
        if len(data) < _HEADER.size:
            raise ValueError("keypoints: too short")
        magic, count, width_px, height_px = _HEADER.unpack_from(data)
        if magic != _MAGIC or len(data) != _HEADER.size + count * 144:
            raise ValueError("keypoints: not in the format SKP1")
        split = _HEADER.size + count * 16
        points = np.frombuffer(data[_HEADER.size : split], dtype="<f4").reshape(count, 4).astype(np.float32)
        descriptors = np.frombuffer(data[split:], dtype=np.uint8).reshape(count, 128)
        return Keypoints(width_px, height_px, points, descriptors)

"""The place of one picture in another in numbers: what `geometry.describe` says in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vision.copies.geometry import Geometry
from vision.copies.keypoints import Keypoints
from vision.measurement import Unmeasured

_HORIZON: Final = 0.05


@dataclass(frozen=True, slots=True)
class MeasuredPlacement:
    """Place of the match (the original) in the photo at hand, by the one transform on which keypoints agree.

    scale: pixels of the photo per pixel of the original, both as sent. degrees: rotation, -180..180, after mirroring.
    shown_ratio: share of the original's area that the photo shows. covers_ratio: share of the photo's area that it
    fills. outline: the original's four corners as fractions of the photo's width and height, clockwise in the original
    from its top left; they may lie outside of 0..1. Where the photo shows the original at an angle, the outline does
    too, and scale and degrees are those of the nearest transform without one.
    """

    scale: float
    degrees: float
    mirrored: bool
    shown_ratio: float
    covers_ratio: float
    outline: tuple[tuple[float, float], ...]


def place(
    relation: Geometry, query: Keypoints, match: Keypoints, source_scale: float = 1.0
) -> MeasuredPlacement | Unmeasured:
    """Return the placement. relation: in working pixels of `query` and `match`. source_scale: how much the files' own
    resolutions differ, relative to the working pictures'."""
    if relation.inliers == 0:
        return Unmeasured("no points agree on a transform")
    right, bottom = match.width_px, match.height_px
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], dtype=np.float64)
    if relation.warp is None:
        at = corners @ relation.matrix[:, :2].T + relation.matrix[:, 2]
    else:
        at = _warped(corners, relation.warp)
    at = at / (query.width_px, query.height_px)
    if relation.mirrored:
        at[:, 0] = 1.0 - at[:, 0]
    return MeasuredPlacement(
        scale=relation.scale * source_scale,
        degrees=relation.degrees,
        mirrored=relation.mirrored,
        shown_ratio=relation.shown_ratio,
        covers_ratio=relation.covers_ratio,
        outline=tuple((float(x), float(y)) for x, y in at),
    )


def _warped(corners: NDArray[np.float64], warp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners (n, 2) mapped by a homography. A corner beyond the horizon has no place; it is put far away in
    its direction."""
    moved = np.column_stack([corners, np.ones(len(corners))]) @ warp.T
    result: NDArray[np.float64] = moved[:, :2] / np.maximum(moved[:, 2:], _HORIZON)
    return result

"""The place of one picture in another in numbers: what `geometry.describe` says in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.copies.geometry import Geometry, Keypoints
from vision.measurement import Unmeasured


@dataclass(frozen=True, slots=True)
class MeasuredPlacement:
    """Place of the match (the original) in the photo at hand, by the one transform on which keypoints agree.

    scale: pixels of the photo per pixel of the original, both as sent. degrees: rotation, -180..180, after mirroring.
    shown_ratio: share of the original's area that the photo shows. covers_ratio: share of the photo's area that it
    fills. outline: the original's four corners as fractions of the photo's width and height, clockwise in the original
    from its top left; they may lie outside of 0..1.
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
    at = (corners @ relation.matrix[:, :2].T + relation.matrix[:, 2]) / (query.width_px, query.height_px)
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

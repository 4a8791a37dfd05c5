"""Parts of a picture: upright boxes, and quadrilaterals seen at an angle that are set right when they are cut out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PartBox:
    """A part of some picture: left, top, right, bottom in whole pixels; right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def corners(self) -> Corners:
        return ((self.left, self.top), (self.right, self.top), (self.right, self.bottom), (self.left, self.bottom))


@dataclass(frozen=True, slots=True)
class PartQuad:
    """A part whose edges are not upright, such as a screen or a sheet of paper seen at an angle.

    corners: in pixels of the picture, clockwise from the part's own top left. width, height: of the part set right, in
    whole pixels.
    """

    corners: Corners
    width: int
    height: int

    @property
    def area(self) -> float:
        return float(cv2.contourArea(np.array(self.corners, dtype=np.float32)))


Part = PartBox | PartQuad


def cut(pixels: NDArray[np.uint8], part: Part) -> NDArray[np.uint8]:
    """Return the part's pixels, upright: uint8 (height, width) or (height, width, 3)."""
    if isinstance(part, PartBox):
        return np.ascontiguousarray(pixels[part.top : part.bottom, part.left : part.right])
    to_part = np.linalg.inv(from_frame(part.corners, part.width, part.height))
    warped = cv2.warpPerspective(pixels, to_part, (part.width, part.height), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)


def from_frame(corners: Corners, width: float, height: float) -> NDArray[np.float64]:
    """Return the homography, float64 (3, 3), from an upright width x height picture of a part to where the part
    lies."""
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moved = cv2.getPerspectiveTransform(frame, np.array(corners, dtype=np.float32))
    return np.asarray(moved, dtype=np.float64)


def scaled(corners: Corners, factor: float) -> Corners:
    """Return the corners multiplied by `factor`."""
    a, b, c, d = ((x * factor, y * factor) for x, y in corners)
    return a, b, c, d


def is_upright(corners: Corners) -> bool:
    """True if the corners are those of an upright box, clockwise from its top left."""
    (left, top), (right, above), (across, bottom), (start, below) = corners
    return top == above and right == across and bottom == below and left == start

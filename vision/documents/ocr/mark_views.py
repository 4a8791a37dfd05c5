"""Shows the marks of a page for reading: each alone, level, and turned by quarters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.mark_ink import Mark, PageWithMarks, densities
from vision.documents.ocr.views import PageView, Pixels
from vision.documents.text.page import TextLine

_TILE_PX: Final = 224
_TURNS: Final = 4
_COLOURED: Final = 0.3  # difference of an ink's channels by the densest, from which it is stretched by its colour
_GAMMA: Final = 0.7


def read_turned(page: PageWithMarks, mark: Mark) -> tuple[PageView, ...]:
    """Return the mark alone, dark on white, level by its own direction and turned by quarters."""
    # Dots and worn ink are gaps; a small step of the lens closes them.
    ink = cv2.GaussianBlur(mark.ink.astype(np.float32), (0, 0), 0.8) > 0.35
    return _turned(page, mark, np.where(ink, np.uint8(0), np.uint8(255)))


def read_stretched(page: PageWithMarks, mark: Mark) -> tuple[PageView, ...]:
    """Return the plane of the mark's own ink around it, stretched from paper to full ink, in the same four turns: what
    was too faint for the mark shows there, and grey print does not if the mark is in colour."""
    density = densities(page.view.pixels)
    own = density[mark.ink > 0].mean(axis=0)
    tint = own - own.mean()
    if float(np.ptp(own)) < _COLOURED * float(own.max()):
        closed = cv2.morphologyEx(mark.ink, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        plane = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), 1.0)
    else:
        plane = cv2.GaussianBlur(np.maximum(density @ tint, 0).astype(np.float32), (0, 0), 1.2)
        plane = plane / max(1e-6, float(np.percentile(plane[mark.ink > 0], 60)))
    dark = 255 * (1 - np.clip(1.15 * plane - 0.15, 0, 1) ** _GAMMA)
    return _turned(page, mark, np.asarray(dark, dtype=np.uint8))


def _turned(page: PageWithMarks, mark: Mark, dark: npt.NDArray[np.uint8]) -> tuple[PageView, ...]:
    """Return the place of the mark in a picture of ink, level by the mark's own direction and turned by quarters."""
    (x, y), sides, degrees = mark.rect
    scale = _TILE_PX / (max(sides) * 1.25 + 1)
    views = []
    for quarter in range(_TURNS):
        turn = np.vstack([cv2.getRotationMatrix2D((x, y), degrees + 90 * quarter, scale), (0.0, 0.0, 1.0)])
        turn[:2, 2] += (_TILE_PX / 2 - x, _TILE_PX / 2 - y)
        grey = cv2.warpAffine(dark, turn[:2], (_TILE_PX, _TILE_PX), flags=cv2.INTER_AREA, borderValue=255)
        pixels = np.ascontiguousarray(np.repeat(np.asarray(grey, dtype=np.uint8)[..., None], 3, axis=2))
        views.append(PageView(pixels, page.view.to_picture @ np.linalg.inv(turn)))
    return tuple(views)


def side_by_side(views: Sequence[PageView]) -> Pixels:
    """Return four views as one picture, two by two, to be read at once."""
    rows = [np.hstack([view.pixels for view in views[at : at + 2]]) for at in range(0, len(views), 2)]
    return cast(Pixels, np.ascontiguousarray(np.vstack(rows)))


def of_each(views: Sequence[PageView], lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Return the lines of such a picture by view, each in its own pixels."""
    parts: list[list[TextLine]] = [[] for _ in views]
    for line in lines:
        x, y = np.mean(line.corners, axis=0)
        column, row = int(x >= _TILE_PX), int(y >= _TILE_PX)
        moved = tuple((cx - column * _TILE_PX, cy - row * _TILE_PX) for cx, cy in line.corners)
        parts[2 * row + column].append(TextLine(line.text, line.confidence, moved))  # type: ignore[arg-type]
    return parts

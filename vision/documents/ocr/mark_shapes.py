"""Tells by its shape what mark on a page is harmless: a seal, a filled area, the ring of a cup, a frame."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
Rect = tuple[tuple[float, float], tuple[float, float], float]
_SECTORS: Final = 36
# Share of the directions from the middle in which a ring has ink, and how near the ellipse.
_RING_MIN: Final = 0.68
_RING_WIDTH: Final = 0.09
_ASPECT_MAX: Final = 2.2
# Share of a rectangle that is ink all through it, and half its breadth by the print's height.
_FILLED_MIN: Final = 0.7
_FILLED_THICK: Final = 0.9
_FILLED_SIDE: Final = 0.2  # half its breadth by its shorter side: characters are thinner, however large
_INNER_GLYPH_MAX: Final = 0.36  # of a ring's shorter side: characters in a seal are smaller, its star is compact
_STAR: Final = 0.45  # least share of its hull that a star fills


def harmless_shape(ink: Mask, rect: Rect, print_px: float) -> str:
    """Return "fill", "ring" or "edge" for a shape that says nothing by itself, "" for any other."""
    if _filled(ink, rect, print_px):
        return "fill"
    if _ring(ink, rect):
        return "ring"
    return ""


def _filled(ink: Mask, rect: Rect, print_px: float) -> bool:
    """Return True for an area that is inked throughout: the head of a table, a shadow, a highlighter."""
    solid = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    area = max(1.0, rect[1][0] * rect[1][1])
    thick = float(depth.max())
    core = float((depth > 0.5 * thick).mean() * depth.size)
    return (float(ink.sum()) / area > _FILLED_MIN and thick > 0.5 * print_px) or (
        thick > max(_FILLED_THICK * print_px, _FILLED_SIDE * min(rect[1])) and core > 0.25 * float(ink.sum())
    )


def _ring(ink: Mask, rect: Rect) -> bool:
    """Return True if ink lies all around along an ellipse, and within it no glyph as large as those that void a
    bill."""
    shorter, longer = sorted(rect[1])
    if shorter <= 0 or longer > _ASPECT_MAX * shorter:
        return False
    points = cv2.findNonZero(ink).reshape(-1, 2).astype(np.float32)
    hull = cv2.convexHull(points)
    if len(hull) < 8:
        return False
    (cx, cy), (a, b), degrees = cv2.fitEllipse(hull)
    if min(a, b) < 0.5 * max(a, b) * 0.8:
        return False
    turn = np.radians(degrees)
    x, y = points[:, 0] - cx, points[:, 1] - cy
    u = (x * np.cos(turn) + y * np.sin(turn)) / (a / 2)
    v = (-x * np.sin(turn) + y * np.cos(turn)) / (b / 2)
    radius = np.hypot(u, v)
    near = np.abs(radius - 1) < _RING_WIDTH
    sectors = ((np.arctan2(v, u) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    share = len(np.unique(sectors[near])) / _SECTORS
    # The rim is thin: in most directions nothing fills the way from it to the middle.
    if share < _RING_MIN or float((radius < 0.75).mean()) > 0.75:
        return False
    inner = np.zeros_like(ink)
    inside = points[radius < 0.7].astype(int)
    inner[inside[:, 1], inside[:, 0]] = 1
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inner)
    for n in range(1, count):
        if min(stats[n][2], stats[n][3]) > _INNER_GLYPH_MAX * shorter:
            shape = cv2.findNonZero((labels == n).astype(np.uint8))
            if float(stats[n][4]) < _STAR * max(1.0, cv2.contourArea(cv2.convexHull(shape))):
                return False
    return True

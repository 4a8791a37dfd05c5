"""Finds the outline of a paper in a photo of it: four corners, or nothing if they are not certain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.views import Pixels

Quad = npt.NDArray[np.float32]  # (4, 2): corners in pixels, clockwise, from the one nearest the picture's top left


@dataclass(frozen=True, slots=True)
class OutlineLimits:
    """Limits from which four corners are certainly those of a paper.

    long_edge_px: size in which the picture is examined. levels: brightness thresholds that are tried. area_ratio_min:
    share of the whole picture. fill_ratio_min: share of the four corners' area that the bright (or dark) patch fills.
    angle_degrees_max: how far a corner may be from square. contrast_min: grey levels between inside and outside, along
    each side. border_ratio_min: distance from the picture's edge; a paper that touches it is cut off, and not certain.
    """

    long_edge_px: int = 640
    levels: int = 7
    area_ratio_min: float = 0.08
    fill_ratio_min: float = 0.94
    angle_degrees_max: float = 35.0
    contrast_min: float = 18.0
    border_ratio_min: float = 0.006


LIMITS = OutlineLimits()


def outlines(pixels: Pixels, limits: OutlineLimits = LIMITS) -> list[Quad]:
    """Return papers that stand out from their background, largest first, none inside or across another.

    pixels: uint8 (h, w, 3). Patches of one brightness are cut out at several levels; four-sided patches that fill their
    corners and stand out along every side are kept.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, limits.long_edge_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    # Close over the print, so that a patch is the paper and not the letters on it.
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (15, 15))
    smooth = np.asarray(cv2.GaussianBlur(cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel), (5, 5), 0), dtype=np.uint8)
    quads: list[tuple[float, Quad]] = []
    for level in _levels(smooth, limits.levels):
        mask = (smooth > level).astype(np.uint8)
        for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            quad = _quad(np.asarray(contour, dtype=np.int32), size, limits)
            if quad is not None and _stands_out(smooth, quad, limits.contrast_min):
                quads.append((float(cv2.contourArea(quad)), quad))
    kept: list[Quad] = []
    for _, quad in sorted(quads, key=lambda pair: -pair[0]):
        if all(_shared_area(quad, other) == 0 for other in kept):
            kept.append(quad)
    return [quad / np.float32(scale) for quad in kept]


def skew(quad: Quad) -> float:
    """Return how far the four corners are from an upright rectangle: the largest distance of a corner from the
    rectangle around them, as a share of its longer side."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    box = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    return float(np.linalg.norm(quad - box, axis=1).max() / max(high - low))


def _levels(grey: npt.NDArray[np.uint8], count: int) -> list[float]:
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    low, high = np.percentile(grey, (3, 97))
    return sorted({float(otsu), *(float(level) for level in np.linspace(low, high, count + 2)[1:-1])})


def _quad(contour: npt.NDArray[np.int32], size: tuple[int, int], limits: OutlineLimits) -> Quad | None:
    width, height = size
    hull = cv2.convexHull(contour)
    if cv2.contourArea(hull) < limits.area_ratio_min * width * height:
        return None
    perimeter = cv2.arcLength(hull, True)
    for share in (0.01, 0.02, 0.03, 0.04):
        corners = cv2.approxPolyDP(hull, share * perimeter, True)
        if len(corners) == 4:
            break
    else:
        return None
    quad = _clockwise(corners.reshape(4, 2).astype(np.float32))
    border = limits.border_ratio_min * max(width, height)
    if quad.min() < border or (quad > np.array([width, height]) - 1 - border).any():
        return None
    filled = cv2.contourArea(contour) / max(1.0, float(cv2.contourArea(quad)))
    if not limits.fill_ratio_min <= filled <= 2 - limits.fill_ratio_min:
        return None
    for index in range(4):
        before, after = quad[index - 1] - quad[index], quad[(index + 1) % 4] - quad[index]
        cosine = float(before @ after) / max(1e-6, float(np.linalg.norm(before) * np.linalg.norm(after)))
        if abs(np.degrees(np.arccos(np.clip(cosine, -1, 1))) - 90) > limits.angle_degrees_max:
            return None
    return quad


def _clockwise(corners: Quad) -> Quad:
    middle = corners.mean(axis=0)
    order = np.argsort(np.arctan2(corners[:, 1] - middle[1], corners[:, 0] - middle[0]))
    ordered = corners[order]
    return np.roll(ordered, -int(np.argmin(ordered.sum(axis=1))), axis=0)


def _stands_out(grey: npt.NDArray[np.uint8], quad: Quad, contrast_min: float) -> bool:
    """True if it is brighter inside than outside along most of every side."""
    middle = quad.mean(axis=0)
    height, width = grey.shape
    steps = np.linspace(0.08, 0.92, 25)[:, None]
    for index in range(4):
        start, end = quad[index], quad[(index + 1) % 4]
        along = start + (end - start) * steps
        normal = np.array([end[1] - start[1], start[0] - end[0]])
        normal = normal / max(1e-6, float(np.linalg.norm(normal)))
        if (middle - start) @ normal < 0:
            normal = -normal

        def sample(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            x = np.clip(np.round(points[:, 0]).astype(int), 0, width - 1)
            y = np.clip(np.round(points[:, 1]).astype(int), 0, height - 1)
            return np.asarray(grey[y, x], dtype=np.float64)

        difference = sample(along + 6 * normal) - sample(along - 6 * normal)
        if np.percentile(difference, 25) < contrast_min:
            return False
    return True


def _shared_area(first: Quad, second: Quad) -> float:
    return float(cv2.intersectConvexConvex(first, second)[0])

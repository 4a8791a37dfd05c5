"""Finds the screen or the sheet of paper that a picture shows at an angle: its largest quadrilateral with an edge on
all four sides.

The aspect of the part set right after Zhang and He, Whiteboard scanning and image enhancement, 2007.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.copies.parts import PartQuad, scaled

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QuadrilateralLimits:
    """Limits of a quadrilateral. Ratios of areas are to the picture's, of lengths to its longer edge; levels of 255.

    work_edge_px: the picture is searched at this size, unless its shorter edge then has fewer than edge_px_min.
    hull_share_min: how much of an outline's hull the four corners must hold. edge_levels_min: step across a side that
    counts at one point. side_support_min, support_min: share of the points at which the weakest side, and all four
    together, must step. frame_ratio: a side this near to the picture's own edge is that edge. focal_ratio: focal length
    of a phone's main camera, where the quadrilateral tells no better. levels: of brightness at which outlines are
    looked for, besides the one that parts bright from dark best.
    """

    work_edge_px: int = 320
    edge_px_min: int = 32
    area_ratio_min: float = 0.12
    area_ratio_max: float = 0.96
    hull_share_min: float = 0.9
    edge_levels_min: int = 12
    side_support_min: float = 0.6
    support_min: float = 0.8
    angle_degrees_min: float = 50.0
    side_ratio_min: float = 0.15
    frame_ratio: float = 0.02
    focal_ratio: float = 0.8
    levels: int = 3
    canny_levels: tuple[int, int] = (30, 80)


def find(grey: NDArray[np.uint8], limits: QuadrilateralLimits = QuadrilateralLimits()) -> PartQuad | None:
    """Return the largest quadrilateral in a picture, uint8 (h, w), that all limits allow; None if there is none. Its
    corners run clockwise from the one nearest to the picture's top left."""
    shrink = max(grey.shape) / limits.work_edge_px
    if shrink > 1.0:
        size = (max(1, round(grey.shape[1] / shrink)), max(1, round(grey.shape[0] / shrink)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    else:
        shrink = 1.0
    height, width = grey.shape
    if min(height, width) < limits.edge_px_min:
        return None
    smooth = np.asarray(cv2.GaussianBlur(grey, (3, 3), 0), dtype=np.uint8)
    largest, best = 0.0, None
    for outline in _outlines(smooth, limits):
        corners = _corners(outline, limits)
        if corners is None:
            continue
        area = float(cv2.contourArea(corners.astype(np.float32)))
        if area <= largest or not limits.area_ratio_min <= area / (width * height) <= limits.area_ratio_max:
            continue
        if _plausible(corners, width, height, limits) and _supported(smooth, corners, limits):
            largest, best = area, corners
    if best is None:
        return None
    corners = _from_top_left(best)
    across, down = _size(corners, width, height, limits)
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners.tolist()
    placed = scaled(((ax, ay), (bx, by), (cx, cy), (dx, dy)), shrink)
    return PartQuad(placed, max(1, round(across * shrink)), max(1, round(down * shrink)))


def _outlines(smooth: NDArray[np.uint8], limits: QuadrilateralLimits) -> Iterator[NDArray[np.int32]]:
    """Yield hulls of regions large enough: of what is brighter than each of a few levels, of its holes, and of what
    edges enclose."""
    otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
    spread = np.quantile(smooth[::4, ::4], np.linspace(0.2, 0.8, limits.levels))
    masks = [(smooth > level).astype(np.uint8) for level in {int(otsu), *map(int, spread)}]
    edges = cv2.dilate(cv2.Canny(smooth, *limits.canny_levels), np.ones((3, 3), np.uint8))
    smallest = limits.area_ratio_min * smooth.size
    for mask in [*masks, edges]:
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            if len(contour) >= 4:
                _, _, across, down = cv2.boundingRect(contour)
                if across * down >= smallest:
                    hull = cv2.convexHull(contour)
                    if cv2.contourArea(hull) >= smallest:
                        yield np.asarray(hull, dtype=np.int32)


def _corners(hull: NDArray[np.int32], limits: QuadrilateralLimits) -> Floats | None:
    """Return the four corners (4, 2), clockwise, if the hull is nearly a quadrilateral."""
    length = cv2.arcLength(hull, closed=True)
    for share in (0.02, 0.035, 0.05):
        rough = cv2.approxPolyDP(hull, share * length, closed=True)
        if len(rough) <= 4:
            break
    if len(rough) != 4:
        return None
    corners = rough[:, 0, :].astype(np.float64)
    if cv2.contourArea(rough) < limits.hull_share_min * cv2.contourArea(hull):
        return None
    return corners if _turn(corners) > 0 else corners[::-1]


def _turn(corners: Floats) -> float:
    """Return twice the signed area: positive if the corners run clockwise on the screen (y down)."""
    following = np.roll(corners, -1, axis=0)
    return float((corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]).sum())


def _plausible(corners: Floats, width: int, height: int, limits: QuadrilateralLimits) -> bool:
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if lengths.min() < limits.side_ratio_min * max(width, height):
        return False
    before = -np.roll(sides, 1, axis=0)
    cosines = (sides * before).sum(axis=1) / (lengths * np.roll(lengths, 1))
    if np.abs(cosines).max() > math.cos(math.radians(limits.angle_degrees_min)):
        return False
    # A side along the frame is no edge of anything.
    reach = limits.frame_ratio * max(width, height)
    middles = corners + sides / 2
    on_frame = (
        (middles[:, 0] < reach)
        | (middles[:, 0] > width - reach)
        | (middles[:, 1] < reach)
        | (middles[:, 1] > height - reach)
    )
    return int(on_frame.sum()) == 0


def _supported(smooth: NDArray[np.uint8], corners: Floats, limits: QuadrilateralLimits) -> bool:
    """True if the picture steps across each side nearly everywhere."""
    height, width = smooth.shape
    sides = np.roll(corners, -1, axis=0) - corners
    normals = np.column_stack([sides[:, 1], -sides[:, 0]]) / np.hypot(sides[:, 0], sides[:, 1])[:, None]
    along = np.linspace(0.08, 0.92, 32)[None, :, None]
    points = corners[:, None, :] + along * sides[:, None, :]
    steps = []
    for shift in (-1.5, 0.0, 1.5):  # the side may be off by a pixel or two
        inner, outer = (
            np.rint(points + (shift + reach) * normals[:, None, :]).astype(np.intp) for reach in (-2.0, 2.0)
        )
        levels = [
            smooth[at[..., 1].clip(0, height - 1), at[..., 0].clip(0, width - 1)].astype(np.int16)
            for at in (inner, outer)
        ]
        steps.append(np.abs(levels[0] - levels[1]))
    shares = (np.max(steps, axis=0) >= limits.edge_levels_min).mean(axis=1)
    return bool(shares.min() >= limits.side_support_min and shares.mean() >= limits.support_min)


def _from_top_left(corners: Floats) -> Floats:
    return np.roll(corners, -int((corners[:, 0] + corners[:, 1]).argmin()), axis=0)


def _size(corners: Floats, width: int, height: int, limits: QuadrilateralLimits) -> tuple[float, float]:
    """Return width and height of the part set right, with about as many pixels as it has in the picture."""
    ratio = _aspect(corners, width, height, limits)
    area = float(cv2.contourArea(corners.astype(np.float32)))
    return math.sqrt(area * ratio), math.sqrt(area / ratio)


def _aspect(corners: Floats, width: int, height: int, limits: QuadrilateralLimits) -> float:
    """Return width / height of the rectangle that a camera sees as these corners; the camera looks at the middle of the
    picture."""
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    plain = float((sides[0] + sides[2]) / (sides[1] + sides[3]))
    centred = np.column_stack([corners - (width / 2, height / 2), np.ones(4)])
    top_left, top_right, bottom_right, bottom_left = centred
    diagonal = np.cross(top_left, bottom_right)
    k2 = diagonal @ bottom_left / (np.cross(top_right, bottom_right) @ bottom_left)
    k3 = diagonal @ top_right / (np.cross(bottom_left, bottom_right) @ top_right)
    n2, n3 = k2 * top_right - top_left, k3 * bottom_left - top_left
    usual = limits.focal_ratio * max(width, height)
    focal_squared = usual**2
    if abs(n2[2] * n3[2]) > 1e-3:
        told = -(n2[0] * n3[0] + n2[1] * n3[1]) / (n2[2] * n3[2])
        if (0.5 * usual) ** 2 <= told <= (2.5 * usual) ** 2:
            focal_squared = told
    lengths = [math.sqrt((n[0] ** 2 + n[1] ** 2) / focal_squared + n[2] ** 2) for n in (n2, n3)]
    ratio = lengths[0] / max(lengths[1], 1e-9)
    return ratio if 0.5 * plain <= ratio <= 2 * plain else plain

"""Finds further views inside a picture: it without its uniform border, the photo inside an app's screenshot, the cells
of a collage.

A recursive XY-cut (after Nagy and Seth, Hierarchical representation of optically scanned documents, 1984): a region is
trimmed of uniform lines, then split at uniform lines, or else at one straight edge across its whole width or height.
Most photos have neither and cost only the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.copies import grid, quadrilateral
from vision.copies.grid import GridLimits
from vision.copies.parts import Part, PartBox, PartQuad, scaled
from vision.copies.quadrilateral import QuadrilateralLimits

_STRIDE = 8


@dataclass(frozen=True, slots=True)
class ViewLimits:
    """Limits of the search. Lengths are shares of the whole picture's edges; levels are of 255."""

    work_edge_px: int = 384
    uniform_levels_max: int = 14  # spread of a line that still counts as uniform
    edge_levels_min: int = 16  # step between two lines that counts at one point
    edge_share_min: float = 0.72  # share of the line's points that must step
    side_ratio_min: float = 0.14  # a narrower part is a caption or a button
    area_ratio_min: float = 0.04
    area_ratio_max: float = 0.96  # a larger part counts as the picture itself
    depth_max: int = 3
    views_max: int = 12  # nine cells of a grid, and what lies around it
    grids: bool = True
    grid_area_ratio_min: float = 0.25
    grid: GridLimits = field(default_factory=GridLimits)
    quadrilateral: QuadrilateralLimits = field(default_factory=QuadrilateralLimits)


def find(pixels: NDArray[np.uint8], limits: ViewLimits = ViewLimits()) -> tuple[Part, ...]:
    """Return parts in pixels of the picture, uint8 (h, w, 3), at most `limits.views_max`: the cells of a grid, a screen
    or paper set right, then boxes, largest first. The whole picture is not one of them."""
    height, width = pixels.shape[:2]
    scale = min(1.0, limits.work_edge_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    small = grey.astype(np.int16)
    whole = PartBox(0, 0, size[0], size[1])
    regions = sorted(_parts(small, whole, limits, depth=0), key=lambda box: -box.area)
    cells = _cells(small, whole, regions, limits)
    boxes = list(cells)
    for box in regions:
        ratio = box.area / whole.area
        if (
            limits.area_ratio_min <= ratio <= limits.area_ratio_max
            and not any(_same(box, other) for other in boxes)
            and not _union(box, cells)
        ):
            boxes.append(box)
    parts: list[Part] = [_scaled(box, 1 / scale, width, height) for box in boxes]
    tilted = quadrilateral.find(np.asarray(grey, dtype=np.uint8), limits.quadrilateral)
    if tilted is not None and not _among(tilted, boxes):
        corners = scaled(tilted.corners, 1 / scale)
        right_size = (max(1, round(tilted.width / scale)), max(1, round(tilted.height / scale)))
        parts.insert(len(cells), PartQuad(corners, *right_size))
    return tuple(parts[: limits.views_max])


def _cells(grey: NDArray[np.int16], whole: PartBox, boxes: Sequence[PartBox], limits: ViewLimits) -> list[PartBox]:
    """Return the cells of a grid that fills the picture without its border, or else its largest part; empty if there is
    none."""
    if not limits.grids:
        return []
    trimmed = _trim(grey, whole, limits)
    if trimmed is None:
        return []
    inner = [box for box in boxes if box.area < 0.9 * trimmed.area][:1]
    for box in (trimmed, *inner):
        if box.area >= limits.grid_area_ratio_min * whole.area:
            cells = grid.cells(grey, box, limits.uniform_levels_max, limits.grid)
            if cells:
                return cells
    return []


def _among(quad: PartQuad, boxes: Sequence[PartBox]) -> bool:
    """True if the quadrilateral is hardly tilted and one of the boxes already."""
    around = _around(quad)
    return quad.area >= 0.93 * around.area and any(_same(around, box) for box in boxes)


def _around(quad: PartQuad) -> PartBox:
    """Return the upright box around the quadrilateral."""
    xs, ys = zip(*quad.corners, strict=True)
    return PartBox(round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys)))


def _union(box: PartBox, cells: Sequence[PartBox]) -> bool:
    """True if the box is made up of several of the cells but not of all: a row of a collage, which no photo is."""
    inside = [cell for cell in cells if _covered(cell, box) >= 0.9 * cell.area]
    return 1 < len(inside) < len(cells) and sum(cell.area for cell in inside) >= 0.85 * box.area


def overlap_ratio(a: PartBox, b: PartBox) -> float:
    """Return the area that two boxes share as a share of the area that they cover together."""
    shared = _covered(a, b)
    return shared / (a.area + b.area - shared)


def _covered(a: PartBox, b: PartBox) -> float:
    across = max(0, min(a.right, b.right) - max(a.left, b.left))
    return across * max(0, min(a.bottom, b.bottom) - max(a.top, b.top))


def _parts(grey: NDArray[np.int16], box: PartBox, limits: ViewLimits, depth: int) -> Iterator[PartBox]:
    """Yield the regions inside `box`, parents before their children."""
    trimmed = _trim(grey, box, limits)
    if trimmed is None:
        return
    if depth or trimmed != box:
        yield trimmed
    if depth >= limits.depth_max:
        return
    pieces = _split(grey, trimmed, limits)
    if len(pieces) < 2:
        return
    side_min = limits.side_ratio_min * min(grey.shape)
    for piece in pieces:
        if min(piece.width, piece.height) >= side_min:
            yield from _parts(grey, piece, limits, depth + 1)


def _uniform(lines: NDArray[np.int16], limits: ViewLimits) -> NDArray[np.bool_]:
    """Return True for each row of `lines` of which all but a hundredth is of one level."""
    count, length = lines.shape
    result = np.ones(count, np.bool_)
    if length >= 8 * _STRIDE:
        # Every eighth point tells of most rows that they are not: fewer than a hundredth of a row's points, and of
        # those taken at most as many, lie beyond either of its quantiles.
        beyond = int(0.01 * (length - 1)) + 1
        few = np.sort(lines[:, ::_STRIDE], axis=1, kind="stable")
        if 2 * beyond < few.shape[1]:
            result = (few[:, -1 - beyond] - few[:, beyond]) <= limits.uniform_levels_max
    rows = np.flatnonzero(result)
    if len(rows):
        ordered = np.sort(lines[rows], axis=1, kind="stable")  # a radix sort: several times faster than percentile
        result[rows] = (_at(ordered, 0.99) - _at(ordered, 0.01)) <= limits.uniform_levels_max
    return result


def _at(ordered: NDArray[np.int16], share: float) -> NDArray[np.float64]:
    """Return, for each ordered row, the quantile at that share, interpolated between neighbours."""
    place = share * (ordered.shape[1] - 1)
    before = int(place)
    after = min(before + 1, ordered.shape[1] - 1)
    low, high = ordered[:, before].astype(np.float64), ordered[:, after].astype(np.float64)
    return np.asarray(low + (high - low) * (place - before), dtype=np.float64)


def _trim(grey: NDArray[np.int16], box: PartBox, limits: ViewLimits) -> PartBox | None:
    """Return the box without uniform lines on any side; None if nothing is left."""
    for _ in range(2):  # columns may become uniform only once the rows are gone
        region = grey[box.top : box.bottom, box.left : box.right]
        rows = np.flatnonzero(~_uniform(region, limits))
        if len(rows) == 0:
            return None
        top, bottom = box.top + int(rows[0]), box.top + int(rows[-1]) + 1
        columns = np.flatnonzero(~_uniform(grey[top:bottom, box.left : box.right].T, limits))
        if len(columns) == 0:
            return None
        box = PartBox(box.left + int(columns[0]), top, box.left + int(columns[-1]) + 1, bottom)
    return box


def _split(grey: NDArray[np.int16], box: PartBox, limits: ViewLimits) -> list[PartBox]:
    region = grey[box.top : box.bottom, box.left : box.right]
    spans = _spans(_uniform(region, limits))
    if len(spans) > 1:
        return [PartBox(box.left, box.top + a, box.right, box.top + b) for a, b in spans]
    spans = _spans(_uniform(region.T, limits))
    if len(spans) > 1:
        return [PartBox(box.left + a, box.top, box.left + b, box.bottom) for a, b in spans]
    cut = _cut(region, limits)
    if cut:
        return [
            PartBox(box.left, box.top, box.right, box.top + cut),
            PartBox(box.left, box.top + cut, box.right, box.bottom),
        ]
    cut = _cut(region.T, limits)
    if cut:
        return [
            PartBox(box.left, box.top, box.left + cut, box.bottom),
            PartBox(box.left + cut, box.top, box.right, box.bottom),
        ]
    return []


def _spans(uniform: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return runs of lines that are not uniform, as (start, end)."""
    edges = np.diff(np.concatenate([[True], uniform, [True]]).astype(np.int8))
    return list(zip(np.flatnonzero(edges == -1).tolist(), np.flatnonzero(edges == 1).tolist(), strict=True))


def _cut(lines: NDArray[np.int16], limits: ViewLimits) -> int:
    """Return the row at which nearly the whole line steps, away from the ends; 0 if there is none."""
    count = len(lines)
    margin = max(2, int(count * limits.side_ratio_min))
    if count < 2 * margin + 2:
        return 0
    shares = (grid.steps(lines) >= limits.edge_levels_min).mean(axis=1)[margin - 1 : count - margin]
    best = int(shares.argmax())
    return best + margin if shares[best] >= limits.edge_share_min else 0


def _same(a: PartBox, b: PartBox) -> bool:
    return _covered(a, b) >= 0.85 * max(a.area, b.area)


def _scaled(box: PartBox, factor: float, width: int, height: int) -> PartBox:
    return PartBox(
        max(0, round(box.left * factor)),
        max(0, round(box.top * factor)),
        min(width, max(round(box.left * factor) + 1, round(box.right * factor))),
        min(height, max(round(box.top * factor) + 1, round(box.bottom * factor))),
    )

"""Cuts the print of a page into two blocks, wherever two papers may meet.

Two papers lie side by side or one above the other, neither quite straight, may touch, or lie turned against each other.
Each cut is a straight line that (nearly) no line of text crosses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vision.documents.text.page import PageText

Mask = npt.NDArray[np.bool_]
Direction = Literal["beside", "above", "turned"]


@dataclass(frozen=True, slots=True)
class CutLimits:
    """Limits of what counts as a cut between two blocks of print.

    degrees: by how much a cut may lean. lines_min, characters_ratio_min: what must lie on either side. overlap_heights:
    by how many heights of a line the boxes of two blocks may reach across the cut, as the reader draws boxes a little
    too wide. crossing_max: lines across the cut, of those that the reader ran together where two papers touch.
    cuts_max: of one direction, the widest gaps first.
    upright_ratio: a line is upright that is so many times taller than wide, and lies if it is as much wider.
    turned_lines_min: in the smaller block of two that are turned against each other. turned_shared_ratio_max: by how
    much of the smaller one they may overlap.
    """

    degrees: tuple[float, ...] = (0.0, -3.0, 3.0, -6.0, 6.0, -10.0, 10.0)
    lines_min: int = 4
    characters_ratio_min: float = 0.12
    overlap_heights: float = 0.6
    crossing_max: int = 1
    cuts_max: int = 40
    upright_ratio: float = 1.8
    turned_lines_min: int = 6
    turned_shared_ratio_max: float = 0.1


LIMITS: Final = CutLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Two blocks of one page. first, second: bool, shape (lines,): which lines are in each. direction: how they lie to
    each other; the first is the left or upper one. crossing: lines of text that lie across the cut, each given to the
    side that has more of it."""

    first: Mask
    second: Mask
    direction: Direction
    crossing: int = 0


def cuts(page: PageText, limits: CutLimits = LIMITS) -> Iterator[Cut]:
    """Yield every way to cut the page in two, each division once."""
    if len(page.lines) < 2 * limits.lines_min:
        return
    yield from _turned(page, limits)
    corners = np.array([line.corners for line in page.lines], dtype=np.float64)
    heights = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    characters = np.array([len(line.text) for line in page.lines])
    directions: tuple[tuple[Direction, float], ...] = (("beside", 0.0), ("above", 90.0))
    for direction, across in directions:
        divisions: dict[bytes, tuple[float, Mask, int]] = {}
        for degrees in limits.degrees:
            lean = math.radians(across + degrees)
            along = corners @ np.array([math.cos(lean), math.sin(lean)])
            for gap, before, crossing in _gaps(along, float(np.median(heights)), limits):
                share = characters[before].sum() / max(1, characters.sum())
                enough = min(int(before.sum()), int((~before).sum())) >= limits.lines_min
                if not enough or not limits.characters_ratio_min <= share <= 1 - limits.characters_ratio_min:
                    continue
                key = before.tobytes()
                if key not in divisions or crossing < divisions[key][2] or gap > divisions[key][0]:
                    divisions[key] = (gap, before, crossing)
        widest = sorted(divisions.values(), key=lambda division: (division[2], -division[0]))
        for _, before, crossing in widest[: limits.cuts_max]:
            yield Cut(before, ~before, direction, crossing)


def _gaps(along: npt.NDArray[np.float64], height: float, limits: CutLimits) -> Iterator[tuple[float, Mask, int]]:
    """Yield (width of the gap, lines before it, lines across it) for each place where a cut may be.

    along: where the corners of each line lie, across the cut.
    """
    low, high = along.min(axis=1), along.max(axis=1)
    middle = (low + high) / 2
    inward = np.minimum(limits.overlap_heights * height, 0.45 * (high - low))
    low, high = low + inward, high - inward
    # A cut right behind the end of each line covers all divisions.
    places = np.unique(high)[:, None]
    across = (low < places) & (high > places)
    before = np.where(across, middle <= places, high <= places)
    crossings = across.sum(axis=1)
    ends = np.where(before & ~across, high, -np.inf).max(axis=1)
    starts = np.where(~before & ~across, low, np.inf).min(axis=1)
    for at in np.flatnonzero((crossings <= limits.crossing_max) & np.isfinite(ends) & np.isfinite(starts)):
        yield float(starts[at] - ends[at]), before[at], int(crossings[at])


def _turned(page: PageText, limits: CutLimits) -> Iterator[Cut]:
    """Yield the block of lines that lie and that of lines that stand upright, if they do not lie within each other: on
    one paper only single words stand upright."""
    corners = np.array([line.corners for line in page.lines], dtype=np.float64)
    wide, tall = np.ptp(corners[:, :, 0], axis=1), np.ptp(corners[:, :, 1], axis=1)
    lying, upright = wide > limits.upright_ratio * tall, tall > limits.upright_ratio * wide
    if min(int(upright.sum()), int(lying.sum())) < limits.turned_lines_min:
        return
    middles = corners.mean(axis=1)
    boxes = [np.percentile(middles[group], (5, 95), axis=0) for group in (upright, lying)]
    low, high = np.maximum(boxes[0][0], boxes[1][0]), np.minimum(boxes[0][1], boxes[1][1])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    least = min(float(np.prod(np.maximum(box[1] - box[0], 1.0))) for box in boxes)
    characters = np.array([len(line.text) for line in page.lines])
    share = min(characters[upright].sum(), characters[lying].sum()) / max(1, characters.sum())
    if share >= limits.characters_ratio_min and shared <= limits.turned_shared_ratio_max * least:
        yield Cut(lying, upright, "turned")


def part(page: PageText, chosen: Mask) -> PageText:
    """Return the page with only the chosen ones of its lines."""
    lines = tuple(line for line, taken in zip(page.lines, chosen, strict=True) if taken)
    return PageText(page.width_px, page.height_px, lines, page.model)

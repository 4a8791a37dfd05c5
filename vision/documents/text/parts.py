"""Finds parts of a paper that a heading names: what stands below it in its column, or beside an upright heading."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vision.documents.text.layout import GLOSS, Cell, Row, row_of

_ROWS_MAX: Final = 6  # below a heading
_REACH: Final = 3.0  # character heights above and below an upright heading within which its part may begin and end
_ADORNED = re.compile(r"^[\W_]+|[\W_]+$")
_NO_ROW: Final = Row((), "")
#: Headings of parts that end the one above or beside them, besides those that a kind searches.
OTHER_PART: Final = r"\S{0,8}(?:信息|资料|详情|情况|结算)"


def parts(rows: Sequence[Row], heading: str, headings: Sequence[str]) -> list[list[Row]]:
    """Return, for every such heading, its part of the page: as many rows as `rows`, with only what stands in the part.

    heading, headings: regular expressions of a whole cell, this one's and those of all parts that the kind searches.
    """
    own = re.compile(rf"(?:{heading}){GLOSS}", re.IGNORECASE)
    every = re.compile(rf"(?:{'|'.join(headings)}){GLOSS}", re.IGNORECASE)
    return _below(rows, own, every) + _beside(rows, own, every)


def _bare(text: str) -> str:
    """Return a heading without its decoration: [收件人], ■ 收件信息:"""
    return _ADORNED.sub("", text)


def _below(rows: Sequence[Row], own: re.Pattern[str], every: re.Pattern[str]) -> list[list[Row]]:
    """Return the rows below a heading, down to the next heading there. A column reaches from its heading to that of the
    next one in the same row, and the first from the left edge."""
    below = []
    for index, row in enumerate(rows):
        for number, cell in enumerate(row.cells):
            text = _bare(cell.text)
            if len(text) < 2 or own.fullmatch(text) is None:  # a single mark stands beside its part
                continue
            left = cell.left - cell.height if number else -math.inf
            right = row.cells[number + 1].left - cell.height if number + 1 < len(row.cells) else math.inf
            part = [_NO_ROW] * len(rows)
            for at in range(index + 1, min(len(rows), index + 1 + _ROWS_MAX)):
                cells = tuple(other for other in rows[at].cells if left <= other.left < right)
                if any(every.fullmatch(_bare(other.text)) for other in cells):
                    break
                part[at] = row_of(cells)
            below.append(part)
    return below


@dataclass(frozen=True, slots=True)
class _Upright:
    """A heading whose characters stand one below another: 购 above 买 above 方."""

    text: str
    cells: tuple[Cell, ...]

    @property
    def left(self) -> float:
        return min(cell.left for cell in self.cells)

    @property
    def right(self) -> float:
        return max(cell.right for cell in self.cells)

    @property
    def top(self) -> float:
        return self.cells[0].middle

    @property
    def bottom(self) -> float:
        return self.cells[-1].middle

    @property
    def reach(self) -> float:
        return _REACH * max(cell.height for cell in self.cells)


def _beside(rows: Sequence[Row], own: re.Pattern[str], every: re.Pattern[str]) -> list[list[Row]]:
    """Return what stands right of an upright heading: nearer to it than to the next one above and below, and left of
    the next one beside it."""
    uprights = [heading for stack in _stacks(rows) for heading in _words(stack, every)]
    beside = []
    for upright in uprights:
        if own.fullmatch(upright.text) is None:
            continue
        column = [other for other in uprights if other.left < upright.right and upright.left < other.right]
        above = [(other.bottom + upright.top) / 2 for other in column if other.bottom < upright.top]
        below = [(other.top + upright.bottom) / 2 for other in column if other.top > upright.bottom]
        top, bottom = max([upright.top - upright.reach, *above]), min([upright.bottom + upright.reach, *below])
        right = min(
            (
                other.left
                for other in uprights
                if other.left > upright.right and other.top < bottom and top < other.bottom
            ),
            default=math.inf,
        )
        beside.append(
            [
                row_of(
                    tuple(
                        c
                        for c in row.cells
                        if upright.right <= c.left + c.height
                        and c.left < right
                        and top < c.middle < bottom
                        and c not in upright.cells
                    )
                )
                for row in rows
            ]
        )
    return beside


def _stacks(rows: Sequence[Row]) -> list[list[Cell]]:
    """Return stacks of single Chinese characters that stand one below another, from top to bottom."""
    alone = [cell for row in rows for cell in row.cells if re.fullmatch(r"[\u3400-\u9fff]", _bare(cell.text))]
    stacks: list[list[Cell]] = []
    for cell in sorted(alone, key=lambda cell: cell.middle):
        for stack in stacks:
            last = stack[-1]
            apart = abs(last.left + last.right - cell.left - cell.right) / 2
            size = max(last.height, cell.height)
            if apart < 0.6 * size and 0.5 * size < cell.middle - last.middle < _REACH * size:
                stack.append(cell)
                break
        else:
            stacks.append([cell])
    return stacks


def _words(stack: Sequence[Cell], every: re.Pattern[str]) -> list[_Upright]:
    """Return the headings that a stack consists of; none if it contains anything else."""
    text = "".join(_bare(cell.text) for cell in stack)
    words = [match.span() for match in every.finditer(text)]
    if "".join(text[start:end] for start, end in words) != text:
        return []
    return [_Upright(text[start:end], tuple(stack[start:end])) for start, end in words]

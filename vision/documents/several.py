"""Detects two papers in one picture. Their fields could be mixed up, so neither is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.kinds.catalogue import Catalogue
from vision.documents.parse import parse
from vision.documents.text.normalise import plain
from vision.documents.text.page import UNKNOWN, PageText, PaperReading, TextLine

_GUTTERS_MAX = 8
_SHARE_MIN = 0.2  # share of the characters on either side of a gutter


def several_papers(
    page: PageText, today: date, catalogue: Catalogue, regions: Sequence[npt.NDArray[np.float32]] = ()
) -> str:
    """Return the kinds of the two papers, "" if there is only one paper or none.

    The page is cut along every wide gutter between its lines, across and down, and both parts are read; so are
    `regions` (four corners each, pixels of the page), where outlines were found. Two parts that are each a whole paper,
    of different kinds or with different numbers, are two papers.
    """
    titles = re.compile("|".join(f"(?:{kind.title})" for kind in catalogue.values()), re.IGNORECASE)
    for parts in (*_halves(page), *_in_regions(page, regions)):
        if not all(any(titles.search(plain(line.text)) for line in part.lines) for part in parts):
            continue
        first, second = (parse(part, today, catalogue) for part in parts)
        if _whole(first, catalogue) and _whole(second, catalogue) and _differ(first, second):
            return f"{first.kind} and {second.kind}"
    return ""


def _whole(reading: PaperReading, catalogue: Catalogue) -> bool:
    """True if the part has its kind's title and all that the kind requires, except at most one field, with nothing that
    speaks against any: half a receipt has another sum as its total."""
    if reading.kind == UNKNOWN or reading.doubtful or len(reading.missing_fields) > 1:
        return False
    kind = catalogue[reading.kind]
    titled = any(re.search(kind.title, line, re.IGNORECASE) for line in reading.lines)
    return titled and (not kind.keys or any(all(reading.value(name) for name in key) for key in kind.keys))


def _differ(first: PaperReading, second: PaperReading) -> bool:
    if first.kind != second.kind:
        return not first.missing_fields and not second.missing_fields
    names = first.keys[0] if first.keys else tuple(field.name for field in first.fields)
    return any(
        first.value(name) and second.value(name) and first.value(name) != second.value(name) for name in names
    ) and all(first.value(name) for name in names)


def _halves(page: PageText) -> Iterator[tuple[PageText, PageText]]:
    characters = sum(len(line.text) for line in page.lines)
    for axis in (0, 1):
        spans = sorted(((*_span(line, axis), line) for line in page.lines), key=lambda span: span[:2])
        gaps: list[tuple[float, float]] = []
        reach = 0.0
        for low, high, _ in spans:
            if reach and low > reach:
                gaps.append((low - reach, (low + reach) / 2))
            reach = max(reach, high)
        for _, cut in sorted(gaps, reverse=True)[:_GUTTERS_MAX]:
            before = [line for low, _, line in spans if low < cut]
            share = sum(len(line.text) for line in before) / max(1, characters)
            if _SHARE_MIN <= share <= 1 - _SHARE_MIN:
                yield _part(page, before), _part(page, [line for low, _, line in spans if low >= cut])


def _in_regions(page: PageText, regions: Sequence[npt.NDArray[np.float32]]) -> Iterator[tuple[PageText, PageText]]:
    inside = [
        _part(page, [line for line in page.lines if cv2.pointPolygonTest(region, _middle(line), False) >= 0])
        for region in regions
    ]
    yield from combinations(inside, 2)


def _middle(line: TextLine) -> tuple[float, float]:
    return sum(x for x, _ in line.corners) / 4, sum(y for _, y in line.corners) / 4


def _span(line: TextLine, axis: int) -> tuple[float, float]:
    at = [corner[axis] for corner in line.corners]
    return min(at), max(at)


def _part(page: PageText, lines: Sequence[TextLine]) -> PageText:
    return PageText(page.width_px, page.height_px, tuple(lines), page.model)

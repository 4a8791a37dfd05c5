"""Pages of text lines without a picture, each string placed as a printer would place it: tests parsing without OCR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from vision.documents.text.page import PageText, TextLine

CHARACTER_PX = 24
ROW_PX = 50

# A row is its cells from left to right; a cell is text, or (x in pixels, text).
RowOfCells = Sequence[str | tuple[int, str]]
MakePage = Callable[..., PageText]


def _page(rows: Sequence[RowOfCells], *, confidence: float = 0.98, tilt: float = 0.0) -> PageText:
    lines = []
    for index, row in enumerate(rows):
        x = 60
        for cell in row:
            at, text = (x, cell) if isinstance(cell, str) else cell
            width = sum(CHARACTER_PX if ord(character) > 0x2E80 else CHARACTER_PX // 2 for character in text)
            top = 80 + index * ROW_PX
            left_y, right_y = top + tilt * at, top + tilt * (at + width)
            corners = ((at, left_y), (at + width, right_y), (at + width, right_y + 30), (at, left_y + 30))
            lines.append(TextLine(text, confidence, corners))
            x = at + width + 60
    return PageText(1400, 160 + ROW_PX * len(rows), tuple(lines), "test@0")


@pytest.fixture
def page_of() -> MakePage:
    return _page

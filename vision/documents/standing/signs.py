"""Sees which amounts of a row are printed below zero, also by a minus that was read by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from vision.documents.text.layout import Cell, Row
from vision.documents.text.normalise import CURRENCY, amounts, negative
from vision.documents.text.page import FieldReading, PageBox

_SIGN_ALONE: Final = re.compile(rf"(?:{CURRENCY})?\s*")
_SIGN_APART_MAX = 1.2  # heights between a minus that was read by itself and its amount


def signed_amounts(row: Row, *, decimals_required: bool = True) -> Iterator[tuple[Cell, int, bool, str]]:
    """Yield every amount in the row, whole ones only if asked for: its cell, its size in minor units, True if it is
    negative, and its text with the sign."""
    for number, cell in enumerate(row.cells):
        for start, end, minor in amounts(cell.text, decimals_required=decimals_required):
            below_zero = negative(cell.text, start, end)
            if not below_zero and number and _SIGN_ALONE.fullmatch(cell.text[:start]):
                last = row.cells[number - 1]
                below_zero = last.text == "-" and cell.left - last.right < _SIGN_APART_MAX * cell.height
            yield cell, minor, below_zero, f"-{cell.text[start:end]}" if below_zero else cell.text[start:end]


def printed_below_zero(rows: Sequence[Row], field: FieldReading) -> str:
    """Return the amount of a field as printed if it is negative, "" if it is not, or is not found where it was read."""
    for row in rows:
        for cell, minor, below_zero, text in signed_amounts(row, decimals_required=False):
            if below_zero and str(minor) == field.value and _around(cell.box, field.box):
                return text
    return ""


def _around(outer: PageBox, inner: PageBox) -> bool:
    edge = 0.002  # boxes are rounded
    return (
        outer.left - edge <= inner.left
        and inner.right <= outer.right + edge
        and outer.top - edge <= inner.top
        and inner.bottom <= outer.bottom + edge
    )

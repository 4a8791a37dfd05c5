"""Sees whether an amount is printed below zero: a minus before or behind it, brackets around it, CR behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from vision.documents.text.layout import Cell, Row
from vision.documents.text.normalise import CURRENCY, amounts
from vision.documents.text.page import FieldReading, PageBox

# A minus right before the amount or its currency, in either order. Digits before it make a range or a code.
_MINUS_BEFORE: Final = re.compile(rf"(?<![\d-])-(?:\s?{CURRENCY}\s{{0,2}})?$|{CURRENCY}\s?-\s?$", re.IGNORECASE)
# One with a space behind it begins its cell or follows a colon or bracket; between words it is a dash (TOTAL - 20.00).
_MINUS_APART: Final = re.compile(rf"(?:^|[:(])\s?-\s(?:{CURRENCY}\s{{0,2}})?$", re.IGNORECASE)
_BRACKET_BEFORE: Final = re.compile(r"\(\s?(?:(?:RM|\$|USD|MYR)\s?)?$", re.IGNORECASE)
_BEHIND: Final = re.compile(r"\s?\)?-(?=\s|$|[^\d\w-])|\s?CR\b", re.IGNORECASE)
_SIGN_APART_MAX = 1.2  # heights between a minus that was read by itself and its amount


def below_zero(text: str, start: int, end: int) -> bool:
    """Return True if the amount in `text[start:end]`, normalised by `plain`, is printed with a sign that makes it
    negative."""
    before, behind = text[:start], text[end:]
    if _MINUS_BEFORE.search(before) or _MINUS_APART.search(before) or _BEHIND.match(behind):
        return True
    return _BRACKET_BEFORE.search(before) is not None and re.match(r"\s?\)", behind) is not None


def signed_amounts(row: Row, *, decimals_required: bool = True) -> Iterator[tuple[Cell, int, bool, str]]:
    """Yield every amount in the row, whole ones only if asked for: its cell, its size in minor units, True if it is
    negative, and its text with the sign."""
    for number, cell in enumerate(row.cells):
        for start, end, minor in amounts(cell.text, decimals_required=decimals_required):
            negative = below_zero(cell.text, start, end)
            if not negative and number and not cell.text[:start].strip("¥$ "):
                last = row.cells[number - 1]
                negative = last.text == "-" and cell.left - last.right < _SIGN_APART_MAX * cell.height
            yield cell, minor, negative, f"-{cell.text[start:end]}" if negative else cell.text[start:end]


def printed_below_zero(rows: Sequence[Row], field: FieldReading) -> str:
    """Return the amount of a field as printed if it is negative, "" if it is not, or is not found where it was read."""
    for row in rows:
        for cell, minor, negative, text in signed_amounts(row, decimals_required=False):
            if negative and str(minor) == field.value and _around(cell.box, field.box):
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

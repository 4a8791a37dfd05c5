"""Records of a paper as read: lines of text, fields, items, checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class PaperKind(StrEnum):
    OUTPATIENT_INVOICE = "outpatient_invoice"
    PARCEL_SLIP = "parcel_slip"
    RECEIPT = "receipt"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Box:
    """Left, top, right, bottom as fractions (0..1) of the page."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line as the engine found it.

    corners: four (x, y) in pixels of the picture read, clockwise from the text's own top left. confidence: 0..1, the
    mean over the line's characters.
    """

    text: str
    confidence: float
    corners: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PageText:
    """All lines of one picture of `width_px` by `height_px`; `model` is the card's label of what read it."""

    width_px: int
    height_px: int
    lines: tuple[TextLine, ...]
    model: str


@dataclass(frozen=True, slots=True)
class PaperField:
    """A field: `value` normalised (ISO dates, minor units as digits); `confidence` is the least of the lines it was
    read from.
    """

    name: str
    value: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class PaperItem:
    """One line of a bill. `item_class` is 甲, 乙, 丙, 自费 or "" where the paper does not say."""

    text: str
    item_class: str
    amount_minor: int


CheckName = Literal[
    "items_sum_to_total", "capital_amount_equals_total", "insurance_and_cash_equal_total", "date_is_plausible"
]


@dataclass(frozen=True, slots=True)
class PaperCheck:
    """An arithmetic or format check within one paper; `detail` shows both sides. A check whose sides were not both
    read is absent.
    """

    name: CheckName
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class PaperReading:
    """One paper as read.

    lines: the normalised text of each line, top to bottom. read_confidence: the least confidence among the
    money-relevant fields (`parse.MONEY_FIELDS`), 0 when none of them was found: then nothing is known of the amount.
    missing_fields: required for the kind, not found.
    """

    kind: PaperKind
    fields: tuple[PaperField, ...]
    items: tuple[PaperItem, ...]
    checks: tuple[PaperCheck, ...]
    lines: tuple[str, ...]
    read_confidence: float
    missing_fields: tuple[str, ...]
    model: str

    def value(self, field_name: str) -> str:
        """The field's value, or "" when the paper does not show it."""
        return next((field.value for field in self.fields if field.name == field_name), "")

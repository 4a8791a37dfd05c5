"""Records of a paper as read: lines of text, fields, items, codes, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: The kind of a page whose words point to none, or to several. Every other kind is a file
#: (`vision.documents.kinds.catalogue`).
UNKNOWN: Final = "unknown"

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class PageBox:
    """A box: left, top, right, bottom as fractions (0..1) of the page."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line as the engine read it.

    corners: four (x, y) in pixels of the picture read, clockwise from the text's own top left. confidence: 0..1, the
    mean over the line's characters.
    """

    text: str
    confidence: float
    corners: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PageText:
    """All lines of one picture of `width_px` by `height_px`; `model`: label of the card that read it."""

    width_px: int
    height_px: int
    lines: tuple[TextLine, ...]
    model: str


@dataclass(frozen=True, slots=True)
class FieldReading:
    """A field: `value` normalised (ISO dates, minor units as digits); `confidence` is the least of the lines it was
    read from.

    box: on the picture as it was sent, whichever way the page lay in it. corners: the same piece of paper more
    precisely, four (x, y) fractions of the picture, clockwise from the text's own top left; empty if the box is just as
    precise.
    """

    name: str
    value: str
    confidence: float
    box: PageBox
    corners: Points = ()


@dataclass(frozen=True, slots=True)
class RefusedField:
    """A field, and why the printed text is not taken as its value, or not relied on."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PaperCode:
    """A decoded QR or bar code. symbology: as zxing names it, such as QRCode or Code128."""

    symbology: str
    text: str
    box: PageBox


@dataclass(frozen=True, slots=True)
class ItemReading:
    """One line of a bill. `item_class` is 甲, 乙, 丙, 自费 or "" if the paper does not say."""

    text: str
    item_class: str
    amount_minor: int


CurrencySource = Literal["sign", "code", "word", "country", "script", ""]


@dataclass(frozen=True, slots=True)
class CurrencyReading:
    """The currency of a paper. code: of ISO 4217, "" if the paper does not tell. read_from: what told it, or, without a
    code, what left it open: a sign or code beside an amount, a word, the merchant's country, the script. text: that
    print; box: its place. country: ISO 3166 code of the merchant's country, "" if unknown."""

    code: str
    read_from: CurrencySource = ""
    text: str = ""
    box: PageBox = PageBox(0.0, 0.0, 0.0, 0.0)
    country: str = ""


CheckName = Literal[
    "items_sum_to_total",
    "capital_amount_equals_total",
    "insurance_and_cash_equal_total",
    "net_and_tax_equal_total",
    "price_less_discount_equals_total",
    "stay_days_match_dates",
    "date_is_plausible",
    "code_matches_text",
    "text_layer_matches_picture",
    "signature_covers_file",
    "digits_look_untouched",
]


@dataclass(frozen=True, slots=True)
class CheckReading:
    """An agreement or contradiction within one paper; `detail` shows both sides. A check whose sides were not both read
    is absent."""

    name: CheckName
    passed: bool
    detail: str


#: What a paper is that is no paid bill (`StandingSign`).
Standing = Literal[
    "void",  # or cancelled
    "refund",  # money back, wholly
    "negative",  # a total below zero, or red letters that undo another bill
    "reimbursed",  # somebody has paid on it before
    "copy",
    "estimate",  # quotation, pro forma, before the settlement
    "unpaid",
    "deposit",  # money in advance of a bill
    "sample",
    "training",
    "statement",  # of an account, which lists bills
    "no_voucher",  # says itself that it is no receipt
    "unstated",  # the page of an app on which no state was read that means paid
    "unshown",  # nothing on the page shows that it was paid
]
#: How a standing was told: from words in print, from a stamp, from the sign of an amount, from an amount in capitals.
ToldBy = Literal["words", "stamp", "sign", "capitals"]


@dataclass(frozen=True, slots=True)
class StandingSign:
    """A sign that the paper is no paid bill, the words that tell it, and where they stand on the picture as sent."""

    standing: Standing
    words: str
    told_by: ToldBy
    box: PageBox


@dataclass(frozen=True, slots=True)
class PaperReading:
    """One paper as read.

    kind: the name of a kind in the catalogue, or UNKNOWN. lines: the normalised text of each line, top to bottom.
    read_confidence: the least confidence among the money-relevant fields of the kind, 0 if none of them was read: then
    nothing is known of the amount. missing_fields: required for the kind, not read. refused: read but not believed.
    keys: names of fields that tell this paper from every other, in one or several ways. relied_on: fields that money or
    a required answer rests on. alike: those of them that two models read identically. may_show: names of all fields of
    the kind. doubtful: read, but possibly from the wrong place, or written by hand. handwritten: names of those written
    by hand. rival_kind: another kind that the words point to nearly as much, "" for none. currency: of its amounts,
    which are in that currency's minor units (hundredths if it is unknown); None for a reading of which nobody asked it.
    amounts_required: the required fields that are amounts. standing: signs that it is no paid bill, the gravest first,
    () for a paid bill. marks_unread: large marks across the print that may undo the bill and were not read, the most
    telling words of each, or how it looks.
    """

    kind: str
    fields: tuple[FieldReading, ...]
    items: tuple[ItemReading, ...]
    checks: tuple[CheckReading, ...]
    lines: tuple[str, ...]
    read_confidence: float
    missing_fields: tuple[str, ...]
    model: str
    refused: tuple[RefusedField, ...] = ()
    codes: tuple[PaperCode, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    relied_on: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    doubtful: tuple[RefusedField, ...] = ()
    may_show: tuple[str, ...] = ()
    rival_kind: str = ""
    currency: CurrencyReading | None = None
    amounts_required: tuple[str, ...] = ()
    standing: tuple[StandingSign, ...] = ()
    handwritten: tuple[str, ...] = ()
    marks_unread: tuple[str, ...] = ()

    def field(self, name: str) -> FieldReading | None:
        """Return the field of that name, None if the paper does not show it."""
        return next((field for field in self.fields if field.name == name), None)

    def value(self, field_name: str) -> str:
        """Return the field's value, or "" if the paper does not show it."""
        return next((field.value for field in self.fields if field.name == field_name), "")

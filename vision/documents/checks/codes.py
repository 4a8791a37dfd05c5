"""Compares QR and bar codes with the printed text. Decoding is done by the OCR process (`vision.documents.ocr.child`).

A code is plain text that anybody can print: if it agrees, the paper is consistent, which does not prove it genuine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from vision.documents.kinds.catalogue import PaperKind
from vision.documents.text.normalise import AMOUNT_MINOR_END, tracking_key
from vision.documents.text.page import CheckReading, PaperCode

# 01,TYPE,CODE,NUMBER,AMOUNT,YYYYMMDD,CHECKCODE,CRC, as printed on the tax authority's invoices.
_FISCAL = re.compile(
    r"01,(?P<type>\d{2}),(?P<code>\d{0,12}),(?P<number>\d{8,20}),(?P<amount>\d{1,11}(?:\.\d{1,2})?),(?P<day>\d{8}),"
    r"(?P<check>[0-9A-Za-z]{0,32}),(?P<crc>[0-9A-Fa-f]{0,8}),?",
    re.ASCII,
)
#: The type of 数电票, whose code states the total; every other type states the amount before tax.
WHOLE_AMOUNT_TYPE = "32"
_MATRIX = frozenset({"QRCode", "DataMatrix"})
_TRACKING_DIGITS_MIN = 10
_NUMBER_CHARACTERS_MIN = 8


@dataclass(frozen=True, slots=True)
class FiscalCode:
    """The content of an invoice's QR code. code and check are "" on the newest type."""

    type: str
    code: str
    number: str
    amount_minor: int
    day: date


def fiscal(text: str) -> FiscalCode | None:
    """Return the content of an invoice's QR code, None for any other text: no field may be missing, malformed or out of
    range."""
    match = _FISCAL.fullmatch(text.strip())
    if match is None:
        return None
    digits = match["day"]
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    whole, _, fraction = match["amount"].partition(".")
    amount_minor = int(whole) * 100 + int((fraction + "00")[:2])
    if amount_minor >= AMOUNT_MINOR_END:
        return None
    if match["type"] == WHOLE_AMOUNT_TYPE and (match["code"] or len(match["number"]) != 20):
        return None
    return FiscalCode(match["type"], match["code"], match["number"], amount_minor, day)


def code_check(kind: PaperKind, values: Mapping[str, str], codes: Sequence[PaperCode]) -> CheckReading | None:
    """Return code_matches_text, None if no code states anything that was also read in print."""
    if "tracking_number" in kind.fields:
        return _tracking(values, codes)
    stated = [payload for code in codes if (payload := fiscal(code.text)) is not None]
    sides = [side for payload in stated for side in _sides(values, payload)]
    if not sides:
        return _mentioned(values, codes)
    words = "; ".join(f"{name}: the code says {code}, the print {printed}" for name, code, printed in sides)
    return CheckReading("code_matches_text", all(code == printed for _, code, printed in sides), words)


def _mentioned(values: Mapping[str, str], codes: Sequence[PaperCode]) -> CheckReading | None:
    """Check the other codes, which lead to a web page: one that contains the paper's number agrees; any other says
    nothing."""
    name = "number" if "number" in values else "order_number"
    printed = values.get(name, "")
    if len(printed) >= _NUMBER_CHARACTERS_MIN and any(
        printed in re.split(r"[^0-9A-Za-z]+", code.text.upper()) for code in codes
    ):
        return CheckReading("code_matches_text", True, f"{name}: the code has {printed} in it")
    return None


def _sides(values: Mapping[str, str], payload: FiscalCode) -> list[tuple[str, str, str]]:
    """Return (name, coded value, printed value) of all that both state."""
    amount = "total_minor" if payload.type == WHOLE_AMOUNT_TYPE or "net_minor" not in values else "net_minor"
    if payload.type != WHOLE_AMOUNT_TYPE and amount == "total_minor" and "tax_minor" in values:
        amount = ""  # the amount before tax was not read: nothing to compare
    coded = {"code": payload.code, "number": payload.number, "date": payload.day.isoformat()}
    if amount:
        coded[amount] = str(payload.amount_minor)
    return [(name, code, values[name]) for name, code in coded.items() if code and name in values]


def _tracking(values: Mapping[str, str], codes: Sequence[PaperCode]) -> CheckReading | None:
    """Check the codes of a delivery slip. A bar code carries the slip's number or the order's; a QR code may carry
    anything and counts only if it contains the number. Short bar codes are those of routes and sorting."""
    printed = values.get("tracking_number", "")
    if not printed:
        return None
    keys = {tracking_key(code.text): code for code in codes if code.symbology not in _MATRIX}
    numbers = [key for key in keys if len(re.sub(r"\D", "", key)) >= _TRACKING_DIGITS_MIN]
    if printed in numbers:
        return CheckReading("code_matches_text", True, f"tracking_number: the bar code and the print say {printed}")
    if any(printed in tracking_key(code.text) for code in codes if code.symbology in _MATRIX):
        return CheckReading("code_matches_text", True, f"tracking_number: the QR code and the print say {printed}")
    other = next((number for number in numbers if number != values.get("order_number", "")), None)
    if other is None:
        return None
    return CheckReading("code_matches_text", False, f"tracking_number: the bar code says {other}, the print {printed}")

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

# 01,TYPE,CODE,NUMBER,AMOUNT,YYYYMMDD,CHECKCODE,CRC, as printed on the tax authority's invoices. A red-letter invoice
# states a negative amount.
_FISCAL = re.compile(
    r"01,(?P<type>\d{2}),(?P<code>\d{0,12}),(?P<number>\d{8,20}),(?P<amount>-?\d{1,11}(?:\.\d{1,2})?),(?P<day>\d{8}),"
    r"(?P<check>[0-9A-Za-z]{0,32}),(?P<crc>[0-9A-Fa-f]{0,8}),?",
    re.ASCII,
)
#: The types of 数电票 (31 special, 32 ordinary), whose code states the total; every other type states the amount
#: before tax.
WHOLE_AMOUNT_TYPES = frozenset({"31", "32"})
# The treasury's electronic bills (财政电子票据): either the bill's code of 8 digits, its number of 10 and its check
# code of 6 in a list, or the same as parameters of a link. Issuers differ in order and names, so the shapes decide.
_BILL_LIST = re.compile(r"(?:^|,)(?P<code>\d{8}),(?P<number>\d{10})(?=,|$)", re.ASCII)
_BILL_PARAMETERS = {
    "code": re.compile(r"[?&](?:billbatchcode|billcode|einvoicecode|pjdm|fpdm)=(\d{8})(?=&|#|$)", re.ASCII | re.I),
    "number": re.compile(r"[?&](?:billno|billnumber|einvoicenumber|pjhm|fphm)=(\d{10})(?=&|#|$)", re.ASCII | re.I),
    "check_code": re.compile(r"[?&](?:random|randomnumber|checkcode|jym)=([0-9A-Za-z]{6})(?=&|#|$)", re.ASCII | re.I),
}
_CHECK_CODE = re.compile(r"[0-9A-Za-z]{6}", re.ASCII)
_MONEY = re.compile(r"-?\d{1,11}\.\d{2}", re.ASCII)
_PRINTED = {
    "code": re.compile(r"票据代码\s?:?\s?(\d{8})(?!\d)", re.ASCII),
    "check_code": re.compile(r"校验码\s?:?\s?([0-9A-Za-z]{6})(?![0-9A-Za-z])", re.ASCII),
}
_MATRIX = frozenset({"QRCode", "DataMatrix"})
_TRACKING_DIGITS_MIN = 10
_NUMBER_CHARACTERS_MIN = 8
_CODE_CHARACTERS_MAX = 400


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
    amount_minor = _minor(match["amount"])
    if abs(amount_minor) >= AMOUNT_MINOR_END:
        return None
    if match["type"] in WHOLE_AMOUNT_TYPES and (match["code"] or len(match["number"]) != 20):
        return None
    return FiscalCode(match["type"], match["code"], match["number"], amount_minor, day)


def _minor(amount: str) -> int:
    whole, _, fraction = amount.lstrip("-").partition(".")
    minor = int(whole) * 100 + int((fraction + "00")[:2])
    return -minor if amount.startswith("-") else minor


def treasury_bill(text: str) -> dict[str, str]:
    """Return what the code of a 财政电子票据 states, by name: code, number, check_code, date, total_minor. Empty
    for any other text."""
    text = text.strip()
    stated = {name: match[1] for name, shape in _BILL_PARAMETERS.items() if (match := shape.search(text))}
    if "number" in stated:
        return stated
    match = _BILL_LIST.search(text) if len(text) <= _CODE_CHARACTERS_MAX else None
    if match is None or (match["code"].startswith(("19", "20")) and _day(match["code"])):
        return {}  # a day and a patient's number; no region's code begins so
    stated = {"code": match["code"], "number": match["number"]}
    for part in text[match.end() :].strip(",").split(","):
        if "date" not in stated and (day := _day(part)):
            stated["date"] = day
        elif "check_code" not in stated and _CHECK_CODE.fullmatch(part):
            stated["check_code"] = part
        elif "total_minor" not in stated and _MONEY.fullmatch(part):
            stated["total_minor"] = str(_minor(part))
    return stated


def _day(digits: str) -> str:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat() if len(digits) == 8 else ""
    except ValueError:
        return ""


def code_check(
    kind: PaperKind, values: Mapping[str, str], codes: Sequence[PaperCode], lines: Sequence[str] = ()
) -> CheckReading | None:
    """Return code_matches_text, None if no code states anything that was also read in print. lines: the print, for what
    is no field of the kind."""
    if "tracking_number" in kind.fields:
        return _tracking(values, codes)
    stated = [payload for code in codes if (payload := fiscal(code.text)) is not None]
    sides = [side for payload in stated for side in _sides(values, payload)]
    if not stated:
        sides = [side for code in codes for side in _bill_sides(values, treasury_bill(code.text), lines)]
    if not sides:
        return _mentioned(values, codes)
    words = "; ".join(f"{name}: the code says {code}, the print {printed}" for name, code, printed in sides)
    alike = all(code.upper() == printed.upper() for _, code, printed in sides)
    return CheckReading("code_matches_text", alike, words)


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


def _bill_sides(
    values: Mapping[str, str], stated: Mapping[str, str], lines: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Return (name, coded value, printed value) of all that the code of an electronic bill and its print both state."""
    printed = {name: value for name, shape in _PRINTED.items() if (value := _once(shape, lines))} if stated else {}
    printed |= {name: value for name, value in values.items() if name != "code" or "code" not in printed}
    return [(name, coded, printed[name]) for name, coded in stated.items() if name in printed]


def _once(shape: re.Pattern[str], lines: Sequence[str]) -> str:
    """Return what the lines state in that shape, "" if nothing or several things."""
    stated = {match[1] for line in lines for match in shape.finditer(line)}
    return stated.pop() if len(stated) == 1 else ""


def _sides(values: Mapping[str, str], payload: FiscalCode) -> list[tuple[str, str, str]]:
    """Return (name, coded value, printed value) of all that both state."""
    amount = "total_minor" if payload.type in WHOLE_AMOUNT_TYPES or "net_minor" not in values else "net_minor"
    if payload.type not in WHOLE_AMOUNT_TYPES and amount == "total_minor" and "tax_minor" in values:
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

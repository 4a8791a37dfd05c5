"""Text of papers to values: widths, amounts, dates, weights. All but `plain` take text that went through it."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from vision.measurement import Unmeasured

_ONE_KIND = str.maketrans("–—−‐，。【】〔〕", "----,.[][]")

# One, then groups of three after commas, or plain digits; a fraction of one or two digits. Spaces inside come from
# the reader.
# At most twelve digits: what is longer is a number of something else.
AMOUNT = r"(?:\d{1,3}(?:\s?,\s?\d{3}){1,3}|\d{1,12})(?:\s?\.\s?\d{1,2})?(?!\d)"
_AMOUNT = re.compile(r"(?<!\d)" + AMOUNT)


def plain(text: str) -> str:
    """NFKC (full-width digits, ：, ￥ become ASCII ones or ¥), one kind of dash and bracket, single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).translate(_ONE_KIND)).strip()


def amount_minor(text: str) -> int | Unmeasured:
    """The amount at the start of `text`, in minor units: "1,234.50" gives 123450, "12.5" 1250, "¥7" 700."""
    found = re.match(rf"\s*(?:¥|Y(?=\d)|RM|\$|CNY|RMB)?\s*\.?\s*({AMOUNT})", text, re.IGNORECASE)
    if found is None:
        return Unmeasured(f"no amount at the start of {text!r}")
    whole, _, fraction = re.sub(r"[\s,]", "", found.group(1)).partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])


_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS = {name: number for number, name in enumerate(_NAMES.split("|"), 1)}
_MONTH = rf"({_NAMES})[a-z]*"
_YEAR = r"((?:19|20)\d{2}|\d{2}(?!\d))"
_YEAR_FIRST = re.compile(
    r"(?<!\d)((?:19|20)\d{2})\s?(?:年|[-/.])\s?(\d{1,2})\s?(?:月|[-/.])\s?(\d{1,2})(?:\s?日)?(?!\d{3})"
)
_DAY_FIRST = re.compile(r"(?<![\d-])(\d{1,2})(\s?[-/.]\s?)(\d{1,2})\2" + _YEAR)
_DAY_MONTH_NAME = re.compile(rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th)?[\s\-/.,']*{_MONTH}[\s\-/.,']*{_YEAR}", re.IGNORECASE)
_MONTH_NAME_DAY = re.compile(
    rf"(?<![a-z]){_MONTH}[\s\-/.,]*(\d{{1,2}})(?:st|nd|rd|th)?[\s,\-/]+((?:19|20)\d{{2}})", re.IGNORECASE
)
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year + 2000 if year < 100 else year, month, day)
    except ValueError:
        return None


def dates(text: str) -> list[tuple[int, int, date]]:
    """Every date in `text` as (start, end, date), in order.

    Day before month where both orders are possible (12/03/2018 is 12 March); month first only where nothing else is.
    """
    found: list[tuple[int, int, date]] = []

    def add(match: re.Match[str], *attempts: tuple[int, int, int]) -> None:
        if any(match.start() < end and start < match.end() for start, end, _ in found):
            return
        for attempt in attempts:
            day = _day(*attempt)
            if day is not None:
                found.append((match.start(), match.end(), day))
                return

    for match in _YEAR_FIRST.finditer(text):
        add(match, (int(match[1]), int(match[2]), int(match[3])))
    for match in _DAY_MONTH_NAME.finditer(text):
        add(match, (int(match[3]), _MONTHS[match[2].lower()], int(match[1])))
    for match in _MONTH_NAME_DAY.finditer(text):
        add(match, (int(match[3]), _MONTHS[match[1].lower()], int(match[2])))
    for match in _DAY_FIRST.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        attempts = [(year, second, first), (year, first, second)]
        if len(match[4]) == 2 and first > 12:
            attempts.append((first, second, year))
        add(match, *attempts)
    for match in _COMPACT.finditer(text):
        add(match, (int(match[1]), int(match[2]), int(match[3])))
    return sorted(found)


_WEIGHT = re.compile(r"(\d+(?:\s?\.\s?\d+)?)\s?(kg|千克|公斤|g|克|斤)", re.IGNORECASE)
_GRAMS = {"kg": 1000, "千克": 1000, "公斤": 1000, "g": 1, "克": 1, "斤": 500}


def weight_g(text: str) -> int | Unmeasured:
    """The first weight in `text`, in grams; a unit must stand beside the number."""
    found = _WEIGHT.search(text)
    if found is None:
        return Unmeasured(f"no weight with a unit in {text!r}")
    return round(float(found[1].replace(" ", "")) * _GRAMS[found[2].lower()])


def amounts(text: str, decimals_required: bool = False) -> list[tuple[int, int, int]]:
    """Every amount in `text` as (start, end, minor units); `decimals_required` leaves out counts and codes."""
    found = []
    for match in _AMOUNT.finditer(text):
        if decimals_required and not re.search(r"\.\s?\d{2}$", match[0]):
            continue
        minor = amount_minor(match[0])
        if not isinstance(minor, Unmeasured):
            found.append((match.start(), match.end(), minor))
    return found

"""Normalises text of papers to values: widths, amounts, dates, weights. All but `plain` take text that went
through it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import Final

from vision.documents.text.signs import SIGN
from vision.measurement import Unmeasured

_ONE_KIND = str.maketrans("–—−‐，。【】〔〕「」│┃", "----,.[][][]||")
# Invisible characters that reverse the text after them: a name must look to a person as it compares.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad]")

#: An amount this large (ten thousand million, in units of the currency) is something else, or an attack.
AMOUNT_MINOR_END: Final = 10**12

# One to three digits, then groups of three after commas (in India of two, and three at the end), or plain digits; a
# fraction of one or two digits. Spaces inside come from the reader. More digits behind a mark make it another number.
AMOUNT: Final = (
    r"(?:\d{1,3}(?:\s?,\s?\d{3})+|\d{1,2}(?:\s?,\s?\d{2})+\s?,\s?\d{3}|\d+)(?:\s?\.\s?\d{1,2})?(?![\d]|[.,]\d)"
)
#: What may stand before an amount.
CURRENCY: Final = SIGN
_AMOUNT = re.compile(r"(?<!\d)(?<!\d[.,])" + AMOUNT)
#: Why an amount that is printed with a minus is not taken: it was given back, not paid.
NEGATIVE: Final = "negative amount"
# A minus touches its amount or the sign before it, also behind stars or a word (**-12.00, TOTAL-12.00), or begins its
# cell; a dash between words is none (Total - 12.00), nor is one in a range or a number (10.00-12.00, A-12).
_MINUS_BEFORE = re.compile(
    rf"(?:(?:(?:^|\s\s|[:(\]])\s?-\s?|(?<![^\s:(\]*=#\u3400-\u9fff])-|(?<=[A-Z]{{3}})-|负数?\s?:?\s?)"
    rf"(?:{CURRENCY}\s{{0,2}})?|{CURRENCY}\s?-\s?)$",
    re.IGNORECASE,
)
#: Behind an amount: a minus with nothing behind it but perhaps the letter of its tax (12.00-, 12.00-A), or CR; a dash
#: before more print is none (12.00 - VISA, ¥12.00-¥14.00).
MINUS_BEHIND: Final = rf"(?:\s?-(?!\s?(?:[\w.]|{CURRENCY}))|-\s?(?-i:[A-Z])(?=\s\s|\s?$)|\s?CR\b|\s?\(CR\))"
_MINUS_BEHIND = re.compile(MINUS_BEHIND, re.IGNORECASE)
_IN_BRACKETS = re.compile(rf"(?<![元圆圓整正角分])\(\s?(?:{CURRENCY}\s{{0,2}})?$", re.IGNORECASE)


def plain(text: str) -> str:
    """Normalise: NFKC (full-width digits, ：, ￥ become ASCII ones or ¥), one kind of dash and bracket, single spaces,
    no characters that only turn the writing direction."""
    shown = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return re.sub(r"\s+", " ", shown.translate(_ONE_KIND)).strip()


# Single Chinese characters one after another; a mark of one character (收 张三) has a name behind it.
_SPACED_OUT = re.compile(r"(?<![^\W\d_])(?![收寄] [^件货方])[\u3400-\u9fff](?: [\u3400-\u9fff])+(?![^\W\d_])")


def unspaced(text: str) -> str:
    """Return `text`, which went through `plain`, without spaces that set words wide: 收 件 人:李 雷 becomes
    收件人:李雷."""
    return _SPACED_OUT.sub(lambda run: run[0].replace(" ", ""), text)


def amount_minor(text: str) -> int | Unmeasured:
    """Parse the amount at the start of `text` to minor units: "1,234.50" gives 123450, "12.5" 1250, "¥7" 700."""
    match = re.match(rf"\s*{CURRENCY}?\s*\.?\s*({AMOUNT})", text, re.IGNORECASE)
    if match is None:
        return Unmeasured(f"no amount at the start of {text!r}")
    whole, _, fraction = re.sub(r"[\s,]", "", match.group(1)).partition(".")
    if len(whole.lstrip("0")) > 12:  # before int(), which takes long for very many digits
        return Unmeasured(_too_much(match.group(1)))
    minor = int(whole) * 100 + int((fraction + "00")[:2])
    return minor if minor < AMOUNT_MINOR_END else Unmeasured(_too_much(match.group(1)))


def negative(text: str, start: int, end: int) -> bool:
    """Return True if the amount at `start` to `end` of `text` is printed as negative: a minus or 负 before it or before
    its sign (-¥12.00, ¥-12.00), a minus or CR behind it (12.00-), or brackets around it ((12.00)); brackets behind an
    amount in capitals (壹拾贰元整(¥12.00)) repeat that one."""
    before, behind = text[:start], text[end:]
    if _MINUS_BEFORE.search(before) or _MINUS_BEHIND.match(behind):
        return True
    return _IN_BRACKETS.search(before) is not None and re.match(r"\s?\)", behind) is not None


def _too_much(text: str) -> str:
    return f"{text[:40]} is more than any paper here is for (under {AMOUNT_MINOR_END // 100:,})"


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
_ZH_DIGITS = {character: value for value, line in enumerate(("〇零○O0", *"一二三四五六七八九")) for character in line}
_NUMERALS = "一二三四五六七八九十"
_IN_CHINESE = re.compile(
    rf"([一二][〇零○O0一二三四五六七八九]{{3}})\s?年\s?([{_NUMERALS}]{{1,3}})\s?月\s?([{_NUMERALS}]{{1,3}})\s?[日号]?"
)


def _in_chinese(text: str) -> int:
    """Parse a Chinese number: 九 is 9, 十一 11, 三十 30."""
    tens, mark, ones = text.partition("十")
    if not mark:
        return _ZH_DIGITS[text] if len(text) == 1 else -1
    if len(tens) > 1 or len(ones) > 1:
        return -1
    return (_ZH_DIGITS[tens] if tens else 1) * 10 + (_ZH_DIGITS[ones] if ones else 0)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year + 2000 if year < 100 else year, month, day)
    except ValueError:
        return None


def _attempts(text: str) -> Iterator[tuple[int, int, tuple[tuple[int, int, int], ...]]]:
    """Yield everything written like a date, as (start, end, years, months and days it may mean in order of
    likelihood)."""
    for match in _IN_CHINESE.finditer(text):
        year = int("".join(str(_ZH_DIGITS[character]) for character in match[1]))
        yield (*match.span(), ((year, _in_chinese(match[2]), _in_chinese(match[3])),))
    for match in _YEAR_FIRST.finditer(text):
        yield (*match.span(), ((int(match[1]), int(match[2]), int(match[3])),))
    for match in _DAY_MONTH_NAME.finditer(text):
        yield (*match.span(), ((int(match[3]), _MONTHS[match[2].lower()], int(match[1])),))
    for match in _MONTH_NAME_DAY.finditer(text):
        yield (*match.span(), ((int(match[3]), _MONTHS[match[1].lower()], int(match[2])),))
    for match in _DAY_FIRST.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        turned = ((first, second, year),) if len(match[4]) == 2 and first > 12 else ()
        yield (*match.span(), ((year, second, first), (year, first, second), *turned))
    for match in _COMPACT.finditer(text):
        yield (*match.span(), ((int(match[1]), int(match[2]), int(match[3])),))


def dates(text: str) -> list[tuple[int, int, date]]:
    """Return every date in `text` as (start, end, date), in order.

    Day before month if both orders are possible (12/03/2018 is 12 March); month first only if nothing else is.
    """
    spans: list[tuple[int, int, date]] = []
    for start, end, attempts in _attempts(text):
        if any(start < other_end and other < end for other, other_end, _ in spans):
            continue
        day = next((day for attempt in attempts if (day := _day(*attempt)) is not None), None)
        if day is not None:
            spans.append((start, end, day))
    return sorted(spans)


def impossible_dates(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of everything written like a date with its full year that is no day of the calendar: 29
    February 2026."""
    real = dates(text)
    return sorted(
        {
            (start, end)
            for start, end, attempts in _attempts(text)
            if all(year > 1900 and _day(year, month, day) is None for year, month, day in attempts)
            and not any(start < other_end and other < end for other, other_end, _ in real)
        }
    )


_WEIGHT = re.compile(r"(\d{1,6}(?:\s?\.\s?\d{1,4})?)\s?(kg|千克|公斤|g|克|斤)", re.IGNORECASE)
_GRAMS = {"kg": 1000, "千克": 1000, "公斤": 1000, "g": 1, "克": 1, "斤": 500}


def weight_g(text: str) -> int | Unmeasured:
    """Return the first weight in `text`, in grams; a unit must stand beside the number."""
    match = _WEIGHT.search(text)
    if match is None:
        return Unmeasured(f"no weight with a unit in {text!r}")
    return round(float(match[1].replace(" ", "")) * _GRAMS[match[2].lower()])


def amounts(text: str, decimals_required: bool = False) -> list[tuple[int, int, int]]:
    """Return every amount in `text` as (start, end, minor units); `decimals_required` leaves out counts and codes."""
    spans = []
    for match in _AMOUNT.finditer(text):
        if decimals_required and not re.search(r"\.\s?\d{2}$", match[0]):
            continue
        minor = amount_minor(match[0])
        if not isinstance(minor, Unmeasured):
            spans.append((match.start(), match.end(), minor))
    return spans


def number_key(text: str) -> str:
    """Return a paper number as the key that claims are compared by: capitals and digits, an O among digits read
    as 0."""
    letters = re.match(r"[A-Z]*?(?=[\dO]{4})", text.upper())
    prefix = letters[0] if letters else ""
    return prefix + re.sub(r"[^0-9A-Z]", "", text.upper()[len(prefix) :]).replace("O", "0")


def tracking_key(text: str) -> str:
    """Return letters and digits only; the letter O after the first digit is a misread 0."""
    compact = re.sub(r"[^0-9A-Z]", "", text.upper())
    letters = re.match(r"[A-Z]*?(?=[\dO]{6})", compact)
    prefix = letters[0] if letters else ""
    return prefix + compact[len(prefix) :].replace("O", "0")

"""Tells whether a page writes the day or the month of a date first.

The weekday beside a date tells, or another date of the page that has only one meaning, or the merchant's country. A
date that stays open is named, with both of its meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final, Literal

from babel.dates import get_day_names

from vision.documents.text.layout import Row
from vision.documents.text.notation import with_texts

Order = Literal["day", "month", ""]
# With dots the day comes first in every country that writes so.
_NUMERIC: Final = re.compile(r"(?<![\d/.-])(\d{1,2})(\s?[-/]\s?)(\d{1,2})\2((?:19|20)\d{2}|\d{2}(?!\d))")
_MONTH_FIRST: Final = frozenset({"US", "PH"})
_BOTH: Final = frozenset({"", "CA", "CN"})  # Canada writes either, China the year first: a date like that is foreign
_MONTHS: Final = 12
_NEAR: Final = 16  # characters between a weekday and its date
_WEEKDAY_LOCALES: Final = ("en", "zh", "ms", "id", "de", "fr", "es", "it", "nl", "ja")
_CHINESE_WEEKDAY: Final = re.compile(r"(?:星期|周|礼拜)([一二三四五六日天])")


@dataclass(frozen=True, slots=True)
class OrderedDates:
    """Rows with every date day first. ambiguous: of days, as read, the print that may be another day."""

    rows: tuple[Row, ...]
    ambiguous: Mapping[date, str]


def day_first(rows: Sequence[Row], country: str) -> OrderedDates:
    """Return the rows with their numeric dates restated day first, if the page's are month first. country: of the
    merchant, ISO 3166, "" if unknown."""
    by_others = _by_other_dates(rows)
    by_country: Order = "month" if country in _MONTH_FIRST else "" if country in _BOTH else "day"
    ambiguous: dict[date, str] = {}
    order = by_others or by_country
    turned = tuple(
        with_texts(row, [_turned(cell.text, row, order, ambiguous) for cell in row.cells])
        if _NUMERIC.search(row.text)
        else row
        for row in rows
    )
    return OrderedDates(turned, ambiguous)


def _by_other_dates(rows: Sequence[Row]) -> Order:
    """Return the order of the dates that have one meaning, or a weekday beside them, if they agree."""
    orders: set[Order] = set()
    for row in rows:
        for match in _NUMERIC.finditer(row.text):
            first, second = int(match[1]), int(match[3])
            if first > _MONTHS >= second:
                orders.add("day")
            elif second > _MONTHS >= first:
                orders.add("month")
            elif first != second and (by_weekday := _by_weekday(row.text, match)):
                orders.add(by_weekday)
    return orders.pop() if len(orders) == 1 else ""


def _by_weekday(text: str, match: re.Match[str]) -> Order:
    """Return the order in which the date falls on the weekday beside it; "" without one, or if both or neither does."""
    around = (text[max(0, match.start() - _NEAR) : match.start()], text[match.end() : match.end() + _NEAR])
    weekdays = {weekday for near in around for weekday in _weekdays(near)}
    fitting: list[Order] = [order for order, day in _meanings(match) if day is not None and day.weekday() in weekdays]
    return fitting[0] if len(fitting) == 1 else ""


def _meanings(match: re.Match[str]) -> tuple[tuple[Order, date | None], tuple[Order, date | None]]:
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    return ("day", _day(year, second, first)), ("month", _day(year, first, second))


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year + 2000 if year < 100 else year, month, day)
    except ValueError:
        return None


def _turned(text: str, row: Row, order: Order, ambiguous: dict[date, str]) -> str:
    """Return a cell's text with its dates day first, and note those that have two meanings."""

    def restated(match: re.Match[str]) -> str:
        first, second = int(match[1]), int(match[3])
        if max(first, second) > _MONTHS or first == second:
            return match[0]
        at = row.text.find(match[0])
        placed = _NUMERIC.search(row.text, max(0, at)) if at >= 0 else None
        here = (_by_weekday(row.text, placed) if placed is not None else "") or order
        if here == "month":
            return f"{match[3]}{match[2]}{match[1]}{match[2]}{match[4]}"
        read = _day(int(match[4]), second, first)
        if not here and read is not None:
            ambiguous[read] = match[0]
        return match[0]

    return _NUMERIC.sub(restated, text)


def _weekdays(text: str) -> Iterator[int]:
    """Yield the weekdays, 0 for Monday, that a text names in one of the languages known here."""
    for match in _CHINESE_WEEKDAY.finditer(text):
        yield "一二三四五六日".index(match[1].replace("天", "日"))
    for match in re.finditer(r"[^\W\d_]+|\(([月火水木金土日])\)", text):
        name = (match[1] or match[0]).casefold()
        yield from _names().get(name, ())


@cache
def _names() -> Mapping[str, tuple[int, ...]]:
    """Return the weekday that each name stands for; a name of two days in two languages tells neither."""
    days: dict[str, set[int]] = {}
    for locale in _WEEKDAY_LOCALES:
        for width in ("wide", "abbreviated"):
            for day, name in get_day_names(width, locale=locale).items():
                days.setdefault(name.casefold().rstrip("."), set()).add(day)
    return {name: tuple(meant) for name, meant in days.items() if len(meant) == 1}

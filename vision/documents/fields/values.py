"""Makes fields of pieces of text, and reads dates, which every kind of paper prints."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date

from vision.documents.kinds.catalogue import FieldRule
from vision.documents.text.layout import FoundText, Row, piece, under
from vision.documents.text.normalise import dates, impossible_dates
from vision.documents.text.page import FieldReading, PageBox, RefusedField

_BETWEEN_CHARACTERS_MAX = 6
_PRINTED = re.compile(r"(?:打\s?印|补\s?打|制\s?表)\s{0,2}(?:日\s{0,3}期|时\s{0,3}间)?\s?[:|]?\s{0,4}$")
FieldResult = FieldReading | RefusedField | None


def from_found(name: str, hit: FoundText, value: str = "") -> FieldReading:
    """Return the field of that piece of text; `value` if it differs from the text itself."""
    return FieldReading(name, value or hit.text, round(hit.confidence, 4), hit.box, hit.corners)


def date_by_rule(rows: Sequence[Row], name: str, rule: FieldRule) -> FieldResult:
    """Return the date right of one of the labels, or under one; with `anywhere`, else one with a time of day beside it,
    else the first."""
    for label in rule.labels:
        for index, text, offset in _after(rows, label.label):
            valid = [span for span in dates(text) if not _words_between(text, span[0])]
            wrong = [span for span in impossible_dates(text) if not _words_between(text, span[0])]
            if wrong and (not valid or wrong[0][0] < valid[0][0]):
                return RefusedField(name, f"{text[slice(*wrong[0])]} is no day of the calendar")
            row = _span_of_dates(text, valid)
            if len(row) >= label.nth and (not label.of or len(row) == label.of):
                start, end, day = row[label.nth - 1]
                return from_found(name, piece(rows, index, offset + start, offset + end), day.isoformat())
    for label in rule.labels:
        for below in under(rows, label.label, r".*\d.*") if label.nth == 1 else ():
            for _start, _end, day in dates(below.text):
                return from_found(name, below, day.isoformat())
    return next(unlabelled_dates(rows, name), None) if rule.anywhere else None


def _span_of_dates(text: str, valid: Sequence[tuple[int, int, date]]) -> list[tuple[int, int, date]]:
    """Return the first date and those joined to it: from one 至 another, with a few characters between."""
    joined = list(valid[:1])
    for start, end, day in dates(text):
        if joined and start >= joined[-1][1] and start - joined[-1][1] <= _BETWEEN_CHARACTERS_MAX:
            joined.append((start, end, day))
    return joined


def _after(rows: Sequence[Row], label: str) -> Iterator[tuple[int, str, int]]:
    """Yield (row, text right of the label, its offset) for every row with the label."""
    for index, row in enumerate(rows):
        mark = re.search(label, row.text, re.IGNORECASE)
        if mark is not None:
            yield index, row.text[mark.end() :], mark.end()


def _words_between(text: str, end: int) -> bool:
    """True if other words stand in between: what follows them does not belong to the label."""
    return re.search(r"[\u4e00-\u9fff]{2}", text[:end]) is not None


def printed_on(rows: Sequence[Row], field: FieldReading) -> bool:
    """True if a date stands beside a word for printing: a bill is printed again long after the day that it is of."""
    return any(
        from_found(field.name, piece(rows, index, start, end)).box == field.box
        and _PRINTED.search(row.text[:start]) is not None
        for index, row in enumerate(rows)
        for start, end, _day in dates(row.text)
    )


def unlabelled_dates(rows: Sequence[Row], name: str, claimed: Collection[PageBox] = ()) -> Iterator[FieldReading]:
    """Yield the dates with a time of day beside them, or all dates if none has one. claimed: places of dates that stand
    beside the labels of other fields and are left out."""
    dated = [
        (row, from_found(name, piece(rows, index, start, end), day.isoformat()))
        for index, row in enumerate(rows)
        for start, end, day in dates(row.text)
    ]
    free = [(row, field) for row, field in dated if field.box not in claimed]
    # What was printed later has the time of day, too.
    free = [(row, field) for row, field in free if not printed_on(rows, field)] or free
    timed = [field for row, field in free if re.search(r"\d{1,2}:\d{2}", row.text)]
    return iter(timed or [field for _, field in free])

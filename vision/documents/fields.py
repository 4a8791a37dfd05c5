"""Finding fields by label: shared by the three kinds of paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vision.documents.layout import Found, Row, labelled, piece
from vision.documents.normalise import amount_minor, dates
from vision.documents.page import PaperField
from vision.measurement import Unmeasured


def from_found(name: str, found: Found, value: str = "") -> PaperField:
    """The field of that piece of text; `value` where it differs from the text itself."""
    return PaperField(name, value or found.text, round(found.confidence, 4), found.box)


def first_text(
    rows: Sequence[Row], name: str, labels: Sequence[str], value: str, normalise: Callable[[str], str] = str.strip
) -> PaperField | None:
    """The first value beside any of the labels, the labels tried in order."""
    for label in labels:
        for found in labelled(rows, label, value):
            text = normalise(found.text)
            if text:
                return from_found(name, found, text)
    return None


def first_amount(rows: Sequence[Row], name: str, labels: Sequence[str], value: str) -> PaperField | None:
    """The first amount beside any of the labels, in minor units."""
    for label in labels:
        for found in labelled(rows, label, value):
            minor = amount_minor(found.text)
            if not isinstance(minor, Unmeasured):
                return from_found(name, found, str(minor))
    return None


def first_date(rows: Sequence[Row], labels: Sequence[str]) -> PaperField | None:
    """The date right of one of the labels, else one with a time of day beside it, else the first on the page."""
    for label in labels:
        for index, row in enumerate(rows):
            mark = re.search(label, row.text, re.IGNORECASE)
            if mark is None:
                continue
            for start, end, day in dates(row.text):
                if start >= mark.end():
                    return from_found("date", piece(rows, index, start, end), day.isoformat())
    everywhere = [(index, *found) for index, row in enumerate(rows) for found in dates(row.text)]
    timed = [found for found in everywhere if re.search(r"\d{1,2}:\d{2}", rows[found[0]].text)]
    for index, start, end, day in timed or everywhere:
        return from_found("date", piece(rows, index, start, end), day.isoformat())
    return None

"""When a page was read well enough, and which of several readings to believe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from vision.documents.checks.agreement import checks
from vision.documents.gate import confidence
from vision.documents.kinds.catalogue import Catalogue
from vision.documents.parse import money_confidence
from vision.documents.text.page import UNKNOWN, PaperReading


def settled(reading: PaperReading, confidence_min: float, catalogue: Catalogue) -> bool:
    """Nothing required is missing or refused, every check holds, and what `settled_by` of the kind asks for (the
    paper's own arithmetic, mostly) vouches for the amounts, the reader's confidence for all that is relied on.

    A kind that asks for nothing, as receipts do, has no arithmetic that every shop prints: nothing settles it.
    """
    if reading.kind == UNKNOWN or reading.missing_fields or reading.refused:
        return False
    asked = catalogue[reading.kind].settled_by
    if asked is None or not all(check.passed for check in reading.checks):
        return False
    if 0 < _unclassed(reading) < len(reading.items):
        return False  # a class that was not read pays another share
    made = {check.name for check in reading.checks}
    there = made >= set(asked.checks) and all(reading.value(name) for name in asked.fields)
    return there and confidence(reading) >= confidence_min


def best(readings: Sequence[PaperReading], today: date, catalogue: Catalogue) -> PaperReading:
    """The most consistent of several readings of one page, later ones (by the better model) preferred among equals.

    Fields it lacks are taken from the others of the same kind, unless it saw and refused them; the checks are made
    again.
    """
    chosen = max(enumerate(readings), key=lambda pair: (*merit(pair[1]), pair[0]))[1]
    if chosen.kind == UNKNOWN:
        return chosen
    kind = catalogue[chosen.kind]
    fields, doubtful = list(chosen.fields), list(chosen.doubtful)
    refused = {one.name for one in chosen.refused}
    for other in reversed(readings):
        if other.kind == chosen.kind:
            present = {field.name for field in fields} | refused
            fields += [field for field in other.fields if field.name not in present]
            doubtful += [one for one in other.doubtful if one.name not in present]
    names = {field.name for field in fields}
    return replace(
        chosen,
        fields=tuple(fields),
        checks=tuple(checks(kind, fields, chosen.items, today, chosen.codes)),
        read_confidence=money_confidence(kind, fields),
        missing_fields=tuple(name for name in kind.required if name not in names),
        alike=alike(chosen, readings),
        doubtful=tuple(doubtful),
    )


def alike(chosen: PaperReading, readings: Sequence[PaperReading]) -> tuple[str, ...]:
    """Which of the fields relied on another model has read alike. Two looks by one model err alike, so they do not
    count."""
    others = [one for one in readings if one.model != chosen.model and one.kind == chosen.kind]
    return tuple(
        name
        for name in chosen.relied_on
        if chosen.value(name) and any(_bare(one.value(name)) == _bare(chosen.value(name)) for one in others)
    )


def _bare(value: str) -> str:
    """Letters and digits, and what masks them: where a name has spaces or full stops no two models agree."""
    return re.sub(r"[^\w*]|_", "", value).casefold()


def _unclassed(reading: PaperReading) -> int:
    return sum(not item.item_class for item in reading.items)


# What proves amounts. A plausible date proves nothing: it is there on every page.
_NO_PROOF = frozenset({"date_is_plausible"})


def merit(reading: PaperReading) -> tuple[int, int, int, int, int]:
    """How consistent a reading is, to compare with others of the same page: more is better, first things first."""
    failed = sum(not check.passed for check in reading.checks)
    proofs = sum(check.passed and check.name not in _NO_PROOF for check in reading.checks)
    return (
        int(reading.kind != UNKNOWN),
        -failed,
        proofs,
        -len(reading.missing_fields) - len(reading.refused),
        -_unclassed(reading),
    )

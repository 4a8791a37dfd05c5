"""Decides when a page was read well enough, and which of several readings to believe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from vision.documents.checks.agreement import checks
from vision.documents.fields.conventions import in_currency
from vision.documents.gate import confidence
from vision.documents.kinds.catalogue import Catalogue
from vision.documents.parse import money_confidence
from vision.documents.text.normalise import NEGATIVE
from vision.documents.text.page import UNKNOWN, PaperReading


def settled(reading: PaperReading, confidence_min: float, catalogue: Catalogue) -> bool:
    """True if nothing required is missing or refused, every check holds, the amounts are confirmed by what `settled_by`
    of the kind asks for (mostly the paper's own arithmetic), and all that is relied on reaches the reader's confidence.

    A kind that asks for nothing, as receipts do, has no arithmetic that every shop prints: it is never settled.
    """
    if reading.kind == UNKNOWN or reading.missing_fields or reading.refused:
        return False
    asked = catalogue[reading.kind].settled_by
    if asked is None or not all(check.passed for check in reading.checks):
        return False
    if 0 < _unclassed(reading) < len(reading.items):
        return False  # a class that was not read would change the share paid
    made = {check.name for check in reading.checks}
    there = made >= set(asked.checks) and all(reading.value(name) for name in asked.fields)
    return there and confidence(reading) >= confidence_min


def best(readings: Sequence[PaperReading], today: date, catalogue: Catalogue) -> PaperReading:
    """Return the most consistent of several readings of one page, later ones (by the better model) preferred among
    equals.

    Fields that it lacks are taken from the others of the same kind, unless it read and refused them; the checks are
    made again.
    """
    chosen = max(enumerate(readings), key=lambda pair: (*merit(pair[1]), pair[0]))[1]
    if chosen.kind == UNKNOWN:
        return chosen
    kind = catalogue[chosen.kind]
    fields, doubtful = list(chosen.fields), list(chosen.doubtful)
    refused = {field.name for field in chosen.refused}
    for other in reversed(readings):
        if other.kind == chosen.kind:
            present = {field.name for field in fields} | refused
            fields += [
                field for field in other.fields if field.name not in present and _comparable(field.name, chosen, other)
            ]
            doubtful += [field for field in other.doubtful if field.name not in present]
    names = {field.name for field in fields}
    return replace(
        chosen,
        fields=tuple(fields),
        checks=in_currency(checks(kind, fields, chosen.items, today, chosen.codes, chosen.lines), _code(chosen)),
        read_confidence=money_confidence(kind, fields),
        missing_fields=tuple(name for name in kind.required if name not in names),
        alike=confirmed_by_another_model(chosen, readings),
        doubtful=tuple(doubtful),
    )


def confirmed_by_another_model(chosen: PaperReading, readings: Sequence[PaperReading]) -> tuple[str, ...]:
    """Return the relied-on fields that another model has read identically. Two readings by one model share its errors,
    so they do not count."""
    others = [reading for reading in readings if reading.model != chosen.model and reading.kind == chosen.kind]
    return tuple(
        name
        for name in chosen.relied_on
        if chosen.value(name)
        and any(
            _bare(other.value(name)) == _bare(chosen.value(name)) and _comparable(name, chosen, other)
            for other in others
        )
    )


def without_lost_signs(chosen: PaperReading, readings: Sequence[PaperReading]) -> PaperReading:
    """Return the reading without the amounts that any other of the same page read below zero: a minus is thin, and the
    reading that lost it has an amount that the paper does not state."""
    negative = {
        field.name: field
        for reading in readings
        if reading.kind == chosen.kind
        for field in reading.refused
        if field.reason == NEGATIVE
    }
    lost = [field.name for field in chosen.fields if field.name in negative]
    if not lost:
        return chosen
    return replace(
        chosen,
        fields=tuple(field for field in chosen.fields if field.name not in lost),
        refused=(*chosen.refused, *(negative[name] for name in lost)),
    )


def _bare(value: str) -> str:
    """Return letters, digits and masking marks only: models do not agree on the spaces and full stops in a name."""
    return re.sub(r"[^\w*]|_", "", value).casefold()


def _comparable(name: str, chosen: PaperReading, other: PaperReading) -> bool:
    """True unless the field is an amount and the two readings take the paper for one in different currencies."""
    return not name.endswith("_minor") or _code(chosen) == _code(other)


def _code(reading: PaperReading) -> str:
    return reading.currency.code if reading.currency is not None else ""


def _unclassed(reading: PaperReading) -> int:
    return sum(not item.item_class for item in reading.items)


# Checks that prove amounts. A plausible date proves nothing: every page has one.
_NO_PROOF = frozenset({"date_is_plausible"})


def merit(reading: PaperReading) -> tuple[int, int, int, int, int]:
    """Return how consistent a reading is, to compare with others of the same page: more is better, first
    entries first."""
    failed = sum(not check.passed for check in reading.checks)
    proofs = sum(check.passed and check.name not in _NO_PROOF for check in reading.checks)
    return (
        int(reading.kind != UNKNOWN),
        -failed,
        proofs,
        -len(reading.missing_fields) - len(reading.refused),
        -_unclassed(reading),
    )

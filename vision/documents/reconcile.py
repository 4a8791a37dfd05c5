"""When one reading of a page is enough, and which of several to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from vision.documents.catalogue import Catalogue
from vision.documents.checks import checks
from vision.documents.page import UNKNOWN, PaperReading
from vision.documents.parse import money_confidence


def settled(reading: PaperReading, confidence_min: float, catalogue: Catalogue) -> bool:
    """Nothing required is missing or refused, every check holds, and what `settled_by` of the kind asks for (the
    paper's own arithmetic, mostly) vouches for the amounts together with the reader's confidence.

    A kind that asks for nothing, as receipts do, has no arithmetic that every shop prints: one reading never settles
    it.
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
    return there and reading.read_confidence >= confidence_min


def best(readings: Sequence[PaperReading], today: date, catalogue: Catalogue) -> PaperReading:
    """The most consistent of several readings of one page, later ones (by the better model) preferred among equals.

    Fields it lacks are taken from the others of the same kind, unless it saw and refused them; the checks are made
    again.
    """
    chosen = max(enumerate(readings), key=lambda pair: (*merit(pair[1]), pair[0]))[1]
    if chosen.kind == UNKNOWN:
        return chosen
    kind = catalogue[chosen.kind]
    fields = list(chosen.fields)
    refused = {one.name for one in chosen.refused}
    for other in reversed(readings):
        if other.kind == chosen.kind:
            present = {field.name for field in fields} | refused
            fields += [field for field in other.fields if field.name not in present]
    names = {field.name for field in fields}
    return replace(
        chosen,
        fields=tuple(fields),
        checks=tuple(checks(kind, fields, chosen.items, today, chosen.codes)),
        read_confidence=money_confidence(kind, fields),
        missing_fields=tuple(name for name in kind.required if name not in names),
    )


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

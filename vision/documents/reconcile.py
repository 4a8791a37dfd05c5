"""When one reading of a page is enough, and which of several to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from vision.documents.checks import checks
from vision.documents.page import PaperKind, PaperReading
from vision.documents.parse import MONEY_FIELDS

# An invoice proves its own reading: digits that are wrong do not add up in three ways at once.
_PROOFS = frozenset({"items_sum_to_total", "capital_amount_equals_total", "insurance_and_cash_equal_total"})


def settled(reading: PaperReading, confidence_min: float) -> bool:
    """Nothing required is missing, every check holds, and the paper's own arithmetic (or the reader's confidence)
    vouches for the amounts.

    Receipts have no arithmetic that every shop prints, so the fast model alone never settles one.
    """
    if reading.missing_fields or not all(check.passed for check in reading.checks):
        return False
    if reading.kind is PaperKind.OUTPATIENT_INVOICE:
        if 0 < _unclassed(reading) < len(reading.items):
            return False  # a class that was not read pays another share
        return {check.name for check in reading.checks} >= _PROOFS and reading.read_confidence >= confidence_min
    if reading.kind is PaperKind.PARCEL_SLIP:
        return reading.value("declared_value_minor") != "" and reading.read_confidence >= confidence_min
    return False


def best(readings: Sequence[PaperReading], today: date) -> PaperReading:
    """The most consistent of several readings of one page, later ones (by the better model) preferred among equals.

    Fields it lacks are taken from the others of the same kind, and the checks made again.
    """
    chosen = max(enumerate(readings), key=lambda pair: (*_merit(pair[1]), pair[0]))[1]
    if chosen.kind is PaperKind.UNKNOWN:
        return chosen
    fields = list(chosen.fields)
    for other in reversed(readings):
        if other.kind is chosen.kind:
            present = {field.name for field in fields}
            fields += [field for field in other.fields if field.name not in present]
    names = {field.name for field in fields}
    return replace(
        chosen,
        fields=tuple(fields),
        checks=tuple(checks(chosen.kind, fields, chosen.items, today)),
        read_confidence=min(
            (field.confidence for field in fields if field.name in MONEY_FIELDS[chosen.kind]), default=0.0
        ),
        missing_fields=tuple(name for name in chosen.missing_fields if name not in names),
    )


def _unclassed(reading: PaperReading) -> int:
    return sum(not item.item_class for item in reading.items)


def _merit(reading: PaperReading) -> tuple[int, int, int, int, int]:
    failed = sum(not check.passed for check in reading.checks)
    proofs = sum(check.passed and check.name in _PROOFS for check in reading.checks)
    return (
        int(reading.kind is not PaperKind.UNKNOWN),
        -failed,
        proofs,
        -len(reading.missing_fields),
        -_unclassed(reading),
    )

"""Decides whether a reading can be relied on without a person looking at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from models.errors import ModelCorrupt
from models.registry import weights_path
from vision.documents.text.page import UNKNOWN, PaperReading

NAME: Final = "paper_gate"


@dataclass(frozen=True, slots=True)
class Gate:
    """Confidence that the least sure of the relied-on fields must have, by kind; `default` for kinds that an insurer
    added."""

    kinds: Mapping[str, float]
    default: float

    def threshold(self, kind: str) -> float:
        return self.kinds.get(kind, self.default)


@cache
def load_gate() -> Gate:
    """Load the gate from the weights of card paper_gate. Raises models.errors.ModelMissing, ModelCorrupt."""
    path = weights_path(NAME)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Gate({str(kind): float(least) for kind, least in content["kinds"].items()}, float(content["default"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorrupt(f"model {NAME}: {path} does not read as thresholds: {error!r}") from error


#: The fields that a check proves if it holds: digits do not add up, and are not printed twice, by chance.
PROVEN: Final[Mapping[str, tuple[str, ...]]] = {
    "items_sum_to_total": ("total_minor",),
    "capital_amount_equals_total": ("capital_total_minor", "total_minor"),
    "insurance_and_cash_equal_total": (
        "total_minor",
        "insurance_paid_minor",
        "cash_paid_minor",
        "account_paid_minor",
    ),
    "net_and_tax_equal_total": ("net_minor", "tax_minor", "total_minor"),
    "price_less_discount_equals_total": ("price_minor", "discount_minor", "total_minor"),
    "stay_days_match_dates": ("admitted_date", "discharged_date", "stay_days"),
}


#: The fields whose characters a code states besides the print, if its check holds. It does not prove that they are the
#: right ones: of two bar codes either may agree.
CODED: Final = ("number", "tracking_number")


def confidence(reading: PaperReading) -> float:
    """Return the confidence of the least sure of the relied-on fields; 0 if there is none."""
    return min((field.confidence for field in reading.fields if field.name in reading.relied_on), default=0.0)


def accepted(reading: PaperReading, gate: Gate | None = None) -> bool:
    """True if the fields that money rests on may be taken as read: the kind is known beyond doubt, nothing says that it
    is no paid bill, nothing required is missing or refused, the currency of a required amount is known, no check fails,
    nothing is written by hand, each is read identically by two models or proven by the paper's own sums, no reason
    stands against any, and the least sure of them reaches the confidence of its kind.

    The card paper_gate states the share of accepted papers that have one of them wrong.
    """
    return not_accepted_because(reading, gate) == ""


def not_accepted_because(reading: PaperReading, gate: Gate | None = None) -> str:
    """Return why a reading is not accepted, the first reason in words for a person; "" if it is."""
    reason = unfit_because(reading)
    if reason:
        return reason
    needed = (gate if gate is not None else load_gate()).threshold(reading.kind)
    least = min(
        (field for field in reading.fields if field.name in reading.relied_on), key=lambda field: field.confidence
    )
    if least.confidence >= needed:
        return ""
    return f"{least.name} was read at a confidence of {least.confidence:.3f}, below {needed:.3f}"


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page as read. not_accepted_because: why the reader does not vouch for the reading, "" where it does."""

    reading: PaperReading
    not_accepted_because: str


def gated(reading: PaperReading) -> ReadPage:
    """Return the reading with what the gate says of it. Raises as `load_gate` does."""
    return ReadPage(reading, not_accepted_because(reading))


def unfit_because(reading: PaperReading) -> str:
    """Return why a reading is not accepted at any confidence, "" if its confidence decides."""
    if reading.kind == UNKNOWN or not any(field.name in reading.relied_on for field in reading.fields):
        return "the kind of paper is not known"
    if reading.standing:
        return f"no paid bill: {reading.standing[0].standing}: {reading.standing[0].words}"
    if reading.marks_unread:
        return f"a mark across the print was not read: {reading.marks_unread[0]}"
    if reading.rival_kind:
        return f"the words point to {reading.rival_kind} besides {reading.kind}"
    if reading.missing_fields:
        return f"not found: {', '.join(reading.missing_fields)}"
    if reading.refused:
        return f"{reading.refused[0].name}: {reading.refused[0].reason}"
    if reading.currency is not None and not reading.currency.code and reading.amounts_required:
        shown = f": {reading.currency.text}" if reading.currency.text else ""
        return f"the currency is not known{shown}"
    failed = next((check for check in reading.checks if not check.passed), None)
    if failed is not None:
        return f"{failed.name}: {failed.detail}"
    # Two models read one hand alike, and a hand writes sums that agree.
    by_hand = next((field for field in reversed(reading.doubtful) if field.name in reading.handwritten), None)
    if by_hand is not None:
        return f"{by_hand.name}: {by_hand.reason}"
    unproven = _unproven(reading)
    doubtful = next((field for field in reading.doubtful if field.name in unproven), None)
    if doubtful is not None:
        return f"{doubtful.name}: {doubtful.reason}"
    once = read_once(reading)
    return f"read in one way only: {', '.join(once)}" if once else ""


def read_once(reading: PaperReading) -> tuple[str, ...]:
    """Return the required fields confirmed by neither a second model, a sum nor a code."""
    coded = CODED if any(check.name == "code_matches_text" and check.passed for check in reading.checks) else ()
    return tuple(name for name in _unproven(reading) if name not in reading.alike and name not in coded)


def _unproven(reading: PaperReading) -> tuple[str, ...]:
    """Return the relied-on fields that no check of the paper's own sums proves."""
    proven = {name for check in reading.checks if check.passed for name in PROVEN.get(check.name, ())}
    return tuple(name for name in reading.relied_on if reading.value(name) and name not in proven)

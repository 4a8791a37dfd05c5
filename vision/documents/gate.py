"""Whether a reading is good enough to be relied on with nobody looking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from models.errors import ModelCorrupt
from models.registry import weights_path
from vision.documents.page import UNKNOWN, PaperReading

NAME: Final = "paper_gate"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Of one kind. confidence_min: of the field read least surely. proofs: checks that must have been made."""

    confidence_min: float
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """Thresholds by kind; `default` for kinds that an insurer added."""

    kinds: Mapping[str, Threshold]
    default: Threshold

    def threshold(self, kind: str) -> Threshold:
        return self.kinds.get(kind, self.default)


@cache
def load_gate() -> Gate:
    """As the card paper_gate has it. Raises models.errors.ModelMissing, ModelCorrupt."""
    path = weights_path(NAME)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kinds = {str(kind): _threshold(entry) for kind, entry in content["kinds"].items()}
        return Gate(kinds, _threshold(content["default"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorrupt(f"model {NAME}: {path} does not read as thresholds: {error!r}") from error


def _threshold(entry: Mapping[str, Any]) -> Threshold:
    return Threshold(float(entry["confidence_min"]), tuple(str(name) for name in entry.get("proofs", ())))


def accepted(reading: PaperReading, gate: Gate | None = None) -> bool:
    """Whether every field of the paper may be taken as read: its kind is known, nothing required is missing or refused,
    no check fails, the proofs of its kind were made, and its least sure field reaches the kind's confidence.

    The thresholds are not calibrated: they are the confidence and the proofs by which a first reading is settled
    (`vision.documents.reconcile`), and no error rate is known for them.
    """
    return not_accepted_because(reading, gate) == ""


def not_accepted_because(reading: PaperReading, gate: Gate | None = None) -> str:
    """Why a reading is not accepted, the first reason in words for a person; "" where it is."""
    if reading.kind == UNKNOWN or not reading.fields:
        return "the kind of paper is not known"
    if reading.missing_fields:
        return f"not found: {', '.join(reading.missing_fields)}"
    if reading.refused:
        return f"{reading.refused[0].name}: {reading.refused[0].reason}"
    failed = next((check for check in reading.checks if not check.passed), None)
    if failed is not None:
        return f"{failed.name}: {failed.detail}"
    threshold = (gate if gate is not None else load_gate()).threshold(reading.kind)
    lacking = [name for name in threshold.proofs if name not in {check.name for check in reading.checks}]
    if lacking:
        return f"could not be checked: {', '.join(lacking)}"
    least = min(reading.fields, key=lambda field: field.confidence)
    if least.confidence < threshold.confidence_min:
        return f"{least.name} was read at a confidence of {least.confidence:.2f}, below {threshold.confidence_min:.2f}"
    return ""

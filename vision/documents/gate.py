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
    if reading.kind == UNKNOWN or reading.missing_fields or reading.refused or not reading.fields:
        return False
    if not all(check.passed for check in reading.checks):
        return False
    threshold = (gate if gate is not None else load_gate()).threshold(reading.kind)
    made = {check.name for check in reading.checks}
    return (
        set(threshold.proofs) <= made and min(field.confidence for field in reading.fields) >= threshold.confidence_min
    )

"""Which readings are accepted with nobody looking."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from models.registry import weights_path
from vision.documents.catalogue import CHOSEN_CHECKS, load_catalogue
from vision.documents.gate import accepted, load_gate, not_accepted_because
from vision.documents.page import UNKNOWN, Box, PaperCheck, PaperField, PaperReading, RefusedField

FIELDS = {"company": "鲜丰水果", "date": "2026-10-03", "total_minor": "1880"}


def receipt(confidence: float = 0.97) -> PaperReading:
    fields = tuple(PaperField(name, value, confidence, Box(0, 0, 1, 1)) for name, value in FIELDS.items())
    return PaperReading(
        "receipt", fields, (), (PaperCheck("date_is_plausible", True, "dated 2026-10-03"),), (), confidence, (), "m"
    )


def test_a_sure_and_whole_reading_is_accepted() -> None:
    assert accepted(receipt())


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (receipt(0.5), "read at a confidence of 0.50"),
        (replace(receipt(), kind=UNKNOWN), "not known"),
        (replace(receipt(), fields=()), "not known"),
        (replace(receipt(), missing_fields=("date",)), "not found: date"),
        (replace(receipt(), refused=(RefusedField("total_minor", "too much"),)), "total_minor: too much"),
        (replace(receipt(), checks=(PaperCheck("date_is_plausible", False, "dated 2036"),)), "dated 2036"),
        (replace(receipt(), kind="outpatient_invoice"), "could not be checked: items_sum_to_total"),
    ],
)
def test_any_other_is_not_and_says_why(reading: PaperReading, why: str) -> None:
    assert not accepted(reading)
    assert why in not_accepted_because(reading)


def test_one_field_read_badly_is_enough_against_it() -> None:
    one = replace(receipt().fields[0], confidence=0.3)
    assert not accepted(replace(receipt(), fields=(one, *receipt().fields[1:])))


def test_a_kind_that_an_insurer_added_is_judged_by_the_default() -> None:
    assert accepted(replace(receipt(), kind="taxi_receipt"))
    assert not accepted(replace(receipt(0.5), kind="taxi_receipt"))


def test_the_gate_names_our_kinds_and_checks_that_they_make() -> None:
    kinds, gate = load_catalogue(), load_gate()
    assert set(gate.kinds) == set(kinds)
    for name, threshold in gate.kinds.items():
        assert set(threshold.proofs) <= set(kinds[name].checks) <= set(CHOSEN_CHECKS)
        assert 0 < threshold.confidence_min <= 1
    assert json.loads(weights_path("paper_gate").read_text(encoding="utf-8"))["kinds"]

"""The gate: readings that are accepted without a person."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from models.registry import weights_path
from vision.documents.gate import PROVEN, Gate, accepted, load_gate, not_accepted_because
from vision.documents.kinds.catalogue import CHOSEN_CHECKS, load_catalogue
from vision.documents.text.page import UNKNOWN, CheckReading, FieldReading, PageBox, PaperReading, RefusedField

FIELDS = {"company": "鲜丰水果", "date": "2026-10-03", "total_minor": "1880"}


def receipt(confidence: float = 0.99) -> PaperReading:
    fields = tuple(FieldReading(name, value, confidence, PageBox(0, 0, 1, 1)) for name, value in FIELDS.items())
    names = tuple(FIELDS)
    return PaperReading(
        "receipt", fields, (), (CheckReading("date_is_plausible", True, "dated 2026-10-03"),), (), confidence, (), "m",
        relied_on=names, alike=names,
    )  # fmt: skip


def test_a_sure_and_whole_reading_is_accepted() -> None:
    assert accepted(receipt())


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (receipt(0.5), "read at a confidence of 0.500"),
        (replace(receipt(), kind=UNKNOWN), "not known"),
        (replace(receipt(), fields=()), "not known"),
        (replace(receipt(), rival_kind="vet_invoice"), "point to vet_invoice besides receipt"),
        (replace(receipt(), missing_fields=("date",)), "not found: date"),
        (replace(receipt(), refused=(RefusedField("total_minor", "too much"),)), "total_minor: too much"),
        (replace(receipt(), checks=(CheckReading("date_is_plausible", False, "dated 2036"),)), "dated 2036"),
        (replace(receipt(), alike=("company", "date")), "read in one way only: total_minor"),
        (replace(receipt(), doubtful=(RefusedField("date", "2 dates"),)), "date: 2 dates"),
    ],
)
def test_any_other_is_not_and_says_why(reading: PaperReading, why: str) -> None:
    assert not accepted(reading)
    assert why in not_accepted_because(reading)


def test_one_field_read_badly_is_enough_against_it() -> None:
    doubtful = replace(receipt().fields[0], confidence=0.3)
    assert not accepted(replace(receipt(), fields=(doubtful, *receipt().fields[1:])))


def test_a_kind_that_an_insurer_added_is_judged_by_the_default() -> None:
    assert accepted(replace(receipt(), kind="taxi_receipt"))
    assert not accepted(replace(receipt(0.5), kind="taxi_receipt"))


def test_what_the_papers_own_arithmetic_proves_needs_no_second_model() -> None:
    gate = Gate({"receipt": 0.9}, 1.0)
    one_way = replace(receipt(), relied_on=("total_minor",), alike=())
    assert not accepted(one_way, gate)
    proven = CheckReading("items_sum_to_total", True, "2 items sum to 18.80")
    assert accepted(replace(one_way, checks=(proven,)), gate)
    assert not accepted(replace(one_way, checks=(replace(proven, passed=False),)), gate)
    doubted = replace(one_way, doubtful=(RefusedField("total_minor", "stated once"),))
    assert accepted(replace(doubted, checks=(proven,)), gate)
    assert not accepted(replace(doubted, alike=("total_minor",)), gate)


def test_a_doubt_about_a_field_that_nothing_rests_on_is_none() -> None:
    assert accepted(replace(receipt(), doubtful=(RefusedField("cashier", "no usual name"),)))


def test_the_gate_names_our_kinds_and_what_checks_prove() -> None:
    kinds, gate = load_catalogue(), load_gate()
    assert set(gate.kinds) <= set(kinds)
    assert gate.default == max(gate.kinds.values())  # what a kind without pages of its own is held to
    assert set(PROVEN) == set(CHOSEN_CHECKS)
    for threshold in (*gate.kinds.values(), gate.default):
        assert 0.5 <= threshold <= 1.01
    assert json.loads(weights_path("paper_gate").read_text(encoding="utf-8"))["kinds"]

"""Reconciling several readings: when one is enough, and which one is believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from vision.documents.checks.agreement import checks
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.reconcile import best, confirmed_by_another_model, settled
from vision.documents.text.page import CurrencyReading, FieldReading, ItemReading, PageBox, PaperCode, PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()
VALUES = {
    "hospital": "杭州市协济医院", "patient": "范天丽", "date": "2026-09-11", "number": "00123456",
    "total_minor": "5000", "capital_total_minor": "5000", "insurance_paid_minor": "3000", "cash_paid_minor": "2000",
}  # fmt: skip
ITEMS = (ItemReading("静脉输液", "甲", 2000), ItemReading("换药费", "乙", 3000))


def reading(
    values: dict[str, str], items: tuple[ItemReading, ...] = ITEMS, missing: tuple[str, ...] = (), model: str = "tiny"
) -> PaperReading:
    fields = tuple(FieldReading(name, value, 0.97, PageBox(0, 0, 1, 1)) for name, value in values.items())
    kind = KINDS["outpatient_invoice"]
    results = tuple(checks(kind, fields, items, TODAY))
    relied_on = (*kind.money, *kind.required)
    return PaperReading(kind.kind, fields, items, results, (), 0.97, missing, model, relied_on=relied_on)


def test_an_invoice_whose_three_sums_agree_settles_itself() -> None:
    assert settled(reading(VALUES), 0.9, KINDS)
    assert not settled(reading(VALUES), 0.98, KINDS)
    unsure_of_whom = reading(VALUES)
    fields = tuple(replace(f, confidence=0.8) if f.name == "patient" else f for f in unsure_of_whom.fields)
    assert not settled(replace(unsure_of_whom, fields=fields), 0.9, KINDS)


def test_a_failed_or_absent_proof_a_missing_field_or_an_unread_class_settles_nothing() -> None:
    assert not settled(reading(VALUES | {"cash_paid_minor": "2800"}), 0.9, KINDS)
    assert not settled(reading({k: v for k, v in VALUES.items() if k != "capital_total_minor"}), 0.9, KINDS)
    assert not settled(reading(VALUES, missing=("number",)), 0.9, KINDS)
    assert not settled(reading(VALUES, items=(ITEMS[0], replace(ITEMS[1], item_class=""))), 0.9, KINDS)


def test_a_receipt_is_never_settled_by_one_reading() -> None:
    assert not settled(replace(reading(VALUES), kind="receipt"), 0.0, KINDS)


def test_the_consistent_reading_wins_and_takes_what_it_lacks_from_the_other() -> None:
    torn = reading({k: v for k, v in VALUES.items() if k != "number"}, missing=("number",), model="torn")
    wrong = reading(VALUES | {"cash_paid_minor": "2800"}, model="wrong")
    chosen = best([wrong, torn], TODAY, KINDS)
    assert chosen.model == "torn"
    assert chosen.value("cash_paid_minor") == "2000"
    assert chosen.value("number") == "00123456"
    assert chosen.missing_fields == ()
    assert all(check.passed for check in chosen.checks)


def test_the_code_of_a_bill_is_compared_with_all_of_its_print_again() -> None:
    code = PaperCode("QRCode", "33060122,0012345678,a1B2c3,50.00", PageBox(0, 0, 1, 1))
    values = VALUES | {"number": "0012345678"}
    print_of = ("票据代码:33060122", "校验码:zzzzzz")
    two = [replace(reading(values, model=model), codes=(code,), lines=print_of) for model in ("tiny", "small")]
    check = next(check for check in best(two, TODAY, KINDS).checks if check.name == "code_matches_text")
    assert not check.passed
    assert "check_code" in check.detail


def test_of_equals_the_later_reading_by_the_better_model_wins() -> None:
    assert best([reading(VALUES, model="tiny"), reading(VALUES, model="small")], TODAY, KINDS).model == "small"


def test_two_models_agree_where_only_spaces_and_stops_differ() -> None:
    tiny, small = (reading(VALUES | {"hospital": name}, model=name) for name in ("MR.D.I.Y.(M)", "MR. D.I.Y. (M)"))
    assert "hospital" in best([tiny, small], TODAY, KINDS).alike
    masked, bare = (reading(VALUES | {"patient": name}, model=name) for name in ("张*", "张"))
    assert "patient" not in best([masked, bare], TODAY, KINDS).alike


def test_an_amount_read_in_two_currencies_is_not_confirmed() -> None:
    field = FieldReading("total_minor", "1250", 0.99, PageBox(0, 0, 1, 1))
    first = PaperReading(
        "receipt",
        (field,),
        (),
        (),
        (),
        0.99,
        (),
        "small@1",
        relied_on=("total_minor",),
        currency=CurrencyReading("MYR"),
    )
    same = replace(first, model="tiny@1")
    other = replace(same, currency=CurrencyReading("SGD"))
    assert confirmed_by_another_model(first, [first, same]) == ("total_minor",)
    assert confirmed_by_another_model(first, [first, other]) == ()
    assert best([first, other], date(2026, 11, 20), load_catalogue()).alike == ()

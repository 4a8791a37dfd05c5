"""Real papers of one's own: what a folder must say of them, and what counts as right, accepted and payable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api.commands.benches import CannotMeasure
from benchmarks.paper_families import (
    TRUTH,
    FamilyPage,
    PageMarks,
    alike,
    families,
    family_pages,
    figures,
    lower_95,
    marked,
)
from fixtures.papers import render_invoice, render_receipt
from tests.vision.documents.paper_pdf import as_pdf, bill_page
from vision.documents import FieldReading, PageBox, PaperReading, Reader
from vision.measurement import Unmeasured

RECEIPT = {"company": "NORTH STORE", "date": "2024-03-12", "total_minor": "6148"}


def folder_of(root: Path, truth: object, *files: str, family: str = "shop") -> Path:
    folder = root / family
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_bytes(b"no picture")
    (folder / TRUTH).write_text(truth if isinstance(truth, str) else json.dumps(truth), encoding="utf-8")
    return root


def entry(**more: object) -> dict[str, Any]:
    return {"kind": "receipt", "fields": RECEIPT, "currency": "USD", **more}


def page(
    standing: str | None = "paid", currency: str = "CNY", kind: str = "receipt", **fields: str | None
) -> FamilyPage:
    shown = {**RECEIPT, **fields} if kind == "receipt" else fields
    values = {name: None if value is None else (value,) for name, value in shown.items()}
    return FamilyPage("shop", Path("a.jpg"), kind, values, standing, currency, "test")


def reading(kind: str = "receipt", **fields: str) -> PaperReading:
    """Returns a reading that is accepted: required fields there, each read alike by two models."""
    values: Mapping[str, str] = {**RECEIPT, **fields}
    return PaperReading(
        kind=kind,
        fields=tuple(FieldReading(name, value, 0.99, PageBox(0.1, 0.1, 0.2, 0.2)) for name, value in values.items()),
        items=(),
        checks=(),
        lines=(),
        read_confidence=0.99,
        missing_fields=(),
        model="test@0",
        relied_on=("total_minor", "company", "date"),
        alike=tuple(values),
    )


def refusal(root: Path) -> str:
    with pytest.raises(CannotMeasure) as refused:
        family_pages(root)
    return str(refused.value)


def test_a_folder_that_is_not_there_or_has_no_family_is_refused_in_words(tmp_path: Path) -> None:
    assert "there is no folder" in refusal(tmp_path / "nowhere")
    assert "no sub-folder" in refusal(tmp_path)


def test_a_family_without_truth_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.jpg").write_bytes(b"")
    assert f"there is no {tmp_path / 'shop' / TRUTH}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ("{", "is not JSON"),
        ([], "not an object"),
        ({}, "not an object"),
        ({"a.jpg": []}, "a.jpg: its entry is not an object"),
        ({"a.jpg": entry(kind="bus_ticket")}, "there is no kind bus_ticket; there are diagnosis_page"),
        ({"a.jpg": {}}, "there is no kind None"),
        ({"a.jpg": entry(fields={"hospital": "x"})}, "receipt has no field hospital"),
        ({"a.jpg": entry(kind="unknown")}, "unknown has no field company"),
        ({"a.jpg": entry(fields={"total_minor": "61.48"})}, "total_minor is not an amount in minor units: 61.48"),
        ({"a.jpg": entry(fields={"total_minor": 6148})}, "total_minor is neither a text"),
        ({"a.jpg": entry(fields={"total_minor": []})}, "total_minor is an empty list"),
        ({"a.jpg": entry(fields={"company": ["x", ""]})}, "company is neither a text"),
        ({"a.jpg": entry(fields={"date": "12.03.2024"})}, "a.jpg: Invalid isoformat string"),
        ({"a.jpg": entry(fields=[])}, "its fields are not an object"),
        ({"a.jpg": entry(standing="paidd")}, "there is no standing paidd"),
        ({"a.jpg": entry(currency="USS")}, "there is no currency USS"),
        ({"a.jpg": entry(role="train")}, "there is no role train"),
        ({"a.jpg": entry(colour="red")}, "there is no key colour"),
        ({"a.jpg": entry(), "b.jpg": entry()}, "names b.jpg, which is not beside it"),
        ({"b.jpg": entry()}, "does not say what a.jpg shows"),
    ],
)
def test_a_mistake_in_the_truth_is_named_with_its_page(tmp_path: Path, truth: object, words: str) -> None:
    assert words in refusal(folder_of(tmp_path, truth, "a.jpg"))


def test_pages_come_by_role_and_other_files_beside_the_families_do_not_matter(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.jpg": entry(role="look"), "b.jpg": entry(standing=None)}, "a.jpg", "b.jpg")
    (tmp_path / "before.json").write_text("{}")
    (tmp_path / ".cache").mkdir()

    assert [(page.path.name, page.role, page.standing) for page in family_pages(tmp_path)] == [
        ("a.jpg", "look", "paid"),
        ("b.jpg", "test", None),
    ]
    assert [page.path.name for page in family_pages(tmp_path, "test")] == ["b.jpg"]
    with pytest.raises(CannotMeasure, match="there is no role both"):
        family_pages(tmp_path, "both")


def test_an_accepted_page_with_another_total_is_not_right() -> None:
    marks = marked(page(), [reading(total_minor="614800")])

    assert marks.accepted
    assert not marks.right
    assert marks.fields == {"company": True, "date": True, "total_minor": False}


def test_a_name_may_be_nearly_right_a_date_may_not() -> None:
    marks = marked(page(), [reading(company="NORTH STORE.", date="2024-12-03")])

    assert marks.fields == {"company": True, "date": False, "total_minor": True}
    assert alike("Straße 8", "STRASSE 8") == 1.0
    assert alike("Müller", "Miller") < 0.9


def test_what_is_illegible_is_not_judged_and_what_is_not_there_must_not_be_read() -> None:
    assert "date" not in marked(page(date=None), [reading()]).fields
    assert marked(page(date=None), [reading()]).right
    assert not marked(page(date=""), [reading()]).right
    assert marked(page(date=""), [reading(date="")]).fields["date"]


def test_a_page_read_as_another_kind_has_no_field_right_and_a_bill_made_of_none_is_wrong() -> None:
    other = marked(page(), [reading(kind="vet_invoice")])
    nothing = marked(page(kind="unknown", standing="other"), [reading()])

    assert other.fields == {"company": False, "date": False, "total_minor": False}
    assert not other.right
    assert nothing.accepted
    assert not nothing.right


def test_the_kind_may_stand_on_a_later_page_and_each_accepted_page_must_hold() -> None:
    blank = Unmeasured("no readable print was found")

    assert marked(page(), [blank, reading()]).right
    assert not marked(page(), [reading(total_minor="1"), reading()]).right
    assert marked(page(), [blank]).unread
    assert marked(page(), []).unread


def test_only_papers_that_are_no_paid_bill_and_only_told_currencies_count_against_acceptance() -> None:
    def marks_of(standing: str | None, currency: str) -> PageMarks:
        return marked(page(standing, currency), [reading()])

    family = figures([marks_of("paid", "CNY"), marks_of("void", "USD"), marks_of("refund", ""), marks_of(None, "EUR")])

    assert family.not_payable == (2, 2)
    assert family.currency_wrong == (2, 3)  # these readings tell no currency: they are paid in the product's
    assert family.as_json() == {
        "n": 4,
        "fields": 1.0,
        "accepted": 4,
        "right": 4,
        "right_lower_95": round(0.025 ** (1 / 4), 4),  # the closed form for all of four
        "not_payable_accepted": [2, 2],
        "currency_wrong_accepted": [2, 3],
        "unread": 0,
        "by_field": {"company": [4, 4], "date": [4, 4], "total_minor": [4, 4]},
    }


def test_a_share_of_nothing_is_null_and_its_limit_zero() -> None:
    family = figures([marked(page(kind="unknown", standing="other"), [])])

    assert family.as_json()["fields"] is None
    assert lower_95(0, 7) == 0.0


def test_a_folder_is_read_the_workers_way_with_photos_pdfs_and_files_of_no_known_format(tmp_path: Path) -> None:
    invoice, receipt = render_invoice(9), render_receipt(3)
    folder_of(
        tmp_path,
        {
            "bill.jpg": {"kind": invoice.kind, "fields": dict(invoice.truth), "currency": "CNY"},
            "bill.pdf": {"kind": "outpatient_invoice", "fields": {"total_minor": "1"}},
            "note.txt": {"kind": "unknown", "standing": "other"},
        },
        "note.txt",
        family="bills",
    )
    (tmp_path / "bills" / "bill.jpg").write_bytes(invoice.jpeg)
    (tmp_path / "bills" / "bill.pdf").write_bytes(as_pdf(bill_page()))
    folder_of(
        tmp_path, {"till.jpg": {"kind": receipt.kind, "fields": dict(receipt.truth), "role": "look"}}, family="tills"
    )
    (tmp_path / "tills" / "till.jpg").write_bytes(receipt.jpeg)
    told: list[str] = []

    with Reader() as reader:
        by_family = families(tmp_path, reader, role="test", progress=told.append)

    assert list(by_family) == ["bills"]  # the other one may be looked at
    bills = by_family["bills"]
    assert (bills.n, bills.unread, bills.not_payable) == (3, 1, (0, 1))
    assert bills.by_field["total_minor"] == (1, 2)
    assert bills.fields[0] > 3
    assert [line.split(":")[0] for line in told] == ["bills/bill.pdf"]
    assert "1" not in told[0].split(":")[1]  # names of fields, no values

"""Kinds of papers are files: an insurer adds one without code, and a mistake is reported by file and key."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vision.documents.gate import accepted
from vision.documents.kinds.catalogue import OURS, load_catalogue
from vision.documents.parse import parse
from vision.errors import InvalidPaperKind

TODAY = date(2026, 11, 22)

TAXI = r"""
kind: taxi_receipt
title: '出租(?:汽)?车.{0,6}发票'
words: {'里程|单价|上车|下车': 3}
fields:
  plate: {format: text, labels: ['车\s?号']}
  number: {format: number, labels: ['发票号码'], digits: [8, 8]}
  date: {format: date, labels: ['日\s?期']}
  total_minor: {format: amount, labels: ['金\s?额']}
  ridden_g: {format: weight, labels: ['载重']}
required: [number, date, total_minor]
money: [total_minor, number]
keys: [[number]]
"""


def folder_with(tmp_path: Path, text: str, name: str = "taxi_receipt") -> Path:
    (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_our_kinds_are_those_of_the_contract() -> None:
    assert set(load_catalogue()) == {
        "outpatient_invoice", "inpatient_invoice", "vat_invoice", "vet_invoice", "diagnosis_page", "parcel_slip",
        "order_screenshot", "return_slip", "receipt", "pet_card",
    }  # fmt: skip


def test_an_insurers_kind_is_read_checked_and_accepted_with_no_code(page_of: Any, tmp_path: Path) -> None:
    kinds = load_catalogue(folder_with(tmp_path, TAXI))
    reading = parse(
        page_of(
            [
                ["杭州市出租汽车统一发票"],
                ["发票号码：12345678"],
                ["车号：浙A12345", (600, "里程：12.3公里")],
                ["日期：2026年9月11日"],
                ["金额：38.00元"],
            ]
        ),
        TODAY,
        kinds,
    )
    assert reading.kind == "taxi_receipt"
    assert {field.name: field.value for field in reading.fields} == {
        "plate": "浙A12345", "number": "12345678", "date": "2026-09-11", "total_minor": "3800",
    }  # fmt: skip
    assert reading.keys == (("number",),)
    assert [(check.name, check.passed) for check in reading.checks] == [("date_is_plausible", True)]
    assert not accepted(reading)  # by one model
    assert accepted(replace(reading, alike=reading.relied_on))


def test_our_kinds_read_as_before_beside_an_insurers(page_of: Any, tmp_path: Path) -> None:
    page = page_of([["圆通速递"], ["运单号：YT6069214227922"], ["收件人：朱远"], ["日期：2026/01/16"]])
    assert parse(page, TODAY, load_catalogue(folder_with(tmp_path, TAXI))) == parse(page, TODAY, load_catalogue())


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("format: date", "format: dates", "fields.date.format"),
        ("labels: ['车\\s?号']", "lables: ['车\\s?号']", "fields.plate.lables"),
        ("labels: ['发票号码']", "labels: ['发票(号码']", "fields.number.labels.0.label"),
        ("labels: ['发票号码']", "labels: ['x?']", "matches an empty text"),
        ("required: [number,", "required: [seller,", "required names fields that are not described: seller"),
        ("total_minor: {format: amount", "total_minor: {format: text", "fields.total_minor: a name ends in _minor"),
        ("money:", "checks: [net_and_tax_equal_total]\nmoney:", "compares net_minor, tax_minor"),
        ("money:", "checks: [nonsense]\nmoney:", "checks.0"),
        ("words: {'里程|单价|上车|下车': 3}", "words: {'里程': 300}", "words.里程"),
        ("kind: taxi_receipt", "kind: Taxi", "kind"),
        ("kind: taxi_receipt", "kind: unknown", "unknown is the name of what is of no kind"),
        ("kind: taxi_receipt", "kind: bus_ticket", "its name must be the kind's"),
        ("title: '出租", "heading: '出租", "title"),
        ("labels: ['日\\s?期']}", "}", "fields.date: without labels"),
        ("labels: ['金\\s?额']", "labels: [{label: '金额', nth: 2, before: true}]", "before goes with one value"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, wrong: str, right: str, told: str) -> None:
    assert wrong in TAXI
    folder = folder_with(tmp_path, TAXI.replace(wrong, right, 1))
    with pytest.raises(InvalidPaperKind) as error:
        load_catalogue(folder)
    assert "taxi_receipt.yaml" in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["", "- a list", "kind: [", "kind: \x00"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidPaperKind, match=r"taxi_receipt\.yaml"):
        load_catalogue(folder_with(tmp_path, text))


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(InvalidPaperKind, match="bytes"):
        load_catalogue(folder_with(tmp_path, "#" * 100_000))


def test_a_kind_that_is_there_already_is_refused(tmp_path: Path) -> None:
    ours = (OURS / "receipt.yaml").read_text(encoding="utf-8")
    with pytest.raises(InvalidPaperKind, match="is there already"):
        load_catalogue(folder_with(tmp_path, ours, "receipt"))


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPaperKind, match="no such folder"):
        load_catalogue(tmp_path / "nowhere")
    with pytest.raises(InvalidPaperKind, match="no kind in it"):
        load_catalogue(tmp_path)

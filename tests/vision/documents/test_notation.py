"""Amounts and dates in the notations of other countries: read by the conventions of their page, else not taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest

from claims.currencies import DECIMALS
from vision.documents.gate import not_accepted_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse_as
from vision.documents.text.layout import rows_of
from vision.documents.text.page import PageText, PaperReading
from vision.documents.text.signs import CODES, decimals

MakePage = Callable[..., PageText]
TODAY = date(2026, 11, 20)
US = ["GREEN DINER", "12 MAIN STREET", "AUSTIN, TX 78701"]
MY = ["KEDAI ABC SDN BHD", "NO 18, JALAN MELATI", "43000 KAJANG, SELANGOR"]


def _receipt(page_of: MakePage, lines: Sequence[str]) -> PaperReading:
    page = page_of([line.split("|") for line in lines])
    return parse_as(load_catalogue()["receipt"], rows_of(page), page, TODAY)


def _till(total: str, *, header: Sequence[str] = MY, items: Sequence[str] = (), day: str = "20 Oct 2026") -> list[str]:
    prices = [f"ITEM {place}|{price}" for place, price in enumerate(items)]
    return [*header, f"DATE: {day}", *prices, f"TOTAL|{total}", f"CASH|{total}"]


@pytest.mark.parametrize(
    ("total", "header", "items", "code", "minor"),
    [
        ("₹ 1,20,034.56", ["SHOP", "GSTIN 29ABCDE", "INDIA"], ["1,20,000.00", "34.56"], "INR", 12_003_456),
        ("1.234,56", ["Bäckerei GmbH", "MwSt", "Deutschland"], ["1.200,00", "34,56"], "EUR", 123_456),
        ("1 234,56 €", ["Café", "TVA FR12", "FRANCE"], ["1 200,00", "34,56"], "EUR", 123_456),
        ("1\u202f234,56 €", ["Café", "TVA FR12", "FRANCE"], ["1\u202f200,00", "34,56"], "EUR", 123_456),
        ("1\u00a0234,56 €", ["Café", "TVA FR12", "FRANCE"], ["34,56"], "EUR", 123_456),
        ("CHF 1'234.56", ["SHOP", "CHE-123.456.789"], ["1'200.00", "34.56"], "CHF", 123_456),
        ("CHF 1’234.56", ["SHOP", "CHE-123.456.789"], ["34.56"], "CHF", 123_456),
        ("12,50", ["Bäckerei GmbH", "MwSt"], ["12,50"], "EUR", 1_250),
        ("USD$ 29.01", US, ["29.01"], "USD", 2_901),
        ("JPY 1,000", ["SHOP", "TOKYO JAPAN"], ["JPY 600", "JPY 400"], "JPY", 1_000),
        ("JPY 1,000.00", ["SHOP", "TOKYO JAPAN"], ["JPY 600.00"], "JPY", 1_000),
        ("JPY 10.00", ["SHOP", "TOKYO JAPAN"], [], "JPY", 10),
        ("₩12,000", ["SHOP", "SEOUL KOREA"], ["₩12,000"], "KRW", 12_000),
        ("KWD 12.345", ["SHOP", "KUWAIT"], ["KWD 12.345"], "KWD", 12_345),
        ("KWD 1,012.345", ["SHOP", "KUWAIT"], ["KWD 12.345"], "KWD", 1_012_345),
        ("Rp 12.000", ["WARUNG", "JAKARTA INDONESIA"], ["Rp 12.000"], "IDR", 1_200_000),
        ("RM 1,234", MY, ["RM 1,234"], "MYR", 123_400),
        ("RM 1 ,234. 56", MY, ["34.56"], "MYR", 123_456),
        ("S$ 4.50", ["TOAST PTE LTD", "SINGAPORE 238823"], ["4.50"], "SGD", 450),
    ],
)  # fmt: skip
def test_the_conventions_of_a_page_decide_its_amounts(
    page_of: MakePage, total: str, header: list[str], items: list[str], code: str, minor: int
) -> None:
    reading = _receipt(page_of, _till(total, header=header, items=items))
    assert reading.currency is not None
    assert (reading.currency.code, reading.value("total_minor")) == (code, str(minor))
    assert "total_minor" not in {field.name for field in (*reading.refused, *reading.doubtful)}


@pytest.mark.parametrize(
    ("total", "header"),
    [
        ("1,234", ["SHOP"]),
        ("1.234", ["SHOP"]),
        ("EUR 1.234", ["SHOP"]),
        ("KRW 12.000", ["SHOP", "SEOUL KOREA"]),
        ("RM 1.234", MY),
        ("USD 29 01", US),
    ],
)
def test_an_amount_with_two_meanings_is_not_taken(page_of: MakePage, total: str, header: list[str]) -> None:
    reading = _receipt(page_of, _till(total, header=header))
    assert reading.value("total_minor") == ""
    assert not_accepted_because(reading)


def test_a_mark_that_does_not_fit_the_other_amounts_is_doubted(page_of: MakePage) -> None:
    items = ["1.00", "2.00", "3.00", "4.00"]
    reading = _receipt(page_of, _till("RM 12,50", items=items))
    assert [doubt.name for doubt in reading.doubtful if "unlike" in doubt.reason] == ["total_minor"]


def test_a_count_before_an_amount_is_no_group_of_it(page_of: MakePage) -> None:
    reading = _receipt(page_of, [*MY, "DATE: 20 Oct 2026", "NASI|2 450.00", "TOTAL|450.00", "CASH|450.00"])
    assert reading.value("total_minor") == "45000"


def test_amounts_and_lines_of_a_page_in_the_house_notation_stay_as_printed(page_of: MakePage) -> None:
    lines = _till("RM 1,234.50", items=["1,200.00", "34.50"])
    reading = _receipt(page_of, lines)
    assert reading.value("total_minor") == "123450"
    assert "TOTAL  RM 1,234.50" in reading.lines


@pytest.mark.parametrize(
    ("day", "header", "read"),
    [
        ("07/04/2026", MY, date(2026, 4, 7)),
        ("07/04/2026", US, date(2026, 7, 4)),
        ("7-4-26", US, date(2026, 7, 4)),
        ("07/04/2026", ["SHOP", "PRICES IN RM", "TEA RM 2.00"], date(2026, 4, 7)),
        ("07/04/2026", ["SHOP", "TEA EUR 2.00"], date(2026, 4, 7)),
        ("Sat 07/04/2026", ["SHOP"], date(2026, 7, 4)),
        ("Tue 07/04/2026", ["SHOP"], date(2026, 4, 7)),
        ("Tuesday, 07/04/2026", US, date(2026, 4, 7)),
        ("07/04/2026 星期六", ["SHOP"], date(2026, 7, 4)),
        ("07.04.2026", US, date(2026, 4, 7)),
        ("13/04/2026", US, date(2026, 4, 13)),
        ("04/13/2026", MY, date(2026, 4, 13)),
        ("07/07/2026", ["SHOP"], date(2026, 7, 7)),
        ("2026-07-04", ["SHOP"], date(2026, 7, 4)),
        ("4 Jul 2026", ["SHOP"], date(2026, 7, 4)),
    ],
)
def test_weekday_and_country_tell_day_from_month(page_of: MakePage, day: str, header: list[str], read: date) -> None:
    reading = _receipt(page_of, _till("12.00", header=header, day=day))
    assert reading.value("date") == read.isoformat()
    assert "date" not in {doubt.name for doubt in reading.doubtful}


def test_another_date_of_the_page_tells_the_order(page_of: MakePage) -> None:
    lines = [*_till("12.00", header=["SHOP"], day="07/04/2026"), "RETURN BY 07/25/2026"]
    assert _receipt(page_of, lines).value("date") == "2026-07-04"


@pytest.mark.parametrize("header", [["SHOP"], ["SHOP", "TORONTO, CANADA"], ["SHOP", "TEA USD 2.00"]])
def test_a_date_with_two_meanings_is_doubted(page_of: MakePage, header: list[str]) -> None:
    reading = _receipt(page_of, _till("12.00", header=header, day="07/04/2026"))
    assert [doubt.reason for doubt in reading.doubtful if doubt.name == "date"] == ["07/04/2026 may be two days"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (_till("$12.00", header=["SHOP"]), "the currency is not known: $"),
        (_till("12.00", header=["SHOP"]), "the currency is not known"),
    ],
)
def test_a_paper_whose_currency_is_unknown_is_not_accepted(page_of: MakePage, lines: list[str], words: str) -> None:
    assert not_accepted_because(_receipt(page_of, lines)) == words


def test_a_paper_that_need_not_show_an_amount_needs_no_currency(page_of: MakePage) -> None:
    page = page_of([["SHOP"], ["DATE", "20 Oct 2026"]])
    reading = parse_as(load_catalogue()["pet_card"], rows_of(page), page, TODAY)
    assert "currency" not in not_accepted_because(reading)


def test_details_of_checks_are_in_the_currency_of_the_paper(page_of: MakePage) -> None:
    page = page_of([["宠物医院收费单"], ["币种: JPY"], ["项目", "金额"], ["挂号", "JPY 1,000"], ["合计", "JPY 1,500"]])
    reading = parse_as(load_catalogue()["vet_invoice"], rows_of(page), page, TODAY)
    details = {check.name: check.detail for check in reading.checks}
    assert details["items_sum_to_total"] == "1 items sum to 1000 JPY, the total says 1500 JPY"


def test_the_decimals_of_every_currency_that_is_read_are_those_that_money_has() -> None:
    assert {code: decimals(code) for code in CODES} == {code: DECIMALS[code] for code in CODES}

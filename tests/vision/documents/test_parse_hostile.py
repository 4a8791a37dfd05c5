"""Forged, faulty or odd papers are refused with a reason, never misread."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.documents.gate import accepted
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.normalise import AMOUNT_MINOR_END, amount_minor, dates, impossible_dates, plain
from vision.documents.text.page import PaperReading
from vision.measurement import Unmeasured

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()


def bill(page_of: Any, **changes: str) -> PaperReading:
    printed = {
        "name": "范天丽", "day": "2026年9月11日", "number": "0012345678", "total": "¥60.00", "capital": "陆拾元整",
    } | changes  # fmt: skip
    reading = parse(
        page_of(
            [
                ["杭州市医疗门诊收费票据（电子）"],
                [f"票据号码：{printed['number']}"],
                [f"交款人：{printed['name']}", (800, f"开票日期：{printed['day']}")],
                ["项目名称", (600, "等级"), (1000, "金额（元）")],
                ["静脉输液", (610, "甲"), (1010, "60.00")],
                [f"金额合计（大写）{printed['capital']}", (800, f"（小写）{printed['total']}")],
                ["医保统筹基金支付：40.00", (600, "个人现金支付：20.00")],
                ["打印时间：2026-10-01 08:00"],
                ["收款单位（章）：杭州市协济医院"],
            ]
        ),
        TODAY,
        KINDS,
    )
    return replace(reading, alike=reading.relied_on)  # as if two models had read it


def refused(reading: PaperReading) -> dict[str, str]:
    return {field.name: field.reason for field in reading.refused}


def test_the_bill_itself_is_accepted(page_of: Any) -> None:
    assert accepted(bill(page_of))


@pytest.mark.parametrize(
    "total", ["¥1,000,000,000,000.00", "1000000000000.00", "¥ 1000000000000", "10,000,000,000.00", "9" * 400 + ".00"]
)
def test_a_total_of_a_million_millions_is_refused_and_not_read_as_less(page_of: Any, total: str) -> None:
    reading = bill(page_of, total=total)
    assert reading.value("total_minor") == ""
    assert "total_minor" in reading.missing_fields
    assert "more than any paper here is for" in refused(reading)["total_minor"]
    assert not accepted(reading)


def test_ten_thousand_millions_in_capitals_are_refused(page_of: Any) -> None:
    reading = bill(page_of, capital="壹佰亿元整")
    assert reading.value("capital_total_minor") == ""
    assert "capital_total_minor" in refused(reading)


def test_a_receipt_over_a_million_millions_is_not_paid_on_its_cash_line(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["GREENFIELD GROCERS SDN BHD"],
                ["TAX INVOICE"],
                ["Date: 25/01/2018"],
                ["TOTAL", (900, "1,000,000,000,000.00")],
                ["CASH", (900, "20.00")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.value("total_minor") == ""
    assert "total_minor" in refused(reading)


@given(st.integers(0, 10**30))
def test_an_amount_is_itself_or_refused(minor: int) -> None:
    read = amount_minor(f"{minor // 100}.{minor % 100:02d}")
    assert read == minor if minor < AMOUNT_MINOR_END else isinstance(read, Unmeasured)


@pytest.mark.parametrize(
    "day", ["2026年2月29日", "2026-02-29", "29/02/2026", "29 FEB 2026", "2026.2.30", "二〇二六年二月二十九日"]
)
def test_a_day_that_is_not_in_the_calendar_is_refused_and_no_other_date_taken(page_of: Any, day: str) -> None:
    reading = bill(page_of, day=day)
    assert reading.value("date") == ""
    assert "no day of the calendar" in refused(reading)["date"]
    assert not accepted(reading)


def test_29_february_of_a_leap_year_is_a_day(page_of: Any) -> None:
    assert bill(page_of, day="2024年2月29日").value("date") == "2024-02-29"


@given(st.dates(date(1990, 1, 1), date(2099, 12, 31)))
def test_no_day_of_the_calendar_is_impossible(day: date) -> None:
    assert impossible_dates(day.isoformat()) == []
    assert impossible_dates(f"{day.day:02d}/{day.month:02d}/{day.year}") == []


@pytest.mark.parametrize(
    ("printed", "day"),
    [
        ("２０２６年９月１１日", date(2026, 9, 11)),
        ("二〇二六年九月十一日", date(2026, 9, 11)),
        ("二零二六年十二月三十一日", date(2026, 12, 31)),
        ("二〇二四年二月二十九日", date(2024, 2, 29)),
        ("11/09/2026", date(2026, 9, 11)),
        ("11 SEP 2026 10:22", date(2026, 9, 11)),
        ("2026.9.11 08:05:00", date(2026, 9, 11)),
        ("2026/09/11T10:22", date(2026, 9, 11)),
        ("20260911", date(2026, 9, 11)),
    ],
)
def test_dates_are_read_however_they_are_printed(printed: str, day: date) -> None:
    assert [read_day for _, _, read_day in dates(plain(printed))] == [day]


def test_a_date_in_the_future_fails_its_check(page_of: Any) -> None:
    reading = bill(page_of, day="2027年3月1日")
    assert [check.name for check in reading.checks if not check.passed] == ["date_is_plausible"]
    assert not accepted(reading)


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("محمد علي", "محمد علي"),
        ("דנה לוי", "דנה לוי"),
        ("张😀三", "张😀三"),
        ("Ирина Петрова", "Ирина Петрова"),
        ("张㛃", "张㛃"),
        ("范\u202e天丽\u202c", "范天丽"),
        ("范天丽", "范天丽"),
        ("Ana-María O'Neil", "Ana-María O'Neil"),
        ("张*丽", "张*丽"),
    ],
)
def test_a_name_of_any_script_survives_as_text(page_of: Any, printed: str, value: str) -> None:
    assert bill(page_of, name=printed).value("patient") == value


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_in_the_place_of_a_name_is_text_or_nothing(text: str) -> None:
    from tests.vision.documents.conftest import _page

    reading = bill(_page, name=text)
    assert reading.value("number") == "0012345678"
    assert "\u202e" not in reading.value("patient")


def test_two_numbers_beside_a_label_that_stands_once_are_of_two_papers(page_of: Any) -> None:
    reading = bill(page_of, number="0012345678   票据号码：0087654321")
    assert reading.value("number") == ""
    assert "two of them on one paper" in refused(reading)["number"]
    assert bill(page_of, number="0012345678   票据号码：0012345678").value("number") == "0012345678"


def test_the_same_number_with_another_total_is_not_accepted(page_of: Any) -> None:
    assert not accepted(bill(page_of, total="¥600.00"))

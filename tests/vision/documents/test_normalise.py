"""Text to values: widths, amounts, dates, weights."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.documents.text.normalise import amount_minor, amounts, dates, plain, weight_g
from vision.measurement import Unmeasured


def test_full_width_signs_become_ascii() -> None:
    assert plain("金额：￥１，２３４．５０（元）") == "金额:¥1,234.50(元)"


@given(st.integers(0, 10**10), st.booleans(), st.sampled_from(["", "¥", "￥", "RM ", "$"]))
def test_every_printed_amount_reads_back(minor: int, thousands: bool, sign: str) -> None:
    whole = f"{minor // 100:,}" if thousands else str(minor // 100)
    assert amount_minor(plain(f"{sign}{whole}.{minor % 100:02d}")) == minor


@pytest.mark.parametrize(("text", "minor"), [("12.5", 1250), ("7", 700), ("¥ 88 .20", 8820), ("1, 234.00", 123400)])
def test_amounts_with_few_decimals_or_stray_spaces_are_read(text: str, minor: int) -> None:
    assert amount_minor(text) == minor


@pytest.mark.parametrize("text", ["", "元", "abc", "¥"])
def test_no_amount_is_unmeasured(text: str) -> None:
    assert isinstance(amount_minor(text), Unmeasured)


def test_counts_and_codes_are_not_amounts_when_decimals_are_required() -> None:
    assert [minor for _, _, minor in amounts("2 盒 12.50 编号 88123", decimals_required=True)] == [1250]


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_every_way_to_print_a_date_reads_back(day: date) -> None:
    for printed in (
        day.isoformat(),
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}/{day.month:02d}/{day.day:02d}",
        f"{day.year}.{day.month}.{day.day}",
        f"{day.year}{day.month:02d}{day.day:02d}",
        f"{day.day:02d}/{day.month:02d}/{day.year}",
        day.strftime("%d %b %Y"),
        day.strftime("%d/%b/%Y").upper(),
        day.strftime("%b %d, %Y"),
    ):
        assert [read_day for _, _, read_day in dates(plain(printed))] == [day], printed


def test_the_day_comes_first_where_both_orders_are_dates() -> None:
    assert dates("03/04/2018")[0][2] == date(2018, 4, 3)
    assert dates("12/25/2018")[0][2] == date(2018, 12, 25)


def test_a_time_glued_to_a_date_does_not_hide_it() -> None:
    assert dates("9/3/201820:54:50")[0][2] == date(2018, 3, 9)
    assert dates("29 Mar 201818:19")[0][2] == date(2018, 3, 29)


@pytest.mark.parametrize("text", ["31/02/2018", "2018-13-01", "GA06-07 - 6/24", "03-9201 6281"])
def test_impossible_dates_and_part_numbers_are_no_dates(text: str) -> None:
    assert dates(text) == []


@given(st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_two_digit_years_are_of_this_century(offset: timedelta) -> None:
    day = date(2013, 1, 1) + offset
    assert dates(f"{day.day:02d}-{day.month:02d}-{day.year % 100:02d}")[0][2] == day


@pytest.mark.parametrize(
    ("text", "grams"), [("1.25kg", 1250), ("0.80 KG", 800), ("350g", 350), ("2公斤", 2000), ("3斤", 1500)]
)
def test_weights_read_in_grams(text: str, grams: int) -> None:
    assert weight_g(text) == grams


def test_a_weight_without_a_unit_is_unmeasured() -> None:
    assert isinstance(weight_g("1.25"), Unmeasured)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1,20,034.56", 12003456),
        ("12,34,567.00", 123456700),
        ("1,00,00,000.00", 1000000000),
        ("USD$ 29.01", 2901),
        ("US$29.01", 2901),
        ("USD 29 .01", 2901),
        ("HK$1,234.00", 123400),
        ("S$ 4.50", 450),
        ("€ 12.50", 1250),
        ("Rp 1,200.00", 120000),
    ],
)
def test_amounts_with_foreign_signs_and_indian_groups_are_read_whole(text: str, minor: int) -> None:
    assert amount_minor(plain(text)) == minor
    assert [read for _, _, read in amounts(plain(text))] == [minor]


@pytest.mark.parametrize("text", ["12,50", "1.234,56", "1.234", "12,34.56", "1,2,034.56"])
def test_no_part_of_a_number_is_taken_for_the_amount(text: str) -> None:
    assert isinstance(amount_minor(text), Unmeasured)
    assert amounts(text) == []

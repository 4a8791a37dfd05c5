"""Amounts that are printed as negative: none is read as if it had been paid."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from vision.documents.fields import capital
from vision.documents.fields.engine import extract
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.text.layout import GAP, rows_of
from vision.documents.text.normalise import AMOUNT, NEGATIVE, negative, plain
from vision.documents.text.page import PageText
from vision.measurement import Unmeasured

MakePage = Callable[..., PageText]


def _is_negative(printed: str) -> bool:
    text = GAP.join(plain(cell) for cell in printed.split(GAP))
    spans = [match.span() for match in re.finditer(AMOUNT, text)]
    return negative(text, *spans[-1])


@pytest.mark.parametrize(
    "printed",
    ["-12.00", "TOTAL -12.00", "TOTAL  - 12.00", "合计:-464.07", "合计 ¥-464.07", "-¥464.07", "合计－￥464.07",
     "12.00-",
     "TOTAL  12.00 -", "(12.00)", "(RM 12.00)", "负464.07", "小写: 负 464.07", "12.00CR", "12.00 CR", "12.00 (CR)",
     "(S$12.00)", "**-12.00", "TOTAL-12.00", "12.00-A"],
)  # fmt: skip
def test_a_minus_is_seen_wherever_it_stands(printed: str) -> None:
    assert _is_negative(printed)


@pytest.mark.parametrize(
    "printed",
    ["12.00", "TOTAL 12.00", "Total - 12.00", "10.00-12.00", "A-12.00", "2026-11-12.00", "(小写)¥464.07", "12.00-A1",
     "肆佰元整(¥400.00)", "人民币壹拾贰元整（￥12.00）", "小计(3件) 12.00", "12.00 CREDIT", "¥12.00 - ¥14.00",
     "12.00 - VISA", "12.00 - 已收", "AX-12.00"],
)  # fmt: skip
def test_a_dash_that_is_no_minus_takes_nothing_away(printed: str) -> None:
    assert not _is_negative(printed)


@pytest.mark.parametrize("printed", ["¥12.00 - ¥14.00", "¥12.00-¥14.00", "12.00-14.00"])
def test_a_range_of_prices_begins_with_no_negative_amount(printed: str) -> None:
    assert not negative(plain(printed), *next(re.finditer(AMOUNT, plain(printed))).span())


@pytest.mark.parametrize(
    "printed", ["负肆佰陆拾肆元零柒分", "（负）肆佰陆拾肆元零柒分", "人民币负壹佰元整", "-壹佰元整"]
)
def test_a_negative_amount_in_capitals_is_no_amount(printed: str) -> None:
    text = plain(printed)
    assert capital.parse(text) == Unmeasured(NEGATIVE)
    start, end = capital.find(text)
    assert isinstance(capital.parse(text[start:end]), int)
    assert capital.negative(text, start)


@pytest.mark.parametrize(
    "printed", ["大写：壹佰元整", "人民币壹佰元整", "大写）壹佰元整", "大写——壹佰元整", "负责人 李雷  大写:壹佰元整"]
)
def test_an_amount_in_capitals_without_a_minus_is_read(printed: str) -> None:
    text = plain(printed)
    start, end = capital.find(text)
    assert capital.parse(text[start:end]) == 10_000
    assert not capital.negative(text, start)


@pytest.mark.parametrize("printed", ["-464.07", "¥-464.07", "-¥464.07", "负464.07", "464.07-", "(464.07)"])
def test_a_negative_total_is_refused_and_no_other_amount_takes_its_place(page_of: MakePage, printed: str) -> None:
    rows = rows_of(page_of([["宠物医院收费单"], ["项目", "金额"], ["挂号", "464.07"], ["合计", printed]]))
    fields, refused = extract(rows, load_catalogue()["vet_invoice"])
    assert [field.reason for field in refused if field.name == "total_minor"] == [NEGATIVE]
    assert "total_minor" not in {field.name for field in fields}


def test_a_discount_may_be_printed_with_a_minus(page_of: MakePage) -> None:
    rows = rows_of(page_of([["订单详情"], ["商品总价", "¥50.00"], ["优惠券", "-¥5.00"], ["实付款", "¥45.00"]]))
    fields, refused = extract(rows, load_catalogue()["order_screenshot"])
    assert not refused
    values = {field.name: field.value for field in fields}
    assert (values["discount_minor"], values["total_minor"]) == ("500", "4500")

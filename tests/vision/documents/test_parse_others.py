"""Parcel slips, receipts and papers of no known kind, from text lines."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()


def test_a_parcel_label_is_read(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["圆通速递", (900, "次日达")],
                ["运单号：YT6069 2142 27922"],
                ["收件人：朱远", (500, "135****0871")],
                ["地址：成都市武侯区和平里222号15幢2362室"],
                ["寄件：袁琪一", (500, "191****7271")],
                ["寄件时间：2026/01/16 10:22"],
                ["实际重量：3.41KG", (500, "件数：1")],
                ["声明价值：￥2588.00元"],
                ["运费：21.00元"],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "parcel_slip"
    assert {field.name: field.value for field in reading.fields} == {
        "carrier": "圆通速递", "tracking_number": "YT6069214227922", "recipient": "朱远", "sender": "袁琪一",
        "date": "2026-01-16", "weight_g": "3410", "declared_value_minor": "258800", "freight_minor": "2100",
    }  # fmt: skip
    assert reading.missing_fields == ()


def test_a_telephone_number_is_not_taken_for_the_tracking_number(page_of: Any) -> None:
    reading = parse(
        page_of([["中通快递"], ["收件人：朱远"], ["13512340871"], ["寄件：袁琪一"], ["日期：2026/01/16"]]), TODAY, KINDS
    )
    assert reading.missing_fields == ("tracking_number",)


ENGLISH = [
    [(300, "GREENFIELD GROCERS SDN BHD (123456-X)")],
    [(300, "NO 18, JALAN MELATI 3/7,")],
    [(300, "43000 KAJANG, SELANGOR.")],
    [(300, "TEL: 03-12345678")],
    ["TAX INVOICE"],
    ["Date: 25/01/2018 09:43"],
    ["FRESH MILK 1L", (900, "6.84")],
    ["DISH SOAP", (900, "5.48")],
    ["Subtotal", (900, "12.32")],
    ["Total Sales Incl GST", (900, "12.32")],
    ["Rounding Adj", (900, "-0.02")],
    ["TOTAL", (900, "12.30")],
    ["CASH", (900, "20.00")],
    ["CHANGE", (900, "7.70")],
    ["GST Summary", (500, "Amount"), (900, "Tax")],
    ["Total", (500, "11.62"), (900, "0.70")],
]


def test_an_english_receipt_is_read_with_the_rounded_total(page_of: Any) -> None:
    reading = parse(page_of(ENGLISH), TODAY, KINDS)
    assert reading.kind == "receipt"
    assert {field.name: field.value for field in reading.fields} == {
        "company": "GREENFIELD GROCERS SDN BHD", "address": "NO 18, JALAN MELATI 3/7, 43000 KAJANG, SELANGOR.",
        "date": "2018-01-25", "total_minor": "1230",
    }  # fmt: skip


def test_neither_cash_nor_subtotal_nor_tax_is_the_total(page_of: Any) -> None:
    without_total = [row for row in ENGLISH if row[0] not in ("TOTAL", "Total Sales Incl GST", "Rounding Adj")][:-2]
    assert parse(page_of(without_total[:-2]), TODAY, KINDS).missing_fields == ("total_minor",)


def test_a_chinese_receipt_is_read(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                [(300, "鲜丰水果")],
                [(300, "欢迎光临")],
                ["地址：杭州市西湖区文三路12号"],
                ["单号：5550001112"],
                ["日期：2026年10月3日 18:22"],
                ["商品名称", (500, "数量"), (900, "金额")],
                ["山东红富士苹果", (500, "1"), (900, "18.80")],
                ["合计：", (900, "¥18.80")],
                ["现金：", (900, "¥20.00")],
                ["找零：", (900, "¥1.20")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "receipt"
    assert reading.value("company") == "鲜丰水果"
    assert reading.value("date") == "2026-10-03"
    assert reading.value("total_minor") == "1880"


@pytest.mark.parametrize("rows", [[], [["今天天气很好"]], [["SALE ENDS SUNDAY", "50% OFF"]]])
def test_other_papers_are_of_unknown_kind_and_have_no_fields(page_of: Any, rows: list[Any]) -> None:
    reading = parse(page_of(rows), TODAY, KINDS)
    assert reading.kind == "unknown"
    assert reading.fields == ()
    assert reading.read_confidence == 0.0


_ITEMS: Any = [
    ["日期：2026年10月3日 18:22"],
    ["品名", (500, "数量"), (900, "金额")],
    ["招牌牛肉面", (500, "1"), (900, "18.80")],
    ["合计：", (900, "¥18.80")],
    ["现金：", (900, "¥20.00")],
    ["找零：", (900, "¥1.20")],
    ["地址：长沙市岳麓区麓山路12号"],
]


@pytest.mark.parametrize(
    ("head", "company"),
    [
        ([["老李记面馆"], ["消费单"], ["台号：12"]], "老李记面馆"),
        ([["老李记"], ["结 账 单"], ["桌号 A8"]], "老李记"),
        ([["老李记"], ["点菜明细"], ["包间：08"]], "老李记"),
        ([["万家乐购"], ["购物凭证"], ["(岳麓店)"]], "万家乐购"),
        ([["费用报销粘贴单"], ["万家乐购"], ["电脑小票"]], "万家乐购"),
        ([["票据粘贴处"], ["万家乐购生活超市"], ["商户存根"]], "万家乐购生活超市"),
        ([["湘味小厨"], ["取餐号#017"]], "湘味小厨"),
        ([["湘味小厨"], ["顾客联"]], "湘味小厨"),
        ([["湖南湘味"], ["餐饮管理有限公司"], ["结算单"]], "湖南湘味 餐饮管理有限公司"),
    ],
)
def test_neither_a_title_nor_a_number_nor_the_sheet_behind_is_of_a_shops_name(
    page_of: Any, head: list[Any], company: str
) -> None:
    assert parse(page_of([*head, *_ITEMS]), TODAY, KINDS).value("company") == company


@pytest.mark.parametrize("title", ["Guest Check", "TABLE 12", "Order No: 118", "Official Receipt", "Customer's Copy"])
def test_an_english_title_or_table_is_not_of_a_shops_name(page_of: Any, title: str) -> None:
    rows = [[ENGLISH[0][0]], [title], *ENGLISH[1:]]
    assert parse(page_of(rows), TODAY, KINDS).value("company") == "GREENFIELD GROCERS SDN BHD"
    assert (
        parse(page_of([["HARBOUR KITCHEN"], [title], *ENGLISH[2:]]), TODAY, KINDS).value("company") == "HARBOUR KITCHEN"
    )

"""Forms of hospitals as they are: sums of a part beside the total, several funds, columns of shares, days of printing,
fees where a name stands. Each honest form beside it is still read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from vision.documents.gate import not_accepted_because, unfit_because
from vision.documents.kinds.catalogue import load_catalogue, whole_word
from vision.documents.parse import parse
from vision.documents.text.page import PaperReading

TODAY = date(2026, 11, 22)
HEAD = [
    [(200, "浙江省门诊收费票据")],
    ["票据号码：0012345678", (600, "交款人：张三")],
    ["杭州市第一人民医院", (600, "开票日期：2026年03月09日")],
]
ITEMS = [["项目", (600, "金额")], ["西药费", (600, "800.00")], ["检查费", (600, "200.00")]]


def read(page_of: Any, *parts: Any) -> PaperReading:
    reading = parse(page_of([row for part in parts for row in part]), TODAY, load_catalogue())
    return replace(reading, alike=reading.relied_on)


@pytest.mark.parametrize(
    "beside",
    [
        "统筹合计",
        "医保合计",
        "个人合计",
        "自付合计",
        "自费合计",
        "小计",
        "优惠合计",
        "预交合计",
        "医保结算合计",
        "报销总额",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_sum_of_a_part_is_not_the_total(page_of: Any, beside: str, first: bool) -> None:
    part, whole = [f"{beside}：300.00"], ["合计：1000.00"]
    reading = read(page_of, HEAD, ITEMS, [part, whole] if first else [whole, part])
    assert reading.value("total_minor") == "100000"
    alone = read(page_of, HEAD, [part])
    assert alone.value("total_minor") == ""


@pytest.mark.parametrize(
    "label", ["合计", "金额合计", "医疗费用合计", "本次合计", "门诊费用合计", "人民币合计", "总金额"]
)
def test_a_word_that_says_no_more_than_the_label_may_stand_before_it(page_of: Any, label: str) -> None:
    assert read(page_of, HEAD, ITEMS, [[f"{label}：1000.00"]]).value("total_minor") == "100000"


@pytest.mark.parametrize(
    ("format_name", "label", "text", "matches"),
    [
        ("amount", "合计", "统筹合计", False),
        ("amount", "合计", "壹佰元整合计", True),
        ("amount", "金额", "预交金额", False),
        ("amount", "金额", "发票金额", False),
        ("amount", "运费", "退货运费", True),  # a word for one thing stays that thing
        ("date", "日期|时间", "打印时间", False),
        ("date", "日期|时间", "下单时间", True),
        ("number", "发票号码", "原发票号码", False),
        ("number", "发票号码", "电子发票号码", True),
        ("name", "姓名", "患者姓名", True),
    ],
)
def test_a_label_is_not_the_end_of_another(format_name: str, label: str, text: str, matches: bool) -> None:
    assert (re.search(whole_word(label, format_name), text) is not None) is matches


@pytest.mark.parametrize(
    ("funds", "share"),
    [
        ([["统筹基金支付：500.00"]], "50000"),
        ([["统筹基金支付：500.00", (600, "公务员补助：60.00")]], "56000"),
        ([["统筹基金支付：500.00", (600, "大病报销：40.00")], ["医疗救助：10.00", (600, "其他支付：5.00")]], "55500"),
        ([["统筹支付：500.00", (600, "大额医疗补助：0.00")]], "50000"),
        ([["医保统筹基金支付：500.00", (600, "其他支付：55.00")], ["基金支付合计：555.00"]], "55500"),
        ([["医保支付：500.00"]], "50000"),
    ],
)
def test_the_states_share_is_that_of_all_its_funds(page_of: Any, funds: Any, share: str) -> None:
    cash = (100000 - int(share)) // 100
    end = [["合计：1000.00"], *funds, ["个人账户支付：0.00", (600, f"个人现金支付：{cash}.00")]]
    reading = read(page_of, HEAD, ITEMS, end)
    assert reading.value("insurance_paid_minor") == share
    assert {check.name: check.passed for check in reading.checks}["insurance_and_cash_equal_total"]
    assert unfit_because(reading) == ""


@pytest.mark.parametrize(
    "funds",
    [
        [["统筹基金支付：500.00", (600, "公务员补助：60.00")], ["基金支付合计：600.00"]],  # which of them?
        [["医保支付：500.00", (600, "其他支付：60.00")]],  # in it or beside it?
    ],
)
def test_funds_that_do_not_come_to_their_sum_are_nobodys_share(page_of: Any, funds: Any) -> None:
    reading = read(page_of, HEAD, ITEMS, [["合计：1000.00"], *funds])
    assert reading.value("insurance_paid_minor") == ""
    assert unfit_because(reading).startswith("insurance_paid_minor: the paper says")


@pytest.mark.parametrize("shown", ["2020年度", "2020", "2020-01-01", "80%"])
def test_a_year_a_day_or_a_share_is_no_amount(page_of: Any, shown: str) -> None:
    reading = read(page_of, HEAD, ITEMS, [["合计：1000.00"], [f"医保统筹 {shown}"]])
    assert reading.value("insurance_paid_minor") == ""
    plain = read(page_of, HEAD, [["合计：¥2020"], ["医保统筹支付：2000"]])
    assert (plain.value("total_minor"), plain.value("insurance_paid_minor")) == ("202000", "200000")


def test_an_item_that_was_given_back_is_taken_from_the_sum(page_of: Any) -> None:
    items = [*ITEMS[:1], ["西药费", (600, "1200.00")], ["检查费", (600, "200.00")], ["退西药费", (600, "-400.00")]]
    reading = read(page_of, HEAD, items, [["合计：1000.00"]])
    assert [(item.text, item.amount_minor) for item in reading.items][-1] == ("退西药费", -40000)
    assert [check.passed for check in reading.checks if check.name == "items_sum_to_total"] == [True]
    lost = read(page_of, HEAD, [*items[:3], ["退西药费", (600, "400.00")]], [["合计：1000.00"]])
    assert [check.passed for check in lost.checks if check.name == "items_sum_to_total"] == [False]


@pytest.mark.parametrize("behind", ["日期：2026-03-09", "月结", "次均费用 20.00", "- 已收"])
def test_a_word_behind_an_amount_is_not_its_unit(page_of: Any, behind: str) -> None:
    reading = read(page_of, HEAD, ITEMS, [[f"合计：1000.00 {behind}"]])
    assert (reading.value("total_minor"), unfit_because(reading)) == ("100000", "")


@pytest.mark.parametrize(
    "rows",
    [
        [["项目", (400, "金额"), (600, "自付")], ["西药费", (400, "800.00"), (600, "80.00")]],
        [["项目", (400, "金额"), (600, "自付比例"), (800, "自付金额")],
         ["西药费", (400, "800.00"), (600, "10%"), (800, "80.00")]],
        [["项目", (400, "自付金额"), (600, "金额")], ["西药费", (400, "80.00"), (600, "800.00")]],
        [["项目", (400, "金额"), (600, "优惠金额")], ["西药费", (400, "800.00"), (600, "0.00")]],
        [["项目", (400, "金额"), (600, "自费金额")], ["西药费", (400, "800.00 80.00")]],  # run together by the reader
        [["项目", (300, "金额"), (450, "自付"), (700, "项目"), (900, "金额"), (1050, "自付")],
         ["西药费", (300, "500.00"), (450, "50.00"), (700, "检查费"), (900, "300.00"), (1050, "30.00")]],
    ],
)  # fmt: skip
def test_an_item_costs_what_stands_below_the_amount_not_its_share(page_of: Any, rows: Any) -> None:
    reading = read(page_of, HEAD, rows, [["合计：800.00"]])
    assert sum(item.amount_minor for item in reading.items) == 80000
    assert {check.name: check.passed for check in reading.checks}["items_sum_to_total"]


@pytest.mark.parametrize("row", [[(700, "1,019.83 3%"), (960, "30.59")], [(700, "1,019.83 3% 30.59")]])
def test_an_item_of_a_vat_invoice_costs_its_net_amount_not_its_tax(page_of: Any, row: Any) -> None:
    reading = read(
        page_of,
        [["电子发票（普通发票）"], ["发票号码：26332000000001234567", (700, "开票日期：2026年03月09日")]],
        [["购买方名称：张三", (700, "销售方名称：杭州甲有限公司")]],
        [
            ["项目名称", (700, "金额"), (820, "税率"), (960, "税额")],
            ["*餐饮服务*餐饮费", *row],
            ["*餐饮服务*餐饮费", *row],
        ],
        [["合计", (700, "2039.66"), (960, "61.18")], ["价税合计（大写）贰仟壹佰圆捌角肆分", (700, "（小写）2100.84")]],
    )
    assert [item.amount_minor for item in reading.items] == [101983, 101983]
    assert all(check.passed for check in reading.checks)


@pytest.mark.parametrize("word", ["打印时间", "打印日期", "补打日期", "制表时间"])
def test_the_day_of_printing_is_not_that_of_the_visit(page_of: Any, word: str) -> None:
    undated = [HEAD[0], HEAD[1], ["杭州市第一人民医院"]]
    printed = [[f"{word}：2026-05-20 08:00"]]
    end = [["合计：1000.00"]]
    both = read(page_of, undated, [["2026-03-09"]], printed, ITEMS, end)
    assert both.value("date") == "2026-03-09"
    alone = read(page_of, undated, printed, ITEMS, end)
    assert not_accepted_because(alone) == "date: 2026-05-20 is the day of printing"
    labelled = read(page_of, undated, printed, [["收费日期：2026-03-09"]], ITEMS, end)
    assert (labelled.value("date"), labelled.doubtful) == ("2026-03-09", ())


@pytest.mark.parametrize("fee", ["挂号费", "诊查费", "中成药", "费用合计", "方药费"])
def test_a_fee_is_no_patient(page_of: Any, fee: str) -> None:
    head = [HEAD[0], ["票据号码：0012345678"], HEAD[2]]
    reading = read(page_of, head, [["姓名", (300, "金额")], [fee, (300, "1000.00")]], [["合计：1000.00"]])
    assert reading.value("patient") == ""
    named = read(page_of, head, [["姓名", (300, "性别")], ["费翔", (300, "男")]], [["合计：1000.00"]])
    assert named.value("patient") == "费翔"


PARKING = [
    ["CITY PARKING LTD"],
    ["12, QUAY STREET"],
    ["TEL: 555-0142"],
    ["TICKET NO: 00441"],
    ["DATE: 03/09/2026 14:02"],
]


@pytest.mark.parametrize(
    "end",
    [
        [["Amount Incl. GST", (500, "5.00")], ["Accepted total", (500, "10.00")], ["Change", (500, "5.00")]],
        [["TOTAL", (500, "5.00")], ["TOTAL TENDERED", (500, "10.00")], ["CHANGE", (500, "5.00")]],
        [["TOTAL", (500, "5.00")], ["TOTAL CASH IN", (500, "10.00")], ["CHANGE DUE", (500, "5.00")]],
        [["TOTAL", (500, "5.00")], ["CASH", (500, "12.00")], ["CHANGE", (500, "7.00")]],
        [["TOTAL", (500, "5.00")], ["CASH", (500, "5.00")], ["CHANGE", (500, "0.00")]],
    ],
)
def test_cash_handed_over_is_no_total(page_of: Any, end: Any) -> None:
    assert read(page_of, PARKING, end).value("total_minor") == "500"


def test_an_amount_with_its_tax_is_the_total_without_any_change(page_of: Any) -> None:
    end = [["TOTAL", (500, "10.00")], ["VISA", (500, "10.00")]]
    assert read(page_of, PARKING, end).value("total_minor") == "1000"


@pytest.mark.parametrize(
    ("head", "company", "address"),
    [
        (["Old Mill Bakery", "Unit 4, Harbour Yard", "Newport NP20 1AB", "VAT 123 4567 89"], "Old Mill Bakery",
         "Unit 4, Harbour Yard Newport NP20 1AB"),
        (["SUNSET DINER LLC", "4410 Ocean Avenue", "Springfield, OR 97477", "(541) 555-0142"], "SUNSET DINER LLC",
         "4410 Ocean Avenue Springfield, OR 97477"),
        (["RIVERSIDE PHARMACY PTE LTD", "88 Clarke Quay Road, 02-11", "Singapore 179024", "Tel: 6555 0142"],
         "RIVERSIDE PHARMACY PTE LTD", "88 Clarke Quay Road, 02-11 Singapore 179024"),
    ],
)  # fmt: skip
def test_a_merchant_anywhere_is_told_from_its_address(page_of: Any, head: Any, company: str, address: str) -> None:
    end = [["RECEIPT NO: 00441"], ["DATE: 03/09/2026 14:02"], ["Bread", (500, "5.00")], ["TOTAL", (500, "5.00")]]
    reading = read(page_of, [[row] for row in head], end)
    assert (reading.value("company"), reading.value("address")) == (company, address)


def test_a_row_with_a_day_is_no_part_of_the_merchants_name(page_of: Any) -> None:
    rows = [[(300, "华润万家西湖店")], ["日期：2026-11-19 10:22"], ["商品", (900, "金额")], ["牛奶", (900, "6.84")]]
    reading = read(page_of, [["购物小票"]], rows, [["合计", (900, "6.84")], ["微信支付", (900, "6.84")]])
    assert (reading.kind, reading.value("company")) == ("receipt", "华润万家西湖店")

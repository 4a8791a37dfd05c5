"""Positions of values: right of labels in two languages, under headings, in parts of a paper; and doubtful cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from vision.documents.fields import names
from vision.documents.gate import not_accepted_because, unfit_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PaperReading

TODAY = date(2026, 11, 22)

SLIP = [[(300, "顺丰速运")], ["运单号：SF1234567890123"]]
SLIP_END = [["寄件日期：2026-03-04"], ["计费重量：1.2kg", (500, "保价金额：200.00")], ["快递电子运单"]]
CARD = [[(300, "宠物免疫证")]]
CARD_END = [["疫苗：狂犬病灭活疫苗"], ["接种日期：2026-03-04"], ["芯片号：156000012345678"]]
STAY = [
    [(200, "浙江省住院收费票据")],
    ["票据号码：0012345678", (600, "开票日期：2026年03月09日")],
    ["杭州市第一人民医院"],
    ["住院日期：2026-03-01至2026-03-08", (600, "住院天数：7天")],
]


def read(page_of: Any, *rows: Any) -> PaperReading:
    return parse(page_of([row for part in rows for row in part]), TODAY, load_catalogue())


@pytest.mark.parametrize(
    "rows",
    [
        [["寄件人 From：王小明"], ["收件人 To：李雷", (500, "电话：13800001111")]],
        [["寄件人/Sender：王小明"], ["收件人/Recipient：李雷"]],
        [["寄件人 FROM", (400, "王小明")], ["收件人 TO", (400, "李雷")]],
        [["收件人：李雷先生", (500, "13800001111")], ["寄件人：王小明女士"]],
        [["寄件信息", (600, "收件信息")], ["王小明", (600, "李雷")], ["13900001111", (600, "13800001111")]],
        [["寄件人", (600, "收件人")], ["王小明", (600, "李雷")]],
        [["收件人"], ["姓名：李雷"], ["电话：13800001111"], ["寄件人"], ["姓名：王小明"]],
        [["收件信息"], ["姓名", (300, "李雷")], ["寄件信息"], ["姓名", (300, "王小明")]],
        [["寄件方", (560, "收件方")], ["姓名：王小明", (560, "姓名：李雷")], ["电话：139", (560, "电话：138")]],
        [["李雷（收）", (400, "13800001111")], ["杭州市西湖区文三路1号"], ["王小明（寄）"]],
        [["李雷 收"], ["杭州市西湖区文三路1号"], ["王小明 寄"]],
        [["收", (100, "138 0000 1111 李雷")], ["寄", (100, "139****2222 王小明")]],
        [["收件人：13800001111", (500, "李雷")], ["寄件人：+86 13900002222 王小明"]],
        [["寄", (100, "王小明"), (400, "收"), (500, "李雷")]],
        [["【收件人】李雷 13800001111"], ["【寄件人】王小明"]],
        [["[收] 李雷 13800001111"], ["[寄] 王小明 13900001111"]],
        [["收件人 | 李雷"], ["寄件人 | 王小明"]],
        [["收 件 人：李 雷"], ["寄 件 人：王小明"]],
        [["■收件人信息"], ["姓名 李雷"], ["■寄件人信息"], ["姓名 王小明"]],
        [["收方信息", (300, "李雷")], ["寄方信息", (300, "王小明")]],
        [["收件人姓名及电话", (300, "李雷 13800001111")], ["寄件人姓名/电话：王小明 13900001111"]],
        [["收件联系人：李雷"], ["寄件联系人：王小明"]],
        [["Receiver：李雷"], ["Sender：王小明"]],
        [["TO", (100, "李雷")], ["FROM", (100, "王小明")]],
        [["收件地址：浙江省杭州市西湖区文三路1号 李雷 13800001111"], ["寄件人：王小明"]],
        [
            ["收", (200, "李雷 13800001111")],
            ["件"],
            ["人"],
            ["寄", (200, "王小明"), (400, "13900001111")],
            ["件"],
            ["人"],
        ],
        [["收", (200, "姓名：李雷"), (440, "寄"), (500, "姓名：王小明")], ["方", (440, "方")]],
        [["寄件人：王小明"], ["收", (200, "浙江省")], [(200, "李雷 13800001111")]],
        [
            [(200, "姓名"), (340, "王小明"), (600, "电话"), (740, "13900001111")],
            ["寄"],
            ["件", (200, "单位")],
            ["人"],
            [(200, "地址"), (340, "杭州市西湖区文三路1号")],
            [(200, "姓名"), (340, "李雷"), (600, "电话"), (740, "13800001111")],
            ["收", (740, "揽收员")],
            ["件", (200, "单位")],
            ["人"],
        ],
    ],
)
def test_both_parties_of_a_parcel_are_told_apart(page_of: Any, rows: Any) -> None:
    reading = read(page_of, SLIP, rows, SLIP_END)
    assert (reading.value("recipient"), reading.value("sender")) == ("李雷", "王小明")
    assert reading.doubtful == ()


def test_a_name_left_of_anothers_mark_is_not_taken_for_it(page_of: Any) -> None:
    """The text before a mark may belong to the party of the preceding mark."""
    rows = [["寄件人"], ["王小明", (400, "收"), (500, "杭州市西湖区文三路1号")], ["请当面验收 代收"]]
    assert read(page_of, SLIP, rows, SLIP_END).value("recipient") == ""


@pytest.mark.parametrize(
    "rows",
    [
        [["宠物名 Name：豆豆", (500, "种类 Species：犬")], ["主人 Owner：李雷"]],
        [["宠物名 NAME", (400, "豆豆")], ["种类 SPECIES", (400, "犬")], ["主人 OWNER", (400, "李雷")]],
        [["宠物信息"], ["姓名：豆豆", (500, "种类：犬")], ["主人信息"], ["姓名：李雷", (500, "电话：138")]],
        [["宠物名", (300, "种类"), (700, "主人")], ["豆豆", (300, "犬"), (700, "李雷")]],
    ],
)
def test_a_pets_name_is_not_its_owners(page_of: Any, rows: Any) -> None:
    reading = read(page_of, CARD, rows, CARD_END)
    assert (reading.value("pet_name"), reading.value("species"), reading.value("owner")) == ("豆豆", "犬", "李雷")


def test_a_name_in_latin_letters_in_the_next_cell_is_no_translation(page_of: Any) -> None:
    rows = [["宠物名", (400, "豆豆"), (700, "种类"), (900, "犬")], ["主人", (400, "TOM LEE"), (700, "电话：138")]]
    assert read(page_of, CARD, rows, CARD_END).value("owner") == "TOM LEE"
    rows[1][0] = "主人 OWNER"
    assert read(page_of, CARD, rows, CARD_END).value("owner") == "TOM LEE"


def test_amounts_and_names_are_found_under_their_headings(page_of: Any) -> None:
    reading = read(
        page_of,
        STAY,
        [["患者姓名", (300, "性别"), (500, "出院诊断")], ["李雷", (300, "男"), (500, "急性支气管炎")]],
        [["总费用", (260, "医保基金支付"), (460, "个人账户"), (660, "个人现金")]],
        [["¥1,000.00", (260, "¥600.00"), (460, "¥100.00"), (660, "¥300.00")], ["金额大写：壹仟元整"]],
    )
    assert {name: reading.value(name) for name in reading.relied_on if name.endswith("_minor")} == {
        "total_minor": "100000",
        "capital_total_minor": "100000",
        "insurance_paid_minor": "60000",
        "account_paid_minor": "10000",
        "cash_paid_minor": "30000",
    }
    assert (reading.value("patient"), reading.value("diagnosis")) == ("李雷", "急性支气管炎")
    assert (reading.missing_fields, reading.doubtful) == ((), ())
    assert all(check.passed for check in reading.checks)


@pytest.mark.parametrize(
    ("buying", "selling"),
    [
        ("购买方信息", "销售方信息"),
        ("付款单位", "收款单位"),
        ("采购方资料", "供应商资料"),
        ("【购 买 方】", "【销 售 方】"),
    ],
)
def test_buyer_and_seller_each_have_the_name_in_their_own_part(page_of: Any, buying: str, selling: str) -> None:
    rows = [
        [(300, "电子发票(增值税专用发票)")],
        ["发票号码：26332000000012345678", (600, "开票日期：2026年03月09日")],
        [buying], ["名称", (260, "甲乙科技有限公司")],
        [selling], ["名称", (260, "丙丁商贸有限公司")],
        ["合计", (500, "¥100.00"), (700, "¥6.00")],
        ["价税合计(大写)", (260, "壹佰零陆元整"), (600, "(小写)¥106.00")],
    ]  # fmt: skip
    reading = read(page_of, rows)
    assert (reading.value("buyer"), reading.value("seller")) == ("甲乙科技有限公司", "丙丁商贸有限公司")


@pytest.mark.parametrize(
    "rows",
    [
        [["购", (200, "名称：甲乙公司"), (450, "销"), (500, "名称：丙丁公司")]],
        [
            [(200, "名称：甲乙公司"), (500, "名称：丙丁公司")],
            ["购", (440, "销")],
            ["买", (200, "税号：91330100MA2"), (440, "售"), (500, "税号：91330100MB2")],
            ["方", (440, "方")],
        ],
        [
            ["购", (200, "单位：甲乙公司")],
            ["买", (200, "税号：91330100MA2")],
            ["方"],
            ["销", (200, "单位：丙丁公司")],
            ["售", (200, "税号：91330100MB2")],
            ["方"],
        ],
        [["名称", (100, "甲乙公司"), (450, "名称"), (550, "丙丁公司")]],
        [["公司名称：甲乙公司"], ["税号：91330100MA2"], ["公司名称：丙丁公司"], ["税号：91330100MB2"]],
        [["需方：甲乙公司"], ["供方：丙丁公司"]],
        [["购", (200, "名"), (280, "称：甲乙公司")], ["销", (200, "名"), (280, "称：丙丁公司"), (700, "销售方：(章)")]],
        [["购：甲乙公司", (450, "销：丙丁公司")]],
        [["受票方全称：甲乙公司"], ["开票方全称：丙丁公司"]],
        [["客户名称：甲乙公司"], ["开票单位(盖章)：丙丁公司"]],
        [["购买方名称、税号", (300, "甲乙公司 91330100MA2")], ["销售方名称、税号", (300, "丙丁公司 91330100MB2")]],
        [["Buyer：甲乙公司"], ["Seller：丙丁公司"]],
        [["收票方", (450, "开票方")], ["名称", (100, "甲乙公司"), (450, "名称"), (550, "丙丁公司")]],
    ],
)
def test_buyer_and_seller_are_told_apart_in_other_words(page_of: Any, rows: Any) -> None:
    head = [[(300, "电子发票(普通发票)")], ["发票号码：26332000000012345678", (600, "开票日期：2026年03月09日")]]
    items = [["项目名称", (500, "金额"), (700, "税额")], ["*餐饮服务*餐费", (500, "100.00"), (700, "6.00")]]
    sums = [
        ["合计", (500, "¥100.00"), (700, "¥6.00")],
        ["价税合计(大写)", (260, "壹佰零陆元整"), (600, "(小写)¥106.00")],
    ]
    reading = read(page_of, head, rows, items, sums)
    assert (reading.value("buyer"), reading.value("seller")) == ("甲乙公司", "丙丁公司")
    assert (reading.value("net_minor"), reading.value("total_minor")) == ("10000", "10600")


def test_which_of_two_names_is_the_sellers_is_in_doubt_where_order_alone_tells(page_of: Any) -> None:
    head = [[(300, "电子发票(普通发票)")], ["发票号码：26332000000012345678", (600, "开票日期：2026年03月09日")]]
    sums = [["价税合计(大写)", (260, "壹佰零陆元整"), (600, "(小写)¥106.00")]]
    plainly = read(page_of, head, [["名称：丙丁公司"], ["税号：91330100MB2"], ["名称：甲乙公司"]], sums)
    assert [field.name for field in plainly.doubtful] == ["seller", "buyer"]
    assert unfit_because(replace(plainly, alike=plainly.relied_on)).startswith("seller: ")
    marked = read(
        page_of,
        head,
        [["购", (200, "名称：甲乙公司")], ["买", (200, "税号：91")], ["销", (200, "名称：丙丁公司")]],
        sums,
    )
    assert (marked.value("seller"), marked.doubtful) == ("丙丁公司", ())


@pytest.mark.parametrize(
    "rows",
    [
        [["运费(元)：12.00", (500, "声明价值（元）：200.00")]],
        [["运费/元", (200, "12.00"), (500, "保价金额(¥)"), (800, "200.00")]],
        [["运费（元）", (500, "保价金额（元）")], ["12.00", (500, "200.00")]],
        [["[运费] 12.00", (500, "[保价] 声明价值 | 200.00")]],
    ],
)
def test_an_amount_stands_behind_what_it_is_counted_in(page_of: Any, rows: Any) -> None:
    reading = read(page_of, SLIP, [["收件人：李雷"]], rows, SLIP_END[:1])
    assert (reading.value("freight_minor"), reading.value("declared_value_minor")) == ("1200", "20000")


@pytest.mark.parametrize(
    "rows",
    [
        [["售后寄件单"]],
        [["寄修单"], ["服务单 696370371426"]],
        [["顺丰速运"], ["服务类型：退件"]],
        [["逆向物流单"]],
        [["电子运单"], ["原因：七天无理由换货"]],
    ],
)
def test_what_goes_back_to_a_shop_is_a_return_slip(page_of: Any, rows: Any) -> None:
    carried = [["运单号：SF1234567890123"], ["订单编号：202611201234567"], ["寄件日期：2026-11-20"], ["快递费：12.00"]]
    reading = read(page_of, rows, carried)
    assert (reading.kind, reading.value("freight_minor")) == ("return_slip", "1200")


def test_a_sort_of_hospital_is_no_hospitals_name(page_of: Any) -> None:
    hospital = [["医疗机构类型：综合医院"], ["杭州市第一人民医院"]]
    reading = read(page_of, STAY[:2], hospital, STAY[3:], [["（小写）¥1000.00"]])
    assert reading.value("hospital") == "杭州市第一人民医院"


@pytest.mark.parametrize(
    ("name", "doubted"),
    [
        ("李雷", False), ("欧阳娜娜", False), ("张*", False), ("阿卜杜·热合曼", False), ("John Smith", False),
        ("محمد", False), ("OWNER", True), ("上海", True), ("信息", True), ("成都", True), ("李雷雷雷雷", True),
    ],
)  # fmt: skip
def test_what_looks_like_a_name(name: str, doubted: bool) -> None:
    assert bool(names.unlike_a_name(name)) == doubted


def test_a_form_of_address_is_no_part_of_a_name() -> None:
    assert [names.person(text) for text in ("李雷先生", "王**女士", "李先生", " 李雷 ")] == [
        "李雷", "王**", "李先生", "李雷",
    ]  # fmt: skip


def test_a_word_in_a_names_place_is_accepted_by_nobody(page_of: Any) -> None:
    reading = read(page_of, SLIP, [["寄件：杭州"], ["收件：上海", (300, "李雷")]], SLIP_END)
    assert unfit_because(reading) == "recipient: 上海 does not begin with a usual surname"


def test_one_name_for_both_parties_is_accepted_by_nobody(page_of: Any) -> None:
    reading = read(page_of, SLIP, [["寄件人：李雷"], ["收件人：李雷"]], SLIP_END)
    assert unfit_because(reading) == "recipient: 李雷 is read as sender, too"


SHOP = [
    ["大润优品超市"],
    ["购物小票"],
    ["广州市天河区长江路122号"],
    ["交易号: 0776136179"],
    ["打印时间: 2026-04-28 09:23"],
]
LINES = [["有机菠菜", (400, "10.52")], ["保湿面霜50g", (400, "345.63")]]


@pytest.mark.parametrize(
    "end",
    [
        [["合计:", (400, "356.15")]],  # the lines come to it
        [["合计:", (400, "999.99")], ["微信支付:", (400, "999.99")]],  # it was paid
        [["合计:", (400, "999.98")], ["收现", (400, "1000.00")], ["找零", (400, "0.02")]],
        [["不含税小计", (400, "900.00")], ["税额", (400, "54.00")], ["合计:", (400, "954.00")]],
    ],
)
def test_a_receipts_total_is_taken_where_it_is_stated_in_two_ways(page_of: Any, end: Any) -> None:
    reading = read(page_of, SHOP, LINES, end)
    assert reading.kind == "receipt"
    assert reading.value("total_minor") != ""
    assert reading.doubtful == ()


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ([["合计:", (400, "999.99")]], "neither the lines nor what was paid confirm it"),
        ([["合计:", (400, "356.15")], ["服务费", (400, "400.00")]], "not the last sum of the receipt: 服务费  400.00"),
        ([["TOTAL", (400, "356.15")], ["ROUNDING ADJ", (400, "-0.05")]], "not the last sum of the receipt: ROUNDING"),
        ([["应收款", (400, "402.87")], ["实收", (400, "410.00")]], "not the last sum of the receipt: 实收"),
    ],
)
def test_a_receipts_total_that_may_be_another_sum_is_doubted(page_of: Any, end: Any, why: str) -> None:
    reading = read(page_of, SHOP, LINES, end)
    assert why in not_accepted_because(reading)


def test_one_of_several_dates_without_a_label_is_doubted(page_of: Any) -> None:
    shop = [["大润优品超市"], ["购物小票"], ["广州市天河区长江路122号"], ["小票号 0776136179"]]
    total = [["合计:", (400, "356.15")]]
    reading = read(page_of, shop, [["2026-04-28"]], LINES, total)
    two = read(page_of, shop, [["2026-04-28"], ["2026-05-01"]], LINES, total)
    timed = read(page_of, shop, [["2026-05-01"], ["2026-04-28 09:23"]], LINES, total)
    assert (reading.value("date"), reading.doubtful) == ("2026-04-28", ())
    assert unfit_because(two) == "date: 2 dates stand on the paper and none beside its label"
    assert (timed.value("date"), timed.doubtful) == ("2026-04-28", ())


def test_a_kind_with_a_near_rival_is_accepted_by_nobody(page_of: Any) -> None:
    order = [["订单详情"], ["已付款"], ["下单时间：2026-03-04 10:00"], ["实付款：¥20.00"]]
    assert read(page_of, order).rival_kind == ""
    mixed = read(page_of, order, [["快递电子运单"], ["收件人：李雷"]])
    assert (mixed.kind, mixed.rival_kind) == ("order_screenshot", "parcel_slip")
    assert unfit_because(mixed) == "the words point to parcel_slip besides order_screenshot"


def test_that_a_shop_takes_nothing_back_makes_no_return_slip(page_of: Any) -> None:
    reading = read(page_of, SHOP, LINES, [["合计:", (400, "356.15")], ["生鲜商品概不退换"]])
    assert (reading.kind, reading.rival_kind) == ("receipt", "")

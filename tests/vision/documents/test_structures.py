"""Structures of papers: labels set wide or translated, tables beside other parts, marks, sentences; telling kinds
apart."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from vision.documents.checks.codes import code_check
from vision.documents.gate import not_accepted_because, read_once, unfit_because
from vision.documents.kinds.catalogue import load_catalogue, set_wide
from vision.documents.parse import parse
from vision.documents.text.layout import beside, rows_of
from vision.documents.text.page import PageBox, PageText, PaperCode, PaperReading, TextLine

TODAY = date(2026, 11, 22)
NOWHERE = PageBox(0, 0, 1, 1)
SLIP = [[(300, "顺丰速运")], ["运单号：SF1234567890123"]]
SLIP_END = [["寄件日期：2026-03-04"], ["保价金额：200.00"]]
CARD = [[(300, "宠物免疫证")], ["宠物名：豆豆", (400, "主人：张三")]]
NOTE = [[(300, "杭州市第一人民医院")], [(300, "诊断证明书")]]
STAY = [
    [(200, "浙江省住院收费票据")],
    ["票据号码：0012345678", (600, "交款人：张三")],
    ["杭州市第一人民医院"],
]
STAY_END = [["金额合计（大写）壹仟元整", (600, "（小写）1000.00")]]


def read(page_of: Any, *rows: Any) -> PaperReading:
    reading = parse(page_of([row for part in rows for row in part]), TODAY, load_catalogue())
    return replace(reading, alike=reading.relied_on)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("畜主(?:姓名)?", "畜  主  李雷", "畜  主"),
        ("畜主(?:姓名)?", "畜主姓名", "畜主姓名"),
        ("货物重量", "发货  物  重量", ""),  # the first character belongs to another word
        ("[购买]方名称", "买方名称", "买方名称"),
        ("(?<!出生)日期", "日  期", "日  期"),
        ("(?<!出生)日期", "出生日期", ""),
        ("寄件?费", "寄费", "寄费"),
    ],
)
def test_words_are_found_where_they_are_set_wide(pattern: str, text: str, expected: str) -> None:
    match = re.search(set_wide(pattern), text)
    assert (match[0] if match else "") == expected


@pytest.mark.parametrize(
    "rows",
    [
        [["品", (140, "种"), (300, "金毛")], ["种", (140, "类"), (300, "犬")]],
        [["品", (140, "种 金毛")], ["种", (140, "类犬")]],
        [["品种 Breed 金毛"], ["种类 Species犬"]],
    ],
)
def test_labels_in_pieces_and_in_two_languages(page_of: Any, rows: Any) -> None:
    reading = read(page_of, CARD, rows, [["芯片号：156000012345678"]])
    assert (reading.value("breed"), reading.value("species")) == ("金毛", "犬")


@pytest.mark.parametrize("lower_px", [0, 8, 16])
def test_a_translation_below_its_label_belongs_to_it(lower_px: int) -> None:
    """The value stands level with either label or between the two."""

    def line(x: float, y: float, size: float, text: str) -> TextLine:
        right = x + sum(size if ord(character) > 255 else 0.55 * size for character in text)
        return TextLine(text, 0.99, ((x, y), (right, y), (right, y + size), (x, y + size)))

    lines = [line(300, 20, 40, "宠物健康免疫手册"), line(300, 64, 20, "PET HEALTH RECORD")]
    for row, (label, translation, value) in enumerate(
        (("宠物名", "Pet's Name", "豆豆"), ("种类", "Species", "犬"), ("主人", "Owner", "张三"))
    ):
        top = 120 + 70 * row
        lines += [
            line(40, top, 26, label),
            line(40, top + 28, 16, translation),
            line(220, top + lower_px, 26, value),
        ]
    reading = parse(PageText(900, 900, tuple(lines), "m"), TODAY, load_catalogue())
    assert [reading.value(name) for name in ("pet_name", "species", "owner")] == ["豆豆", "犬", "张三"]
    assert reading.lines[:2] == ("宠物健康免疫手册", "PET HEALTH RECORD")  # a title has no value beside it


@pytest.mark.parametrize(
    "rows",
    [
        [["", (100, "李雷"), (300, "13800001111")], ["收", (100, "浙江省杭州市西湖区文三路1号")], [], [], []],
        [["收", (100, "浙江省杭州市西湖区文三路1号")], ["", (100, "李雷 13800001111")], [], [], []],
    ],
)
def test_a_mark_before_an_address_has_its_name_in_the_line_above_or_below(page_of: Any, rows: Any) -> None:
    assert read(page_of, SLIP, [[], []], rows, SLIP_END).value("recipient") == "李雷"


def test_between_two_names_equally_near_a_mark_says_nothing(page_of: Any) -> None:
    rows = rows_of(page_of([[(100, "李雷 138")], ["收", (100, "浙江省杭州市文三路1号")], [(100, "王小明 139")]]))
    assert beside(rows, "收", "[\u4e00-\u9fff]{2,3}") == []
    assert [line.text for line in beside(rows[:2], "收", "[\u4e00-\u9fff]{2,3}")] == ["李雷"]


def test_a_label_inside_a_sentence_is_none(page_of: Any) -> None:
    rows = [["快件经收件人或其允许的代收人签字，视为送达"], ["收件人：李雷"]]
    assert read(page_of, SLIP, rows, SLIP_END).value("recipient") == "李雷"


def test_what_ails_the_patient_is_not_the_patient(page_of: Any) -> None:
    rows = [
        ["姓名", (200, "性别"), (400, "就诊日期")],
        ["张三", (200, "男"), (400, "2026-03-09")],
        ["现病史", (200, "患者双眼红痒、流泪两天")],
        ["诊断", (200, "1、过敏性结膜炎")],
        ["治疗意见", (200, "1. 避免接触")],
    ]
    reading = read(page_of, NOTE, rows)
    assert (reading.value("patient"), reading.value("diagnosis")) == ("张三", "过敏性结膜炎")
    assert not_accepted_because(reading) == ""


def test_a_text_that_a_paper_states_in_two_ways_is_in_doubt(page_of: Any) -> None:
    rows = [["姓名：张三", (400, "日期：2026-03-09")], ["初步诊断：急性胃炎"], ["出院诊断：慢性胃炎"]]
    reading = read(page_of, NOTE, rows)
    assert unfit_because(reading) == "diagnosis: the paper says 急性胃炎 and 慢性胃炎"
    twice = read(page_of, NOTE, [rows[0], rows[1], ["临床诊断：急性胃炎"]])
    assert unfit_because(twice) == ""


def test_a_date_that_another_label_claims_is_not_the_bills(page_of: Any) -> None:
    stay = [["入院日期：2026-03-01", (500, "出院日期：2026-03-08")]]
    reading = read(page_of, STAY, stay, STAY_END, [["2026年3月9日"]])
    assert (reading.value("date"), reading.doubtful) == ("2026-03-09", ())
    assert read(page_of, STAY, stay, STAY_END).value("date") == ""
    several = read(page_of, STAY, stay, STAY_END, [["2026年3月9日"], ["2026年3月10日"]])
    assert unfit_because(several) == "date: 2 dates stand on the paper and none beside its label"


def test_a_table_ends_where_another_part_begins_beside_it(page_of: Any) -> None:
    table = [
        ["项目", (200, "金额（元）"), (400, "其中自费"), (600, "结算信息")],
        ["床位费", (200, "300.00"), (400, "0.00"), (600, "统筹支付"), (760, "600.00")],
        ["西药费", (200, "700.00"), (400, "100.00"), (600, "个人现金支付"), (760, "400.00")],
        ["小计", (200, "1000.00"), (400, "100.00"), (600, "预交金"), (760, "2000.00")],
    ]
    reading = read(page_of, STAY, [["开票日期：2026-03-09"]], table, STAY_END)
    assert [(item.text, item.amount_minor) for item in reading.items] == [("床位费", 30000), ("西药费", 70000)]
    assert (reading.value("insurance_paid_minor"), reading.value("cash_paid_minor")) == ("60000", "40000")


def test_what_stands_beside_a_table_does_not_part_a_heading_from_its_column(page_of: Any) -> None:
    rows = [
        ["编号：33287211", (400, "接种日期"), (600, "疫苗名称"), (800, "疫苗批号")],
        ["毛色：黄", (250, "公")],
        ["", (400, "2026-03-04"), (600, "狂犬疫苗"), (800, "3179681")],
    ]
    reading = read(page_of, CARD, rows)
    assert (reading.value("vaccine"), reading.value("vaccinated_date")) == ("狂犬疫苗", "2026-03-04")


@pytest.mark.parametrize(
    ("rows", "grams"),
    [
        ([["重量(kg)：1.20"]], "1200"),
        ([["重量（公斤）", (300, "运费（元）")], ["1.20", (300, "12.00")]], "1200"),
        ([["重量/g", (200, "850")]], "850"),
        ([["重量：1.20"]], ""),  # of what?
    ],
)
def test_a_weight_may_have_its_unit_in_the_label(page_of: Any, rows: Any, grams: str) -> None:
    assert read(page_of, SLIP, [["收件人：李雷"]], rows, SLIP_END).value("weight_g") == grams


def test_an_amount_may_stand_apart_from_its_sign(page_of: Any) -> None:
    shop = [[(300, "订单详情")], ["鲜果园旗舰店"], ["订单编号：1234567890123456"], ["下单时间：2026-03-04 10:00"]]
    assert read(page_of, shop, [["实付款", (500, "¥"), (560, "193.00")]]).value("total_minor") == "19300"


def test_a_paper_without_any_amount_is_no_bill(page_of: Any) -> None:
    """A record of a visit has all the words of a bill."""
    record = [
        [(300, "杭州市第一人民医院")],
        [(300, "门诊病历")],
        ["姓名：张三", (300, "科室：内科"), (600, "费别：城乡居民医保")],
        ["就诊时间：2026-03-09"],
        ["初步诊断：急性胃炎"],
        ["处理：休息", (500, "医师：李四")],
    ]
    assert not_accepted_because(read(page_of, record)) == ""
    assert read(page_of, record, [["挂号费 12.00"]]).rival_kind == "diagnosis_page"
    without = [row for row in record if "诊断" not in str(row)]
    assert not_accepted_because(read(page_of, without)) != ""


def test_words_of_any_parcel_make_no_return_slip(page_of: Any) -> None:
    rows = [["收件人：李雷", (500, "寄件人：王小明")], ["订单编号：874422786472"]]
    assert read(page_of, SLIP, rows, SLIP_END).rival_kind == ""
    back = read(page_of, SLIP, [["退货原因：尺码不合适"]], rows, SLIP_END)
    assert back.kind == "return_slip"


def test_the_bar_code_of_the_order_contradicts_no_tracking_number() -> None:
    kind = load_catalogue()["return_slip"]
    values = {"tracking_number": "SF1234567890123", "order_number": "328280406994735114"}
    order = PaperCode("Code128", "328280406994735114", NOWHERE)
    other = PaperCode("Code128", "YT7502463164433", NOWHERE)
    assert code_check(kind, values, [order]) is None
    check = code_check(kind, values, [order, other])
    assert check is not None
    assert not check.passed


def test_a_code_vouches_for_the_characters_of_a_number_and_for_nothing_else(page_of: Any) -> None:
    code = PaperCode("Code128", "SF1234567890123", NOWHERE)
    page = page_of([*SLIP, ["收件人：李雷"], *SLIP_END])
    once = parse(page, TODAY, load_catalogue())
    assert set(read_once(once)) == {"declared_value_minor", "tracking_number", "carrier", "recipient", "date"}
    assert set(read_once(once)) - set(read_once(parse(page, TODAY, load_catalogue(), [code]))) == {"tracking_number"}
    two = page_of([[(300, "顺丰速运")], ["SF1234567890123"], ["YT9876543210123"], ["收件人：李雷"], *SLIP_END])
    assert "long numbers" in unfit_because(
        replace(parse(two, TODAY, load_catalogue(), [code]), alike=("tracking_number",), rival_kind="")
    )


def test_the_place_of_a_value_begins_behind_its_label(page_of: Any) -> None:
    """Chinese characters are twice as wide as digits: counted by characters, the label would reach into the value."""
    reading = read(page_of, STAY, STAY_END)
    total = next(field for field in reading.fields if field.name == "total_minor")
    line = next(line for line in page_of([*STAY, *STAY_END]).lines if "小写" in line.text)
    left, right = line.corners[0][0], line.corners[1][0]
    assert total.box.left == pytest.approx((left + (right - left) * 4 / 7.5) / 1400, abs=0.001)

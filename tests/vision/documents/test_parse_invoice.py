"""Outpatient invoices from text lines."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()
AMOUNT_X = 1100


def rows(**changes: str) -> list[list[Any]]:
    printed = {
        "total": "¥197.00", "capital": "壹佰玖拾柒元整", "insurance": "73.32", "cash": "123.68", "third": "58.06",
        "date": "2026年9月11日", "number": "51695560846260273226",
    } | changes  # fmt: skip
    return [
        ["杭州市医疗门诊收费票据（电子）"],
        ["票据代码：98743841", (800, f"票据号码：{printed['number']}")],
        ["交款人统一社会信用代码：", (800, "校验码：a22f37")],
        ["交款人：范天丽", (800, f"开票日期：{printed['date']}")],
        ["项目名称", (500, "数量"), (800, "等级"), (AMOUNT_X, "金额（元）")],
        ["C反应蛋白测定", (500, "1"), (810, "乙"), (AMOUNT_X + 20, "38.85")],
        ["头孢克洛干混悬剂", (500, "1"), (810, "己"), (AMOUNT_X + 20, "47.27")],
        ["康复理疗", (500, "1"), (810, "丙"), (AMOUNT_X + 20, printed["third"])],
        ["医用退热贴", (500, "1"), (810, "甲"), (AMOUNT_X + 20, "52.82")],
        [f"金额合计（大写）{printed['capital']}", (800, f"（小写）{printed['total']}")],
        [f"医保统筹基金支付：{printed['insurance']}", f"个人账户支付：0.00   个人现金支付：{printed['cash']}"],
        ["临床诊断：结膜炎", (600, "业务流水号：008046480687")],
        ["收款单位（章）：杭州市协济医院", (700, "复核人：董海"), (1000, "收款人：刘力远")],
    ]


def outcome(reading: PaperReading) -> dict[str, bool]:
    return {check.name: check.passed for check in reading.checks}


def test_every_field_and_item_is_read(page_of: Any) -> None:
    reading = parse(page_of(rows()), TODAY, KINDS)
    assert reading.kind == "outpatient_invoice"
    assert {field.name: field.value for field in reading.fields} == {
        "hospital": "杭州市协济医院", "patient": "范天丽", "date": "2026-09-11", "number": "51695560846260273226",
        "total_minor": "19700", "capital_total_minor": "19700", "insurance_paid_minor": "7332",
        "cash_paid_minor": "12368", "account_paid_minor": "0", "diagnosis": "结膜炎",
    }  # fmt: skip
    assert [(item.text, item.item_class, item.amount_minor) for item in reading.items] == [
        ("C反应蛋白测定", "乙", 3885), ("头孢克洛干混悬剂", "乙", 4727),
        ("康复理疗", "丙", 5806), ("医用退热贴", "甲", 5282),
    ]  # fmt: skip
    assert reading.missing_fields == ()
    assert set(outcome(reading).values()) == {True}
    assert len(outcome(reading)) == 4


@pytest.mark.parametrize("tilt", [-0.05, 0.05])
def test_a_tilted_page_reads_the_same(page_of: Any, tilt: float) -> None:
    level, tilted = parse(page_of(rows()), TODAY, KINDS), parse(page_of(rows(), tilt=tilt), TODAY, KINDS)
    assert [(field.name, field.value) for field in tilted.fields] == [
        (field.name, field.value) for field in level.fields
    ]
    assert tilted.items == level.items


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"third": "68.06"}, "items_sum_to_total"),
        ({"capital": "贰佰玖拾柒元整"}, "capital_amount_equals_total"),
        ({"cash": "23.68"}, "insurance_and_cash_equal_total"),
        ({"date": "2027-09-11"}, "date_is_plausible"),
        ({"date": "1999-12-31"}, "date_is_plausible"),
    ],
)
def test_one_altered_figure_fails_its_check_alone(page_of: Any, changes: dict[str, str], check: str) -> None:
    result = outcome(parse(page_of(rows(**changes)), TODAY, KINDS))
    assert [name for name, passed in result.items() if not passed] == [check]


def test_an_inflated_total_fails_every_sum(page_of: Any) -> None:
    result = outcome(parse(page_of(rows(total="¥1970.00")), TODAY, KINDS))
    assert [name for name, passed in result.items() if not passed] == [
        "items_sum_to_total", "capital_amount_equals_total", "insurance_and_cash_equal_total",
    ]  # fmt: skip


def test_the_number_is_a_key_without_spaces_and_with_zeros_for_the_letter_o(page_of: Any) -> None:
    assert parse(page_of(rows(number="No. 0012 34O5 678")), TODAY, KINDS).value("number") == "00123405678"
    assert parse(page_of(rows(number="0012-3405 678")), TODAY, KINDS).value("number") == "00123405678"


def test_a_capital_amount_that_cannot_be_read_is_absent_and_its_check_not_made(page_of: Any) -> None:
    reading = parse(page_of(rows(capital="壹佰玖柒元整")), TODAY, KINDS)
    assert reading.value("capital_total_minor") == ""
    assert "capital_amount_equals_total" not in outcome(reading)


def test_missing_fields_are_named(page_of: Any) -> None:
    kept = [row for index, row in enumerate(rows()) if index not in (1, 9)]
    assert parse(page_of(kept), TODAY, KINDS).missing_fields == ("number", "total_minor")


def test_the_read_confidence_is_that_of_the_worst_money_field(page_of: Any) -> None:
    assert parse(page_of(rows(), confidence=0.61), TODAY, KINDS).read_confidence == pytest.approx(0.61)


def test_two_items_a_row_with_bracketed_classes(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["上海市第三医院门诊收费票据"],
                ["电子票据号码：79515110433660021413", (800, "收费日期：2026/08/28")],
                ["姓名：石萍海", (400, "性别：男"), (800, "医保类型：自费")],
                ["项目", (560, "金额"), (700, "项目"), (1250, "金额")],
                ["[丙]医用退热贴", (550, "67.32"), (700, "[甲]奥美拉唑肠溶胶囊"), (1240, "20.66")],
                ["[甲]静脉输液", (550, "23.60")],
                ["合计（大写）：壹佰壹拾壹元伍角捌分", (800, "（小写）：111.58")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert [(item.text, item.item_class, item.amount_minor) for item in reading.items] == [
        ("医用退热贴", "丙", 6732), ("奥美拉唑肠溶胶囊", "甲", 2066), ("静脉输液", "甲", 2360),
    ]  # fmt: skip
    assert reading.value("hospital") == "上海市第三医院"
    assert reading.value("patient") == "石萍海"
    assert outcome(reading)["items_sum_to_total"] is True


def test_boxes_lie_on_the_page_and_on_their_own_text(page_of: Any) -> None:
    reading = parse(page_of(rows()), TODAY, KINDS)
    for field in reading.fields:
        assert 0 <= field.box.left < field.box.right <= 1, field
        assert 0 <= field.box.top < field.box.bottom <= 1, field
    number = next(field for field in reading.fields if field.name == "number")
    assert number.box.left > 800 / 1400  # right of its label, not around it


@pytest.mark.parametrize("total", ["总费用：197.00", "总费用", "医保统筹基金支付：73.32"])
def test_a_row_that_states_one_of_the_sums_is_no_item(page_of: Any, total: str) -> None:
    lines = rows()
    cells = [total] if "：" in total else [total, (AMOUNT_X + 20, "197.00")]
    reading = parse(page_of([*lines[:9], cells, *lines[9:]]), TODAY, KINDS)
    assert [item.text for item in reading.items] == ["C反应蛋白测定", "头孢克洛干混悬剂", "康复理疗", "医用退热贴"]
    assert {check.name: check.passed for check in reading.checks}["items_sum_to_total"]

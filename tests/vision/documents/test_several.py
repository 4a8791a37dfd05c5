"""Two papers in one picture, told by their layout; and single papers that look like two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from vision.documents.gate import unfit_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.several import SecondPaper, second_paper
from vision.documents.text.page import PageText, TextLine

TODAY = date(2026, 11, 22)
CATALOGUE = load_catalogue()
Cells = Sequence[tuple[int, str]]

ENGLISH = [
    [(60, "HARBOUR BOOKS LTD")], [(40, "12, QUAY STREET, 4051 NEWTON")], [(60, "RECEIPT NO: 004417")],
    [(60, "DATE: 03/09/2026 14:02")], [(0, "NOTEBOOK A5"), (300, "12.50")], [(0, "PENCILS"), (300, "4.50")],
    [(0, "TOTAL"), (300, "17.00")], [(0, "CASH"), (300, "20.00")], [(0, "CHANGE"), (300, "3.00")], [(80, "THANK YOU")],
]  # fmt: skip
CAFE = [
    [(60, "Old Mill Cafe")], [(40, "Tel: 555-0142 88")], [(60, "Bill No. 9921")], [(60, "11 Sep 2026 09:15")],
    [(0, "Flat white"), (300, "4.20")], [(0, "Scone"), (300, "3.80")], [(0, "Subtotal"), (300, "8.00")],
    [(0, "Total"), (300, "8.80")], [(0, "Visa"), (300, "8.80")], [(60, "Thank you, come again")],
]  # fmt: skip
GERMAN = [
    [(60, "Bäckerei Sommer GmbH")], [(40, "Lindenallee 4, 10115 Berlin")], [(60, "Tel: 030-5512 8874")],
    [(60, "09.10.2026 08:12")], [(0, "Roggenbrot"), (300, "4,90")], [(0, "Brezel"), (300, "1,10")],
    [(0, "SUMME"), (300, "6.00")], [(0, "Bar"), (300, "10.00")], [(60, "Danke")],
]  # fmt: skip
CHINESE = [
    [(60, "绿源生鲜超市")], [(60, "购物小票")], [(60, "小票号：00771245")], [(60, "2026-04-28 09:23")],
    [(0, "有机菠菜"), (300, "10.52")], [(0, "纯牛奶"), (300, "5.60")], [(0, "合计"), (300, "16.12")],
    [(0, "微信支付"), (300, "16.12")], [(60, "谢谢惠顾")],
]  # fmt: skip
VET = [
    [(60, "安心宠物医院")], [(60, "收费结算单")], [(0, "单号：C20260914")], [(0, "日期：2026-09-14")],
    [(0, "项目"), (300, "金额")], [(0, "犬血常规"), (300, "80.00")], [(0, "皮下补液"), (300, "40.00")],
    [(0, "合计"), (300, "120.00")], [(0, "收款人：李雷")],
]  # fmt: skip


def lines(rows: Sequence[Cells], at: tuple[float, float] = (0, 0), degrees: float = 0.0) -> list[TextLine]:
    """Returns the rows as print, turned about their first corner."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    printed = []
    for index, row in enumerate(rows):
        for x, text in row:
            right, top = x + sum(24 if ord(mark) > 0x2E80 else 12 for mark in text), index * 46
            corners = tuple(
                (at[0] + across * cosine - down * sine + 40, at[1] + across * sine + down * cosine + 40)
                for across, down in ((x, top), (right, top), (right, top + 28), (x, top + 28))
            )
            printed.append(TextLine(text, 0.98, corners))  # type: ignore[arg-type]
    return printed


def told(*blocks: Sequence[TextLine]) -> str:
    return looked_at(*blocks).kinds


def looked_at(*blocks: Sequence[TextLine]) -> SecondPaper:
    every = [line for block in blocks for line in block]
    low = [min(corner[axis] for line in every for corner in line.corners) for axis in (0, 1)]
    moved = tuple(
        TextLine(line.text, line.confidence, tuple((x - low[0] + 30, y - low[1] + 30) for x, y in line.corners))  # type: ignore[arg-type]
        for line in every
    )
    width, height = (round(max(corner[axis] for line in moved for corner in line.corners)) + 30 for axis in (0, 1))
    return second_paper(PageText(width, height, moved, "test@0"), TODAY, CATALOGUE)


PAIRS = [(ENGLISH, CAFE), (CAFE, GERMAN), (CHINESE, VET), (ENGLISH, CHINESE), (VET, CAFE)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize(
    ("at", "degrees"),
    [
        ((480, 0), 0.0),
        ((480, 130), 0.0),
        ((520, 0), 4.0),
        ((392, 0), 0.0),
        ((0, 520), 0.0),
        ((60, 540), -3.0),
        ((0, 462), 0.0),
    ],
)
def test_two_papers_beside_or_above_each_other_are_told(
    first: object, second: object, at: object, degrees: float
) -> None:
    assert " and " in told(lines(first), lines(second, at, degrees))  # type: ignore[arg-type]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("degrees", [90.0, -90.0])
def test_two_papers_turned_against_each_other_are_told(first: object, second: object, degrees: float) -> None:
    at = (1000, 0) if degrees > 0 else (480, 500)
    assert " and " in told(lines(first), lines(second, at, degrees))  # type: ignore[arg-type]


@pytest.mark.parametrize("paper", [ENGLISH, CAFE, GERMAN, CHINESE, VET])
@pytest.mark.parametrize("degrees", [0.0, 5.0, -5.0])
def test_one_paper_is_one(paper: list[Cells], degrees: float) -> None:
    assert told(lines(paper, degrees=degrees)) == ""


FORM = [  # patient on the left, fees on the right
    [(300, "浙江省门诊收费票据")], [(0, "杭州市第一人民医院"), (500, "票据号码：0012345678")],
    [(0, "姓名：张三"), (500, "结算信息")], [(0, "性别：男"), (500, "医保统筹支付：600.00")],
    [(0, "就诊日期：2026-03-09"), (500, "个人支付：400.00")], [(0, "科室：内科"), (500, "统筹合计：600.00")],
    [(0, "诊断：胃炎"), (500, "合计：1000.00")], [(0, "收费员：李雷"), (500, "开票日期：2026-03-10")],
]  # fmt: skip
PARTIES = [
    [(300, "电子发票（普通发票）")], [(0, "发票号码：26332000000001234567"), (560, "开票日期：2026年03月09日")],
    [(0, "购买方信息"), (560, "销售方信息")], [(0, "名称：杭州甲设计有限公司"), (560, "名称：成都乙商贸有限公司")],
    [(0, "电话：0571-88000000"), (560, "电话：028-66000000")], [(0, "项目名称"), (560, "金额"), (700, "税额")],
    [(0, "*餐饮服务*餐饮费"), (560, "100.00"), (700, "6.00")], [(0, "合计"), (560, "100.00"), (700, "6.00")],
    [(0, "价税合计（大写）壹佰零陆圆整"), (560, "（小写）106.00")],
]  # fmt: skip
SECTIONS = [
    [(200, "杭州市第一人民医院")], [(200, "门诊费用清单")], [(0, "单号：0077123"), (400, "张三")],
    [(0, "2026-03-01 西药费")], [(0, "阿莫西林"), (400, "20.00")], [(0, "合计"), (400, "20.00")],
    [(0, "2026-03-02 检查费")], [(0, "血常规"), (400, "30.00")], [(0, "合计"), (400, "30.00")],
    [(0, "2026-03-03 治疗费")], [(0, "换药"), (400, "10.00")], [(0, "合计"), (400, "10.00")],
    [(0, "总计"), (400, "60.00")], [(0, "收款人：李雷")],
]  # fmt: skip
SCRIPT = [
    [(200, "杭州市第一人民医院")], [(220, "门诊处方笺")], [(0, "姓名：张三"), (400, "日期：2026-03-09")],
    [(0, "诊断：急性胃炎"), (400, "科室：消化内科")], [(0, "Rp"), (400, "诊断证明")],
    [(0, "奥美拉唑 20mg"), (400, "建议休息三天")], [(0, "每日一次"), (400, "医师：王五")],
]  # fmt: skip
MENU = [
    [(0, "TODAY'S MENU")], [(0, "Soup of the day"), (300, "5.50")], [(0, "Fish and chips"), (300, "12.00")],
    [(0, "Apple pie"), (300, "6.00")], [(0, "Tea or coffee"), (300, "3.00")], [(0, "Ask us about allergies")],
]  # fmt: skip
SLIP = [  # of the card, for the same sum
    [(60, "HARBOUR BOOKS LTD")], [(60, "CARD SALE")], [(60, "03/09/2026 14:03")], [(0, "TRANS NO: 118822")],
    [(0, "TOTAL"), (300, "17.00")], [(60, "THANK YOU")],
]  # fmt: skip


@pytest.mark.parametrize("form", [FORM, PARTIES, SECTIONS, SCRIPT])
def test_a_form_in_columns_or_sections_is_one_paper(form: list[Cells]) -> None:
    assert told(lines(form)) == ""


@pytest.mark.parametrize("at", [(480, 0), (0, 520)])
def test_a_menu_beside_a_bill_and_the_slip_of_its_card_are_no_second_bill(at: tuple[int, int]) -> None:
    assert told(lines(ENGLISH), lines(MENU, at)) == ""
    assert told(lines(ENGLISH), lines(SLIP, at)) == ""


def test_upright_words_in_the_margin_make_no_second_paper() -> None:
    margin = [line for at in (0, 150, 300) for line in lines([[(0, "第一联 存根联")]], (520, at), 90.0)]
    assert told(lines(CHINESE), margin) == ""


# Pairs whose papers lack what a bill has: slips, cards, and one bill cut off by the border of the picture.
SLIP_A = [
    [(60, "圆通速递 电子面单")], [(0, "运单号：YT7099256898971")], [(0, "收件人：郭涵东"), (260, "13800001111")],
    [(0, "上海市徐汇区文三路12号")], [(0, "寄件人：李雷"), (260, "13900002222")], [(0, "北京市海淀区学院路5号")],
    [(0, "寄件日期：2026-05-25")], [(0, "重量：1.20kg"), (260, "运费：12.00")],
]  # fmt: skip
SLIP_B = [
    [(60, "圆通速递 电子面单")], [(0, "运单号：YT1234567890123")], [(0, "收件人：杨晨玉"), (260, "13700003333")],
    [(0, "成都市武侯区人民路8号")], [(0, "寄件人：韩梅梅"), (260, "13600004444")], [(0, "南京市鼓楼区和平里3号")],
    [(0, "寄件日期：2026-06-02")], [(0, "重量：0.80kg"), (260, "运费：9.00")],
]  # fmt: skip
CARD_A = [
    [(60, "宠物免疫证")], [(0, "宠物名：可乐")], [(0, "种类：猫")], [(0, "品种：英国短毛猫")], [(0, "主人：张平宁")],
    [(0, "芯片号：900123456789012")], [(0, "疫苗名称：妙三多")], [(0, "接种日期：2026-02-01")],
]  # fmt: skip
CARD_B = [
    [(60, "宠物免疫证")], [(0, "宠物名：豆豆")], [(0, "种类：犬")], [(0, "品种：柯基")], [(0, "主人：王芳")],
    [(0, "芯片号：900987654321098")], [(0, "疫苗名称：卫佳五")], [(0, "接种日期：2026-07-19")],
]  # fmt: skip
PLACES = [((560, 0), 0.0), ((570, 60), 4.0), ((0, 420), 0.0), ((20, 470), -3.0)]


@pytest.mark.parametrize(("first", "second"), [(SLIP_A, SLIP_B), (CARD_A, CARD_B)])
@pytest.mark.parametrize(("at", "degrees"), PLACES)
def test_two_slips_or_cards_are_never_one(first: object, second: object, at: object, degrees: float) -> None:
    other = looked_at(lines(first), lines(second, at, degrees))  # type: ignore[arg-type]
    assert other.kinds or other.doubt


@pytest.mark.parametrize(("first", "second"), [(SLIP_A, SLIP_B), (CARD_A, CARD_B), (VET, SLIP_A), (CHINESE, CARD_A)])
def test_a_second_paper_without_its_last_lines_is_no_part_of_the_first(first: list[Cells], second: list[Cells]) -> None:
    other = looked_at(lines(first), lines(second[:-2], (0, 46.0 * len(first) + 30)))
    assert other.kinds or other.doubt


@pytest.mark.parametrize("paper", [ENGLISH, CHINESE, VET, SLIP_A, CARD_A])
@pytest.mark.parametrize("at", [(560, 0), (0, 520)])
def test_two_copies_of_one_paper_are_one(paper: list[Cells], at: tuple[int, int]) -> None:
    assert looked_at(lines(paper), lines(paper, at)) == SecondPaper()


@pytest.mark.parametrize("paper", [SLIP_A, CARD_A, FORM, PARTIES, SCRIPT, VET, ENGLISH, CAFE])
@pytest.mark.parametrize("degrees", [0.0, 4.0])
def test_a_single_paper_is_not_doubted(paper: list[Cells], degrees: float) -> None:
    assert looked_at(lines(paper, degrees=degrees)) == SecondPaper()


def test_a_doubt_covers_every_field_that_is_relied_on() -> None:
    page = PageText(600, 600, tuple(lines(VET)), "test@0")
    reading = parse(page, TODAY, CATALOGUE)
    doubts = SecondPaper(doubt="days, numbers").doubts(reading)
    assert {doubt.name for doubt in doubts} >= set(CATALOGUE[reading.kind].required)
    assert "another paper may be in the picture" in unfit_because(
        replace(reading, alike=reading.relied_on, doubtful=doubts)
    )

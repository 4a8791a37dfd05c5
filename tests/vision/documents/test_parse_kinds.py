"""The further kinds of papers from text lines: inpatient, VAT and vet bills, prescriptions, orders, returns, cards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()


def values(reading: PaperReading) -> dict[str, str]:
    return {field.name: field.value for field in reading.fields}


def failed(reading: PaperReading) -> list[str]:
    return [check.name for check in reading.checks if not check.passed]


def passed(reading: PaperReading) -> list[str]:
    return [check.name for check in reading.checks if check.passed]


def inpatient(**changes: str) -> list[list[Any]]:
    printed = {"days": "共7天", "out": "2026年9月8日", "total": "8,250.00"} | changes
    return [
        ["浙江省医疗住院收费票据（电子）"],
        ["票据代码：33060226", (800, "票据号码：0012345678")],
        ["交款人：范天丽", (800, "开票日期：2026年9月9日")],
        ["入院日期：2026年9月1日", (600, f"出院日期：{printed['out']}"), (1000, f"住院天数：{printed['days'][1:]}")],
        ["项目名称", (600, "等级"), (1000, "金额（元）")],
        ["床位费", (610, "甲"), (1010, "350.00")],
        ["西药费", (610, "乙"), (1010, "7,900.00")],
        ["合计（大写）捌仟贰佰伍拾元整", (800, f"（小写）{printed['total']}")],
        ["医保统筹基金支付：6,000.00", (600, "个人账户支付：250.00"), (1000, "个人现金支付：2,000.00")],
        ["出院诊断：急性阑尾炎"],
        ["收款单位（章）：杭州市协济医院"],
    ]


def test_an_inpatient_bill_is_read_with_its_stay(page_of: Any) -> None:
    reading = parse(page_of(inpatient()), TODAY, KINDS)
    assert reading.kind == "inpatient_invoice"
    assert values(reading) == {
        "hospital": "杭州市协济医院", "patient": "范天丽", "date": "2026-09-09", "number": "0012345678",
        "total_minor": "825000", "admitted_date": "2026-09-01", "discharged_date": "2026-09-08", "stay_days": "7",
        "capital_total_minor": "825000", "insurance_paid_minor": "600000", "account_paid_minor": "25000",
        "cash_paid_minor": "200000", "diagnosis": "急性阑尾炎",
    }  # fmt: skip
    assert [(item.text, item.item_class, item.amount_minor) for item in reading.items] == [
        ("床位费", "甲", 35000), ("西药费", "乙", 790000),
    ]  # fmt: skip
    assert len(passed(reading)) == 5
    assert failed(reading) == []


@pytest.mark.parametrize("changes", [{"days": "共9天"}, {"out": "2026年8月30日"}])
def test_a_stay_that_does_not_fit_its_dates_fails(page_of: Any, changes: dict[str, str]) -> None:
    assert failed(parse(page_of(inpatient(**changes)), TODAY, KINDS)) == ["stay_days_match_dates"]


def test_a_missing_admission_date_is_not_taken_from_beside(page_of: Any) -> None:
    rows = inpatient()
    rows[3] = ["入院日期：", (600, "出院日期：2026年9月8日"), (1000, "住院天数：7天")]
    reading = parse(page_of(rows), TODAY, KINDS)
    assert reading.missing_fields == ("admitted_date",)
    assert "stay_days_match_dates" not in passed(reading)


def vat(**changes: str) -> list[list[Any]]:
    printed = {"net": "¥1,150.44", "tax": "¥149.56", "total": "¥1,300.00", "line": "850.44"} | changes
    return [
        ["电子发票（增值税专用发票）", (900, "发票号码：25332000000123456789")],
        [(900, "开票日期：2026年09月11日")],
        ["购买方信息 名称：杭州致远咨询有限公司", (750, "销售方信息 名称：杭州云澜科技有限公司")],
        ["统一社会信用代码：91330100MA2AAAAA0X", (750, "统一社会信用代码：91330100MA2BBBBB1Y")],
        ["项目名称", (400, "单位"), (600, "数量"), (750, "金额"), (1000, "税率/征收率"), (1250, "税额")],
        ["*维修服务*手机屏幕维修", (410, "次"), (610, "1"), (750, printed["line"]), (1010, "13%"), (1250, "110.56")],
        ["*餐饮服务*餐费", (410, "次"), (610, "1"), (750, "300.00"), (1010, "13%"), (1250, "39.00")],
        ["合  计", (750, printed["net"]), (1240, printed["tax"])],
        ["价税合计（大写）", (300, "壹仟叁佰圆整"), (900, f"（小写）{printed['total']}")],
        ["开票人：赵佳"],
    ]


def test_a_digital_vat_invoice_is_read_with_seller_and_buyer_told_apart(page_of: Any) -> None:
    reading = parse(page_of(vat()), TODAY, KINDS)
    assert reading.kind == "vat_invoice"
    assert values(reading) == {
        "seller": "杭州云澜科技有限公司", "buyer": "杭州致远咨询有限公司", "date": "2026-09-11",
        "number": "25332000000123456789", "net_minor": "115044", "tax_minor": "14956", "total_minor": "130000",
        "capital_total_minor": "130000",
    }  # fmt: skip
    assert [(item.text, item.amount_minor) for item in reading.items] == [
        ("*维修服务*手机屏幕维修", 85044), ("*餐饮服务*餐费", 30000),
    ]  # fmt: skip
    assert passed(reading) == [
        "items_sum_to_total", "capital_amount_equals_total", "net_and_tax_equal_total", "date_is_plausible",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"line": "950.44"}, ["items_sum_to_total"]),
        ({"tax": "¥199.56"}, ["net_and_tax_equal_total"]),
        ({"total": "¥3,100.00"}, ["capital_amount_equals_total", "net_and_tax_equal_total"]),
    ],
)
def test_an_altered_vat_invoice_fails_what_it_breaks(
    page_of: Any, changes: dict[str, str], expected: list[str]
) -> None:
    assert failed(parse(page_of(vat(**changes)), TODAY, KINDS)) == expected


def test_an_old_vat_invoice_keeps_its_code_which_with_the_number_is_its_key(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["浙江增值税普通发票", (800, "发票代码：033001900111")],
                [(800, "发票号码：01234567")],
                [(800, "开票日期：2026年03月05日")],
                ["名    称：魏天"],
                ["纳税人识别号：91413914MAC7PQM6X8"],
                ["货物或应税劳务、服务名称", (600, "单位"), (800, "数量"), (1000, "金额")],
                ["*餐饮服务*餐费", (610, "次"), (810, "1"), (1000, "94.34")],
                ["合计", (1000, "¥94.34"), (1240, "¥5.66")],
                ["价税合计（大写）壹佰圆整", (900, "（小写）¥100.00")],
                ["名    称：杭州德盛餐饮有限公司"],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "vat_invoice"
    assert reading.value("seller") == "杭州德盛餐饮有限公司"
    assert reading.value("buyer") == "魏天"
    assert reading.value("code") == "033001900111"
    assert reading.keys[0] == ("code", "number")
    assert failed(reading) == []


def test_a_vet_bill_is_no_outpatient_bill(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["杭州安心宠物医院"],
                ["收费单"],
                ["宠物主人：余磊", (500, "宠物名称：旺财"), (900, "单号：0848922128")],
                ["日期：2026/07/26", (500, "诊断：耳螨感染")],
                ["项目", (500, "数量"), (900, "金额")],
                ["犬细小病毒检测", (510, "1"), (900, "113.84")],
                ["X光拍片", (510, "1"), (900, "177.95")],
                ["合计（大写）：贰佰玖拾壹元柒角玖分", (800, "（小写）¥291.79")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "vet_invoice"
    assert values(reading) == {
        "hospital": "杭州安心宠物医院", "date": "2026-07-26", "number": "0848922128", "total_minor": "29179",
        "owner": "余磊", "pet_name": "旺财", "diagnosis": "耳螨感染", "capital_total_minor": "29179",
    }  # fmt: skip
    assert len(reading.items) == 2
    assert failed(reading) == []


def test_a_prescription_is_no_bill(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["杭州市第一人民医院"],
                ["处 方 笺"],
                ["姓名：范天丽", (400, "性别：女"), (700, "年龄：34岁"), (1000, "科别：消化内科")],
                ["临床诊断：2型糖尿病", (700, "开具日期：2026年9月11日")],
                ["Rp"],
                ["二甲双胍片 0.5g*20片", (700, "用法：口服 每日两次")],
                ["医师：周文海"],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "diagnosis_page"
    assert values(reading) == {
        "hospital": "杭州市第一人民医院", "patient": "范天丽", "date": "2026-09-11", "diagnosis": "2型糖尿病",
        "department": "消化内科", "doctor": "周文海",
    }  # fmt: skip
    assert reading.keys == ()


def order(paid: str = "¥193.00") -> list[list[Any]]:
    return [
        ["17:44"],
        ["订单详情"],
        ["鲜果园旗舰店"],
        ["新鲜车厘子2斤装"],
        ["商品总价", (1000, "¥190.00")],
        ["运费", (1000, "¥8.00")],
        ["店铺优惠", (1000, "-¥5.00")],
        ["实付款", (1000, paid)],
        ["订单编号：1321025593173926", (900, "复制")],
        ["下单时间：2026-04-27 19:31:07"],
    ]


def test_an_order_is_read_and_its_price_less_discount_is_what_was_paid(page_of: Any) -> None:
    reading = parse(page_of(order()), TODAY, KINDS)
    assert reading.kind == "order_screenshot"
    assert values(reading) == {
        "merchant": "鲜果园旗舰店", "order_number": "1321025593173926", "date": "2026-04-27", "total_minor": "19300",
        "goods": "新鲜车厘子2斤装", "price_minor": "19000", "discount_minor": "500", "freight_minor": "800",
    }  # fmt: skip
    assert "price_less_discount_equals_total" in passed(reading)
    assert failed(parse(page_of(order("¥493.00")), TODAY, KINDS)) == ["price_less_discount_equals_total"]


def test_a_return_slip_is_no_parcel_slip(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["退货寄件凭证"],
                ["原订单号：1687872572735240141"],
                ["退货物流：京东物流", (600, "物流单号：JD6123621484357")],
                ["寄件日期：2026年10月06日", (600, "重量：1.00KG")],
                ["退货运费：59.00元"],
                ["寄件人：冯红庆", (600, "收件人：李玉")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "return_slip"
    assert values(reading) == {
        "carrier": "京东物流", "tracking_number": "JD6123621484357", "order_number": "1687872572735240141",
        "date": "2026-10-06", "freight_minor": "5900", "sender": "冯红庆", "recipient": "李玉", "weight_g": "1000",
    }  # fmt: skip


def test_a_vaccination_page_is_read_from_its_table(page_of: Any) -> None:
    reading = parse(
        page_of(
            [
                ["动物免疫证"],
                ["主人姓名：罗伟"],
                ["宠物名称：咪咪", (600, "种类：猫")],
                ["品种：英国短毛猫", (600, "出生日期：2022/12/19")],
                ["芯片编号：900777752954301"],
                ["疫苗名称", (400, "接种日期"), (800, "兽医签名")],
                ["狂犬病灭活疫苗", (400, "2026/06/28")],
            ]
        ),
        TODAY,
        KINDS,
    )
    assert reading.kind == "pet_card"
    assert values(reading) == {
        "pet_name": "咪咪", "species": "猫", "owner": "罗伟", "breed": "英国短毛猫", "birth_date": "2022-12-19",
        "chip_number": "900777752954301", "vaccine": "狂犬病灭活疫苗", "vaccinated_date": "2026-06-28",
    }  # fmt: skip

"""Papers that are no paid bill, told from their rows; and honest papers with the same words, which stay paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, get_args

import pytest

from vision.documents.gate import accepted, not_accepted_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.reconcile import without_lost_signs
from vision.documents.standing.read import GRAVITY, of_the_whole, paid_state, stamps_of, united
from vision.documents.text.layout import rows_of
from vision.documents.text.page import PaperReading, Standing

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()
Rows = Sequence[Sequence[Any]]


def bill(
    head: Rows = (), foot: Rows = (), *, title: str = "浙江省医疗门诊收费票据", sign: str = "", capitals: str = ""
) -> Rows:
    """Returns an outpatient bill of 464.07."""
    return [
        *head,
        [(400, title)],
        ["票据代码：33060122", (700, "票据号码：0012345678")],
        ["交款人：林秀英", (700, "开票日期：2026-11-19")],
        ["项目名称", (500, "数量"), (800, "金额")],
        ["门诊诊查费", (500, "1"), (800, f"{sign}50.00")],
        ["血常规检验", (500, "1"), (800, f"{sign}414.07")],
        [f"金额合计（大写）{capitals}肆佰陆拾肆元零柒分", (800, f"（小写）{sign}464.07")],
        ["医保统筹基金支付：0.00", (500, "个人现金支付：" + f"{sign}464.07")],
        ["收款单位：杭州市第一人民医院", (800, "收款人：周敏")],
        *foot,
    ]


def till(head: Rows = (), foot: Rows = (), *, sign: str = "", total: str = "TOTAL", paid: Rows | None = None) -> Rows:
    """Returns an English till receipt of 20.32."""
    tendered = [["CASH", (900, "50.00")], ["CHANGE", (900, "29.68")]] if not sign else [["CASH", (900, f"{sign}20.32")]]
    return [
        [(300, "GREENFIELD GROCERS SDN BHD")],
        [(300, "NO 18, JALAN MELATI 3/7, 43000 KAJANG")],
        *head,
        ["TAX INVOICE"],
        ["DATE: 19/11/2026 09:43"],
        ["FRESH MILK 1L", (900, f"{sign}6.84")],
        ["DISH SOAP", (900, f"{sign}13.48")],
        [total, (900, f"{sign}20.32")],
        *(tendered if paid is None else paid),
        *foot,
    ]


def order(state: Rows = (), foot: Rows = (), *, paid: str = "实付款", when: str = "付款时间") -> Rows:
    """Returns the page of an order of 1,367.20."""
    return [
        [(400, "订单详情")],
        *state,
        ["鲜果小铺旗舰店"],
        ["商品名称：进口车厘子 5斤", (800, "¥1367.20")],
        ["商品总价", (900, "¥1367.20")],
        ["运费", (900, "¥0.00")],
        [paid, (900, "¥1367.20")],
        ["订单编号：3206118244019255"],
        [f"{when}：2026-11-15 10:22:31"],
        *foot,
    ]


def vet(head: Rows = (), foot: Rows = (), *, title: str = "安心宠物医院收费单") -> Rows:
    """Returns a vet's bill of 866.01."""
    return [
        *head,
        [(400, title)],
        ["单号：000417", (700, "日期：2026-11-19")],
        ["主人：林秀英", (700, "宠物名：豆豆")],
        ["项目", (500, "数量"), (800, "金额")],
        ["挂号费", (500, "1"), (800, "66.01")],
        ["手术费", (500, "1"), (800, "800.00")],
        ["合计", (800, "866.01")],
        *foot,
    ]


def read(page_of: Any, rows: Rows) -> PaperReading:
    reading = parse(page_of(rows), TODAY, KINDS)
    return replace(reading, alike=reading.relied_on)


PAPERS = {"bill": bill, "till": till, "order": order, "vet": vet}
NO_BILLS: Sequence[tuple[Standing, Rows]] = (
    # void
    ("void", till([["*** VOID ***"]])),
    ("void", till([["VOID - TRANSACTION CANCELLED"]])),
    ("void", till([["V O I D"]])),
    ("void", till((), [["TRANSACTION VOIDED"]])),
    ("void", till((), [["SALE CANCELLED"]])),
    ("void", till((), [["STATUS: CANCELLED"]])),
    ("void", till((), [["VOID", (900, "20.32")]])),
    ("void", till((), [["PAYMENT DECLINED"]])),
    ("void", till([["NO SALE"]])),
    ("void", bill([["作 废"]])),
    ("void", bill((), [["此票作废"]])),
    ("void", bill((), [["票据状态：已作废"]])),
    ("void", bill((), [["此單作廢"]])),
    ("void", bill((), [["本收据无效"]])),
    ("void", order([["已取消"]])),
    ("void", order([["交易关闭"]])),
    ("void", order([["订单已关闭"]])),
    ("void", order([["订单状态", (900, "已取消")]])),
    ("void", order([["支付超时，订单已取消"]])),
    # money back
    ("void", order([["交易关闭"], ["退款成功"]])),
    ("void", order([["交易关闭 退款成功"]])),
    ("refund", order([["退款成功"], ["款项已原路退回"]])),
    ("refund", order([["退款中"]])),
    ("refund", order([["已退货"]])),
    ("refund", order([["交易成功"]], [["退款成功", (900, "¥1367.20")]])),
    ("refund", order([["交易成功"]], [["退款金额：¥1367.20"]])),
    ("refund", till([["REFUND"]], sign="-")),
    ("refund", till([["REFUND RECEIPT"]])),
    ("refund", till([["*** SALES RETURN ***"]])),
    ("refund", till([["CREDIT NOTE"]])),
    ("refund", till((), [["TOTAL REFUND", (900, "20.32")]])),
    ("refund", till((), [["REFUNDED TO VISA", (900, "20.32")]])),
    ("refund", bill(title="杭州市第一人民医院门诊退费凭证")),
    ("refund", bill([["退款凭证"]])),
    ("refund", bill((), [["已退费"]])),
    ("refund", bill((), [["退费"]])),
    ("refund", vet(title="安心宠物医院退款单")),
    ("refund", vet((), [["退票凭证"]])),
    # below zero
    ("negative", bill(sign="-", capitals="负")),
    ("negative", bill(sign="¥-")),
    ("negative", bill(capitals="（负数）")),
    ("negative", bill([["红字发票"]])),
    ("negative", bill((), [["备注：对应正数发票代码：033002100411 号码：00000017"]])),
    ("negative", bill((), [["被红冲蓝字数电发票号码：26332000000001234567"]])),
    ("negative", bill((), [["已红冲"]])),
    ("negative", bill((), [["冲销"]])),
    ("negative", till(sign="-")),
    ("negative", till(total="TOTAL:", sign="- ")),
    ("negative", till(sign="RM-")),
    # paid by somebody else
    ("reimbursed", bill((), [["已报销"]])),
    ("reimbursed", till((), [["REIMBURSED"]])),
    # before the bill
    ("estimate", vet(title="安心宠物医院预估报价单", foot=[["仅供参考"], ["未付款"]])),
    ("estimate", vet(title="安心宠物医院收费报价单")),
    ("estimate", vet([["形式发票"]])),
    ("estimate", vet([["估价单"]])),
    ("estimate", vet([["草稿"]])),
    ("estimate", bill(title="杭州市第一人民医院费用预结算单", head=[["门诊收费票据"]])),
    ("estimate", till([["QUOTATION"]])),
    ("estimate", till([["ESTIMATE"]])),
    ("estimate", till([["COST ESTIMATE ONLY"]])),
    ("estimate", till([["PROFORMA INVOICE"]])),
    ("estimate", till([["PRO FORMA"]])),
    ("estimate", till([["DRAFT"]])),
    ("estimate", till([["THIS IS AN ESTIMATE ONLY"]])),
    ("estimate", till((), [["ESTIMATED TOTAL", (900, "20.32")]])),
    # owed
    ("unpaid", till([["UNPAID"]])),
    ("unpaid", till((), [["PAYMENT STATUS: UNPAID"]])),
    ("unpaid", till((), [["AWAITING PAYMENT"]])),
    ("unpaid", till((), [["OUTSTANDING", (900, "20.32")]], paid=[])),
    ("unpaid", till((), [["PAST DUE"]])),
    ("unpaid", order([["待付款"]])),
    ("unpaid", order([["等待买家付款"]])),
    ("unpaid", bill((), [["未缴费"]])),
    ("unpaid", bill((), [["结算状态：未结算"]])),
    ("unpaid", bill((), [["欠费"]])),
    ("unpaid", bill((), [["挂账", (800, "464.07")]])),
    ("unpaid", vet((), [["未付款"]])),
    ("unpaid", order(paid="需付款", when="下单时间")),
    ("unshown", order(paid="合计", when="下单时间")),
    ("unstated", order()),
    ("unstated", order([["待付款 > 待发货 > 待收货 > 交易成功"]])),
    ("deposit", bill(title="杭州市第一人民医院住院预交金收据", head=[["医疗收费票据"]])),
    ("deposit", vet([["押金收据"]])),
    ("deposit", vet([["定金收条"], ["订金收据"]])),
    ("deposit", till([["DEPOSIT RECEIPT"]])),
    # copies, samples, training
    ("void", order([["超时关闭"]])),
    ("void", till([["REVERSED"]])),
    ("unpaid", order([["付款未完成"]])),
    ("unpaid", till(paid=[["DEPOSIT PAID", (900, "10.00")], ["OUTSTANDING", (900, "10.32")]])),
    ("unpaid", bill((), [["预交金：400.00", (500, "欠费：64.07")]])),
    ("copy", bill([["复印件"]])),
    ("copy", bill(title="浙江省医疗门诊收费票据（副本）")),
    ("copy", bill((), [["与原件核对一致"]])),
    ("copy", bill((), [["此复印件仅供办理保险使用"]])),
    ("copy", till([["*** DUPLICATE ***"]])),
    ("copy", till((), [["COPY"]])),
    ("copy", till((), [["PHOTOCOPY"]])),
    ("sample", bill([["样票"]])),
    ("sample", bill((), [["测试票据"]])),
    ("sample", till([["SPECIMEN"]])),
    ("sample", till([["SAMPLE RECEIPT"]])),
    ("sample", till((), [["TEST TRANSACTION"]])),
    ("training", till([["*** TRAINING MODE ***"]])),
    ("training", till((), [["TRAINING RECEIPT - NOT A RECEIPT"]])),
    ("training", vet((), [["培训模式"]])),
    # other papers
    ("statement", vet([["对账单"]])),
    ("statement", till([["STATEMENT OF ACCOUNT"]])),
    ("no_voucher", bill((), [["本单据不作报销凭证"]])),
    ("no_voucher", bill((), [["不作报销凭证"]])),
    ("no_voucher", bill((), [["此联不作为报销依据使用"]])),
    ("no_voucher", vet((), [["以上费用仅供参考"]])),
    ("no_voucher", till((), [["THIS IS NOT A RECEIPT"]])),
    ("no_voucher", till((), [["DO NOT PAY"]])),
)


@pytest.mark.parametrize(("standing", "rows"), NO_BILLS, ids=range(len(NO_BILLS)))
def test_a_paper_that_is_no_paid_bill_says_so_and_is_not_accepted(page_of: Any, standing: Standing, rows: Rows) -> None:
    reading = read(page_of, rows)
    assert reading.standing, reading.lines
    assert reading.standing[0].standing == standing
    assert reading.standing[0].words
    assert not accepted(reading)


HONEST: Sequence[Rows] = (
    bill(),
    till(),
    order([["交易成功"]]),
    vet(),
    # legends of forms
    bill((), [["遗失不补，过期作废"]]),
    bill((), [["过期作废"]]),
    bill((), [["涂改作废 复印无效 遗失不补"]]),
    bill((), [["第一联 发票联"], ["注：涂改无效，未盖章无效。"]]),
    bill((), [["本收据未加盖收费专用章不作报销凭证"]]),
    bill((), [["退费、报销请凭此据办理"]]),
    bill((), [["如需开具红字发票请于当月办理"]]),
    bill((), [["作废须经收费处盖章"]]),
    # columns and labels
    bill((), [["预交金", (300, "补缴"), (500, "退费"), (700, "欠费")], ["0.00", (300, "0.00"), (500, "0.00")]]),
    bill((), [["预交金额：500.00", (400, "退费金额：35.93"), (700, "欠费：0.00")]]),
    bill((), [["收费", (300, "退费"), (500, "作废"), (700, "结算")]]),
    vet((), [["押金：0.00", (500, "已退押金：0.00")]]),
    vet((), [["预估费用：", (500, "见告知书")]]),
    vet((), [["欠款", (800, "0.00")]]),
    bill((), [["欠费：", (400, "预交金：500.00")], ["医保欠费：12.00"]]),
    till((), [["OUTSTANDING POINTS: 20.00"]]),
    vet((), [["打印次数：2", (500, "补打")]]),
    # policies
    till((), [["REFUNDS within 30 days with receipt"]]),
    till((), [["NO REFUND"]]),
    till((), [["STRICTLY NO"], ["CASH REFUND"]]),
    till((), [["GOODS SOLD ARE NOT RETURNABLE FOR"], ["REFUND"]]),
    till((), [["GOODS SOLD ARE NOT REFUNDABLE"]]),
    till((), [["Void if altered"]]),
    till((), [["RETURNS & REFUNDS"]]),
    till((), [["CANCELLATION POLICY"]]),
    till((), [["NOT A VALID RECEIPT WITHOUT STAMP"]]),
    # copies by their owner, reprints by the till
    till((), [["CUSTOMER COPY"]]),
    till((), [["MERCHANT COPY"]]),
    till((), [["CUSTOMER'S COPY"]]),
    till((), [["** RE-PRINT **"]]),
    till((), [["ORIGINAL RECEIPT"]]),
    # amounts of nothing, and one line undone
    till((), [["BALANCE DUE", (900, "0.00")]]),
    till((), [["UNPAID BALANCE: 0.00"]]),
    till((), [["REFUND", (900, "0.00")]]),
    till([["VOID"], ["PEPSI 0.5L", (900, "-2.50")]]),
    till((), [["Estimated delivery 21 Nov"]]),
    till((), [["DEPOSIT (CS00489793)"]]),
    till((), [["Quotation No: Q-1207"]]),
    # apps
    order([["交易成功"]]),
    order([["待发货"]]),
    order([["卖家已发货"]], [["申请退款", (400, "查看物流"), (800, "确认收货")]]),
    order([["交易成功"]], [["退款/售后"]]),
    order([["交易成功"]], [["退款"]]),
    order([["已签收"]], [["退款成功"], ["退款金额", (900, "¥20.00")]]),
    order([["已完成"], ["全部", (200, "待付款"), (400, "待发货"), (600, "待收货"), (800, "退款/售后")]]),
    order([["交易成功"], ["待付款 > 待发货 > 待收货 > 交易成功"]]),
    order([["待收货"]], [["7天无理由退货"], ["退货包运费"]]),
    order([["待收货"]], [["预计送达时间仅供参考"]]),
    order([["已签收"]], paid="合计支付", when="支付时间"),
)  # fmt: skip


@pytest.mark.parametrize("rows", HONEST, ids=range(len(HONEST)))
def test_an_honest_paper_with_the_same_words_stays_a_paid_bill(page_of: Any, rows: Rows) -> None:
    reading = read(page_of, rows)
    assert reading.standing == ()
    assert not_accepted_because(reading) == ""


def test_every_standing_has_its_gravity_and_a_paper_in_this_test() -> None:
    assert set(GRAVITY) == set(get_args(Standing)) == {standing for standing, _ in NO_BILLS}


def test_an_amount_below_zero_is_no_amount(page_of: Any) -> None:
    reading = read(page_of, till(sign="-"))
    assert reading.value("total_minor") == ""
    assert [(field.name, field.reason) for field in reading.refused] == [("total_minor", "negative amount")]


def test_a_minus_that_one_of_two_readings_lost_is_kept(page_of: Any) -> None:
    signed, unsigned = read(page_of, till(sign="-")), read(page_of, till())
    assert without_lost_signs(unsigned, [signed, unsigned]).value("total_minor") == ""
    assert without_lost_signs(unsigned, [unsigned]) == unsigned


@pytest.mark.parametrize(
    ("total", "negative"),
    [
        ("-20.32", True), ("- 20.32", True), ("−20.32", True), ("－20.32", True), ("20.32-", True), ("(20.32)", True),
        ("20.32 CR", True), ("(S$20.32)", True), ("负20.32", True), ("20.32-A", True),
        ("-$20.32", True), ("$-20.32", True), ("RM -20.32", True), ("-RM 20.32", True),
        ("20.32", False), ("$20.32", False), ("RM 20.32", False), ("(RM) 20.32", False), ("20.32 (incl. tax)", False),
        ("RM 20.32 - VISA", False),
    ],
)  # fmt: skip
def test_signs_of_a_total_as_tills_print_them(page_of: Any, total: str, negative: bool) -> None:
    rows = [[cell if cell != (900, "20.32") else (900, total) for cell in row] for row in till()]
    signs = [sign for sign in read(page_of, rows).standing if sign.told_by == "sign"]
    assert [sign.standing for sign in signs] == (["negative"] if negative else [])


def test_a_minus_that_was_read_by_itself_belongs_to_its_amount(page_of: Any) -> None:
    rows = [[*row[:1], (880, "-"), (900, "20.32")] if row[0] == "TOTAL" else row for row in till()]
    assert [sign.standing for sign in read(page_of, rows).standing] == ["negative"]
    apart = [[*row[:1], (500, "-"), (900, "20.32")] if row[0] == "TOTAL" else row for row in till()]
    assert read(page_of, apart).standing == ()


def test_a_total_of_whole_units_has_its_sign_too(page_of: Any) -> None:
    rows = [[*row[:1], (800, "-866")] if row[0] == "合计" else row for row in vet()]
    assert read(page_of, rows).value("total_minor") == ""


def test_a_slip_of_returned_goods_speaks_of_refunds_and_is_no_refund(page_of: Any) -> None:
    rows = [
        [(300, "退货寄件凭证")],
        ["承运快递：顺达速运", (700, "运单号：SF1234567890123")],
        ["订单编号：3206118244019255", (700, "寄件日期：2026-11-19")],
        ["运费：12.00", (700, "退款")],
        ["已退款"],
    ]
    reading = parse(page_of(rows), TODAY, KINDS)
    assert (reading.kind, reading.standing) == ("return_slip", ())


@pytest.mark.parametrize(
    ("text", "standings"),
    [
        ("作废", ["void"]), ("收费 作废 专用章", ["void"]), ("vO1D", ["void"]), ("已退费", ["refund"]),
        ("杭州市第一人民医院 收费专用章", []), ("遗失不补 过期作废", []), ("现金收讫", []), ("第一联 发票联", []),
        ("国家税务总局监制", []), ("已报销", ["reimbursed"]), ("样票", ["sample"]), ("与原件一致", ["copy"]),
    ],
)  # fmt: skip
def test_a_stamp_says_its_words_amid_the_print_of_a_seal(page_of: Any, text: str, standings: list[str]) -> None:
    signs = stamps_of(rows_of(page_of([[text]])), KINDS["outpatient_invoice"])
    assert [sign.standing for sign in signs] == standings
    assert {sign.told_by for sign in signs} <= {"stamp"}


def test_a_state_in_red_below_that_of_a_paid_order_is_that_of_one_of_its_goods(page_of: Any) -> None:
    app = KINDS["order_screenshot"]
    rows = rows_of(page_of([["交易成功"], ["进口车厘子 5斤"], ["退款成功"]]))
    (refund,) = stamps_of(rows, app)
    paid = paid_state(rows, app)
    assert paid is not None
    assert of_the_whole([refund], [paid]) == []
    assert of_the_whole([refund], [paid], split=False) == [refund]  # the only one of the order
    closed = stamps_of(rows_of(page_of([["交易关闭"], ["进口车厘子 5斤"]])), app)
    assert [sign.standing for sign in of_the_whole(closed, [])] == ["void"]
    assert of_the_whole(closed, [replace(paid, top=0.9, bottom=0.95)]) == list(closed)
    assert paid_state(rows, KINDS["receipt"]) is None


def test_a_void_that_one_model_reads_counts_and_a_payment_that_one_model_reads_too(page_of: Any) -> None:
    clear, void = read(page_of, till()).standing, read(page_of, till([["VOID"]])).standing
    assert [sign.standing for sign in united([clear, void])] == ["void"]
    unshown = read(page_of, order(paid="合计", when="下单时间")).standing
    assert united([unshown, ()]) == []
    assert [sign.standing for sign in united([unshown, unshown])] == ["unshown", "unshown"]
    unstated = read(page_of, order()).standing
    assert [sign.standing for sign in united([unshown, unstated])] == ["unshown", "unstated"]
    assert united([unstated, ()]) == []


def test_labels_of_a_form_that_is_printed_in_one_ink_are_no_stamps(page_of: Any) -> None:
    labels = [
        "医疗门诊收费票据",
        "项目",
        "预交金",
        "补缴",
        "退费",
        "欠费",
        "合计",
        "大写",
        "收款单位",
        "过期作废",
        "复印件无效",
    ]
    form = KINDS["outpatient_invoice"]
    assert stamps_of(rows_of(page_of([[label] for label in labels])), form) == ()
    voided = stamps_of(rows_of(page_of([*([label] for label in labels), ["作废"]])), form)
    assert [sign.standing for sign in voided] == ["void"]


def test_a_page_of_no_known_kind_has_a_standing_too(page_of: Any) -> None:
    reading = parse(page_of([[(300, "退款凭证")], ["经办：周敏"]]), TODAY, KINDS)
    assert (reading.kind, [sign.standing for sign in reading.standing]) == ("unknown", ["refund"])

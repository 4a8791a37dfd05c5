"""Pages of apps, slips and bills as rows of text: paid ones, and those that are cancelled, refunded or not paid yet.

Made by us after apps and forms that everybody knows; no page of the kept test sets is among them. A line is a row;
`@900` puts the next cell at that pixel. In lists ` ;; ` parts pages and ` // ` rows; `-` is a page without any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

Rows = Sequence[Sequence[Any]]


def row(text: str) -> list[Any]:
    """Returns the cells of a row: text, or (x in pixels, text)."""
    first, *rest = re.split(r"\s*@(\d*)\s", text.strip())
    cells: list[Any] = [first] if first else []
    for at, cell in zip(rest[::2], rest[1::2], strict=True):
        cells.append((int(at), cell) if at else cell)
    return cells


def pages(text: str) -> list[list[list[Any]]]:
    """Returns the rows of each page of a list."""
    listed = [page for line in text.strip().splitlines() for page in line.split(" ;; ")]
    return [[row(each) for each in page.split(" // ")] if page != "-" else [] for page in listed]


def filled(template: str, **parts: Rows) -> list[list[Any]]:
    """Returns the rows of a page whose `{name}` lines are those parts."""
    rows: list[list[Any]] = []
    for line in template.strip().splitlines():
        name = line.strip("{}")
        rows += [list(part) for part in parts[name]] if line == f"{{{name}}}" else [row(line)]
    return rows


TAOBAO: Final = """
9:41 @1180 5G 83%
{state}
陈某某 138****2211
浙江省杭州市西湖区文三路 12 号
果园直发旗舰店 >
商品名称：阳光玫瑰葡萄 4斤 @1100 ¥89.00
@1200 x1
7天无理由退货 @300 极速退款
@900 申请售后 @1150 加入购物车
商品总价 @1150 ¥89.00
运费（快递） @1150 ¥0.00
店铺优惠 @1150 -¥5.00
实付款 @1150 ¥84.00
订单编号：2233445566778899001 @1200 复制
创建时间：2026-11-12 10:20:31
付款时间：2026-11-12 10:20:44
{foot}
"""
JD: Final = """
9:41 @1180 5G 83%
@600 订单详情
{state}
王某 139****0001
北京市朝阳区建国路 8 号
京东生鲜自营店
商品名称：智利车厘子 J级 2kg @1100 ¥199.00
@1200 ×1
退换/售后 @600 再次购买
订单编号 @800 302244118822 @1200 复制
下单时间 @800 2026-11-10 09:15:02
支付方式 @800 微信支付
商品总额 @1150 ¥199.00
运费 @1150 ¥0.00
立减 @1150 -¥20.00
实付款： @1150 ¥179.00
{foot}
"""
PDD: Final = """
< @600 订单详情
{state}
李某 137****7788 江苏省苏州市姑苏区人民路 3 号
山里人家水果店  进店 >
商品名称：赣南脐橙 10斤装
数量 x1
原价 @1150 ¥45.80
店铺券 @1150 -¥3.00
实付： @1150 ¥42.80
订单编号：241112-118822334455667
支付方式：微信支付
下单时间：2026-11-12 20:11:08
再次拼单 @400 查看物流
{foot}
"""
MEITUAN: Final = """
18:20 @1150 4G 51%
{state}
再来一单 @300 联系商家 @600 致电骑手 @900 申请售后
鲜果时光水果店 >
鲜切果盘大份 @900 x1 @1150 ¥36.00
打包费 @1150 ¥1.00
配送费 @1150 ¥4.00
商品总额 @1150 ¥37.00
满减优惠 @1150 -¥6.00
实付 @1150 ¥35.00
订单号码 @800 9988776655443322
下单时间 @800 2026-11-13 18:20:11
支付方式 @800 在线支付
{foot}
"""
COURIER: Final = """
9:41 @1180 5G 83%
@600 运单详情
{state}
顺丰速运 @500 运单号：SF1390022334455 @1200 复制
寄件人：陈晓 138****2211
杭州市西湖区文三路 12 号
收件人：王丽 139****8877
上海市徐汇区漕溪路 9 号
寄件时间：2026-11-10 15:02
计费重量：2.1kg @700 运费：¥23.00
保价声明价值：¥800.00
电子存根 @400 联系客服 @800 再寄一单
{foot}
"""
#: A page that names its state beside a label, below the goods.
TABLE: Final = """
@500 订单信息
店铺名称： @700 蓝莓之家专卖店
商品名称： @700 云南蓝莓 6盒
订单编号： @700 778899001122334455
下单时间： @700 2026-11-09 08:00:12
商品金额： @700 ¥128.00
运费： @700 ¥0.00
实付金额： @700 ¥128.00
支付时间： @700 2026-11-09 08:01:00
{label}
{more}
{foot}
"""
SLIP: Final = """
中通快递 电子运单
{head}
运单号：7928711086331
寄件人：郭杰 @700 收件人：石娜
158****1008 @700 182****5771
杭州市西湖区长江路 9 号 @700 成都市武侯区长江路 2 号
寄件日期：2026-11-08 @700 内件品名：食品
计费重量：3.18KG @700 保价金额：¥858.00
运费：¥28.00 @700 付款方式：寄付现结
收件人签名：
{foot}
"""
BILL: Final = """
{title}
交款人：林秀英 @700 开票日期：2026-11-19
No：0012345678
项目名称 @500 数量 @800 金额
门诊诊查费 @500 1 @800 50.00
血常规检验 @500 1 @800 414.07
金额合计（大写）肆佰陆拾肆元零柒分 @800 （小写）464.07
医保统筹基金支付：0.00 @500 个人现金支付：464.07
收款单位：杭州市第一人民医院 @800 收款人：周敏
{foot}
"""
VET: Final = """
{title}
单号：000417 @700 日期：2026-11-19
主人：林秀英 @700 宠物名：豆豆
项目 @500 数量 @800 金额
挂号费 @500 1 @800 66.01
手术费 @500 1 @800 800.00
合计 @800 866.01
{foot}
"""
TILL: Final = """
@300 GREENFIELD GROCERS SDN BHD
@300 NO 18, JALAN MELATI 3/7, 43000 KAJANG
{head}
{title}
DATE: 19/11/2026 09:43
FRESH MILK 1L @900 6.84
DISH SOAP @900 13.48
TOTAL @900 20.32
{paid}
{foot}
"""
TILL_ZH: Final = """
@300 盒里优鲜超市
成都市武侯区人民路 11 号
{head}
单号：5746691528
时间：2026-10-24 12:27
商品名称 @900 金额
纯牛奶250ml @900 3.49
有机菠菜 @900 23.66
总计： @900 27.15
{paid}
{foot}
"""

#: Heads of orders that are not paid for, or not any more, as apps word them; the last has none.
NOT_PAID: Final = pages("""
下单成功 ;; 等待您付款 ;; 已发货 // 支付方式：货到付款 ;; 待收货 // 先用后付 ;; 订单已提交
退款中 ;; 退款处理中 // 预计1-3个工作日到账 ;; 退款申请已提交 // 等待商家处理 ;; 商家正在处理退款 ;; 退货退款中
等待商家同意退款 ;; 退款成功 // 已原路退回 ;; 已全额退款 ;; 买家已付款 // 退款处理中 ;; 售后处理中
您已申请退款，等待商家审核
退货中 请寄回商品 ;; 退款审核中 ;; 己退款 ;; 退 款 中 ;; 已取消 ;; 订单取消 ;; 订单已取消 // 超时未支付，系统自动取消
取消成功 ;; 您已取消订单 ;; 商家已取消订单 ;; 买家取消了订单 ;; 订单已撤销 ;; 取消订单成功
拼单未成功，已退款 ;; 巳取消
交易关闭 ;; 已关闭 ;; 交易已关闭 // 超时关闭 ;; 订单关闭 ;; 交易关闭：买家取消 ;; 订单已失效 ;; 交易失败 ;; 待付款
等待买家付款 // 剩余23时59分自动关闭 ;; 待支付 // 支付剩余时间 14:59 ;; 等待支付 ;; 等待付款
需付款 // 请在24小时内完成付款 ;; 订单待支付，逾期将自动取消 ;; 未付款 ;; 待付尾款 ;; 付款确认中 ;; 侍付款
等待商家确认
待成团 ;; 订单处理中 ;; 维权处理中 ;; -
""")
#: Feet that tell it whatever the head says.
NOT_PAID_FEET: Final = pages("""
去支付 @400 取消订单 ;; 立即付款 ;; 朋友代付 @500 继续支付 ;; 需付款： @1150 ¥35.00
退款编号：R20261113001 ;; 查看退款 ;; 退款进度：商家处理中 ;; 钱款去向
""")
PAID: Final = pages("""
已完成 // 支付方式：货到付款 ;; 交易成功 // 先用后付
交易成功 ;; 已完成 ;; 已签收 ;; 已收货 ;; 待评价 ;; 等待收货 ;; 待收货 ;; 卖家已发货 ;; 已发货 ;; 待发货
买家已付款 ;; 支付成功 ;; 订单已完成 ;; 订单已送达 // 感谢您对本店的信任，欢迎再次光临 ;; 已送达
等待商家发货 ;; 交易完成
派送中 ;; 运输中 ;; 已付款
""")
#: Feet of paid orders that name a refund or a cancellation.
PAID_FEET: Final = pages("""
申请退款 @400 查看物流 @800 确认收货 ;; 退款/售后 ;; 退货包运费 @500 极速退款 ;; 如需退款请联系商家
坏果包赔，支持7天无理由退货 ;; 删除订单 @400 再次购买 ;; 云南蓝莓 2盒 @900 x1 // 退款成功 @900 退款金额 ¥10.00
""")
PARCEL_UNDONE: Final = pages("""
已取消 ;; 寄件已取消 ;; 订单已取消 ;; 取消成功 ;; 取消寄件成功 ;; 拦截成功 ;; 已拦截 ;; 退回中 ;; 已退回
快件已退回寄件人 ;; 已撤销 ;; 运单已作废 ;; 待揽收 ;; 待取件 ;; 等待快递员上门 ;; 揽收失败 ;; 用户已取消寄件 ;; 拒收
-
""")
PARCEL_SENT: Final = pages("""
已签收 ;; 运输中 ;; 派送中 ;; 已揽收 ;; 已送达 ;; 快件已签收 ;; 本人签收 ;; 投递成功 ;; 已代收 ;; 派件中
""")
SLIP_UNDONE: Final = pages("""
已取消 ;; 作废 ;; 运单状态：已取消 ;; 此单已作废 ;; 寄件已取消 ;; 已拦截 ;; 订单状态：用户已取消 ;; 拦截件 ;; 已 取 消
CANCELLED ;; SHIPMENT CANCELLED ;; VOID LABEL ;; 退回件 ;; 已撤销 ;; 取消寄件成功
""")
TILL_UNDONE: Final = pages("""
PAYMENT: PENDING ;; PAID: NO ;; STATUS: OVERDUE ;; DUPLICATE - NOT ORIGINAL ;; THIS IS A COPY
VOID SALE ;; *** VOID *** VOID *** VOID *** ;; VOID VOID VOID
THIS SALE HAS BEEN VOIDED ;; VOIDED BY MGR 04 ;; TRANSACTION VOID ;; POST VOID
REVERSAL ;; CANCELLED ;; RECEIPT CANCELLED BY CASHIER ;; SALE (VOID)
TXN TYPE: VOID ;; NOT APPROVED ;; DECLINED ;; NO SALE ;; SALE REVERSED
REFUND RECEIPT ;; CREDIT NOTE NO: 1187 ;; AMOUNT REFUNDED TO VISA
DUPLICATE DUPLICATE ;; V @330 O @360 I @390 D ;; STATUS: VOIDED
SAMPLE SAMPLE SAMPLE ;; VOID TRANSACTION 0012 ;; PROVISIONAL BILL ;; PRE-BILL
BILL PREVIEW ;; PLEASE PAY AT THE COUNTER ;; OVERDUE NOTICE
STATEMENT OF ARREARS ;; PAYMENT STATUS: OUTSTANDING ;; OPEN TAB ;; UNSETTLED
""")
#: Lines in place of cash and change.
TILL_UNPAID: Final = pages("""
- ;; AMOUNT DUE @900 20.32 ;; PLEASE PAY BY 30/11/2026 ;; DUE DATE: 30/11/2026
BALANCE DUE @900 20.32 ;; DEPOSIT PAID @900 5.00 // BALANCE DUE @900 15.32
WE ACCEPT VISA, MASTERCARD AND CASH ;; TERMS: NET 30 DAYS
AMOUNT OWING @900 20.32 ;; PAYMENT DUE WITHIN 14 DAYS
TOTAL ARREARS @900 12.00 ;; CASH REFUND NOT ALLOWED
""")
TILL_FEET: Final = pages("""
PAYMENT: VISA ;; PAID: 20.32 ;; CUSTOMER COPY
- ;; NO REFUND WITHOUT RECEIPT ;; VOID IF ALTERED ;; ITEMS VOIDED: 0
COUPON VOID AFTER 30 DAYS ;; BALANCE DUE @900 0.00 ;; CANCELLED ITEMS: 0
GOODS SOLD ARE NOT REFUNDED ;; YOUR ORDER CAN BE CANCELLED WITHIN 24 HOURS
THANK YOU, PLEASE COME AGAIN ;; PLEASE KEEP THE RECEIPT FOR PAYMENT QUERIES
REFUNDED ITEMS MUST BE UNUSED ;; APPROVED
""")
TILL_PAID: Final = pages("""
CASH @900 50.00 // CHANGE @900 29.68 ;; VISA ****3420 @900 20.32
MASTERCARD @900 20.32 ;; AMOUNT PAID @900 20.32 ;; DEBIT CARD @900 20.32
BALANCE DUE @900 20.32 // CASH @900 50.00 // CHANGE @900 29.68
TENDERED @900 21.00 // CHANGE DUE @900 0.68
PAYMENT METHOD: E-WALLET @900 20.32
""")
BILL_LINES: Final = pages("""
本次收费已取消 ;; 是否缴费：否 ;; 缴费情况：未缴 ;; 仅供演示使用 ;; 样本票据
请持本单到收费处缴费 ;; 请于3日内到收费窗口缴清欠款 ;; 缴费状态：未缴费 ;; 结算状态：待结算
凭此单到窗口交费后取药 ;; 未缴费
尚未结清 ;; 欠费金额：64.07 ;; 未付金额：464.07 ;; 还需支付：464.07 ;; 请尽快补缴费用 ;; 票据状态：己作废
作废原因：开错 ;; 退费原因：医生改方 ;; 退费时间：2026-11-20 ;; 收费状态：已撤销 ;; 重复联 ;; 复制件 ;; 作 @300 废
先诊疗后付费
""")
BILL_FEET: Final = pages("""
是否医保：否 ;; 缴费情况：已缴 ;; 本次结算已完成
- ;; 遗失不补，过期作废 ;; 请妥善保管，退费时须出示 ;; 请核对缴费金额 ;; 缴费状态：已缴费 ;; 结算状态：已结算
如需退费请凭此票据到收费处办理 ;; 请交款人当面点清 ;; 凭此票据领取药品 ;; 欠费：0.00 ;; 票据状态：正常
手写作废，涂改无效
请到三楼检验科采血
""")
VET_LINES: Final = pages("""
未结账 ;; 预结单 ;; 请到前台付款 ;; 付款状态：未付款 ;; 待结算 ;; 挂账 ;; 结算前核对 // 请到收银台结账 ;; 交易撤销
消费撤销 ;; 已退款 ;; 还需付款：866.01 ;; 未付清
""")
TILL_ZH_LINES: Final = pages("""
本次交易无效 ;; 支付失败 ;; 付款未成功 ;; 是否已付款：否
预结单 ;; 预打单 ;; 点菜单 ;; 结账前请核对 // 请到收银台买单 ;; 未结账 ;; 消费撤销 ;; 撤销交易 ;; 退货小票
原交易流水号：00021 ;; 作废小票 ;; 交易状态：已撤销 ;; 待付款
""")
SLIP_FEET: Final = pages("""
- ;; 请当面验收，拒收请联系寄件人 ;; □ 退回 □ 放弃 □ 改寄 ;; 打印时间 09:04 ;; 如无法投递：退回寄件人
""")
TILL_ZH_PAID: Final = pages("""
微信支付 @900 27.15 ;; 现金 @900 30.00 // 找零 @900 2.85 ;; 支付宝 @900 27.15
""")
BILL_TITLES: Final = """
杭州市第一人民医院门诊费用清单
门诊费用明细清单
杭州市第一人民医院缴费通知单
门诊待缴费清单
住院催款通知单
杭州市第一人民医院欠费通知单
门诊费用预结算单
费用预估单
门诊收费预览单
门诊待缴费单
欠费证明
催缴费通知书
门诊未结算清单
门诊交费提醒
医疗费用汇总表
"""
CASH: Final = TILL_PAID[0]


def order(style: str) -> Callable[..., Rows]:
    """Returns what makes the page of an order in that style, of its state and the rows at its foot."""
    if style != "table":
        return lambda state, foot=(): filled(STYLES[style], state=state, foot=foot)

    def table(state: Rows, foot: Rows = ()) -> Rows:
        text = " ".join(str(cell if isinstance(cell, str) else cell[1]) for part in state[:1] for cell in part)
        return filled(TABLE, label=[["订单状态：", (700, text)]], more=state[1:], foot=foot)

    return table


STYLES: Final = {"taobao": TAOBAO, "jd": JD, "pdd": PDD, "meituan": MEITUAN, "table": TABLE}
APPS: Final = {style: order(style) for style in STYLES}


def courier(state: Rows, foot: Rows = ()) -> Rows:
    return filled(COURIER, state=state, foot=foot)


def slip(head: Rows = (), foot: Rows = ()) -> Rows:
    return filled(SLIP, head=head, foot=foot)


def bill(title: str = "浙江省医疗门诊收费票据", foot: Rows = ()) -> Rows:
    return filled(BILL, title=[[(400, title)]], foot=foot)


def vet(title: str = "安心宠物医院收费单", foot: Rows = ()) -> Rows:
    return filled(VET, title=[[(400, title)]], foot=foot)


def till(head: Rows = (), foot: Rows = (), paid: Rows = CASH, title: str = "TAX INVOICE") -> Rows:
    return filled(TILL, head=head, foot=foot, paid=paid, title=[[title]])


def till_zh(head: Rows = (), foot: Rows = (), paid: Rows = TILL_ZH_PAID[0]) -> Rows:
    return filled(TILL_ZH, head=head, foot=foot, paid=paid)


def opposites() -> Iterator[tuple[str, Rows]]:
    """Yields the name of a sort and the rows of a page that is not payable."""
    for name, app in APPS.items():
        for state in NOT_PAID:
            yield f"order {name}", app(state)
    for number, foot in enumerate(NOT_PAID_FEET):
        yield "order foot", list(APPS.values())[number % 4]([["交易成功"]] if number > 2 else [["已下单"]], foot)
    for state in PARCEL_UNDONE:
        yield "parcel app", courier(state)
    for words in SLIP_UNDONE:
        yield "parcel slip", slip(words)
        yield "parcel slip", slip((), words)
    for words in TILL_UNDONE:
        yield "till", till(words)
        yield "till", till((), words)
    for paid in TILL_UNPAID:
        yield "till unpaid", till(paid=paid, title="INVOICE")
    for title in BILL_TITLES.strip().splitlines():
        yield "bill title", bill(title)
    for words in BILL_LINES:
        yield "bill", bill(foot=words)
    for words in VET_LINES:
        yield "vet", vet(foot=words)
    for words in TILL_ZH_LINES:
        yield "till zh", till_zh(words)
    yield "till zh", till_zh(paid=())
    yield "vet", vet("安心宠物医院账目")


def honest() -> Iterator[tuple[str, Rows]]:
    """Yields the name of a sort and the rows of a page that was paid."""
    for name, app in APPS.items():
        for state in PAID:
            yield f"order {name}", app(state)
        for foot in PAID_FEET:
            yield f"order {name} foot", app([["交易成功"]], foot)
    for state in PARCEL_SENT:
        yield "parcel app", courier(state)
    for words in SLIP_FEET:
        yield "parcel slip", slip((), words)
    for foot in TILL_FEET:
        for paid in TILL_PAID[:3]:
            yield "till", till((), foot, paid)
    for paid in TILL_PAID:
        yield "till paid", till(paid=paid)
    for foot in BILL_FEET:
        yield "bill", bill(foot=foot)
        yield "bill", bill("杭州市第一人民医院门诊收费收据", foot=foot)
    for title in ("安心宠物医院收费单", "安心宠物医院诊疗费用清单", "安心宠物医院结算单", "安心宠物医院消费明细"):
        yield "vet", vet(title, foot=[["支付方式：微信"]])
    for paid in TILL_ZH_PAID:
        yield "till zh", till_zh(paid=paid, foot=[["退换货请凭小票于7日内办理"]])
        yield "till zh", till_zh(paid=paid, foot=[["谢谢惠顾"]])

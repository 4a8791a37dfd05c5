"""States that the pages of apps show, and the sentences and buttons that go with them.

Nobody can list every state that an app invents. So the words that mean "paid" are listed whole, and of the others the
characters that make a state of not being paid: in the head of a page any short text with one of them counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vision.documents.text.page import Standing

#: States of an order that was paid. The first state on the page is that of the whole order.
PAID_STATES: Final = re.compile(
    "交易(?:成功|完成|已完成|已成功)|(?:订单|服务|交易)?(?:已?完成|已结束)|(?:订单|快件|包裹|商品)?已?签收(?:成功)?"
    "|(?:订单|商品)?(?:等?待|等待)(?:您|买家)?(?:确认)?(?:收货|发货|评价|使用|(?:卖家|商家|仓库)(?:发货|接单|备货)|配货|出库|打包|自提|配送)"
    "|(?:(?:订单|卖家|商家|仓库|包裹|商品|买家|您)?已(?:经)?(?:发货|出库|发出|揽收|收货|送达|送到|评价|付款|支付|使用|自提|揽件|接单|妥投|到货|配送"
    "|核销|消费|确认收货))"
    "|(?:付款|支付|购买|缴费|扣款)成功|(?:商品)?(?:运输|派送|配送|派件|出库|拣货|备货|打包)中|(?:买家|您)已付款"
    "|(?:部分|全部)(?:发货|已发货)|准备发货|正在(?:配送|派送|派件|出库|备货)|订单已?送达|骑手(?:已取货|正在(?:送货|配送)|送货中|配送中)"
    "|(?:ORDER |PAYMENT )?(?:IS |HAS BEEN |WAS )?(?:COMPLETED?|DELIVERED|SHIPPED|PAID|DISPATCHED|SUCCESSFUL)"
    "|PAYMENT RECEIVED|OUT FOR DELIVERY|IN TRANSIT|PICKED UP",
    re.IGNORECASE,
)
#: States by which a parcel was handed to its carrier.
CARRIED_STATES: Final = re.compile(
    "(?:快件|包裹|快递|您的快件|您的包裹)?已?(?:本人|代|他人|前台)?签收(?:成功)?"
    "|(?:快件|包裹|快递)?已(?:经)?(?:揽收|揽件|收件|收寄|寄出|发货|发出|送达|妥投|投递|代收|入库|到达|投柜|完成|出库|收货)"
    "|(?:揽收|揽件|收件|收寄|寄件|投递|派送|妥投)(?:成功|完成)|(?:运输|派送|派件|配送|投递|转运|在途)中|在途|正在(?:派送|派件|配送|运输)"
    "|(?:交易|订单)?(?:已?完成|成功)"
    "|DELIVERED|IN TRANSIT|OUT FOR DELIVERY|PICKED UP|SIGNED(?: FOR)?|SHIPPED|ACCEPTED|ARRIVED|COMPLETED?",
    re.IGNORECASE,
)
#: States of goods on their way back, which the slip of a return may show.
RETURNED_STATES: Final = re.compile(
    "(?:退货|退款|售后|寄回|换货)(?:退款)?(?:中|成功|完成|处理中|已完成)|已(?:退货|退款|寄回|退回)(?:成功)?"
    "|(?:待|等待)(?:商家|卖家|仓库|平台)?(?:确认)?(?:收货|签收|退款|验货|处理)|(?:商家|卖家|仓库)已?(?:确认)?(?:收货|签收|退款)"
    "|(?:审核|申请)(?:已)?通过|(?:商家|卖家)已同意(?:退货|退款)?|REFUNDED|RETURNED|RETURN (?:COMPLETED?|RECEIVED)"
    f"|{CARRIED_STATES.pattern}",
    re.IGNORECASE,
)
#: A label whose value is a state.
STATE_LABEL: Final = re.compile(
    "(?P<whole>(?:订单|交易|支付|付款|结算|缴费|收费|票据|单据|账单|寄件|运单|快件|快递|物流|包裹)(?:当前)?(?:状态|进度)|当前状态"
    "|(?:ORDER|PAYMENT|TRANSACTION|BILL|INVOICE) ?STATUS)"
    "|(?P<goods>(?:退款|售后|退货|退换货?)(?:处理)?(?:状态|进度|结果))",
    re.IGNORECASE,
)
#: Values of such a label on an honest paper, besides the states above.
SETTLED_VALUES: Final = re.compile(
    "正常|有效|已?(?:开具|开票|结算|缴费|收费|结清|付清|缴清|入账|缴纳|交费|收款|打印|审核|支付|付款)(?:成功|完成)?|成功|完成|SETTLED|ACTIVE"
    "|APPROVED|CLOSED|OK|VALID|SUCCESS(?:FUL)?|FULLY PAID|PAID IN FULL|PAID",
    re.IGNORECASE,
)
#: Values by which no money goes back.
NOTHING_BACK: Final = re.compile(
    "无|暂无|未申请|可申请|(?:退款|售后)?已?(?:关闭|撤销|取消|拒绝|驳回)|(?:退款|售后)(?:关闭|撤销)|NONE|N/?A",
    re.IGNORECASE,
)
#: A row of the body of an app's page, which ends its head: goods, an address, numbers, times.
BODY: Final = re.compile(
    r"订单编?号|交易单号|运单号|快递单号|(?:下单|创建|付款|支付|成交|提交|寄件|下单)(?:时间|日期)\W*\d|商品(?:总价|金额|总额|小计|原价)"
    r"|实付|应付|合计|总价|(?<!\d)1\d{2}[\d*]{4}\d{4}(?!\d)|(?<![\w.])[x×X*]\s?\d{1,3}$|^规格|^数量",
)
#: A number of pieces beside one of the goods.
PIECES: Final = re.compile(
    r"(?<![\w.])[x×X*]\s?\d{1,3}(?![\w.])|(?<![\u4e00-\u9fff])数量\s?:?\s?[x×X]?\d{1,3}(?![\w.])"
)
#: Buttons and services of honest pages, which name what one might do.
BUTTONS: Final = re.compile(
    "取消订单|取消寄件|(?:申请|我要|去)?(?:退款|售后|退货|退换|退换货|开票|换货|退费)(?:/(?:退款|售后|退货|退换|换货))?|退换/售后|退货/换货|退换无忧|退货包运费"
    "|(?:极速|先行|闪电|秒)退(?:款|货)?|(?:\\d+天|七天)?(?:无理由)?(?:退货|退换)?|查看(?:退款|售后)政策|(?:退货|退款|退改|退订|售后)"
    "(?:政策|规则|说明|须知|服务|保障|无忧|险)|运费险|退货运费险|售后无忧|再次购买|催(?:发货|单)|晚发必赔|超时(?:免单|赔付|必赔|赔|秒赔)?|准时宝|坏(?:单|果)包退|(?:坏|烂"
    "|破损)\\S{0,2}包(?:退|赔)"
    "|随时退|过期(?:自动)?退|FREE RETURNS?|RETURN POLICY|REFUND POLICY|REQUEST (?:A )?(?:REFUND|RETURN)|CANCEL ORDER"
)
#: Before it, or behind it, a state is none: it is a rule, an offer or a question.
CONDITIONAL: Final = re.compile(
    "可|支持|如需|如有|如果|若|请勿|不能|不可|无法|无需|不支持|不予|概不|享|保障|承诺|放心|规则|政策|须知|险|包退|无理由"
    r"|\b(?:IF|NO|NOT|FREE|CAN|MAY|POLICY|ELIGIBLE|WITHIN|UNTIL|BEFORE)\b",
    re.IGNORECASE,
)
#: What makes a state of not being paid, the gravest first. In the head of an app's page one of them is enough.
HEAD_STATES: Final[Sequence[tuple[Standing, re.Pattern[str]]]] = (
    (
        "void",
        re.compile(
            "取消|关闭|撤[销回单]|作废|失效|失败|终止|中止|驳回|拦截|拒[收付签]|流拍|未成团|未成功|(?:已|支付|付款|订单)(?:超时|过期)"
            r"|\b(?:CANCELL?ED|CLOSED|VOID(?:ED)?|FAILED|DECLINED|EXPIRED|REJECTED|ABORTED|REVERSED)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "refund",
        re.compile(
            "退[款货费回还订票单]|返还|售后(?:中|处理|审核|进行|申请|完成|状态|单)|换货中|维权|申诉中|仲裁|钱款去向"
            r"|\b(?:REFUND(?:ED|ING|S)?|RETURN(?:ED|ING)|DISPUTED?|CHARGE ?BACK)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "unpaid",
        re.compile(
            "(?:未|待|等待|尚未|还需|还剩|剩余|尽快|及时|请)[\u4e00-\u9fff\\d:]{0,10}(?:付款|支付|缴费|付清|付尾款|付定金|交费)"
            "|(?:付款|支付)[\u4e00-\u9fff]{0,4}(?:剩余|倒计时|截止|处理中|确认中|中$)|未付|待付|待缴|尾款|定金|预售中|自动(?:取消|关闭)"
            r"|\b(?:UNPAID|PAYMENT (?:PENDING|REQUIRED|DUE)|(?:AWAITING|PENDING) PAYMENT|PAY NOW|TO PAY)\b",
            re.IGNORECASE,
        ),
    ),
)
#: Neither paid nor undone: somebody has still to do something.
PENDING: Final = re.compile(
    "(?:处理|审核|确认|受理|核实|进行|申请|待定|排队)中|等待(?:商家|卖家|平台|系统|买家)?(?:处理|确认|审核|同意)|待(?:确认|处理|审核|受理|成团|分享|揽收|上门|寄出|寄件|取件|接单)"
    r"|\b(?:PENDING|ON HOLD|PROCESSING|IN REVIEW)\b",
    re.IGNORECASE,
)
#: Anywhere on an app's page: money is still to be paid.
STILL_TO_PAY: Final = re.compile(
    "(?:去|立即|继续|马上|确认)(?:支付|付款|付尾款|付定金)|(?:支付|付款)(?:剩余|倒计时|截止)(?:时间)?|剩余(?:支付|付款)?时间|付款剩"
    "|请[在于]?\\S{0,14}(?:内|前|之前)(?:完成)?(?:支付|付款)|(?:逾期|超时|过期|到期)\\S{0,8}(?:未付|未支付|自动取消|自动关闭|将取消|将关闭)"
    "|未(?:支付|付款)\\S{0,6}(?:取消|关闭)|(?:找人|朋友|好友|微信好友)(?:代)?付(?:款)?|请(?:尽快|及时|您尽快)(?:完成)?(?:支付|付款)"
    r"|\bPAY NOW\b|\bCOMPLETE (?:YOUR )?PAYMENT\b|\bCONTINUE TO PAY\b",
    re.IGNORECASE,
)
#: Ways to pay after the goods came, so that only a state behind that shows a payment.
PAID_LATER: Final = re.compile(
    r"货到付款|先[用享]后付|到付|CASH ON DELIVERY|\bCOD\b|PAY ON DELIVERY|PAY LATER", re.IGNORECASE
)
COMPLETE_STATES: Final = re.compile("成功|完成|签收|已收货|评价|付款|支付|结束|COMPLETE|PAID", re.IGNORECASE)
#: The label of a sum that is still to be paid.
TO_PAY_LABEL: Final = re.compile(
    r"(?:还需|仍需|需|待|尚需)(?:付款?|支付|付金额|支付金额)(?:金额|总额|合计)?\W{0,6}(?=\d)"
)
#: Anywhere on an app's page: money goes back, as the page of a refund tells it.
MONEY_BACK: Final = re.compile(
    "退款(?:申请)?(?:已(?:提交|受理|发起|通过|同意|到账|退回|原路|汇出)|提交成功|审核|预计|将(?:原路|于|在)|正在|进度|编号|原因\\s?:|完成时间|成功时间|到账|处理)"
    "|退款(?:申请)?时间|(?:商家|卖家|平台)(?:正在|已)?(?:处理|同意|审核|受理)(?:您的|了您的|了)?(?:退款|退货|售后)|(?:您|买家)(?:已|已经)?(?:成功)?(?:申请|发起"
    "|提交)(?:了)?(?:退款|退货|售后|取消)"
    "|钱款去向|(?:等待|待)(?:商家|卖家|平台)(?:处理|同意|审核)(?:您的)?(?:退款|退货|售后)|原路(?:退回|返回|退还)|退(?:回|还)至",
    re.IGNORECASE,
)
#: The page of a refund, by its title.
REFUND_TITLE: Final = re.compile(
    "(?:退款|退货|售后|退货退款|仅退款)(?:单|申请)?(?:详情|进度|信息|明细|结果)|REFUND DETAILS?", re.IGNORECASE
)
#: The button of a refund that exists, beside one of the goods.
REFUND_BUTTON: Final = re.compile(
    "查看退款|退款详情|查看售后|售后详情|售后中|退款进度|退货中|退款中|退货退款中", re.IGNORECASE
)
#: What tells the page of an app from a paper: its head.
SCREEN_TITLE: Final = re.compile(
    "(?:[<‹〈←]\\s?)?(?:(?:我的)?(?:运单|快递|物流|包裹|寄件|快件|订单|退货|退款|售后|寄件订单|包裹订单|收件)(?:单)?(?:详情|跟踪|追踪|轨迹|进度|信息|查询)"
    "|我的(?:快递|寄件|包裹|订单))"
    "(?:页)?|(?:SHIPMENT|ORDER|PARCEL|PACKAGE) (?:DETAILS?|TRACKING)|TRACK(?:ING)? (?:DETAILS?|PACKAGE|ORDER)",
    re.IGNORECASE,
)
#: The clock of a telephone with what stands beside it, as the first row.
STATUS_BAR: Final = re.compile(r"\d{1,2}[:.]\d{2}(?:[45]G|\d{1,3}%?|WI-?FI|LTE|HD|AM|PM|[^\w])*+", re.IGNORECASE)
SCREEN_BUTTONS: Final = re.compile(
    "复制|再来一单|再寄一单|联系(?:客服|快递员|商家|卖家)|在线客服|查看物流|打电话|催(?:派送|件|取件|单|派)|修改地址|取消(?:寄件|订单)|电子存根|分享|投诉(?:建议)?|删除订单"
    "|申请(?:售后|退款|理赔)|确认收货"
    "|修改订单|再次购买|加入?购物车|查看(?:发票|详情|轨迹)|展开(?:全部|更多)?|查看更多|[<‹〈←]"
)
#: A parcel that was not sent, or came back, as a state or as a stamp of its own.
PARCEL_UNDONE: Final = re.compile(
    "(?:运单|订单|快件|快递|寄件|寄件单|面单|包裹|取件|揽收|揽件|上门取件|预约|寄递|此单|本单|该单|此件|本件|此运单|本运单|该运单|单号|邮件|下单|服务|任务|用户|客户|寄件人|系统|商家"
    "|网点|平台|快递员)?"
    "(?:(?:寄件|订单|下单|取件|运单))?(?:已经?被?|已由\\S{1,4}|被|状态)?(?:用户|客户|寄件人|发件人|系统|商家|卖家|网点|平台|快递员)?(?:主动|自动|超时|成功|申请)?"
    "(?:(?:取消|撤销|撤单|关闭|终止|作废|失效|拦截|中止|召回|撤回)(?:寄件|下单|揽收|取件|订单|发货|运单)?(?:成功|完成|中|件|处理|章|了)?)"
    "|(?:揽收|取件|寄件|下单|揽件)(?:失败|异常|终止)|(?:取消|撤销)(?:寄件|件|订单|运单)(?:成功|完成)|未(?:寄出|揽收|收寄|取件)|无效(?:运单|面单|单号|单)"
    r"|(?:SHIPMENT |ORDER |PARCEL |LABEL |PICK-?UP |WAYBILL )?(?:HAS BEEN |IS |WAS )?(?:CANCELL?ED|VOIDED|VOID"
    r"|ABORTED|INTERCEPTED)(?: (?:BY \w+|LABEL|SHIPMENT))?",
    re.IGNORECASE,
)
#: Those of them that are buttons, or parts of printed sentences, if nothing says that it was done.
PARCEL_BUTTONS: Final = re.compile(
    "(?:申请|我要)?(?:取消|撤销|关闭|拦截|撤回|终止|召回)(?:寄件|下单|揽收|取件|订单|发货|运单)?|(?:快件|快递|包裹|运单|寄件)(?:拦截|召回|撤回|关闭)|(?:用户|客户|系统"
    "|商家)?(?:申请)(?:取消|拦截)"
)
PARCEL_RETURNED: Final = re.compile(
    "(?:快件|包裹|邮件|快递|运单|此件|本件)?(?:已经?被?|被|正在|因\\S{1,6})?(?:拒收|退回|退件|退返|退转|转退|返回)(?:寄件人|发件人|寄方|原地|发货地|寄件地)?(?:成功"
    "|完成|中|件|签收|处理)?"
    "|退回(?:寄件人|发件人)?(?:途中|派送中|运输中)|(?:RETURNED|RETURN) TO SENDER|REFUSED",
    re.IGNORECASE,
)

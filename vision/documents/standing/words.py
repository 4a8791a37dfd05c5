"""Words by which papers say that they are no paid bill, in Chinese and English.

Each phrase must be all of what stands in its place: honest papers have the same words in sentences, headings and
buttons (过期作废, 退费 over a column, 申请退款, "no refund").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from vision.documents.text.page import Standing
from vision.documents.text.signs import SIGN

#: Where a phrase counts. line: alone in its row. part: as a whole cell, or as a part of one between marks. title: with
#: the name of an institution before it. within: anywhere in a row; it is a sentence of its own.
Scope = Literal["line", "part", "title", "within"]


@dataclass(frozen=True, slots=True)
class StandingPhrase:
    """A phrase that tells a standing, and where it counts."""

    standing: Standing
    scope: Scope
    pattern: re.Pattern[str]


def _phrase(standing: Standing, scope: Scope, *patterns: str) -> StandingPhrase:
    return StandingPhrase(
        standing, scope, re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
    )


_BILL = "(?:(?:电子)?(?:票据|发票)|收据|凭证|凭单|凭条|单据|小票|账单|票|单)"
_SLIP = f"(?:(?:专用|交易)?(?:{_BILL}|明细单?|通知[单书]|证明|回执|回单|申请单|表|联))"
_THIS = "(?:此|本|该)"
_SALE = "(?:TRANSACTION|SALE|RECEIPT|BILL|INVOICE|TICKET|ORDER|SLIP|CHECK|PAYMENT|TXN|TRANS|BOOKING|PURCHASE)"
#: An English phrase of a few words that is no rule, no line of a bill and no count of them.
_NO_RULE = (
    r"(?!.*(?:\b(?:IF|NO|NOT|NON|UNLESS|WITHIN|DAYS?|HOURS?|POLICY|MAY|CAN|CANNOT|WITHOUT|ANY|ALL|ITEMS?|LINES?"
    r"|LINE|AFTER|WILL|BE|BEFORE|SHALL"
    r"|WHEN|WHERE|UNTIL|CHE(?:QUE|CK)S?|ONCE|OR|COUPONS?|VOUCHERS?|WARRANTY|SEAL|PROHIBITED|TAMPERED|REMOVED"
    r"|MUST|CARD ?HOLDER)\b|\d[.,]\d\d))"
)
_VOIDED = "V[O0][I1L]D(?:ED)?"  # in outlined letters an I is read as a 1
_BACK = "(?:退货退款|退款|退费|退货|退票|退药|退号|退单)"
_UNPAID = "(?:付款|支付|缴费|交费|收费|付费|付清|结清|缴清|缴纳|缴款|收款|结算|结账)"
_AHEAD = "(?:预交金|预交款|预缴金|预缴款|预付款|预收款|预存款|预交费|押金|订金|定金|保证金|诚意金)"
_GUESSED = (
    "(?:预估|预打|预打印|预收|(?:埋单|买单|结账|收费|缴费|付款|结算)前|治疗方案|估价|估算|报价|概算|预算|询价|议价"
    "|预结算|预结|预出院|形式|预览|拟收费)"
)
#: Which words before it make such a sentence a condition (未盖章不作报销凭证).
CONDITION: Final = re.compile(r"未|无|没有|缺|涂改|手写|手工|复印|遗失|过期|逾期|如|若|否则|不盖|撕|破损|自行|超过")
#: Words before 作废 in the legend of a stamped form, which says when it would be.
LEGEND: Final = re.compile(
    r"(?:过期|逾期|到期|涂改|遗失|撕毁|撕下|破损|手写|复印|无效|自动|即行|一律|视为|转让|隔日|当日|盖章)\W*$"
)

PHRASES: Final = (
    # ---- void
    _phrase(
        "void",
        "part",
        f"(?:{_THIS}(?:{_BILL}|联|页)?|(?:{_BILL}|订单|交易|发票联|收据联)?(?:已经?|声明|业已|现已?)?)作废"
        f"(?:章|专用章|标记|处理|{_BILL})?",
        f"{_THIS}(?:{_BILL}|联|页)(?:已经?)?(?:失效|无效)|已失效|无效{_BILL}",
        "(?:订单|交易|付款|支付|预约|挂号|单据)?(?:状态)?(?:已被?(?:系统|买家|卖家|商家|用户)?(?:取消|关闭|撤销|撤单)|取消成功)",
        "(?:订单|交易|支付|付款)(?:关闭|取消|失败|撤销|超时)|(?:订单|交易)?(?:超时|自动|系统)(?:关闭|取消)|(?:超时未(?:支付|付款)"
        "|支付超时)(?:,?(?:订单)?(?:已)?(?:取消|关闭))?",
        f"{_VOIDED}(?: (?:COPY|{_SALE}))?(?: ONLY)?|POST[ -]?VOID|(?:SALE |PAYMENT )?REVERSAL|NULL AND VOID",
        f"{_SALE}S? (?:IS |WAS |HAS BEEN |STATUS )?(?:{_VOIDED}|CANCELL?ED|REVERSED|DECLINED|FAILED|ABORTED)",
        f"(?:THIS )?{_SALE}S? (?:IS |WAS |HAS BEEN )?(?:NULL|INVALID)|CANCELL?ED(?: {_SALE})?",
        "(?:CARD |PAYMENT )(?:DECLINED|REJECTED|REFUSED)",
        f"(?:{_THIS}|本次|此次)(?:{_BILL}|交易|收费|结算|订单|支付)(?:已经?)?(?:失效|无效|取消|撤销|作废|关闭)",
        "(?:交易|支付|付款|扣款|收款)(?:未成功|异常|已?失败|被拒绝?)",
        f"{_NO_RULE}(?:\\S+ ){{0,4}}(?:VOIDED|CANCELL?ED|REVERSED|NULLIFIED|ANNULLED"
        f"|RESCINDED)(?: (?!0\\b)\\S+){{0,5}}",
        f"{_NO_RULE}(?:VOID(?: (?!0\\b)\\S+){{1,4}}|(?:\\S+ ){{1,3}}VOID)",
        "(?:NOT|UN)[ -]?(?:APPROVED|AUTHORI[SZ]ED)|TRANSACTION NOT (?:COMPLETED?|APPROVED|SUCCESSFUL)",
        "(?:交易类型)?(?:消费|收款|支付|扫码|刷卡|当日|隔日|预授权(?:完成)?|交易)?撤[销单](?:交易|成功|凭证|单|小票|凭单)?",
        f"(?:{_THIS}|本次|此次)?(?:{_BILL}|交易|订单|收费|结算|笔)?(?:已|现已|经审核)?(?:作废|撤销|注销|废止|取消)(?:原因.{{0,12}}|时间.{{0,20}}"
        f"|人.{{0,6}})",
    ),
    _phrase("void", "line", "无效|废票|废单|NO SALE|DECLINED|REVERSED"),
    # ---- money back
    _phrase(
        "refund",
        "part",
        f"(?:订单|交易)?已(?:经)?(?:全额|全部|原路|申请)?(?:{_BACK}|退还|退回)(?:款|费)?(?:完成|成功|完毕)?",
        f"(?:全额|全部)?{_BACK}(?:已)?(?:成功|完成|完毕|到账|处理中|申请中|审核中|进行中|中)|(?:全额|全部)(?:退款|退费)",
        "(?:待|等待)(?:商家|卖家|平台)?(?:处理)?(?:退款|退货)(?:处理|申请|确认|完成)?",
        "(?:款项|钱款|货款|票款|费用)已(?:原路)?(?:退回|退还|返还)",
        "(?:ORDER |PAYMENT |FULLY )?REFUNDED|FULL REFUND|(?:THIS IS A )REFUND",
        "REFUND (?:ISSUED|COMPLETED?|PROCESSED|APPROVED|SUCCESSFUL|RECEIPT|SLIP|VOUCHER|NOTE|TRANSACTION|SALE|INVOICE"
        "|CONFIRMATION|ADVICE|BILL|TICKET|MODE|IN PROGRESS|PENDING)",
        "(?:SALES? |MERCHANDISE |GOODS )?RETURN (?:RECEIPT|SLIP|TRANSACTION|SALE|INVOICE|NOTE|VOUCHER|BILL)",
        "CREDIT (?:NOTE|MEMO|SLIP|ADVICE)(?:[ /]TAX INVOICE)?|CHARGE ?BACK",
        f"{_NO_RULE}(?:\\S+ ){{0,4}}REFUNDED(?: (?!0\\b)\\S+){{0,5}}|CREDIT (?:NOTE|MEMO)(?: (?:NO|NUMBER|#).*)?"
        f"|CREDIT NOTES?",
    ),
    _phrase(
        "refund",
        "line",
        "REFUND|SALES? RETURNS?|(?:SALES? |CASH |CARD |CUSTOMER |MERCHANDISE |GOODS )(?:REFUND|RETURN)",
        f"(?:销售|门诊|住院|商品|现金|收费)?{_BACK}",
    ),
    _phrase(
        "refund",
        "title",
        f"(?:费用|预交金|押金|医保|全额|部分|现金|交易)?(?:{_BACK}|冲账|退押金|退预交金|退余款)(?:费用)?(?:申请)?{_SLIP}",
    ),
    _phrase(
        "refund",
        "within",
        r"退[费号票药款货](?:时间|日期)\s?:\s?20\d\d|退[费号票药](?:原因|操作员|经办人)\s?:\s?\w",
        r"原(?:交易|凭证|小票|收款)(?:流水|参考|查询)?号码?\s?:\s?\w",
    ),
    _phrase(
        "unpaid",
        "within",
        r"\b(?:PAYMENT|STATUS|PAID)\s?:\s?(?:PENDING|UNPAID|NONE|NO\b(?!\.)|NOT PAID|OPEN|DUE"
        "|OVERDUE|OUTSTANDING|AWAITING"
        r"|UNSETTLED)\b",
        r"(?:是否)?已?(?:付款|支付|缴费|交费|结算|结账)(?:情况|状况|结果|标[志识]|与否)?\s?:\s?(?:未|待|否|尚未|无)",
    ),
    _phrase(
        "sample",
        "within",
        "仅[供作](?:展示|演示|测试|培训|示范|学习|样本)|(?:示例|样本|样例|示范|演示)(?:票据|发票|收据|单据|数据|小票)",
    ),
    _phrase("void", "within", r"(?:作废|撤销|注销)(?:原因|时间|日期|操作员|人员?)\s?:\s?\w"),
    # ---- red letters
    _phrase(
        "negative",
        "part",
        f"红字(?:增值税)?(?:专用|普通)?{_BILL}?|(?:销项)?负数{_BILL}?|红票|(?:已)?(?:全额)?(?:被)?(?:红冲|冲红|冲销|冲正|冲账){_BILL}?",
    ),
    _phrase(
        "negative",
        "within",
        r"(?:对应正数(?:发票|票据)|被红冲\S{0,8}?|原(?:蓝字|正数)(?:发票|票据)?|冲红原?(?:票据?|发票))\s?(?:代码|号码|号)",
        r"红字\S{0,10}信息(?:确认单|表)\S{0,4}\s?\d",
    ),
    # ---- paid for once already
    _phrase(
        "reimbursed",
        "line",
        "(?:医保|保险|单位)?已(?:经)?(?:报销|理赔|赔付|结报)(?:完毕|章)?|(?:ALREADY )?(?:REIMBURSED|CLAIMED)",
    ),
    # ---- copies. A reprint by the till itself (RE-PRINT, 补打) is the merchant's own word, and stays a paid bill.
    _phrase(
        "copy",
        "line",
        f"(?:(?:{_THIS}|此|本)(?:件)?(?:为|系|是))?(?:{_BILL})?(?:复印件|影印件|影本|复印|副本|抄件|复制件|翻印件|拷贝件?|影印|扫描件|打印件副本"
        f"|重复(?:票据|联))|复印件与?原件(?:核对)?(?:一致|相符|无误)+",
        "(?:与|同)原件(?:核对)?(?:一致|无误|相符)+",
        "(?:PHOTO ?|XEROX ?|TRUE |CERTIFIED TRUE |SCANNED |OFFICE |FILE )?COPY(?: ONLY)?",
        "COPY OF (?:THE )?(?:ORIGINAL )?(?:RECEIPT|INVOICE|BILL|ORIGINAL)",
        r"(?:THIS IS A )?DUPLICATE(?:\W+\w+){1,4}|THIS IS A COPY(?:\W+\w+){0,4}|(?:NOT|NON)[ -]?(?:THE |AN )?ORIGINAL",
        "(?:RECEIPT|INVOICE|BILL) COPY|FACSIMILE",
        "DUPLICATE(?: (?:COPY|RECEIPT|BILL|INVOICE|SLIP|TICKET|PRINT|TAX INVOICE))?",
    ),
    _phrase("copy", "title", rf"{_BILL}\((?:副本|复印件|影印件|抄件)"),
    _phrase("copy", "within", "复印件,?仅?[供限]|COPY (?:IS )?NOT (?:VALID|ORIGINAL)"),
    # ---- samples, training
    _phrase(
        "sample",
        "part",
        f"样票|票样|样张|(?:打印)?测试(?:{_BILL}|数据|打印|页|专用|交易|订单)(?:,?请?勿(?:用|付款))?",
        "SAMPLE (?:RECEIPT|INVOICE|BILL|ONLY|COPY|DOCUMENT)|SPECIMEN (?:COPY|ONLY|INVOICE|RECEIPT|BILL)",
        "TEST (?:RECEIPT|INVOICE|BILL|TRANSACTION|MODE|PRINT|PAGE|ORDER|SALE|TICKET|ONLY)",
        "FOR (?:TEST(?:ING)?|DEMO(?:NSTRATION)?)(?: PURPOSES?)?(?: ONLY)?",
        "DEMO(?:NSTRATION)? (?:ONLY|MODE|VERSION|RECEIPT)",
    ),
    _phrase("sample", "line", "样本|样例|示例|示范|范本|样单|测试|SAMPLE|SPECIMEN|TEST|DEMO"),
    _phrase(
        "training",
        "part",
        f"(?:培训|练习|训练|演示|教学|学习)(?:模式|专用|{_BILL})(?:.{{0,6}})",
        "TRAINING (?:MODE|RECEIPT|ONLY|SALE|TRANSACTION|COPY|BILL)",
    ),
    _phrase("training", "line", "TRAINING|培训|练习模式"),
    # ---- before the bill
    _phrase(
        "estimate", "title", f"{_GUESSED}(?:费用|明细|结算|通知)*(?:{_SLIP}|清单|函|书|报告)|费用(?:预估|预算|估算)"
    ),
    _phrase(
        "estimate",
        "part",
        "(?:SALES? |PRICE |COST |FORMAL |OFFICIAL )?(?:QUOTATION|QUOTE)(?: ONLY)?",
        "(?:COST |TREATMENT |PRICE |WRITTEN |REPAIR |SERVICE )?ESTIMATE(?: ONLY| OF (?:CHARGES|COSTS?|FEES|REPAIRS?"
        "|TREATMENT))?|ESTIMATED (?:BILL|INVOICE|COSTS?|CHARGES)",
        "PRO[- ]?FORMA(?: (?:INVOICE|BILL|RECEIPT|TAX INVOICE))?",
        "(?:DRAFT|PROVISIONAL|INTERIM|PRELIMINARY|TEMPORARY|PRE) ?-?(?:INVOICE|BILL|RECEIPT|COPY|CHECK)",
        "THIS IS (?:ONLY )?AN? (?:ESTIMATE|QUOTATION|QUOTE|PRO[- ]?FORMA(?: INVOICE)?|DRAFT)(?: ONLY)?",
        "(?:预估|估计|估算)(?:价格?|费用|金额|总价)",
        "(?:PRE-?|PROVISIONAL |INTERIM |PREVIEW |TEMPORARY )(?:BILL|CHECK|RECEIPT|INVOICE)|BILL PREVIEW"
        "|CHECK PREVIEW|PRE-?BILLING|(?:BEFORE|PRIOR TO) PAYMENT"
        "|(?:BILL|CHECK) BEFORE PAYMENT|BILL REQUEST|PRE-?SETTLEMENT|UNSETTLED BILL|ORDER (?:SLIP|CHIT"
        "|CONFIRMATION ONLY)|NOT A FINAL BILL",
    ),
    _phrase(
        "estimate",
        "line",
        "报价|估价|预估|预结算|预结|预打|预打单|预览|草稿|草案|初稿|未审核|未审|待审核|点菜单|DRAFT|NOT FINAL",
    ),
    # ---- money that is still owed
    _phrase(
        "unpaid",
        "part",
        f"(?:订单|账单|费用|{_BILL})?(?:未|待|尚未|还未|暂未|等待)(?:买家|患者|用户|客户|您)?{_UNPAID}",
        f"{_UNPAID}未(?:完成|成功)|(?:待{_UNPAID}|欠费|催缴|催款|缴费通知|付款通知){_SLIP}|欠费未[缴结]",
        "UNPAID(?: (?:BILL|INVOICE|ORDER))?|NOT (?:YET )?PAID|(?:BILL|INVOICE|ORDER) (?:IS )?(?:UNPAID|NOT PAID)",
        "PAYMENT (?:PENDING|OUTSTANDING|OVERDUE|NOT RECEIVED|REQUIRED|REMINDER)|(?:AWAITING|PENDING) PAYMENT|PAY LATER",
        "(?:NOTICE|STATEMENT) OF ARREARS|(?:ACCOUNT )?(?:IN )?ARREARS(?: NOTICE)?|(?:OVERDUE|ARREARS|COLLECTION"
        "|DUNNING|DEMAND|DISCONNECTION) (?:NOTICE|LETTER"
        "|ACCOUNT|STATEMENT|BILL|INVOICE|BALANCE|AMOUNT)|PAYMENT (?:DUE|DEMAND)|(?:NOT YET|UN) ?SETTLED"
        "|OPEN (?:CHECK|TAB|BILL|TABLE|ORDER)|BALANCE (?:OUTSTANDING|OVERDUE)",
        f"(?:尚|还|仍)?(?:未|待)(?:结清|付清|缴清|还清|到账|入账|确认收款|收讫)|未(?:埋单|买单|结单)|(?:先诊疗后付费|后付费|记账|赊欠|欠付|拖欠"
        f"|逾期未[付缴还结])(?:{_BILL})?",
    ),
    _phrase(
        "unpaid",
        "line",
        "欠费|欠款|挂账|挂单|赊账|赊销|记账未付",
        "OVERDUE|PAST DUE|OUTSTANDING|PENDING|FINAL NOTICE|REMINDER NOTICE|ON HOLD",
    ),
    _phrase(
        "unpaid",
        "title",
        "(?:住院|门诊|出院|医疗|患者|病人|费用|预交金|医药费|诊疗)*(?:(?:欠费|欠款|催缴|催款|催费|催收|待缴费?|待付款?|缴费|交费|付款|补缴|续缴|缴款|收费)(?:费用?|款项?|预交金)?"
        "(?:通知|提醒|提示|告知|催告|催缴|催款)+(?:单|书|函|表)?|(?:欠费|欠款|待缴费?|待付款|待结算|未结算|未缴费|未付款|挂账|催缴|催款|催费)(?:费用?)?(?:账单|单据?"
        "|清单|明细单?|证明|说明|通知|函))",
    ),
    _phrase(
        "deposit",
        "title",
        f"(?:费用?)?{_AHEAD}(?:费|款)?(?:缴款|交款|缴费|交费|缴纳|充值|收费|专用|催缴|通知)*{_SLIP}",
    ),
    _phrase(
        "deposit",
        "part",
        "(?:ADVANCE |SECURITY |ADMISSION |BOOKING )?DEPOSIT (?:RECEIPT|SLIP|VOUCHER|INVOICE)"
        "|ADVANCE (?:PAYMENT )?(?:RECEIPT|VOUCHER)|(?:SECURITY|ADMISSION|BOOKING) DEPOSIT"
        "|(?:PRE-?PAYMENT|DOWN ?PAYMENT) RECEIPT|LAY-?AWAY(?: RECEIPT)?",
    ),
    # ---- other papers than bills
    _phrase("statement", "title", "(?:往来|账户)?(?:对账单|往来明细|账户明细|交易明细)|(?:一日|每日|日)(?:费用)?清单"),
    _phrase(
        "statement",
        "part",
        "(?:ACCOUNT |MONTHLY |BILLING )STATEMENT|STATEMENT OF ACCOUNTS?|EXPLANATION OF BENEFITS",
    ),
    _phrase("statement", "line", "STATEMENT"),
    _phrase(
        "no_voucher", "line", "仅[供作](?:您|客户|患者)?参考|(?:FOR )?REFERENCE ONLY|FOR INFORMATION ONLY|DO NOT PAY"
    ),
    _phrase(
        "no_voucher",
        "within",
        "(?:报价|估价|费用|价格|金额|单据|账单|清单|本单|此单|本表|此表|票据|凭证)[\u4e00-\u9fff]{0,4},?仅[供作]参考",
        "不[能可得]?[作做用]为?(?:任何|费用)?(?:报销|收费|缴费|收款|付款|结算)(?:之?用|使用|凭证|依据|凭据|票据)?",
        "(?:非|不是)(?:正式)?(?:报销|收费|缴费|付款|收款)(?:凭证|票据|依据)",
        r"\b(?:NOT|ISN'T) AN? (?:OFFICIAL |VALID |TAX |FISCAL )*(?:RECEIPT|INVOICE|BILL)\b(?! (?:WITHOUT|UNLESS|IF))",
        r"\bNOT VALID (?:AS|FOR) (?:AN? )?(?:PROOF|RECEIPT|PAYMENT|CLAIMS?|REIMBURSEMENT|TAX)\b|\bDO NOT PAY\b",
    ),
)
#: The amount in capitals is below zero.
NEGATIVE_CAPITALS: Final = re.compile(
    r"负(?:数)?\s?[)\]]?\s?:?\s?(?:人民币|¥)?\s?[零壹贰叁肆伍陆柒捌玖拾佰仟万亿元圆角分整]{2,}"
)
#: Labels of an amount that makes the paper no paid bill if it is all of the total.
AMOUNT_LABELS: Final = (
    _phrase(
        "refund",
        "within",
        r"\b(?:TOTAL |AMOUNT |CASH |CARD |NET )?REFUND(?:ED)?(?: (?:TOTAL|AMOUNT|DUE|TO \w+(?: \w+)?))?\b",
        "(?:应|实|已|本次)?退(?:款|费|货|还)?(?:总)?(?:金额|合计|总额|现金)|退款成功|已退款|退货退款",
    ),
    _phrase("void", "within", rf"\b{_VOIDED}\b|\bCANCELL?ED\b"),
    _phrase(
        "unpaid",
        "within",
        r"\bUNPAID\b|\bNOT PAID\b|\bOUTSTANDING\b|\bARREARS\b|\bOVERDUE\b|\b(?:AMOUNT|BALANCE) OW(?:ED|ING)\b|欠费"
        r"|欠款|未付|未缴|未结|挂账|待付|待缴|待支付|尚欠|(?:还|仍|尚)需(?:支付|缴纳|付款)",
    ),
    _phrase(
        "estimate",
        "within",
        r"\b(?:ESTIMATED|QUOTED) (?:TOTAL|COST|AMOUNT|CHARGES|PRICE)\b|(?:预估|估计|报价)(?:总)?(?:价|金额|费用|合计)",
    ),
)
#: What is still owed, up to its amount, which may be a part of the total; not points, nor what the state insurance
#: pays later, nor the amount of another label.
OWED: Final = re.compile(
    r"(?:\b(?:UNPAID|OUTSTANDING|ARREARS|OVERDUE|(?:AMOUNT|BALANCE) OW(?:ED|ING))\b"
    r"|(?<!医保)(?<!统筹)(?:欠费|欠款|尚欠|余欠|未付|未缴|未结|待付|待缴|(?:还|仍|尚)需(?:支付|缴纳|付款)|剩余(?:应付|未付|未缴)))"
    rf"(?:\s?(?:金额|合计|费用|款项?|BALANCE|AMOUNT|AMT|DUE|TOTAL))?\W*?(?:{SIGN})?\s{{0,2}}(?=\d)",
    re.IGNORECASE,
)
#: Words that a stamp may say in the middle of its other print.
STAMPED: Final = (
    _phrase("void", "within", "作废", rf"\b{_VOIDED}\b(?! IF)", r"\bCANCELL?ED\b"),
    _phrase("refund", "within", "已(?:退[费款货票号])|退[费款]专用章|退讫", r"\bREFUNDED\b"),
    _phrase("reimbursed", "within", "已(?:报销|理赔|赔付)"),
    _phrase("sample", "within", "样[票粟]|票样|样张", r"\b(?:SPECIMEN|SAMPLE)\b"),
    _phrase("copy", "within", "复印件(?!无效)", r"\bDUPLICATE\b"),
    _phrase("unpaid", "within", "未[付缴交](?:款|费)|未收款|未结算|欠费", r"\bUNPAID\b"),
    _phrase("negative", "within", "红冲|冲红|冲销"),
)
#: The end of a row whose sentence goes on in the next.
GOES_ON: Final = re.compile(
    r"\b(?:NO|NOT|STRICTLY|FOR|OR|AND|WITHOUT|ANY|IF|WILL|BE|TO|THE|A|AN|IN|OF|ON|WITH|CAN|CANNOT|MAY|SHALL|ARE"
    r"|IS)\W*$"
    "|[,、，]$|(?:不予?|概不|不得|如需|若|或|及|和|请|凭|可)$",
    re.IGNORECASE,
)
#: Traditional characters in those words, and their simplified forms; then characters that are read for others.
SIMPLIFIED: Final = str.maketrans(
    "廢報價單預費樣複據憑證銷僅參試訂關閉貨結帳賬紅沖負狀態無訓練聯對額繳還為處貳參陸圓萬億餘發己巳末侍忖咸閒闲",
    "废报价单预费样复据凭证销仅参试订关闭货结账账红冲负状态无训练联对额缴还为处贰叁陆圆万亿余发已已未待付成闭闭",
)

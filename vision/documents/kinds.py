"""Which kind of paper a page is, from its words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision.documents.page import PaperKind

# Pattern and weight. A word that only one kind uses weighs 3, one that leans to a kind 1.
_WORDS: dict[PaperKind, tuple[tuple[str, int], ...]] = {
    PaperKind.OUTPATIENT_INVOICE: (
        (r"门诊.{0,6}(?:票据|收据|发票)|医疗.{0,8}(?:票据|收据|发票)|医药费.{0,4}(?:票据|收据|发票)", 4),
        (r"医保|统筹", 3),
        (r"诊断|诊查|诊疗", 2),
        (r"票据代码|票据号码|交款人|患者|就诊", 2),
        (r"医院|门诊|诊所|卫生服务中心|卫生院", 2),
        (r"大写", 1),
        (r"收款单位|收费员|复核人", 1),
    ),
    PaperKind.PARCEL_SLIP: (
        (r"运单|快递单号|面单|快件单号|电子运单", 4),
        (r"速运|速递|快递|物流|EMS", 3),
        (r"寄件|寄方|发件", 3),
        (r"收件|收方|签收", 2),
        (r"保价|声明价值|计费重量|内件|付款方式|件数", 2),
    ),
    PaperKind.RECEIPT: (
        (r"小票|购物|销售单|收银|找零|实收|应收", 3),
        (r"合计|总计|应付", 2),
        (r"微信支付|支付宝|现金|商品", 1),
        (r"\bTOTAL\b|TOTAL\s?(?:RM|AMOUNT|SALES|INCL|DUE)", 3),
        (r"\bCASH\b|\bCHANGE\b|\bROUNDING\b|SUB\s?TOTAL", 2),
        (r"\bGST\b|\bTAX\b|INVOICE|RECEIPT|\bBILL\b", 2),
        (r"THANK YOU|\bQTY\b|SDN\.? ?BHD", 1),
    ),
}
_SCORE_MIN = 4  # one telling word, or two that lean the same way


def classify(lines: Sequence[str]) -> PaperKind:
    """The kind whose words weigh most in normalised `lines`; UNKNOWN when there are too few, or two kinds draw."""
    text = "\n".join(lines).upper()
    scores = {
        kind: sum(weight for pattern, weight in words if re.search(pattern, text, re.IGNORECASE))
        for kind, words in _WORDS.items()
    }
    best, second = sorted(scores.values(), reverse=True)[:2]
    if best < _SCORE_MIN or best == second:
        return PaperKind.UNKNOWN
    return next(kind for kind, score in scores.items() if score == best)

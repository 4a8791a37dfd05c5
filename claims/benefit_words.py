"""Words for the lines of a calculation, each in Chinese and English: their labels and the sentences under them."""

from __future__ import annotations

from collections.abc import Mapping

BENEFITS: Mapping[str, tuple[str, str]] = {
    "claimed": ("申请金额", "claimed"),
    "insured_value": ("以保险价值为限", "limited to the insured value"),
    "paper_total": ("单据合计", "total on the paper"),
    "insurance_paid": ("医保已支付", "paid by the state insurance"),
    "loss": ("可赔损失", "loss that counts"),
    "deductible": ("免赔额", "deductible"),
    "co_pay": ("自付部分", "your own share"),
    "per_claim_limit": ("超过单次限额的部分", "above the limit of a claim"),
    "limit_left": ("超过剩余保额的部分", "above the sum insured that is left"),
    "order_price": ("订单实付金额为限", "limited to what was paid for the order"),
    "order_paid": ("同一订单尚可赔付", "left to pay for the order"),
    "hospital_excluded": ("保障范围外医院的费用", "bill of a hospital that is not covered"),
    "other_insurance": ("其他保险已赔付", "paid by another insurer already"),
    "days_counted": ("计入的住院天数", "days of the stay that count"),
    "deductible_cover": ("年度免赔额", "deductible of the year"),
    "day_limit": ("超过住院日限额的部分", "above the limit by the day"),
    "allowance": ("住院津贴", "allowance for the stay"),
    "claimed_limit": ("超过申请金额的部分", "above what was claimed"),
    "due": ("应付金额", "amount due"),
    "set_by_person": ("人工核定金额", "set by the person deciding"),
    "payout": ("本次赔付", "paid out"),
}

# Plain words for the claimant under a line: {amount} is the line's without its sign, the others are from its detail.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "claimed": ("您申请的金额。", "What you asked for."),
    "paper_total": ("“{name}”上的合计。", "The total on {name}."),
    "insurance_paid": ("医保已为“{name}”支付的部分，不重复赔付。", "Of {name}, the state insurance paid this already."),
    "hospital_excluded": (
        "“{name}”由保障范围外的医院开具，按条款不予赔付。",
        "{name} is from a hospital that your terms exclude.",
    ),
    "insured_value": ("最多赔付保单载明的价值。", "No more than the value named in your policy."),
    "order_price": ("最多赔付订单实际支付的金额。", "No more than you paid for the order."),
    "order_paid": (
        "同一订单的其他申请已赔付一部分，合计不超过订单价值。",
        "Other claims for this order were paid; together they never exceed its value.",
    ),
    "other_insurance": (
        "其他保险公司已赔付，合计不超过实际费用。",
        "Another insurer paid this; together you never get more than the cost.",
    ),
    "days_counted": (
        "本次计入 {days}（入院日至出院前一日）。",
        "Counted: {days}, from admission to the day before discharge.",
    ),
    "loss": ("以上相加，本次可理算的费用。", "What is left of the above is what we calculate on."),
    "deductible": ("按条款，每次由您承担。", "By your terms you bear this of each claim."),
    "deductible_cover": (
        "本保险期间的免赔额中尚未用完的部分。",
        "What is left of the amount that you bear in the whole cover.",
    ),
    "co_pay": (
        "{item_class}按 {percent}% 赔付{where}，其余由您承担。",
        "{item_class} is paid at {percent}%{where}; you bear the rest.",
    ),
    "day_limit": (
        "每天最多 {per_day}，{days}以此为限。",
        "At most {per_day} a day for {days}.",
    ),
    "allowance": ("每天 {per_day}，共 {days}。", "{per_day} a day for {days}."),
    "per_claim_limit": ("单次最多赔付 {ceiling}。", "One claim is paid at most {ceiling}."),
    "limit_left": ("您的保额还剩 {ceiling}。", "Of your sum insured {ceiling} was left."),
    "claimed_limit": ("不超过您申请的 {ceiling}。", "No more than the {ceiling} that you asked for."),
    "due": ("按条款应赔付给您的金额。", "What your terms owe you."),
    "set_by_person": ("由审核人员核定。", "Set by the person who decided."),
    "payout": ("本次实际支付。", "What is paid out."),
}

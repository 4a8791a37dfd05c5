"""Words for people, in Chinese and English: every reason, status, outcome and line of a calculation.

`reason_text` is for adjusters and operators. `claimant_text` is for the claimant: it says what happened and what to do,
and of a suspicion only that a person is looking, so that nobody learns whose photo it was or which change was found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from claims import sign_words
from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.money import Money
from claims.product import Language

# code: (Chinese, English); {value}, {threshold}, {detail} are the reason's own.
REASONS: Mapping[str, tuple[str, str]] = {
    # contract
    "peril_not_covered": (
        "申报的事故“{value}”不在保障范围（保障：{threshold}）",
        "the event “{value}” is not covered (covered: {threshold})",
    ),
    "cover_not_begun": (
        "事故日 {value} 早于保险起期（须 {threshold}）",
        "the event on {value} was before the cover began (needs {threshold})",
    ),
    "cover_ended": (
        "事故日 {value} 晚于保险止期（须 {threshold}）",
        "the event on {value} was after the cover ended (needs {threshold})",
    ),
    "waiting_period_not_over": (
        "事故日 {value} 仍在等待期内（须 {threshold}）",
        "the event on {value} fell in the waiting period (needs {threshold})",
    ),
    "claimed_too_late": (
        "申请距事故 {value}，超过期限（须 {threshold}）",
        "claimed {value} after the event, too late (needs {threshold})",
    ),
    "limit_exhausted": ("保险金额 {threshold_money} 已用尽", "the sum insured of {threshold_money} is used up"),
    "below_deductible": (
        "可赔损失未超过免赔额，无应付金额",
        "the loss that counts does not exceed the deductible: nothing is due",
    ),
    # suspicion
    "photo_of_another_claim": (
        "照片与他人理赔案件的照片相同或系其编辑件（{value}）",
        "the photo is a copy of a photo in another claimant's claim ({value})",
    ),
    "photo_from_web": ("照片来自网络（{value}）", "the photo is a copy of a picture from the web ({value})"),
    "photo_from_stock": ("照片来自图库（{value}）", "the photo is a copy of a stock picture ({value})"),
    "photo_of_own_earlier_claim": (
        "照片已在本人先前的理赔中使用（{value}）",
        "the photo was used in an earlier claim of the same claimant ({value})",
    ),
    "photo_in_flood": (
        "同一图片短时间内出现在多件理赔中，等待统一裁定（{value}）",
        "one picture suddenly appears in many claims; this claim waits for the ruling on all of them ({value})",
    ),
    "photo_copy_unattributed": (
        "照片被判定为复制件（{value}），来源未能确定",
        "the photo was found to be a copy ({value}) of a picture that could not be named",
    ),
    "paper_claimed_before": (
        "单据号码已在其他 {value} 件理赔中出现",
        "the paper's number appears in other claims: {value}",
    ),
    "nose_of_another_pet": (
        "鼻纹与投保宠物不符（{value}，须 {threshold}）",
        "the nose is not the insured pet's ({value}, needs {threshold})",
    ),
    "pet_not_insured": (
        "比对的宠物（{value}）不是保单上的宠物（{threshold}）",
        "the pet compared ({value}) is not the one insured ({threshold})",
    ),
    "patient_is_not_insured": (
        "单据上的就诊人“{value}”不是被保险人“{threshold}”",
        "the patient on the paper, “{value}”, is not the insured, “{threshold}”",
    ),
    "device_shared": ("设备被多人使用：{value}（限 {threshold}）", "shared device: {value} (limit {threshold})"),
    "payee_shared": ("收款账户被多人使用：{value}（限 {threshold}）", "shared account: {value} (limit {threshold})"),
    "address_shared": ("地址被多人使用：{value}（限 {threshold}）", "shared address: {value} (limit {threshold})"),
    "merchant_over_limit": (
        "同一商家的理赔过多：{value}（限 {threshold}）",
        "many claims against one merchant: {value} (limit {threshold})",
    ),
    "claimant_over_limit": (
        "同一申请人的理赔过多：{value}（限 {threshold}）",
        "many claims of one claimant: {value} (limit {threshold})",
    ),
    "photo_signs_combined": (
        "照片有多项互不相干的来源疑点：{value}（{detail}）",
        "the photo shows several signs of its origin that no one cause explains: {value} ({detail})",
    ),
    # what to send
    "photos_missing": (
        "缺少损失照片：已有 {value} 张，需要 {threshold} 张",
        "photos of the damage are missing: {value} received, needs {threshold}",
    ),
    "paper_missing": (
        "缺少单据：已有 {value} 份，需要 {threshold} 份",
        "a paper is missing: {value} received, needs {threshold}",
    ),
    "nose_missing": ("缺少宠物鼻纹照片", "a close photo of the pet's nose is missing"),
    "photo_unreadable": (
        "照片无法查看，请重新提供：{value}",
        "a photo could not be examined, please send it again: {value}",
    ),
    "photo_of_another_thing": (
        "照片看起来不是投保的物品（{value}；{detail}）",
        "the photo seems to show something else than what is insured ({value}; {detail})",
    ),
    "paper_unreadable": (
        "单据无法识别，请重新拍摄：{value}",
        "a paper could not be read, please photograph it again: {value}",
    ),
    "paper_of_other_kind": (
        "单据类型不符：{value}（需要 {threshold}）",
        "a paper of another kind was sent: {value} (needed: {threshold})",
    ),
    "paper_fields_missing": (
        "单据上未能读到：{value}，请拍全并拍清",
        "the paper does not show: {value}; please photograph all of it, sharply",
    ),
    "paper_read_unsure": (
        "单据字迹不清（识别可信度 {value}，须 {threshold}），请重新拍摄",
        "the paper could not be read surely (confidence {value}, needs {threshold}); please photograph it again",
    ),
    "nose_unreadable": (
        "鼻纹照片无法使用，请重新拍摄：{value}",
        "the nose photo cannot be used, please take another: {value}",
    ),
    # other doubts
    "items_do_not_sum": ("单据明细之和与合计不符：{value}", "the items do not sum to the total: {value}"),
    "capital_amount_differs": (
        "大写金额与小写金额不符：{value}",
        "the amount in words differs from the total: {value}",
    ),
    "insurance_and_cash_do_not_sum": (
        "医保支付与个人支付之和与合计不符：{value}",
        "insurance and cash do not sum to the total: {value}",
    ),
    "papers_disagree": (
        "同一单据两次拍摄的合计不同：{value}",
        "two pictures of one paper show different totals: {value}",
    ),
    "paper_date_implausible": ("单据日期不合理：{value}", "the paper's date is not plausible: {value}"),
    "paper_date_outside_cover": (
        "单据日期 {value} 不在保障期间（{threshold}）",
        "the paper's date {value} is outside the cover ({threshold})",
    ),
    "photo_older_than_event": (
        "照片拍摄于事故前 {value}（限 {threshold}）",
        "the photo was taken {value} before the event (limit {threshold})",
    ),
    "event_after_claim": (
        "申报的事故时间 {value} 晚于申请时间",
        "the event is said to be at {value}, after the claim was made",
    ),
    "nose_unsure": (
        "鼻纹比对结果不确定（{value}，须 {threshold}）",
        "the nose is neither surely the pet's nor surely another's ({value}, needs {threshold})",
    ),
    "nose_enrolment_missing": ("没有可比对的宠物鼻纹档案", "there is no enrolled nose to compare with"),
    "same_event_claimed_before": (
        "同一申请人已就同一事故申请过理赔（{value}），须避免重复赔付",
        "the claimant has claimed for the same event before ({value}); it must not be paid twice",
    ),
    "photo_unmeasured": ("照片无法检验：{value}", "a photo could not be examined: {value}"),
    "photo_sign_unmeasured": (
        "照片来源检查“{value}”未能完成：{detail}",
        "the check of the photo's origin “{value}” could not be finished: {detail}",
    ),
    "paper_unmeasured": ("单据无法检验：{value}", "a paper could not be examined: {value}"),
    "nose_unmeasured": ("鼻纹无法检验：{value}", "the nose could not be examined: {value}"),
    "fraud_unmeasured": ("风险统计未能完成：{value}", "the counts against fraud could not be made: {value}"),
    "could_not_check": (
        "自动核验在“{value}”环节反复出错（{detail}），转人工处理",
        "automatic checking failed at “{value}” again and again ({detail}); a person takes over",
    ),
    "asked_enough": (
        "已请申请人补充 {value} 次，转人工处理",
        "the claimant was asked {value} times already; a person takes over",
    ),
    "benefit_unknown": ("无法计算应付金额：{value}", "the amount due could not be calculated: {value}"),
    "policy_does_not_fit": (
        "案件与保单不匹配（{value}；{threshold}）",
        "claim and policy do not fit ({value}; {threshold})",
    ),
    "currency_differs": (
        "币种不一致：{value}（应为 {threshold}）",
        "amounts are in other currencies: {value} (should be {threshold})",
    ),
    "insured_value_missing": ("保单未载明保险价值", "the policy states no insured value"),
    "low_credit_many_claims": (
        "信用分偏低且近期理赔频繁（{value}；限 {threshold}）",
        "a low credit score together with many recent claims ({value}; limit {threshold})",
    ),
    "above_auto_pay": (
        "应付金额 {value_money} 超过自动赔付上限 {threshold_money}",
        "{value_money} due is above the automatic ceiling of {threshold_money}",
    ),
    # in order
    "cover_in_force": (
        "事故日 {value} 在保障期间（{threshold}）",
        "the event on {value} is within the cover ({threshold})",
    ),
    "photo_unseen": ("照片未在图库中出现过", "the photo was not seen before"),
    "photo_beside_the_claim": (
        "一张照片看起来是别的物品，其余照片已足够（{value}；{detail}）",
        "one photo seems to show something else; the others are enough ({value}; {detail})",
    ),
    "photo_similar": ("有相似照片，但没有复制的证据", "similar photos exist, with no proof of a copy"),
    "photo_of_withdrawn_claim": (
        "照片曾用于本人就同一事故提交并已撤回的申请，该申请未获赔付",
        "the photo was in the claimant's own claim about the same event, which was withdrawn and paid nothing",
    ),
    "photo_shows_common": (
        "照片与其他图片仅在众人常拍的部分相同（{value}）",
        "the photo shares with another picture only what everybody photographs ({value})",
    ),
    "photo_is_common": (
        "这张图片人人都有，不能证明损失，不计入照片数",
        "everybody has this very picture: it proves no damage and is not counted as a photo",
    ),
    "photo_copy_rejected": (
        "人工已认定这两张照片并非复制关系（{value}）",
        "a person found that these two photos are no copies of each other ({value})",
    ),
    "photo_sign_noted": (
        "照片来源提示“{value}”（{detail}），单独不作为依据",
        "noted of the photo's origin: {value} ({detail}); by itself this decides nothing",
    ),
    "photo_set_aside": (
        "一张照片无法检验，其余照片已足够：{value}",
        "one photo could not be examined and was not needed: {value}",
    ),
    "paper_in_order": (
        "单据清晰且前后一致（可信度 {value}，须 {threshold}）",
        "the paper is legible and consistent (confidence {value}, needs {threshold})",
    ),
    "paper_set_aside": ("一份单据未被采用，其余单据已足够", "one paper was not used; the others are enough"),
    "nose_recognised": ("鼻纹与投保宠物一致（{value}）", "the nose is the insured pet's ({value})"),
    "nose_set_aside": (
        "一张鼻纹照片未被采用，其余已足够：{value}",
        "one nose photo was not used; another is enough: {value}",
    ),
    "counts_in_order": ("各项风险统计均在限度内", "all counts against fraud are within their limits"),
    "credit_in_order": ("信用分 {value}（须 {threshold}）", "credit score {value} (needs {threshold})"),
    "credit_low": (
        "信用分 {value} 偏低，仅降低自动赔付上限",
        "credit score {value} is low; by itself this only lowers the automatic ceiling",
    ),
    "credit_unscored": ("没有信用分，自动赔付上限较低", "there is no credit score; the automatic ceiling is lower"),
    "within_auto_pay": (
        "应付金额 {value_money} 在自动赔付上限 {threshold_money} 之内",
        "{value_money} due is within the automatic ceiling of {threshold_money}",
    ),
    # people
    "person_approved": ("人工审核通过，赔付 {value_money}。{detail}", "approved by a person: {value_money}. {detail}"),
    "person_refused": ("人工审核不予赔付：{detail}", "refused by a person: {detail}"),
    "person_asked": ("审核人员请您补充：{detail}", "the person deciding asks for: {detail}"),
}

_LOOKING: tuple[str, str] = (
    "您的申请需要人工核实，核实人员正在查看全部材料",
    "your claim needs a closer look; a person is going through everything you sent",
)
# Claimants read of their own file; of limits and scores they get the plain consequence.
_CLAIMANT: Mapping[str, tuple[str, str]] = {
    "above_auto_pay": ("金额较大，需要人工确认", "the amount is large enough that a person confirms it"),
    "within_auto_pay": ("金额在自动赔付范围内", "the amount can be paid at once"),
    "low_credit_many_claims": _LOOKING,
    "counts_in_order": ("申请信息核对无误", "the details of the claim are in order"),
    "credit_in_order": ("信用良好", "your standing is good"),
    "credit_low": (
        "本次自动赔付上限较低，不影响您应得的金额",
        "the automatic ceiling is lower; what is due to you is not",
    ),
    "paper_in_order": ("单据已读取，前后一致", "your paper was read and is consistent"),
    "nose_recognised": ("已确认是投保的宠物", "your pet was recognised"),
    "photo_of_another_thing": (
        "照片看起来不是投保的物品，请拍摄受损的物品本身后重新提供",
        "the photo seems to show something else than what is insured; please send one of the damaged goods themselves",
    ),
    "photo_beside_the_claim": ("照片已查看", "your photo was examined"),
    "photo_similar": ("照片已查看", "your photo was examined"),
    "photo_unseen": ("照片已查看", "your photo was examined"),
    "photo_sign_noted": ("照片已查看", "your photo was examined"),
    "photo_sign_unmeasured": _LOOKING,
    "photo_of_withdrawn_claim": ("照片已查看", "your photo was examined"),
    "photo_shows_common": ("照片已查看", "your photo was examined"),
    "photo_copy_rejected": ("照片已查看", "your photo was examined"),
    "photo_is_common": (
        "这张图片不能证明损失，请提供您自己拍摄的照片",
        "this picture does not show your damage; please send a photo of your own",
    ),
    "same_event_claimed_before": (
        "您已就同一事故申请过理赔，工作人员会将两件一并核对",
        "you have claimed for the same event before; a person looks at both together",
    ),
    "could_not_check": _LOOKING,
    "fraud_unmeasured": _LOOKING,
    "photo_older_than_event": _LOOKING,
    "nose_unsure": ("鼻纹需要人工比对", "a person compares the pet's nose"),
    "items_do_not_sum": ("单据明细与合计需要人工核对", "a person checks the items against the total"),
    "capital_amount_differs": ("单据大小写金额需要人工核对", "a person checks the amount in words"),
}

STATUSES: Mapping[Status, tuple[str, str]] = {
    Status.DRAFT: ("草稿，尚未提交", "draft, not submitted yet"),
    Status.SUBMITTED: ("已提交，正在审核", "submitted, being looked at"),
    Status.AWAITING_INFORMATION: ("等待您补充材料", "waiting for more from you"),
    Status.REFERRED: ("转人工审核", "with a person, who decides"),
    Status.APPROVED: ("已通过，正在打款", "approved, the money is on its way"),
    Status.PAID: ("已赔付", "paid"),
    Status.PAYOUT_FAILED: ("打款未成功，人工处理中", "the payment did not go through; a person is on it"),
    Status.DECLINED: ("不予赔付，可申诉", "declined; you can appeal"),
    Status.WITHDRAWN: ("已撤回", "withdrawn"),
    Status.ERASED: ("资料已删除", "erased"),
}

OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.PAY: ("赔付", "pay"),
    Outcome.REFER: ("转人工", "refer to a person"),
    Outcome.ASK: ("请补充材料", "ask for more"),
    Outcome.DECLINE: ("不予赔付", "decline"),
}

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
    "due": ("应付金额", "amount due"),
    "set_by_person": ("人工核定金额", "set by the person deciding"),
    "payout": ("本次赔付", "paid out"),
}

_SYMBOLS = {"CNY": "¥"}


def reason_text(reason: Reason, lang: Language) -> str:
    """One sentence for adjusters and operators. Raises KeyError for a code nobody wrote words for (a test sees to
    it)."""
    return _filled(REASONS[reason.code][_index(lang)], reason, lang)


def claimant_text(reason: Reason, lang: Language) -> str:
    """One sentence for the claimant: nothing of other people, nothing of how a copy was found."""
    if reason.ground is Ground.SUSPICION:
        return _LOOKING[_index(lang)]
    words = _CLAIMANT.get(reason.code, REASONS[reason.code])
    return _filled(words[_index(lang)], reason, lang)


def claimant_texts(decision: Decision, lang: Language) -> tuple[str, ...]:
    """What a claimant reads about a decision: the reasons that carried it, without repeating a sentence."""
    carried = [one for one in decision.reasons if one.pulls is decision.outcome]
    return tuple(dict.fromkeys(claimant_text(one, lang) for one in carried))


def status_text(status: Status, lang: Language) -> str:
    return STATUSES[status][_index(lang)]


def outcome_text(outcome: Outcome, lang: Language) -> str:
    return OUTCOMES[outcome][_index(lang)]


def benefit_text(line: BenefitLine, lang: Language) -> str:
    """The label with its amount: "deductible: -¥100.00"."""
    text = BENEFITS[line.label][_index(lang)]
    if line.label == "co_pay" and line.detail:
        item_class, _, rate = line.detail.partition(" ")
        named = {"-": ("未分类", "unclassed"), "own": ("自费", "own cost")}.get(item_class, (item_class, item_class))
        words = ("{}，赔付{}%", "{}, paid at {}%")[_index(lang)].format(named[_index(lang)], f"{int(rate) / 100:g}")
        text += f"（{words}）" if lang == "zh" else f" ({words})"
    elif line.label in ("paper_total", "insurance_paid") and line.detail:
        text += f"（{line.detail}）" if lang == "zh" else f" ({line.detail})"
    return f"{text}：{money_text(line.amount)}" if lang == "zh" else f"{text}: {money_text(line.amount)}"


def money_text(amount: Money) -> str:
    """ "¥1,234.50", "-¥10.00"; the currency code where there is no symbol for it."""
    sign = "-" if amount.minor < 0 else ""
    whole, minor = divmod(abs(amount.minor), 100)
    symbol = _SYMBOLS.get(amount.currency, f"{amount.currency} ")
    return f"{sign}{symbol}{whole:,}.{minor:02d}"


def _index(lang: Language) -> int:
    return 0 if lang == "zh" else 1


def detail_text(reason: Reason, lang: Language) -> str:
    """The reason's detail in words."""
    return sign_words.detail_text(reason.detail, lang) if reason.code in sign_words.CODES else reason.detail


def _filled(words: str, reason: Reason, lang: Language) -> str:
    of_signs = reason.code in sign_words.CODES
    text = words.format(
        value=sign_words.kinds_text(reason.value, lang) if of_signs else reason.value,
        threshold=reason.threshold,
        detail=detail_text(reason, lang),
        value_money=_minor_text(reason.value),
        threshold_money=_minor_text(reason.threshold),
    ).strip()
    if not reason.clause:
        return text
    return f"{text}（条款 {reason.clause}）" if lang == "zh" else f"{text} (clause {reason.clause})"


def _minor_text(text: str) -> str:
    """Amounts stand in reasons as minor units and currency: "<= 30000 CNY"."""
    found = re.search(r"(-?\d+) ([A-Z]{3})$", text)
    return money_text(Money(int(found[1]), found[2])) if found else text

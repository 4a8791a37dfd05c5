"""Words for people, in Chinese and English: every reason, status, outcome and line of a calculation.

`reason_text` is for adjusters and operators. `claimant_text` is for the claimant: it says what happened and what to do,
and of a suspicion only that a person is looking, so that nobody learns whose photo it was or which change was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from claims import sign_words
from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.money import Money
from claims.product import Language
from claims.wording import BENEFITS, CLAIMANT, FIELDS, KINDS, LOOKING, REASONS, SENTENCES

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

_SYMBOLS = {"CNY": "¥"}


def reason_text(reason: Reason, lang: Language) -> str:
    """One sentence for adjusters and operators. Raises KeyError for a code nobody wrote words for (a test sees to
    it)."""
    return _filled(REASONS[reason.code][_index(lang)], reason, lang)


def claimant_text(reason: Reason, lang: Language) -> str:
    """One sentence for the claimant: nothing of other people, nothing of how a copy was found."""
    if reason.ground is Ground.SUSPICION:
        return LOOKING[_index(lang)]
    words = CLAIMANT.get(reason.code, REASONS[reason.code])
    return _filled(words[_index(lang)], reason, lang)


def claimant_texts(decision: Decision, lang: Language) -> tuple[str, ...]:
    """What a claimant reads about a decision: the reasons that carried it, without repeating a sentence."""
    carried = [one for one in decision.reasons if one.pulls is decision.outcome]
    return tuple(dict.fromkeys(claimant_text(one, lang) for one in carried))


def status_text(status: Status, lang: Language) -> str:
    return STATUSES[status][_index(lang)]


def outcome_text(outcome: Outcome, lang: Language) -> str:
    return OUTCOMES[outcome][_index(lang)]


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """One row of an explanation of benefits. words: why, in a sentence; "" where the label says it all."""

    code: str
    label: str
    amount: Money
    words: str


def explanation(decision: Decision, lang: Language) -> tuple[ExplainedLine, ...]:
    """The calculation of the amount due, row by row, in the order in which it was made."""
    return tuple(
        ExplainedLine(line.label, _benefit_label(line, lang), line.amount, _sentence(line, lang))
        for line in decision.benefit
    )


def benefit_text(line: BenefitLine, lang: Language) -> str:
    """The label with its amount: "deductible: -¥100.00"."""
    label = _benefit_label(line, lang)
    return f"{label}：{money_text(line.amount)}" if lang == "zh" else f"{label}: {money_text(line.amount)}"


def _benefit_label(line: BenefitLine, lang: Language) -> str:
    text = BENEFITS[line.label][_index(lang)]
    words = ""
    if line.label == "co_pay" and line.detail:
        item_class, rate, undesignated = _co_pay(line, lang)
        words = ("{}，赔付{}%{}", "{}, paid at {}%{}")[_index(lang)].format(item_class, rate, undesignated)
    elif line.label in ("paper_total", "insurance_paid", "hospital_excluded", "order_price") and line.detail:
        words = line.detail
    elif line.label == "days_counted":
        words = (f"{line.detail} 天", f"{line.detail} days")[_index(lang)]
    return text + ((f"（{words}）" if lang == "zh" else f" ({words})") if words else "")


def _co_pay(line: BenefitLine, lang: Language) -> tuple[str, str, str]:
    """Class, percent, and a word on the hospital, from "乙 8000" or "乙 6000 undesignated"."""
    item_class, rate, *undesignated = line.detail.split()
    named = {"-": ("未分类", "unclassed"), "own": ("自费", "own cost")}.get(item_class, (item_class, item_class))
    where = ("，非约定医院", ", hospital not on the list")[_index(lang)] if undesignated else ""
    return named[_index(lang)], f"{int(rate) / 100:g}", where


def _sentence(line: BenefitLine, lang: Language) -> str:
    """The words that stand under a line for the claimant."""
    values: dict[str, str] = {}
    if not line.detail and "{" in SENTENCES[line.label][0]:
        return ""  # an erased claim's
    if line.label == "co_pay":
        values["item_class"], values["percent"], values["where"] = _co_pay(line, lang)
    elif line.label in ("day_limit", "allowance"):
        days, _, per_day = line.detail.partition(" ")
        values = {"days": days, "per_day": money_text(Money(int(per_day), line.amount.currency))}
    elif line.label in ("per_claim_limit", "limit_left", "claimed_limit"):
        values["ceiling"] = money_text(Money(int(line.detail), line.amount.currency))
    return SENTENCES[line.label][_index(lang)].format(name=line.detail, **({"days": line.detail} | values))


def paper_kind_text(kind: str, lang: Language) -> str:
    """A kind that an insurer added stands for itself."""
    return KINDS[kind][_index(lang)] if kind in KINDS else kind.replace("_", " ")


def field_text(name: str, lang: Language) -> str:
    return FIELDS[name][_index(lang)] if name in FIELDS else name.replace("_", " ")


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
    return _named(reason, lang)[2]


def _filled(words: str, reason: Reason, lang: Language) -> str:
    value, threshold, detail = _named(reason, lang)
    text = words.format(
        value=value,
        threshold=threshold,
        detail=detail,
        value_money=_minor_text(reason.value),
        threshold_money=_minor_text(reason.threshold),
    ).strip()
    if not reason.clause:
        return text
    return f"{text}（条款 {reason.clause}）" if lang == "zh" else f"{text} (clause {reason.clause})"


def _named(reason: Reason, lang: Language) -> tuple[str, str, str]:
    """Value, threshold and detail, with signs, and kinds and fields of papers, by their names."""
    value, threshold, detail = reason.value, reason.threshold, reason.detail
    if reason.code in sign_words.CODES:
        return sign_words.kinds_text(value, lang), threshold, sign_words.detail_text(detail, lang)
    if reason.code in ("paper_of_other_kind", "paper_kind_missing"):
        value, threshold = _list(value, paper_kind_text, lang), _list(threshold, paper_kind_text, lang)
    elif reason.code in ("paper_fields_missing", "paper_doubtful", "claimant_under_two_ids"):
        value = _list(value, field_text, lang)
    elif reason.code in ("papers_contradict", "paper_dates_out_of_order", "name_shown_masked"):
        detail = _list(detail, field_text, lang)
    elif reason.code in sign_words.CODES:
        value, detail = sign_words.kinds_text(value, lang), detail_text(reason, lang)
    return value, threshold, detail


def _list(names: str, word: Callable[[str, Language], str], lang: Language) -> str:
    return ("、" if lang == "zh" else ", ").join(word(name, lang) for name in names.split())


def _minor_text(text: str) -> str:
    """Amounts stand in reasons as minor units and currency: "<= 30000 CNY"."""
    found = re.search(r"(-?\d+) ([A-Z]{3})$", text)
    return money_text(Money(int(found[1]), found[2])) if found else text

"""Words for people, in Chinese and English: every reason, status, outcome and line of a calculation.

`reason_text` is for adjusters and operators. `claimant_text` is for the claimant: it says what happened and what to do,
and of a suspicion only that a person is looking, so that nobody learns whose photo it was or which change was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claims import currencies
from claims.benefit_words import BENEFITS, SENTENCES
from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.fact_words import CHECKS, CREDIT, ITEM_CLASSES, SHARED, SUBJECTS
from claims.measured_words import COMPARED, NOT_VOUCHED, UNSCORED, defect
from claims.money import Money
from claims.paper_words import FIELDS, KINDS
from claims.product import Language, Product
from claims.readings import Reader, fill
from claims.reason_values import BIN, DAYS, TRANSFORM, said
from claims.wording import CLAIMANT, LOOKING, REASONS

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


def reason_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """One sentence for adjusters and operators. product: the terms, which name perils; without them a peril stays
    unnamed. Raises KeyError for a code nobody wrote words for (a test sees to it)."""
    return _filled(REASONS[reason.code], reason, Reader(lang, product))


def claimant_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """One sentence for the claimant: nothing of other people, nothing of how a copy was found."""
    if reason.ground is Ground.SUSPICION:
        return LOOKING[_index(lang)]
    return _filled(CLAIMANT.get(reason.code, REASONS[reason.code]), reason, Reader(lang, product))


def claimant_texts(decision: Decision, lang: Language, product: Product | None = None) -> tuple[str, ...]:
    """What a claimant reads about a decision: the reasons that carried it, without repeating a sentence."""
    carried = [one for one in decision.reasons if one.pulls is decision.outcome]
    return tuple(dict.fromkeys(claimant_text(one, lang, product) for one in carried))


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
        words = ("{}，赔付 {}%{}", "{}, paid at {}%{}")[_index(lang)].format(item_class, rate, undesignated)
    elif line.label in ("paper_total", "insurance_paid", "hospital_excluded", "order_price") and line.detail:
        words = line.detail
    elif line.label == "days_counted":
        words = DAYS(line.detail, Reader(lang)) or ""
    return text + ((f"（{words}）" if lang == "zh" else f" ({words})") if words else "")


def _co_pay(line: BenefitLine, lang: Language) -> tuple[str, str, str]:
    """Class, percent, and a word on the hospital, from "乙 8000" or "乙 6000 undesignated"."""
    item_class, rate, *undesignated = line.detail.split()
    where = ("，非约定医院", ", hospital not on the list")[_index(lang)] if undesignated else ""
    return _named(ITEM_CLASSES, item_class, lang), f"{int(rate) / 100:g}", where


def _sentence(line: BenefitLine, lang: Language) -> str:
    """The words that stand under a line for the claimant."""
    values: dict[str, str] = {}
    if not line.detail and "{" in SENTENCES[line.label][0]:
        return ""  # an erased claim's
    if line.label == "co_pay":
        values["item_class"], values["percent"], values["where"] = _co_pay(line, lang)
    elif line.label in ("day_limit", "allowance"):
        days, _, per_day = line.detail.partition(" ")
        values = {
            "days": DAYS(days, Reader(lang)) or "",
            "per_day": money_text(Money(int(per_day), line.amount.currency)),
        }
    elif line.label == "days_counted":
        values["days"] = DAYS(line.detail, Reader(lang)) or ""
    elif line.label in ("per_claim_limit", "limit_left", "claimed_limit"):
        values["ceiling"] = money_text(Money(int(line.detail), line.amount.currency))
    return SENTENCES[line.label][_index(lang)].format(name=line.detail, **values)


def paper_kind_text(kind: str, lang: Language) -> str:
    """A kind that an insurer added stands for itself."""
    return _named(KINDS, kind, lang)


def field_text(name: str, lang: Language) -> str:
    return _named(FIELDS, name, lang)


def subject_text(subject: str, lang: Language) -> str:
    """What a photo shows."""
    return _named(SUBJECTS, subject, lang)


def check_text(name: str, lang: Language) -> str:
    """The check of a paper."""
    return _named(CHECKS, name, lang)


def shared_text(key: str, lang: Language) -> str:
    """What several claims have in common."""
    return _named(SHARED, key, lang)


def credit_text(attribute: str, lang: Language) -> str:
    """The attribute of a customer that a score is made of."""
    return _named(CREDIT, attribute, lang)


def money_text(amount: Money) -> str:
    """The same in both languages: "¥1,234.50", "-¥10.00", "JP¥1,000"; the currency's code where it has no sign."""
    return currencies.written(amount.minor, amount.currency)


def detail_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """The reason's detail in words; "" where it has none or holds nothing for people."""
    return said(reason, Reader(lang, product)).get("detail", "")


def unusable_text(reason: str, lang: Language) -> str:
    """Why a photo, a paper or a nose could not be used: what facts say of it, in words; "" where they say it as
    another version did."""
    return defect(reason, Reader(lang)) or ""


def not_vouched_text(because: str, lang: Language) -> str:
    """Why nobody vouches for a paper, in words; "" where another version wrote it."""
    return NOT_VOUCHED(because, Reader(lang)) or ""


def compared_text(detail: str, lang: Language) -> str:
    """What a check of a paper compared, in words; "" where another version wrote it."""
    return COMPARED(detail, Reader(lang)) or ""


def unscored_text(because: str, lang: Language) -> str:
    """Why there is no credit score, in words; "" where another version wrote it."""
    return UNSCORED(because, Reader(lang)) or ""


def transform_text(transform: str, lang: Language) -> str:
    """How a photo was made of another, in words; "" where another version wrote it."""
    return TRANSFORM(transform, Reader(lang)) or ""


def bin_text(found: str, lang: Language) -> str:
    """The range of a credit attribute in words; "" where another version wrote it."""
    return BIN(found, Reader(lang)) or ""


def _named(words: Mapping[str, tuple[str, str]], name: str, lang: Language) -> str:
    return words[name][_index(lang)] if name in words else name.replace("_", " ")


def _index(lang: Language) -> int:
    return 0 if lang == "zh" else 1


def _filled(words: tuple[str, str], reason: Reason, reader: Reader) -> str:
    text = fill(reader.choose(words), said(reason, reader))
    if not reason.clause:
        return text
    return f"{text}（条款 {reason.clause}）" if reader.lang == "zh" else f"{text} (clause {reason.clause})"

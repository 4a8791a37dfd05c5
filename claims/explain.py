"""Words for people, in their language: every reason, status, outcome and line of a calculation. The words themselves
are in the catalogues (`claims.texts`).

`reason_text` is for adjusters and operators. `claimant_text` is for the claimant: it says what happened and what to do,
and of a suspicion only that a person is looking, so that nobody learns whose photo it was or which change was found.
"""

from __future__ import annotations

from dataclasses import dataclass

from claims import currencies
from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.money import Money
from claims.product import Product
from claims.readings.measured import COMPARED, NOT_VOUCHED, UNSCORED, defect
from claims.readings.papers import kind_title
from claims.readings.reasons import BIN, DAYS, TRANSFORM, said
from claims.readings.strings import TextReader, fill
from claims.texts import Language, slots, texts


def reason_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """One sentence for adjusters and operators. product: the terms, which name perils; without them a peril stays
    unnamed. Raises KeyError for a code nobody wrote words for (a test sees to it)."""
    return _filled(texts(lang)[f"reasons.{reason.code}"], reason, TextReader(lang, product))


def claimant_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """One sentence for the claimant: nothing of other people, nothing of how a copy was found."""
    if reason.ground is Ground.SUSPICION:
        return texts(lang)["claimant.looking"]
    words = texts(lang).get("claimant_reasons", reason.code) or texts(lang)[f"reasons.{reason.code}"]
    return _filled(words, reason, TextReader(lang, product))


def claimant_texts(decision: Decision, lang: Language, product: Product | None = None) -> tuple[str, ...]:
    """What a claimant reads about a decision: the reasons that carried it, without repeating a sentence."""
    carried = [one for one in decision.reasons if one.pulls is decision.outcome]
    return tuple(dict.fromkeys(claimant_text(one, lang, product) for one in carried))


def status_text(status: Status, lang: Language) -> str:
    return texts(lang)[f"statuses.{status}"]


def outcome_text(outcome: Outcome, lang: Language) -> str:
    return texts(lang)[f"outcomes.{outcome}"]


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
    return texts(lang)["benefit.line"].format(label=_benefit_label(line, lang), amount=money_text(line.amount))


def _benefit_label(line: BenefitLine, lang: Language) -> str:
    label, words = texts(lang)[f"benefits.{line.label}"], ""
    if line.label == "co_pay" and line.detail:
        words = texts(lang)["benefit.co_pay"].format(**_co_pay(line, lang))
    elif line.label in ("paper_total", "insurance_paid", "hospital_excluded", "order_price") and line.detail:
        words = line.detail
    elif line.label == "days_counted":
        words = DAYS(line.detail, TextReader(lang)) or ""
    return texts(lang)["benefit.label"].format(label=label, words=words) if words else label


def _co_pay(line: BenefitLine, lang: Language) -> dict[str, str]:
    """Class, percent, and a word on the hospital, from "乙 8000" or "乙 6000 undesignated"."""
    item_class, rate, *undesignated = line.detail.split()
    return {
        "item_class": texts(lang).label("item_classes", item_class),
        "percent": f"{int(rate) / 100:g}",
        "where": texts(lang)["benefit.undesignated"] if undesignated else "",
    }


def _sentence(line: BenefitLine, lang: Language) -> str:
    """The words that stand under a line for the claimant."""
    sentence, values = texts(lang)[f"benefit_sentences.{line.label}"], dict[str, str]()
    if not line.detail and slots(sentence):
        return ""  # an erased claim's
    if line.label == "co_pay":
        values = _co_pay(line, lang)
    elif line.label in ("day_limit", "allowance"):
        days, _, per_day = line.detail.partition(" ")
        values = {
            "days": DAYS(days, TextReader(lang)) or "",
            "per_day": money_text(Money(int(per_day), line.amount.currency)),
        }
    elif line.label == "days_counted":
        values["days"] = DAYS(line.detail, TextReader(lang)) or ""
    elif line.label in ("per_claim_limit", "limit_left", "claimed_limit"):
        values["ceiling"] = money_text(Money(int(line.detail), line.amount.currency))
    return sentence.format(name=line.detail, **values)


def paper_kind_text(kind: str, lang: Language) -> str:
    """A kind that an insurer added stands for itself."""
    return kind_title(kind, TextReader(lang)) or kind.replace("_", " ")


def field_text(name: str, lang: Language) -> str:
    return texts(lang).label("paper_fields", name)


def subject_text(subject: str, lang: Language) -> str:
    """What a photo shows."""
    return texts(lang).label("subjects", subject)


def check_text(name: str, lang: Language) -> str:
    """The check of a paper."""
    return texts(lang).label("checks", name)


def shared_text(key: str, lang: Language) -> str:
    """What several claims have in common."""
    return texts(lang).label("shared", key)


def credit_text(attribute: str, lang: Language) -> str:
    """The attribute of a customer that a score is made of."""
    return texts(lang).label("credit", attribute)


def money_text(amount: Money) -> str:
    """The same in every language: "¥1,234.50", "-¥10.00", "JP¥1,000"; the currency's code where it has no sign."""
    return currencies.written(amount.minor, amount.currency)


def detail_text(reason: Reason, lang: Language, product: Product | None = None) -> str:
    """The reason's detail in words; "" where it has none or holds nothing for people."""
    return said(reason, TextReader(lang, product)).get("detail", "")


def unusable_text(reason: str, lang: Language) -> str:
    """Why a photo, a paper or a nose could not be used: what facts say of it, in words; "" where they say it as
    another version did."""
    return defect(reason, TextReader(lang)) or ""


def not_vouched_text(because: str, lang: Language) -> str:
    """Why nobody vouches for a paper, in words; "" where another version wrote it."""
    return NOT_VOUCHED(because, TextReader(lang)) or ""


def compared_text(detail: str, lang: Language) -> str:
    """What a check of a paper compared, in words; "" where another version wrote it."""
    return COMPARED(detail, TextReader(lang)) or ""


def unscored_text(because: str, lang: Language) -> str:
    """Why there is no credit score, in words; "" where another version wrote it."""
    return UNSCORED(because, TextReader(lang)) or ""


def transform_text(transform: str, lang: Language) -> str:
    """How a photo was made of another, in words; "" where another version wrote it."""
    return TRANSFORM(transform, TextReader(lang)) or ""


def bin_text(found: str, lang: Language) -> str:
    """The range of a credit attribute in words; "" where another version wrote it."""
    return BIN(found, TextReader(lang)) or ""


def _filled(words: str, reason: Reason, reader: TextReader) -> str:
    text = fill(words, said(reason, reader))
    return reader.texts["reason.clause"].format(text=text, clause=reason.clause) if reason.clause else text

"""Words for people, in their language: every reason, status, outcome and line of a calculation. The words themselves
are in the catalogues (`claims.texts`).

`reason_text` is for adjusters and operators. `claimant_text` is for the claimant: it says what happened and what to do,
and of a suspicion only that a person is looking, so that nobody learns whose photo it was or which change was found;
where an honest claimant can settle it, also how.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import assert_never

from claims import currencies
from claims.benefit_lines import Slot
from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.formulas.registry import LINES
from claims.money import Money
from claims.paper_kind import PaperKinds
from claims.product import Product
from claims.readings.measured import COMPARED, NOT_VOUCHED, UNSCORED, defect
from claims.readings.papers import kind_title
from claims.readings.reasons import BIN, DAYS, TRANSFORM, said
from claims.readings.strings import TextReader, fill
from claims.texts import Language, slots, texts


def reason_text(reason: Reason, lang: Language, product: Product | None = None, kinds: PaperKinds | None = None) -> str:
    """Return one sentence for adjusters and operators. product: the terms, which name perils; without them a peril
    stays unnamed. kinds: the installation's kinds of paper, which have titles; None for the product's own.

    Raises KeyError for a code without texts (a test checks that there is none)."""
    return _filled(texts(lang)[f"reasons.{reason.code}"], reason, _reader(lang, product, kinds))


def claimant_text(
    reason: Reason, lang: Language, product: Product | None = None, kinds: PaperKinds | None = None
) -> str:
    """Return one sentence for the claimant. It reveals nothing about other people or about how a copy was found."""
    words = texts(lang).get("claimant_reasons", reason.code)
    if words is None:
        words = texts(lang)["claimant.looking" if reason.ground is Ground.SUSPICION else f"reasons.{reason.code}"]
    return _filled(words, reason, _reader(lang, product, kinds))


def claimant_texts(
    decision: Decision, lang: Language, product: Product | None = None, kinds: PaperKinds | None = None
) -> tuple[str, ...]:
    """Return what a claimant reads about a decision: the reasons that carried it, without repeating a sentence."""
    carried = [reason for reason in decision.reasons if reason.pulls is decision.outcome]
    return tuple(dict.fromkeys(claimant_text(reason, lang, product, kinds) for reason in carried))


def status_text(status: Status, lang: Language) -> str:
    return texts(lang)[f"statuses.{status}"]


def outcome_text(outcome: Outcome, lang: Language) -> str:
    return texts(lang)[f"outcomes.{outcome}"]


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """One row of an explanation of benefits. words: the reason in a sentence; "" where the label says it all."""

    code: str
    label: str
    amount: Money
    words: str


def explanation(decision: Decision, lang: Language) -> tuple[ExplainedLine, ...]:
    """Return the calculation of the amount due, row by row, in the order in which it was made."""
    return tuple(
        ExplainedLine(line.label, _benefit_label(line, lang), line.amount, _sentence(line, lang))
        for line in decision.benefit
    )


def benefit_text(line: BenefitLine, lang: Language) -> str:
    """Return the label with its amount: "deductible: -¥100.00"."""
    return texts(lang)["benefit.line"].format(label=_benefit_label(line, lang), amount=money_text(line.amount))


def _benefit_label(line: BenefitLine, lang: Language) -> str:
    label, words = texts(lang)[f"benefits.{line.label}"], _beside(line, lang)
    return texts(lang)["benefit.label"].format(label=label, words=words) if words else label


def _beside(line: BenefitLine, lang: Language) -> str:
    """Return the words in brackets beside the line's label."""
    beside = LINES[line.label].beside
    if not beside or not line.detail:
        return ""
    return (beside if "{" in beside else texts(lang)[beside]).format(**_values(line, lang))


def _sentence(line: BenefitLine, lang: Language) -> str:
    """Return the words shown under a line for the claimant."""
    sentence = texts(lang)[f"benefit_sentences.{line.label}"]
    if not line.detail and slots(sentence):
        return ""  # an erased claim's
    return sentence.format(**_values(line, lang))


def _values(line: BenefitLine, lang: Language) -> dict[str, str]:
    """Return the words of each slot of the line's kind, from the detail; "" where the detail has no part for it."""
    of_kind = LINES[line.label].slots
    parts = [line.detail] if len(of_kind) == 1 else line.detail.split()
    return {
        slot.name: _slot_text(slot, part, line.amount.currency, lang) if part else ""
        for slot, part in zip_longest(of_kind, parts[: len(of_kind)], fillvalue="")
        if isinstance(slot, Slot)
    }


def _slot_text(slot: Slot, part: str, currency: str, lang: Language) -> str:
    match slot.form:
        case "name":
            return part
        case "days":
            return DAYS(part, TextReader(lang)) or ""
        case "minor":
            return money_text(Money(int(part), currency))
        case "share":
            return f"{int(part) / 100:g}"
        case "code":
            return texts(lang).label(slot.texts, part)
        case "word":
            return texts(lang)[slot.texts]
        case _:
            assert_never(slot.form)


def paper_kind_text(kind: str, lang: Language, kinds: PaperKinds | None = None) -> str:
    """Return the title of a kind of paper. The name of a kind that the installation no longer has is returned as it
    is."""
    return kind_title(kind, _reader(lang, None, kinds)) or kind.replace("_", " ")


def field_text(name: str, lang: Language) -> str:
    return texts(lang).label("paper_fields", name)


def subject_text(subject: str, lang: Language) -> str:
    """Return the name of what a photo shows."""
    return texts(lang).label("subjects", subject)


def species_text(species: str, lang: Language) -> str:
    """Return the name of a kind of animal."""
    return texts(lang).label("species", species)


def check_text(name: str, lang: Language) -> str:
    """Return the name of the paper's check."""
    return texts(lang).label("checks", name)


def standing_text(standing: str, lang: Language) -> str:
    """Return what a paper is that is no paid bill."""
    return texts(lang).label("standings", standing)


def shared_text(key: str, lang: Language) -> str:
    """Return the name of what several claims have in common."""
    return texts(lang).label("shared", key)


def credit_text(attribute: str, lang: Language) -> str:
    """Return the name of the customer's attribute that a score is made of."""
    return texts(lang).label("credit", attribute)


def money_text(amount: Money) -> str:
    """Return the amount, alike in every language: "¥1,234.50", "-¥10.00", "JP¥1,000"; the currency's code where it has
    no sign."""
    return currencies.written(amount.minor, amount.currency)


def detail_text(reason: Reason, lang: Language, product: Product | None = None, kinds: PaperKinds | None = None) -> str:
    """Return the reason's detail in words; "" where it has none, or none meant for people."""
    return said(reason, _reader(lang, product, kinds)).get("detail", "")


def unusable_text(reason: str, lang: Language) -> str:
    """Return in words why a photo, a paper or a nose could not be used; "" where another version wrote the fact."""
    return defect(reason, TextReader(lang)) or ""


def not_vouched_text(because: str, lang: Language, kinds: PaperKinds | None = None) -> str:
    """Return in words why a paper is not vouched for; "" where another version wrote it."""
    return NOT_VOUCHED(because, _reader(lang, None, kinds)) or ""


def compared_text(detail: str, lang: Language) -> str:
    """Return in words what a check of a paper compared; "" where another version wrote it."""
    return COMPARED(detail, TextReader(lang)) or ""


def unscored_text(because: str, lang: Language) -> str:
    """Return in words why there is no credit score; "" where another version wrote it."""
    return UNSCORED(because, TextReader(lang)) or ""


def transform_text(transform: str, lang: Language) -> str:
    """Return in words how a photo was made from another; "" where another version wrote it."""
    return TRANSFORM(transform, TextReader(lang)) or ""


def bin_text(label: str, lang: Language) -> str:
    """Return the range of a credit attribute in words; "" where another version wrote it."""
    return BIN(label, TextReader(lang)) or ""


def _reader(lang: Language, product: Product | None, kinds: PaperKinds | None) -> TextReader:
    return TextReader(lang, product) if kinds is None else TextReader(lang, product, kinds)


def _filled(words: str, reason: Reason, reader: TextReader) -> str:
    text = fill(words, said(reason, reader))
    return reader.texts["reason.clause"].format(text=text, clause=reason.clause) if reason.clause else text

"""Can the papers be read surely, are they of this claim, and do they agree with themselves?"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date

from claims.benefit import amount_on, own_cost
from claims.claim import Claim
from claims.decision import Ground, Reason
from claims.evidence import PaperFact, PaperKind, Unmeasured, UnmeasuredPaper
from claims.judge.cover import first_covered_day, last_covered_day, local_date
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

Papers = Sequence[PaperFact | UnmeasuredPaper]
_CODE_BY_CHECK = {
    "items_sum_to_total": "items_do_not_sum",
    "capital_amount_equals_total": "capital_amount_differs",
    "insurance_and_cash_equal_total": "insurance_and_cash_do_not_sum",
    "date_is_plausible": "paper_date_implausible",
}
_NUMBER_FIELD: dict[str, str] = {PaperKind.OUTPATIENT_INVOICE: "number", PaperKind.PARCEL_SLIP: "tracking_number"}


def to_pay_on(product: Product, papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    """The papers of a kind the product takes that were read surely, each paper once however often it was
    photographed."""
    once: dict[tuple[str, ...], PaperFact] = {}
    for paper in sorted((one for one in papers if isinstance(one, PaperFact)), key=_surest_first):
        if not _problems(product, paper, rules):
            once.setdefault(_identity(paper), paper)
    return tuple(once[key] for key in sorted(once))


def judge(
    claim: Claim,
    policy: Policy,
    product: Product,
    papers: Papers,
    rules: Rules,
    *,
    needed: int,
    rounds_asked: int,
) -> list[Reason]:
    """`needed`: how many papers this claim must bring. Of papers that could not be used the claimant is told once; then
    the others decide."""
    sound = to_pay_on(product, papers, rules)
    found: list[Reason] = []
    # A bill that could not be read is money not counted: ask once even though others could be read. A blurred copy of a
    # read one stays behind.
    set_aside = len(sound) >= needed and (rounds_asked > 0 or product.benefit == "stated_amount")
    read_files = {paper.evidence_id for paper in sound}
    for paper in papers:
        if isinstance(paper, UnmeasuredPaper):
            problems = [_unreadable(paper)]
        else:
            problems = _problems(product, paper, rules)
            found += _suspicions(policy, product, paper, rules)
        found += [
            reason("paper_set_aside", one.code, one.threshold, evidence_id=one.evidence_id, detail=one.detail)
            # The back page of a file whose bill was read says nothing about the bill.
            if set_aside or (one.code == "paper_of_other_kind" and one.evidence_id in read_files)
            else one
            for one in problems
        ]
        if isinstance(paper, PaperFact) and not problems:
            found += _contradictions(claim, policy, product, paper)
    found += _disagreements(product, papers, rules)
    if len(sound) < needed and not any(one.ground is Ground.EVIDENCE for one in found):
        # Nothing came, or all that came was read and is still too little, e.g. one bill photographed twice.
        found.append(reason("paper_missing", str(len(sound)), f">= {needed}", detail=" ".join(product.evidence.papers)))
    troubled = {one.evidence_id for one in found}
    least = f">= {rules.paper_read_confidence_min:.2f}"
    for paper in sound:
        if paper.evidence_id not in troubled:
            read = f"{_least_confidence(product, paper):.2f}"
            found.append(reason("paper_in_order", read, least, evidence_id=paper.evidence_id, detail=paper.kind))
    return found


def _unreadable(paper: UnmeasuredPaper) -> Reason:
    code = "paper_unreadable" if paper.retryable else "paper_unmeasured"
    return reason(code, paper.reason, evidence_id=paper.evidence_id, detail=paper.name)


def _problems(product: Product, paper: PaperFact, rules: Rules) -> list[Reason]:
    """Why this paper cannot be paid on as it was read; a better picture or another paper would help."""
    if paper.kind not in product.evidence.papers:
        wanted = " ".join(product.evidence.papers)
        return [reason("paper_of_other_kind", paper.kind, wanted, evidence_id=paper.evidence_id, detail=paper.name)]
    found = []
    missing = sorted({*paper.missing_fields, *_missing_amounts(product, paper), *_bad_dates(paper)})
    if missing:
        found.append(
            reason("paper_fields_missing", " ".join(missing), "all", evidence_id=paper.evidence_id, detail=paper.name)
        )
    unsure = _least_confidence(product, paper)
    if not unsure >= rules.paper_read_confidence_min:  # so that a NaN is unsure, too
        found.append(
            reason(
                "paper_read_unsure",
                f"{unsure:.2f}",
                f">= {rules.paper_read_confidence_min:.2f}",
                evidence_id=paper.evidence_id,
                detail=paper.name,
            )
        )
    return found


def _missing_amounts(product: Product, paper: PaperFact) -> list[str]:
    if product.benefit != "paper_total":
        return []
    missing = [] if isinstance(amount_on(paper, "total_minor"), int) else ["total_minor"]
    return missing or (["insurance_paid_minor"] if isinstance(own_cost(paper), Unmeasured) else [])


def _bad_dates(paper: PaperFact) -> list[str]:
    text = paper.value("date")
    return ["date"] if text and isinstance(_date(text), Unmeasured) else []


def _least_confidence(product: Product, paper: PaperFact) -> float:
    """The reader's least confidence among what this product judges by.

    Where the bill is paid: its money, and the patient where that matters. Where the paper only proves the event: its
    number and date; a parcel slip need not show any money.
    """
    names = {"number", "tracking_number", "company", "date"} if product.benefit == "stated_amount" else set()
    if product.evidence.patient_is_insured:
        names.add("patient")
    found = [field.confidence for field in paper.fields if field.name in names]
    return min(found, default=0.0) if product.benefit == "stated_amount" else min([paper.read_confidence, *found])


def _suspicions(policy: Policy, product: Product, paper: PaperFact, rules: Rules) -> list[Reason]:
    found = []
    if paper.number_claimed_before:
        # However unsure the reading: a misread number does not fall on another claim's by chance.
        found.append(
            reason(
                "paper_claimed_before",
                str(len(paper.number_claimed_before)),
                "0 other claims",
                evidence_id=paper.evidence_id,
                detail=" ".join(sorted(paper.number_claimed_before)),
            )
        )
    patient = paper.value("patient")
    surely_read = _least_confidence(product, paper) >= rules.paper_read_confidence_min
    if product.evidence.patient_is_insured and patient and surely_read and not same_name(patient, policy.insured_name):
        found.append(reason("patient_is_not_insured", patient, policy.insured_name, evidence_id=paper.evidence_id))
    return found


def _contradictions(claim: Claim, policy: Policy, product: Product, paper: PaperFact) -> list[Reason]:
    found = [
        reason(_CODE_BY_CHECK[check.name], check.detail, "equal", evidence_id=paper.evidence_id)
        for check in paper.checks
        if not check.passed
    ]
    shown = _date(paper.value("date"))
    if isinstance(shown, date):
        first = first_covered_day(policy, product)
        last = min(last_covered_day(policy, product), local_date(claim.submitted_at, product))
        if not first <= shown <= last:
            found.append(
                reason(
                    "paper_date_outside_cover", shown.isoformat(), f"{first} - {last}", evidence_id=paper.evidence_id
                )
            )
    return found


def _disagreements(product: Product, papers: Papers, rules: Rules) -> list[Reason]:
    """One paper, two sure readings of its total: one of the two pictures was changed or misread."""
    totals: dict[tuple[str, ...], set[str]] = {}
    for paper in papers:
        if isinstance(paper, PaperFact) and paper.kind in _NUMBER_FIELD and not _problems(product, paper, rules):
            totals.setdefault(_identity(paper), set()).add(paper.value("total_minor"))
    return [
        reason("papers_disagree", " / ".join(sorted(seen)), "equal", detail=" ".join(key))
        for key, seen in totals.items()
        if len(seen) > 1
    ]


def _identity(paper: PaperFact) -> tuple[str, ...]:
    """What makes two pictures show one paper: its number; for a receipt, which has none, shop, day and total."""
    number = paper.value(_NUMBER_FIELD[paper.kind]) if paper.kind in _NUMBER_FIELD else ""
    if number:
        return (paper.kind, number)
    return (paper.kind, *(paper.value(name) for name in ("company", "hospital", "carrier", "date", "total_minor")))


def _surest_first(paper: PaperFact) -> tuple[float, str, str, str]:
    """Ties go by what is on the page, never by the order in which pages came."""
    return (-paper.read_confidence, paper.evidence_id, paper.value("total_minor"), repr((paper.fields, paper.items)))


def _date(text: str) -> date | Unmeasured:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return Unmeasured(f"not an ISO date: {text!r}")


def same_name(shown: str, insured: str) -> bool:
    """Equal but for width, case and spaces. A bill may mask a character as `*` (张*三): it stands for exactly one."""
    left, right = _plain(shown), _plain(insured)
    return (
        len(left) == len(right)
        and any(a != "*" for a in left)
        and all(a in ("*", b) for a, b in zip(left, right, strict=True))
    )


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split()).replace("·", "").replace("×", "*")

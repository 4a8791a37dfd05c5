"""Judges the papers: if they were read surely, are of this claim, and agree with themselves.

Kinds that the product pays on, kinds that must come along, kinds that may: `claims.product.EvidenceTerms`.
`claims.judge.agreement` compares the papers of one claim with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from claims.benefit import amount_on, own_cost
from claims.decision import Ground, Reason
from claims.evidence import PaperFact, UnmeasuredFact, UnmeasuredPaper
from claims.formulas.registry import formula_of, with_terms
from claims.hospitals import HospitalTerms, near_miss
from claims.insured_claim import InsuredClaim
from claims.judge import agreement, currency, standing
from claims.judge.cover import first_covered_day, last_covered_day, local_date
from claims.names import masked, same_name
from claims.paper_meaning import traits_of
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

Papers = Sequence[PaperFact | UnmeasuredPaper]
_ANY_CHECK = "paper_check_failed"
CODE_BY_CHECK = {
    "items_sum_to_total": "items_do_not_sum",
    "capital_amount_equals_total": "capital_amount_differs",
    "insurance_and_cash_equal_total": "insurance_and_cash_do_not_sum",
    "net_and_tax_equal_total": "net_and_tax_do_not_sum",
    "price_less_discount_equals_total": "price_and_discount_do_not_fit",
    "stay_days_match_dates": "stay_days_differ",
    "date_is_plausible": "paper_date_implausible",
    "code_matches_text": "paper_code_differs",
    "text_layer_matches_picture": "paper_text_layer_differs",
    "digits_look_untouched": "digits_look_edited",
    "signature_covers_file": _ANY_CHECK,
}
# Fields by which a paper that only proves something is judged.
_PROVES = frozenset(
    {"patient", "hospital", "diagnosis", "date", "order_number", "tracking_number", "owner", "pet_name"}
)
_CODE_BY_PERSON = {
    "patient": "patient_is_not_insured",
    "owner": "owner_is_not_insured",
    "buyer": "buyer_is_not_insured",
    "recipient": "recipient_is_not_insured",
    "sender": "sender_is_not_insured",
}


def to_pay_on(product: Product, papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    """Return the papers of a kind the product pays on that were read surely, each paper once however often it was
    photographed.

    Where the reader vouches for none of them, return those it does not vouch for: nothing is paid on them, and the
    person who decides sees what would be due.
    """
    sound = _sound(product, product.evidence.papers, papers, rules)
    return sound or _once(product, product.evidence.papers, papers, rules)


def proving(product: Product, papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    """Return the other papers that were read surely: what they prove is compared, and nothing is paid on them."""
    return _sound(product, (*product.evidence.supporting, *product.evidence.may_bring), papers, rules)


def prices(product: Product, papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    """Return the orders that the reader vouches for, which show what was paid for the goods."""
    return tuple(paper for paper in proving(product, papers, rules) if traits_of(paper).price)


def judge(
    insured: InsuredClaim,
    papers: Papers,
    rules: Rules,
    *,
    needed: int,
    rounds_asked: int,
) -> list[Reason]:
    """Return the reasons of all papers. `needed`: how many papers this claim must bring. The claimant is told once
    about papers that could not be used; after that, the others decide."""
    claim, policy, product = insured.claim, insured.policy, insured.product
    sound = _sound(product, product.evidence.papers, papers, rules)
    proofs = proving(product, papers, rules)
    reasons: list[Reason] = []
    # A bill that could not be read is money not counted: ask once even though others could be read. A blurred copy of a
    # read one stays behind.
    enough = len(sound) >= needed and not _lacking(product, proofs)
    formula, terms = with_terms(product)
    set_aside = enough and (rounds_asked > 0 or not formula.pays_on_papers)
    read_files = {paper.evidence_id for paper in sound}
    for paper in papers:
        if isinstance(paper, UnmeasuredPaper):
            problems, raised = [_unreadable(paper)], []
        else:
            problems = _problems(product, paper, rules)
            raised = _suspicions(policy, product, paper, rules)
            if not problems:
                raised += _contradictions(insured, paper)
                problems = _vouched(paper, rules)
        reasons += raised
        reasons += [
            reason(
                "paper_set_aside",
                problem.code,
                problem.threshold,
                evidence_id=problem.evidence_id,
                detail=problem.detail,
            )
            # The back page of a file whose bill was read says nothing about the bill.
            if _may_be_set_aside(product, paper, rules)
            and (
                (
                    problem.code not in currency.CODES
                    and (
                        # An estimate beside the bill that followed it is no money that was not counted.
                        (enough and problem.code == "paper_no_paid_bill")
                        or (set_aside and (problem.code != "paper_not_accepted" or not formula.pays_on_papers))
                        or (problem.code == "paper_of_other_kind" and problem.evidence_id in read_files)
                        or (isinstance(paper, PaperFact) and paper.kind in product.evidence.may_bring)
                    )
                )
                or (isinstance(paper, PaperFact) and rules.paper_accepted_required and _again(paper, (*sound, *proofs)))
            )
            else problem
            for problem in problems
        ]
    reasons += _disagreements(product, papers, rules)
    reasons += agreement.judge(claim, product, (*sound, *proofs), rules)
    reasons += formula.notes(terms, sound)
    if len(sound) < needed and not any(judged.ground is Ground.EVIDENCE for judged in reasons):
        # Nothing came, or all that came was read and is still too little, e.g. one bill photographed twice.
        reasons.append(
            reason("paper_missing", str(len(sound)), f">= {needed}", detail=" ".join(product.evidence.papers))
        )
    sent = {paper.kind for paper in papers if isinstance(paper, PaperFact)}
    reasons += [
        # A paper that could not be used is asked for again by the reason that says what is wrong with it.
        reason("paper_kind_missing", kind, ">= 1")
        for kind in _lacking(product, proofs)
        if needed and kind not in sent
    ]
    noted = {"name_shown_masked", "hospital_designated", "hospital_undesignated", "paper_of_excluded_hospital"}
    troubled = {judged.evidence_id for judged in reasons if judged.code not in noted}
    least = f">= {rules.paper_read_confidence_min:.2f}"
    for paper in (*sound, *proofs):
        if paper.evidence_id not in troubled:
            read = f"{_least_confidence(product, paper):.2f}"
            reasons.append(reason("paper_in_order", read, least, evidence_id=paper.evidence_id, detail=paper.kind))
    return reasons


def doubtful_fields(product: Product, paper: PaperFact, rules: Rules) -> frozenset[str]:
    """Return the names of fields that a person should look at: not read surely, missing, not accepted as read, perhaps
    read from the wrong place, or on one side of a failed check."""
    unsure = {field.name for field in paper.fields if not field.confidence >= rules.paper_read_confidence_min}
    sides = {name for check in paper.checks if not check.passed for name in _SIDES.get(check.name, ())}
    bad = {*_bad_dates(paper), *(_missing_amounts(product, paper) if paper.kind in product.evidence.papers else ())}
    doubted = {doubt.name for doubt in (*paper.doubts, *paper.places_in_doubt)}
    foreign = {name for name in ("total_minor",) if currency.judge(product, paper, rules) is not None}
    return frozenset(unsure | sides | bad | {*paper.missing_fields} | doubted | foreign)


# The fields that a check compares, to point at them.
_SIDES = {
    "items_sum_to_total": ("total_minor",),
    "capital_amount_equals_total": ("capital_total_minor", "total_minor"),
    "insurance_and_cash_equal_total": ("insurance_paid_minor", "account_paid_minor", "cash_paid_minor", "total_minor"),
    "net_and_tax_equal_total": ("net_minor", "tax_minor", "total_minor"),
    "price_less_discount_equals_total": ("price_minor", "discount_minor", "freight_minor", "total_minor"),
    "stay_days_match_dates": ("admitted_date", "discharged_date", "stay_days"),
    "date_is_plausible": ("date",),
    "code_matches_text": ("code", "number", "date"),
    "digits_look_untouched": ("total_minor",),
}


def _sound(product: Product, kinds: Iterable[str], papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    """Return the papers of these kinds that may be paid on, each once."""
    vouched = [paper for paper in papers if isinstance(paper, PaperFact) and _vouched_for(paper, rules)]
    return _once(product, kinds, vouched, rules)


def _once(product: Product, kinds: Iterable[str], papers: Papers, rules: Rules) -> tuple[PaperFact, ...]:
    wanted = frozenset(kinds)
    chosen: list[tuple[tuple[str, ...], PaperFact]] = []
    known: set[tuple[str, ...]] = set()
    read = (paper for paper in papers if isinstance(paper, PaperFact) and paper.kind in wanted)
    for paper in sorted(read, key=_surest_first):
        if not _problems(product, paper, rules):
            keys = _keys(paper)
            if not known.intersection(keys):
                chosen.append((_identity(paper), paper))
            known.update(keys)
    return tuple(paper for _, paper in sorted(chosen, key=lambda pair: (pair[0], _surest_first(pair[1]))))


def _may_be_set_aside(product: Product, paper: PaperFact | UnmeasuredPaper, rules: Rules) -> bool:
    return isinstance(paper, UnmeasuredPaper) or not standing.stays(product, paper, rules)


def _lacking(product: Product, proofs: Sequence[PaperFact]) -> list[str]:
    """Return the kinds that must come along, and have not."""
    return [kind for kind in product.evidence.supporting if kind not in {paper.kind for paper in proofs}]


def _unreadable(paper: UnmeasuredPaper) -> Reason:
    code = "paper_unreadable" if paper.retryable else "paper_unmeasured"
    return reason(code, paper.reason, evidence_id=paper.evidence_id, detail=paper.name)


def _problems(product: Product, paper: PaperFact, rules: Rules) -> list[Reason]:
    """Return why this paper cannot be paid on as it was read; a better picture or another paper would help."""
    no_bill = standing.judge(product, paper, rules)
    if no_bill is not None and (paper.kind in product.kinds or standing.stays(product, paper, rules)):
        return [no_bill]
    if paper.kind not in product.kinds:
        wanted = " ".join((*product.evidence.papers, *product.evidence.supporting))
        return [reason("paper_of_other_kind", paper.kind, wanted, evidence_id=paper.evidence_id, detail=paper.name)]
    problems = []
    abroad = currency.judge(product, paper, rules)
    if abroad is not None:
        problems.append(abroad)
    missing = sorted({*paper.missing_fields, *_missing_amounts(product, paper), *_bad_dates(paper)})
    if missing:
        problems.append(
            reason("paper_fields_missing", " ".join(missing), "all", evidence_id=paper.evidence_id, detail=paper.name)
        )
    unsure = _least_confidence(product, paper)
    if not unsure >= rules.paper_read_confidence_min:  # so that a NaN is unsure, too
        problems.append(
            reason(
                "paper_read_unsure",
                f"{unsure:.2f}",
                f">= {rules.paper_read_confidence_min:.2f}",
                evidence_id=paper.evidence_id,
                detail=paper.name,
            )
        )
    nearly = _nearly_listed(product, paper, rules)
    if nearly:
        why = f"hospital: {paper.value('hospital')} is nearly {nearly}, which the terms name"
        problems.append(reason("paper_doubtful", "hospital", "read surely", evidence_id=paper.evidence_id, detail=why))
    return problems


def _nearly_listed(product: Product, paper: PaperFact, rules: Rules) -> str:
    """Return the listed hospital that a bill's nearly is: taken for another one it would be paid by the wrong list."""
    _, terms = with_terms(product)
    if paper.kind not in product.evidence.papers or not isinstance(terms, HospitalTerms):
        return ""
    return near_miss(terms, paper, rules.hospital_name_edits_max)


def _missing_amounts(product: Product, paper: PaperFact) -> list[str]:
    if not formula_of(product).pays_on_papers or paper.kind not in product.evidence.papers:
        return []
    missing = [] if isinstance(amount_on(paper, "total_minor"), int) else ["total_minor"]
    return missing or ([traits_of(paper).state_paid] if isinstance(own_cost(paper), UnmeasuredFact) else [])


def _bad_dates(paper: PaperFact) -> list[str]:
    return [
        field.name
        for field in paper.fields
        if (field.name == "date" or field.name.endswith("_date"))
        and field.value
        and isinstance(_date(field.value), UnmeasuredFact)
    ]


def _least_confidence(product: Product, paper: PaperFact) -> float:
    """Return the reader's least confidence among the fields that this product judges by.

    Where the bill is paid: its money, the patient where one must be named, and what the formula reads of it. Where the
    paper only proves the event: its number and date; a parcel slip need not show any money.
    """
    if paper.kind not in product.evidence.papers:
        return min((field.confidence for field in paper.fields if field.name in _PROVES), default=0.0)
    formula, terms = with_terms(product)
    names: set[str] = (
        set() if formula.pays_on_papers else {"number", "tracking_number", "order_number", "company", "date"}
    )
    if product.evidence.patient_is_insured:
        names.add("patient")
    names.update(product.evidence.insured_is)
    if product.evidence.supporting:
        names.add("hospital")
    names.update(formula.fields_read(terms, paper))
    confidences = [field.confidence for field in paper.fields if field.name in names]
    return min([paper.read_confidence, *confidences]) if formula.pays_on_papers else min(confidences, default=0.0)


def _suspicions(policy: Policy, product: Product, paper: PaperFact, rules: Rules) -> list[Reason]:
    reasons = []
    if paper.number_claimed_before:
        # However unsure the reading: a misread number does not fall on another claim's by chance.
        reasons.append(
            reason(
                "paper_claimed_before",
                str(len(paper.number_claimed_before)),
                "0 other claims",
                evidence_id=paper.evidence_id,
                detail=" ".join(sorted(paper.number_claimed_before)),
            )
        )
    surely_read = _least_confidence(product, paper) >= rules.paper_read_confidence_min
    asked = [*(["patient"] if product.evidence.patient_is_insured else []), *product.evidence.insured_is]
    for name in dict.fromkeys(asked):
        shown = paper.value(name)
        if not shown or not surely_read:
            continue
        if not same_name(shown, policy.insured_name, rules):
            reasons.append(reason(_CODE_BY_PERSON[name], shown, policy.insured_name, evidence_id=paper.evidence_id))
        elif rules.name_mask_any_length and masked(shown, rules):
            reasons.append(reason("name_shown_masked", shown, evidence_id=paper.evidence_id, detail=name))
    return reasons


def _contradictions(insured: InsuredClaim, paper: PaperFact) -> list[Reason]:
    claim, policy, product = insured.claim, insured.policy, insured.product
    reasons = [_failed(check.name, check.detail, paper.evidence_id) for check in paper.checks if not check.passed]
    for name in traits_of(paper).within_cover:
        shown = _date(paper.value(name))
        if isinstance(shown, date):
            first = first_covered_day(policy, product)
            last = min(last_covered_day(policy, product), local_date(claim.submitted_at, product))
            if not first <= shown <= last:
                detail = "" if name == "date" else name
                span = f"{first} - {last}"
                reasons.append(
                    reason(
                        "paper_date_outside_cover",
                        shown.isoformat(),
                        span,
                        evidence_id=paper.evidence_id,
                        detail=detail,
                    )
                )
    return reasons


def _failed(check: str, detail: str, evidence_id: str) -> Reason:
    """Return the reason of a failed check. A check without a reason of its own is named, and a person looks."""
    code = CODE_BY_CHECK.get(check, _ANY_CHECK)
    if code != _ANY_CHECK:
        return reason(code, detail, "equal", evidence_id=evidence_id)
    return reason(_ANY_CHECK, check, "passed", evidence_id=evidence_id, detail=detail)


def _vouched(paper: PaperFact, rules: Rules) -> list[Reason]:
    """Return the reasons of a paper, a handwritten one for instance, that the reader does not vouch for: nothing is
    paid on it. Where a field was read badly a better picture is asked for, else a person looks. A failed check has a
    reason of its own."""
    if _vouched_for(paper, rules) or not all(check.passed for check in paper.checks):
        return []
    doubtful = {field.name for field in paper.fields if not field.confidence >= rules.paper_field_confidence_min}
    doubtful |= {doubt.name for doubt in paper.doubts}
    where, why = paper.evidence_id, paper.not_accepted_because
    if doubtful:
        return [reason("paper_doubtful", " ".join(sorted(doubtful)), "read surely", evidence_id=where, detail=why)]
    return [reason("paper_not_accepted", why, "accepted", evidence_id=where, detail=paper.name)]


def _vouched_for(paper: PaperFact, rules: Rules) -> bool:
    return paper.accepted or not rules.paper_accepted_required


def _again(paper: PaperFact, chosen: Sequence[PaperFact]) -> bool:
    """Return True if another picture of the same paper was chosen in its place."""
    return any(other is not paper and set(_keys(other)) & set(_keys(paper)) for other in chosen)


def _disagreements(product: Product, papers: Papers, rules: Rules) -> list[Reason]:
    """Refer two sure readings of one paper with different totals: one of the two pictures was changed or misread."""
    totals: dict[tuple[str, ...], set[str]] = {}
    for paper in papers:
        if isinstance(paper, PaperFact) and not _problems(product, paper, rules):
            for key in _keys(paper) if paper.identities else _numbered(paper):
                totals.setdefault(key, set()).add(paper.value("total_minor"))
    return [
        reason("papers_disagree", " / ".join(sorted(readings)), "equal", detail=" ".join(key))
        for key, readings in totals.items()
        if len(readings) > 1
    ]


def _numbered(paper: PaperFact) -> list[tuple[str, ...]]:
    """Return the key of a paper whose fact carries none, where its kind has a number."""
    return [_identity(paper)] if traits_of(paper).listed_by else []


def _keys(paper: PaperFact) -> list[tuple[str, ...]]:
    """Return the keys of a paper. Two pictures with any key in common show one paper."""
    return [(key,) for key in paper.identities] or [_identity(paper)]


def _identity(paper: PaperFact) -> tuple[str, ...]:
    """Return the number by which its kind is listed; for a receipt, which has none, shop, day and total."""
    number = paper.value(traits_of(paper).listed_by)
    if number:
        return (paper.kind, number)
    return (paper.kind, *(paper.value(name) for name in ("company", "hospital", "carrier", "date", "total_minor")))


def _surest_first(paper: PaperFact) -> tuple[float, str, str, str]:
    """Return a sort key, surest first. Ties go by what is on the page, never by the order in which pages came."""
    return (-paper.read_confidence, paper.evidence_id, paper.value("total_minor"), repr((paper.fields, paper.items)))


def _date(text: str) -> date | UnmeasuredFact:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return UnmeasuredFact(f"not an ISO date: {text!r}")

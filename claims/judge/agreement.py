"""Do the papers of one claim agree with each other: the bill with the diagnosis, the order with the slip, the vet's
bill with the pet's card?

A paper need only agree with one of several of the other kind: two stays have two diagnosis pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import PaperFact
from claims.judge.cover import local_date
from claims.names import same_name, same_text
from claims.paper_keys import normalised
from claims.paper_traits import is_medical_bill, is_order, is_stay
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

Same = Callable[[str, str, Rules], bool]


def _names(one: str, other: str, rules: Rules) -> bool:
    """Either paper may hide letters."""
    return same_name(one, other, rules) or same_name(other, one, rules)


def _texts(one: str, other: str, _: Rules) -> bool:
    return same_text(one, other)


def _numbers(one: str, other: str, _: Rules) -> bool:
    return normalised(one) == normalised(other)


def _is(kind: str) -> Callable[[PaperFact], bool]:
    return lambda paper: paper.kind == kind


# Papers, and the fields that both show and that must be the same.
Which = Callable[[PaperFact], bool]
_COMPARED: tuple[tuple[Which, Which, tuple[tuple[str, Same], ...]], ...] = (
    (is_medical_bill, _is("diagnosis_page"), (("patient", _names), ("hospital", _texts))),
    (_is("vet_invoice"), _is("pet_card"), (("pet_name", _texts), ("owner", _names))),
    (_is("return_slip"), is_order, (("order_number", _numbers),)),
)
# Dates in the order in which things happen, of one paper or of two.
_WITHIN = (("admitted_date", "discharged_date", "date"),)
_ACROSS: tuple[tuple[Which, str, Which, str], ...] = (
    (is_stay, "admitted_date", _is("diagnosis_page"), "date"),
    (is_order, "date", _is("return_slip"), "date"),
    (is_order, "date", _is("parcel_slip"), "date"),
    (_is("pet_card"), "birth_date", _is("vet_invoice"), "date"),
)


def judge(claim: Claim, product: Product, papers: Sequence[PaperFact], rules: Rules) -> list[Reason]:
    """`papers`: those that were read surely, each once."""
    ordered = sorted(papers, key=lambda one: (one.kind, one.evidence_id, one.identities))
    found = [one for paper in ordered for one in _with_itself(paper)]
    for compared, with_what, fields in _COMPARED:
        others = [one for one in ordered if with_what(one)]
        for paper in (one for one in ordered if compared(one) and others):
            differences = [_different(paper, other, fields, rules) for other in others]
            found += _fewest(differences)
    for comes_first, first, comes_last, last in _ACROSS:
        firsts = [one for one in ordered if comes_first(one)]
        for paper in (one for one in ordered if comes_last(one) and firsts):
            late = [_out_of_order(paper, one.value(first), paper.value(last), f"{first} {last}") for one in firsts]
            found += _fewest(late)
    found += [one for paper in ordered for one in _with_claim(claim, product, paper)]
    return found


def _fewest(found: list[list[Reason]]) -> list[Reason]:
    """What the paper that fits best says; the first of several."""
    return min(found, key=lambda reasons: len(reasons))


def _with_itself(paper: PaperFact) -> list[Reason]:
    return [
        one
        for names in _WITHIN
        for first, last in pairwise(name for name in names if paper.value(name))
        for one in _out_of_order(paper, paper.value(first), paper.value(last), f"{first} {last}")
        if is_stay(paper)
    ]


def _with_claim(claim: Claim, product: Product, paper: PaperFact) -> list[Reason]:
    """An order is made before the event, and is the one that the claimant states."""
    found = []
    shown = paper.value("order_number")
    if shown and claim.order_number and normalised(shown) != normalised(claim.order_number):
        found.append(reason("order_number_differs", shown, claim.order_number, evidence_id=paper.evidence_id))
    if is_order(paper):
        event = local_date(claim.occurred_at, product).isoformat()
        found += _out_of_order(paper, paper.value("date"), event, "date occurred_at")
    return found


def _different(paper: PaperFact, other: PaperFact, fields: tuple[tuple[str, Same], ...], rules: Rules) -> list[Reason]:
    """What both show, differently."""
    return [
        reason(
            "papers_contradict",
            f"{paper.value(name)} / {other.value(name)}",
            "equal",
            evidence_id=paper.evidence_id,
            detail=name,
        )
        for name, same in fields
        if paper.value(name) and other.value(name) and not same(paper.value(name), other.value(name), rules)
    ]


def _out_of_order(paper: PaperFact, first: str, last: str, names: str) -> list[Reason]:
    try:
        in_order = not first or not last or date.fromisoformat(first) <= date.fromisoformat(last)
    except ValueError:
        return []  # a date that is none is asked for again elsewhere
    if in_order:
        return []
    value = f"{first} / {last}"
    return [reason("paper_dates_out_of_order", value, "first <= second", evidence_id=paper.evidence_id, detail=names)]

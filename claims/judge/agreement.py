"""Judges if the papers of one claim agree with each other: the bill with the diagnosis, the order with the slip, the
vet's bill with the pet's card.

A paper need only agree with one of several of the other kind: two stays have two diagnosis pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import pairwise

from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import PaperFact
from claims.judge.cover import local_date
from claims.names import same_name, same_text
from claims.paper_keys import normalised
from claims.paper_meaning import traits_of
from claims.paper_traits import SameAs, SameField
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

Same = Callable[[str, str, Rules], bool]


def _names(first: str, second: str, rules: Rules) -> bool:
    """True if the names are the same; either paper may hide letters."""
    return same_name(first, second, rules) or same_name(second, first, rules)


def _texts(first: str, second: str, _: Rules) -> bool:
    return same_text(first, second)


def _numbers(first: str, second: str, _: Rules) -> bool:
    return normalised(first) == normalised(second)


_SAME: Mapping[SameAs, Same] = {"name": _names, "text": _texts, "number": _numbers}


def judge(claim: Claim, product: Product, papers: Sequence[PaperFact], rules: Rules) -> list[Reason]:
    """Return a reason for each mismatch. `papers`: those that were read surely, each once. The traits of their kinds
    say what is compared with what, and in which order things happen."""
    ordered = sorted(papers, key=lambda paper: (paper.kind, paper.evidence_id, paper.identities))
    reasons = [mismatch for paper in ordered for mismatch in _with_itself(paper)]
    for paper in ordered:
        for compared in traits_of(paper).compared:
            if others := _counting_as(compared.role, ordered, paper):
                reasons += _fewest([_different(paper, other, compared.fields, rules) for other in others])
        for rule in traits_of(paper).not_before:
            if others := _counting_as(rule.role, ordered, paper):
                names, last = f"{rule.its} {rule.date}", paper.value(rule.date)
                reasons += _fewest([_out_of_order(paper, other.value(rule.its), last, names) for other in others])
    reasons += [mismatch for paper in ordered for mismatch in _with_claim(claim, product, paper)]
    return reasons


def _counting_as(role: str, papers: Sequence[PaperFact], but: PaperFact) -> list[PaperFact]:
    return [paper for paper in papers if paper is not but and role in traits_of(paper).roles]


def _fewest(mismatches: list[list[Reason]]) -> list[Reason]:
    """Return the mismatches with the paper that fits best; the first of several."""
    return min(mismatches, key=lambda reasons: len(reasons))


def _with_itself(paper: PaperFact) -> list[Reason]:
    return [
        mismatch
        for first, last in pairwise(name for name in traits_of(paper).in_order if paper.value(name))
        for mismatch in _out_of_order(paper, paper.value(first), paper.value(last), f"{first} {last}")
    ]


def _with_claim(claim: Claim, product: Product, paper: PaperFact) -> list[Reason]:
    """Compare an order with the claim: it precedes the event, and is the order that the claimant states."""
    mismatches = []
    shown = paper.value("order_number")
    if shown and claim.order_number and normalised(shown) != normalised(claim.order_number):
        mismatches.append(reason("order_number_differs", shown, claim.order_number, evidence_id=paper.evidence_id))
    event = local_date(claim.occurred_at, product).isoformat()
    for name in traits_of(paper).before_event:
        mismatches += _out_of_order(paper, paper.value(name), event, f"{name} occurred_at")
    return mismatches


def _different(paper: PaperFact, other: PaperFact, fields: tuple[SameField, ...], rules: Rules) -> list[Reason]:
    """Return a reason for each field that both papers show with different values."""
    return [
        reason(
            "papers_contradict",
            f"{paper.value(same.field)} / {other.value(same.field)}",
            "equal",
            evidence_id=paper.evidence_id,
            detail=same.field,
        )
        for same in fields
        if paper.value(same.field)
        and other.value(same.field)
        and not _SAME[same.same_as](paper.value(same.field), other.value(same.field), rules)
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

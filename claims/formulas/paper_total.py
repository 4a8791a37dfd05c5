"""The formula `paper_total`: the bills' own cost by class of item and by hospital, with the limits and allowances by
the days of a stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claims import hospitals, stays
from claims.benefit import (
    Benefit,
    CostPart,
    Given,
    Lines,
    after_deductibles,
    amount_on,
    best_covered_first,
    claimable,
    cost_part,
    insurers_share,
    line,
    own_cost,
    reduced,
    within_limits,
)
from claims.benefit_lines import CLAIMED, LOSS, LineKind, Slot
from claims.decision import Reason
from claims.evidence import PaperFact, UnmeasuredFact
from claims.formulas.formula import Formula
from claims.hospitals import HOSPITALS_CLAUSE, HospitalTerms
from claims.money import Money
from claims.paper_meaning import traits_of
from claims.product import BasisPoints, ItemClass, Product
from claims.reasons import reason
from claims.stays import Stay

_CODE_BY_LISTING: Mapping[hospitals.HospitalListing, str] = {
    "designated": "hospital_designated",
    "undesignated": "hospital_undesignated",
    "excluded": "paper_of_excluded_hospital",
}


_NAME = (Slot("name", "name"),)
_BY_DAY = (Slot("days", "days"), Slot("per_day", "minor"))

PAPER_TOTAL = LineKind("paper_total", _NAME, beside="{name}")
INSURANCE_PAID = LineKind("insurance_paid", _NAME, beside="{name}")
HOSPITAL_EXCLUDED = LineKind("hospital_excluded", _NAME, beside="{name}")
DAYS_COUNTED = LineKind("days_counted", (Slot("days", "days"),), beside="{days}")
DAY_LIMIT = LineKind("day_limit", _BY_DAY)
ALLOWANCE = LineKind("allowance", _BY_DAY)


class PaperTotalTerms(HospitalTerms):
    """Terms of bills that are paid by class and hospital.

    undesignated_pays_basis_points: the shares at a hospital that is not on the list; None: the same share everywhere.
    rounds_once: fractions of a minor unit are dropped once a claim, or (False) once for each class of items.
    """

    undesignated_pays_basis_points: Mapping[ItemClass, BasisPoints] | None = None
    rounds_once: bool = False
    stay: Stay | None = None


def calculate(given: Given, terms: PaperTotalTerms) -> Benefit | UnmeasuredFact:
    product, lines = given.product, [line(CLAIMED, given.claim.amount)]
    read = _cost(given, terms)
    if isinstance(read, UnmeasuredFact):
        return read
    cost, shown = read
    days = 0 if terms.stay is None else stays.days(terms.stay, terms, given.cover, given.papers)
    if isinstance(days, UnmeasuredFact):
        return days
    loss, elsewhere = claimable(given, cost)
    lines += [*shown, *elsewhere]
    if terms.stay is not None:
        lines.append(line(DAYS_COUNTED, product.money(0), str(days)))
    left, deducted = after_deductibles(given, loss)
    due, borne = insurers_share(product, left, rounds_once=terms.rounds_once)
    lines += [*deducted, *borne]
    if terms.stay is not None:
        due, stayed = _by_days(product, terms.stay, due, days)
        lines += stayed
    limited = within_limits(given, due, beside_loss=terms.stay is not None)
    return Benefit(limited.due, (*lines, *limited.lines))


def check(product: Product, terms: PaperTotalTerms) -> None:
    """Raise ValueError if the shares by hospital do not fit each other or the terms' other parts."""
    elsewhere = terms.undesignated_pays_basis_points
    if not (terms.designated_hospitals or terms.excluded_hospitals or elsewhere):
        return
    if HOSPITALS_CLAUSE not in product.clauses:
        raise ValueError(f"clauses missing: {HOSPITALS_CLAUSE}")
    if (elsewhere is None) != (not terms.designated_hospitals):
        raise ValueError("designated_hospitals and undesignated_pays_basis_points come together")
    if elsewhere is None:
        return
    if set(elsewhere) != set(product.pays_basis_points):
        raise ValueError("undesignated_pays_basis_points names other item classes than pays_basis_points")
    higher = [name or '""' for name, share in elsewhere.items() if share > product.pays_basis_points[name]]
    if higher:
        raise ValueError(f"undesignated_pays_basis_points pay more than the list's for: {', '.join(higher)}")
    if not terms.rounds_once:
        raise ValueError("with two shares for one class, rounds_once: true")


def fields_read(terms: PaperTotalTerms, paper: PaperFact) -> frozenset[str]:
    names: set[str] = {"hospital"} if hospitals.matters(terms) else set()
    return frozenset(names if terms.stay is None else names.union(traits_of(paper).stay))


def notes(terms: PaperTotalTerms, papers: Sequence[PaperFact]) -> list[Reason]:
    """Return a reason for each bill that says on which list its hospital is; the benefit shows what follows."""
    if not hospitals.matters(terms):
        return []
    return [
        reason(
            _CODE_BY_LISTING[hospitals.listing(terms, paper)],
            paper.value("hospital"),
            evidence_id=paper.evidence_id,
        )
        for paper in papers
        if paper.value("hospital")
    ]


def ground_for_nothing(product: Product, terms: PaperTotalTerms, benefit: Benefit) -> Reason | None:
    """Return a ground if there are only bills of excluded hospitals, or no day of the stay is left."""
    lines = {row.label: row for row in benefit.lines}
    loss = lines[LOSS.label].amount.minor
    if loss == 0 and HOSPITAL_EXCLUDED.label in lines:
        clause = product.clauses[HOSPITALS_CLAUSE].number
        return reason("hospital_excluded", lines[HOSPITAL_EXCLUDED.label].detail, "not excluded", clause=clause)
    if terms.stay is not None and loss > 0 and lines[DAYS_COUNTED.label].detail == "0":
        clause = product.clauses["limit"].number
        return reason("days_exhausted", "0 days", f"<= {terms.stay.days_max} days", clause=clause)
    return None


def counts_days(terms: PaperTotalTerms) -> bool:
    return terms.stay is not None


def pays_beside_loss(terms: PaperTotalTerms) -> bool:
    """Return True if there is an allowance by the day, which comes beside the bill."""
    return terms.stay is not None and terms.stay.allowance_day_minor > 0


def _cost(given: Given, terms: PaperTotalTerms) -> tuple[tuple[CostPart, ...], Lines] | UnmeasuredFact:
    """Return the bills' own cost in parts, before the terms that concern the claim as a whole."""
    product = given.product
    if not given.papers:
        return UnmeasuredFact("no paper shows the amount")
    lines: Lines = []
    minor_by_share: dict[tuple[ItemClass, bool], int] = {}
    for paper in given.papers:
        total, own = amount_on(paper, "total_minor"), own_cost(paper)
        if isinstance(total, UnmeasuredFact):
            return total
        if isinstance(own, UnmeasuredFact):
            return own
        lines.append(line(PAPER_TOTAL, product.money(total), paper.name))
        if own < total:
            lines.append(line(INSURANCE_PAID, product.money(own - total), paper.name))
        listing = hospitals.listing(terms, paper)
        if listing == "excluded":
            lines.append(line(HOSPITAL_EXCLUDED, product.money(-own), paper.name))
            continue
        designated = listing == "designated"
        for part in reduced(_by_class(product, terms, paper, total, designated), total - own, best_covered_first):
            key = (part.item_class, designated)
            minor_by_share[key] = minor_by_share.get(key, 0) + part.minor
    parts = (_part(product, terms, *key, minor) for key, minor in minor_by_share.items())
    return tuple(parts), lines


def _by_class(
    product: Product, terms: PaperTotalTerms, paper: PaperFact, total: int, designated: bool
) -> tuple[CostPart, ...]:
    """Split the total by the classes of its items. Items past the total are cut and the least covered kept, so a wrong
    sum never pays more."""
    minor_by_class: dict[ItemClass, int] = {}
    for item in paper.items:
        known: ItemClass = next((name for name in product.pays_basis_points if name == item.item_class), "")
        minor_by_class[known] = minor_by_class.get(known, 0) + max(0, item.amount_minor)
    listed = sum(minor_by_class.values())
    minor_by_class[""] = minor_by_class.get("", 0) + max(0, total - listed)
    parts = tuple(_part(product, terms, name, designated, minor) for name, minor in minor_by_class.items())
    return reduced(parts, max(0, listed - total), best_covered_first)


def _part(product: Product, terms: PaperTotalTerms, item_class: ItemClass, designated: bool, minor: int) -> CostPart:
    lower = terms.undesignated_pays_basis_points
    rates = product.pays_basis_points if designated or lower is None else lower
    return cost_part(rates, item_class, minor, designated=designated)


def _by_days(product: Product, stay: Stay, due: Money, days: int) -> tuple[Money, Lines]:
    """Return the amount with the days' limit and allowance applied, and the lines that show it."""
    lines = []
    if stay.day_limit_minor is not None:
        ceiling = product.money(days * stay.day_limit_minor)
        if ceiling < due:
            lines.append(line(DAY_LIMIT, ceiling - due, f"{days} {stay.day_limit_minor}"))
            due = ceiling
    if days and stay.allowance_day_minor:
        allowance = product.money(days * stay.allowance_day_minor)
        lines.append(line(ALLOWANCE, allowance, f"{days} {stay.allowance_day_minor}"))
        due = due + allowance
    return due, lines


FORMULA = Formula(
    name="paper_total",
    terms=PaperTotalTerms,
    calculate=calculate,
    pays_on_papers=True,
    limited_to_insured_value=False,
    check=check,
    fields_read=fields_read,
    notes=notes,
    ground_for_nothing=ground_for_nothing,
    pays_beside_loss=pays_beside_loss,
    counts_days=counts_days,
    lines=(PAPER_TOTAL, INSURANCE_PAID, HOSPITAL_EXCLUDED, DAYS_COUNTED, DAY_LIMIT, ALLOWANCE),
)

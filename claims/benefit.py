"""The amount due, step by step, in whole minor units.

Never more than claimed, than the paper shows, than a limit, than what is left of the sum insured; never negative. Where
the terms leave the order open, it is the claimant's: a deductible is taken from what is covered least first. The state
insurance pays the best covered class first, so its part comes off there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from claims.claim import Claim
from claims.decision import BenefitLine
from claims.evidence import CoverFact, PaperFact, PaperKind, Unmeasured
from claims.money import Money, share
from claims.policy import Policy
from claims.product import ItemClass, Product


@dataclass(frozen=True, slots=True)
class Benefit:
    """`due` is what the contract owes on these facts. After the line `loss` every line is a deduction (<= 0), and they
    sum to `due`."""

    due: Money
    lines: tuple[BenefitLine, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the loss in one item class."""

    item_class: ItemClass
    rate: int  # basis points that the insurer pays
    minor: int


def calculate(
    claim: Claim, policy: Policy, product: Product, cover: CoverFact, papers: Sequence[PaperFact]
) -> Benefit | Unmeasured:
    """`papers`: those to pay on, readable and each once. Unmeasured when the terms pay on papers and none shows its
    amounts.

    Claim, policy, product and cover must be in one currency (`claims.judge.cover` sees to it).
    """
    lines = [_line("claimed", claim.amount)]
    if product.benefit == "stated_amount":
        loss, stated = _stated(claim, policy, product)
        lines += stated
    else:
        read = _from_papers(claim, product, papers)
        if isinstance(read, Unmeasured):
            return read
        loss, shown = read
        lines += shown
    total = product.money(sum(part.minor for part in loss))
    lines.append(_line("loss", total))

    after_deductible = _reduce(loss, product.deductible_minor, _least_covered_first)
    borne = sum(part.minor for part in after_deductible) - total.minor
    if borne:
        lines.append(_line("deductible", product.money(borne)))

    due = product.money(0)
    for part in after_deductible:
        paid = share(product.money(part.minor), part.rate)
        due = due + paid
        if paid.minor != part.minor:
            # "own 0%": the class and the insurer's share, for the line's text
            lines.append(
                _line("co_pay", product.money(paid.minor - part.minor), f"{part.item_class or '-'} {part.rate}")
            )

    ceilings = (("per_claim_limit", product.per_claim_max), ("limit_left", limit_left(policy, cover)))
    for label, ceiling in ceilings:
        if ceiling < due:
            lines.append(_line(label, ceiling - due, str(ceiling.minor)))
            due = ceiling
    lines.append(_line("due", due))
    return Benefit(due, tuple(lines))


def limit_left(policy: Policy, cover: CoverFact) -> Money:
    """What is left of the sum insured, never below zero."""
    return Money(max(0, policy.sum_insured.minor - max(0, cover.paid_to_date_minor)), policy.sum_insured.currency)


def amount_on(paper: PaperFact, field: str) -> int | Unmeasured:
    """Minor units of a money field, as read. A negative or malformed amount is not a measurement."""
    text = paper.value(field)
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    return Unmeasured(f"{paper.name}: {field} reads {text!r}")


def own_cost(paper: PaperFact) -> int | Unmeasured:
    """The part of the bill that the state insurance did not pay, minor units.

    A receipt knows no state insurance. An invoice must show its part, or the cash paid: a part that nobody read is not
    zero.
    """
    total = amount_on(paper, "total_minor")
    if isinstance(total, Unmeasured) or paper.kind != PaperKind.OUTPATIENT_INVOICE:
        return total
    insured = amount_on(paper, "insurance_paid_minor")
    if isinstance(insured, int):
        return max(0, total - insured)
    cash = amount_on(paper, "cash_paid_minor")
    return min(total, cash) if isinstance(cash, int) else insured


def _stated(claim: Claim, policy: Policy, product: Product) -> tuple[tuple[_Part, ...], list[BenefitLine]]:
    lines = []
    minor = max(0, claim.amount.minor)
    if policy.insured_value.minor < minor:
        minor = max(0, policy.insured_value.minor)
        lines.append(_line("insured_value", policy.insured_value))
    return (_part(product, "", minor),), lines


def _from_papers(
    claim: Claim, product: Product, papers: Sequence[PaperFact]
) -> tuple[tuple[_Part, ...], list[BenefitLine]] | Unmeasured:
    if not papers:
        return Unmeasured("no paper shows the amount")
    lines: list[BenefitLine] = []
    minor_by_class: dict[ItemClass, int] = {}
    for paper in papers:
        total, own = amount_on(paper, "total_minor"), own_cost(paper)
        if isinstance(total, Unmeasured):
            return total
        if isinstance(own, Unmeasured):
            return own
        lines.append(_line("paper_total", product.money(total), paper.name))
        if own < total:
            lines.append(_line("insurance_paid", product.money(own - total), paper.name))
        for part in _reduce(_by_class(paper, product, total), total - own, _best_covered_first):
            minor_by_class[part.item_class] = minor_by_class.get(part.item_class, 0) + part.minor
    parts = tuple(_part(product, item_class, minor) for item_class, minor in minor_by_class.items())
    shown = sum(part.minor for part in parts)
    return _reduce(parts, max(0, shown - max(0, claim.amount.minor)), _least_covered_first), lines


def _by_class(paper: PaperFact, product: Product, total: int) -> tuple[_Part, ...]:
    """The total split by the classes of its items. Items past the total are cut, least covered kept: a bad sum never
    pays more."""
    minor_by_class: dict[ItemClass, int] = {}
    for item in paper.items:
        known: ItemClass = next((name for name in product.pays_basis_points if name == item.item_class), "")
        minor_by_class[known] = minor_by_class.get(known, 0) + max(0, item.amount_minor)
    listed = sum(minor_by_class.values())
    minor_by_class[""] = minor_by_class.get("", 0) + max(0, total - listed)
    parts = tuple(_part(product, item_class, minor) for item_class, minor in minor_by_class.items())
    return _reduce(parts, max(0, listed - total), _best_covered_first)


def _part(product: Product, item_class: ItemClass, minor: int) -> _Part:
    return _Part(item_class, product.pays_basis_points.get(item_class, product.pays_basis_points[""]), minor)


def _least_covered_first(parts: Iterable[_Part]) -> list[_Part]:
    return sorted(parts, key=lambda part: (part.rate, part.item_class))


def _best_covered_first(parts: Iterable[_Part]) -> list[_Part]:
    return sorted(parts, key=lambda part: (-part.rate, part.item_class))


def _reduce(
    parts: Sequence[_Part], by_minor: int, order: Callable[[Iterable[_Part]], list[_Part]]
) -> tuple[_Part, ...]:
    """Takes `by_minor` off the parts in that order, as far as they reach; in the same order of classes whatever the
    order of taking."""
    left, reduced = by_minor, []
    for part in order(parts):
        taken = min(left, part.minor)
        left -= taken
        reduced.append(_Part(part.item_class, part.rate, part.minor - taken))
    return tuple(_best_covered_first(reduced))


def _line(label: str, amount: Money, detail: str = "") -> BenefitLine:
    return BenefitLine(label, amount, detail)

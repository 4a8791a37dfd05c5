"""The formula `stated_amount`: what the claimant states, up to the insured value, the order's price and what is left of
the order."""

from __future__ import annotations

from claims.benefit import (
    Benefit,
    CostPart,
    Given,
    Lines,
    after_deductibles,
    amount_on,
    claimable,
    cost_part,
    insurers_share,
    line,
    within_limits,
)
from claims.benefit_lines import CLAIMED, LineKind, Slot
from claims.formulas.formula import Formula, NoTerms
from claims.orders import order_left
from claims.paper_meaning import traits_of

INSURED_VALUE = LineKind("insured_value")
ORDER_PRICE = LineKind("order_price", (Slot("name", "name"),), beside="{name}")
ORDER_PAID = LineKind("order_paid")


def calculate(given: Given, _terms: NoTerms) -> Benefit:
    cost, stated = _cost(given)
    loss, elsewhere = claimable(given, (cost,))
    left, deducted = after_deductibles(given, loss)
    due, borne = insurers_share(given.product, left)
    limited = within_limits(given, due)
    lines = (line(CLAIMED, given.claim.amount), *stated, *elsewhere, *deducted, *borne, *limited.lines)
    return Benefit(limited.due, lines)


def _cost(given: Given) -> tuple[CostPart, Lines]:
    lines, policy, product = [], given.policy, given.product
    minor = max(0, given.claim.amount.minor)
    if policy.insured_value.minor < minor:
        minor = max(0, policy.insured_value.minor)
        lines.append(line(INSURED_VALUE, policy.insured_value))
    paid = [amount for paper in given.prices if isinstance(amount := amount_on(paper, traits_of(paper).price), int)]
    if paid and sum(paid) < minor:
        minor = sum(paid)
        lines.append(line(ORDER_PRICE, product.money(minor), " ".join(paper.name for paper in given.prices)))
    left = order_left(policy, product, given.repeats.order_paid_minor, given.repeats.order_price_minor)
    if given.repeats.order_paid_minor and left is not None and left.minor < minor:
        minor = left.minor
        lines.append(line(ORDER_PAID, left))
    return cost_part(product.pays_basis_points, "", minor), lines


FORMULA = Formula(
    name="stated_amount",
    terms=NoTerms,
    calculate=calculate,
    pays_on_papers=False,
    limited_to_insured_value=True,
    lines=(INSURED_VALUE, ORDER_PRICE, ORDER_PAID),
)

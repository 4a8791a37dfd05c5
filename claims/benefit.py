"""The amount due, step by step, in whole minor units: the steps that the formulas of `claims.formulas` share.

Never more than claimed, than the papers show, than a limit, than what is left of the sum insured; never negative;
together with what the state and other insurers paid never more than the cost. Where the terms leave the order open, it
is the claimant's: a deductible, and what another insurer paid, are taken from what is covered least first. The state
insurance pays the best covered class first, so its part comes off there.

    own cost = bills - state insurance - excluded hospitals - other insurance, at most what is claimed
    due      = share(own cost - deductibles) cut to days x day limit, + days x allowance, cut to the limits
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from claims.benefit_lines import (
    CLAIMED_LIMIT,
    CO_PAY,
    DEDUCTIBLE,
    DEDUCTIBLE_COVER,
    DUE,
    LIMIT_LEFT,
    LOSS,
    OTHER_INSURANCE,
    PER_CLAIM_LIMIT,
    LineKind,
)
from claims.claim import Claim
from claims.decision import BenefitLine
from claims.evidence import CoverFact, PaperFact, RepeatFact, UnmeasuredFact
from claims.insured_claim import InsuredClaim
from claims.money import Money, share
from claims.paper_meaning import traits_of
from claims.policy import Policy
from claims.product import ItemClass, Product

Lines = list[BenefitLine]


@dataclass(frozen=True, slots=True)
class Given:
    """Input of a formula. Claim, policy, product and cover are in one currency (`claims.judge.cover` checks it).

    papers: those to pay on, readable and each once. prices: orders that show what was paid for the goods; no more than
    that can be lost. repeats: what other claims were paid for the order.
    """

    insured: InsuredClaim
    cover: CoverFact
    papers: Sequence[PaperFact]
    prices: Sequence[PaperFact] = ()
    repeats: RepeatFact = RepeatFact()  # noqa: RUF009  (immutable)

    @property
    def claim(self) -> Claim:
        return self.insured.claim

    @property
    def policy(self) -> Policy:
        return self.insured.policy

    @property
    def product(self) -> Product:
        return self.insured.product


@dataclass(frozen=True, slots=True)
class Benefit:
    """`due` is what the contract owes on these facts. After the line `loss` every line but `allowance` is a deduction
    (< 0), and they sum to `due`."""

    due: Money
    lines: tuple[BenefitLine, ...]


@dataclass(frozen=True, slots=True)
class CostPart:
    """A part of the loss in one item class, paid at one share. rate: basis points that the insurer pays."""

    item_class: ItemClass
    rate: int
    minor: int
    designated: bool = True


def limit_left(policy: Policy, cover: CoverFact) -> Money:
    """Return what is left of the sum insured, never below zero."""
    return Money(max(0, policy.sum_insured.minor - max(0, cover.paid_to_date_minor)), policy.sum_insured.currency)


def cover_deductible_left(product: Product, cover: CoverFact) -> int:
    """Return what the claimant must still bear in this cover before anything is due, minor units."""
    return max(0, product.deductible_cover_minor - max(0, cover.deductible_borne_minor))


def amount_on(paper: PaperFact, field: str) -> int | UnmeasuredFact:
    """Return a money field as read, in minor units. A negative or malformed amount is not a measurement."""
    text = paper.value(field)
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    return UnmeasuredFact(f"{paper.name}: {field} reads {text!r}")


def own_cost(paper: PaperFact) -> int | UnmeasuredFact:
    """Return the part of the bill that the state insurance did not pay, minor units.

    For a kind with no field for the state insurance's part, that is the total. A kind that can show this part must show
    it, or the cash paid: a part that was not read is not zero. What was paid from the patient's own account with the
    state insurance is own cost.
    """
    total = amount_on(paper, "total_minor")
    traits = traits_of(paper)
    if isinstance(total, UnmeasuredFact) or not traits.state_paid:
        return total
    insured = amount_on(paper, traits.state_paid)
    if isinstance(insured, int):
        return max(0, total - insured)
    cash = amount_on(paper, traits.cash_paid) if traits.cash_paid else insured
    return min(total, cash) if isinstance(cash, int) else insured


def line(kind: LineKind, amount: Money, detail: str = "") -> BenefitLine:
    """Return one row of the calculation. detail: the parts that the kind's slots are filled from."""
    return BenefitLine(kind.label, amount, detail)


def cost_part(
    rates: Mapping[ItemClass, int], item_class: ItemClass, minor: int, *, designated: bool = True
) -> CostPart:
    """Return a part at the share of its class, or at the share for no class."""
    return CostPart(item_class, rates.get(item_class, rates[""]), minor, designated)


def claimable(given: Given, cost: Sequence[CostPart]) -> tuple[tuple[CostPart, ...], Lines]:
    """Return what is left of the cost after another insurer's payment, at most what is asked for."""
    claim, lines = given.claim, []
    left = reduced(cost, max(0, claim.other_insurance_minor), least_covered_first)
    if taken := total_minor(left) - total_minor(cost):
        lines.append(line(OTHER_INSURANCE, given.product.money(taken)))
    return reduced(left, max(0, total_minor(left) - max(0, claim.amount.minor)), least_covered_first), lines


def after_deductibles(given: Given, loss: tuple[CostPart, ...]) -> tuple[tuple[CostPart, ...], Lines]:
    """Return the line `loss`, and what is left of the loss after the deductibles of the claim and of the cover."""
    product = given.product
    lines = [line(LOSS, product.money(total_minor(loss)))]
    for kind, minor in (
        (DEDUCTIBLE, product.deductible_minor),
        (DEDUCTIBLE_COVER, cover_deductible_left(product, given.cover)),
    ):
        left = reduced(loss, minor, least_covered_first)
        if borne := total_minor(left) - total_minor(loss):
            lines.append(line(kind, product.money(borne)))
        loss = left
    return loss, lines


def insurers_share(product: Product, loss: Sequence[CostPart], *, rounds_once: bool = False) -> tuple[Money, Lines]:
    """Return the insurer's share of each part, and a line for what the claimant bears of it. Fractions of a minor unit
    are dropped once for each part, or once for all of them."""
    lines, paid, exact = [], 0, 0
    for part in loss:
        if rounds_once:
            exact += part.minor * part.rate
            minor = exact // 10_000 - paid
        else:
            minor = share(product.money(part.minor), part.rate).minor
        paid += minor
        if minor != part.minor:
            # "own 0": the class and the insurer's share
            detail = f"{part.item_class or '-'} {part.rate}" + ("" if part.designated else " undesignated")
            lines.append(line(CO_PAY, product.money(minor - part.minor), detail))
    return product.money(paid), lines


def within_limits(given: Given, due: Money, *, beside_loss: bool = False) -> Benefit:
    """Cut `due` to what one claim may be paid and to what is left of the sum insured, and add the last lines.

    beside_loss: `due` includes something on top of the loss, and is still cut to what is asked for.
    """
    ceilings = [(PER_CLAIM_LIMIT, given.product.per_claim_max), (LIMIT_LEFT, limit_left(given.policy, given.cover))]
    if beside_loss:
        ceilings.append((CLAIMED_LIMIT, given.product.money(max(0, given.claim.amount.minor))))
    lines = []
    for kind, ceiling in ceilings:
        if ceiling < due:
            lines.append(line(kind, ceiling - due, str(ceiling.minor)))
            due = ceiling
    return Benefit(due, (*lines, line(DUE, due)))


def least_covered_first(parts: Iterable[CostPart]) -> list[CostPart]:
    return sorted(parts, key=lambda part: (part.rate, part.item_class, part.designated))


def best_covered_first(parts: Iterable[CostPart]) -> list[CostPart]:
    return sorted(parts, key=lambda part: (-part.rate, part.item_class, part.designated))


def reduced(
    parts: Sequence[CostPart], by_minor: int, order: Callable[[Iterable[CostPart]], list[CostPart]]
) -> tuple[CostPart, ...]:
    """Take `by_minor` off the parts in the given order, as far as they reach; the result keeps the order of classes."""
    left, kept = by_minor, []
    for part in order(parts):
        taken = min(left, part.minor)
        left -= taken
        kept.append(replace(part, minor=part.minor - taken))
    return tuple(best_covered_first(kept))


def total_minor(parts: Iterable[CostPart]) -> int:
    return sum(part.minor for part in parts)

"""The amount due, step by step, in whole minor units.

Never more than claimed, than the papers show, than a limit, than what is left of the sum insured; never negative;
together with what the state and other insurers paid never more than the cost. Where the terms leave the order open, it
is the claimant's: a deductible, and what another insurer paid, are taken from what is covered least first. The state
insurance pays the best covered class first, so its part comes off there.

    own cost = bills - state insurance - excluded hospitals - other insurance, at most what is claimed
    due      = share(own cost - deductibles) cut to days x day limit, + days x allowance, cut to the limits
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from claims import hospitals, stays
from claims.claim import Claim
from claims.decision import BenefitLine
from claims.evidence import CoverFact, PaperFact, RepeatFact, Unmeasured
from claims.money import Money, share
from claims.orders import order_left
from claims.paper_meaning import traits_of
from claims.policy import Policy
from claims.product import ItemClass, Product


@dataclass(frozen=True, slots=True)
class Benefit:
    """`due` is what the contract owes on these facts. After the line `loss` every line but `allowance` is a deduction
    (< 0), and they sum to `due`."""

    due: Money
    lines: tuple[BenefitLine, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the loss in one item class, at one share."""

    item_class: ItemClass
    rate: int  # basis points that the insurer pays
    minor: int
    designated: bool = True


def calculate(
    claim: Claim,
    policy: Policy,
    product: Product,
    cover: CoverFact,
    papers: Sequence[PaperFact],
    *,
    prices: Sequence[PaperFact] = (),
    repeats: RepeatFact = RepeatFact(),  # noqa: B008  (immutable)
) -> Benefit | Unmeasured:
    """`papers`: those to pay on, readable and each once. `prices`: orders that show what was paid for the goods; no
    more is lost than that. `repeats`: what other claims were paid for the order. Unmeasured when the terms pay on
    papers and none shows its amounts, or the days of a stay where they count.

    Claim, policy, product and cover must be in one currency (`claims.judge.cover` sees to it).
    """
    lines = [_line("claimed", claim.amount)]
    days = 0
    if product.benefit == "stated_amount":
        cost, stated = _stated(claim, policy, product, prices, repeats)
        lines += stated
    else:
        read = _from_papers(product, papers)
        if isinstance(read, Unmeasured):
            return read
        cost, shown = read
        lines += shown
        counted = stays.days(product, cover, papers)
        if isinstance(counted, Unmeasured):
            return counted
        days = counted
    loss, elsewhere = _claimable(claim, product, cost)
    lines += elsewhere
    if product.stay is not None:
        lines.append(_line("days_counted", product.money(0), str(days)))
    total = _sum(loss)
    lines.append(_line("loss", product.money(total)))

    for label, minor in (
        ("deductible", product.deductible_minor),
        ("deductible_cover", cover_deductible_left(product, cover)),
    ):
        reduced = _reduce(loss, minor, _least_covered_first)
        if borne := _sum(reduced) - _sum(loss):
            lines.append(_line(label, product.money(borne)))
        loss = reduced

    paid, shares = _shared(product, loss)
    lines += shares
    due = product.money(paid)
    if product.stay is not None:
        due, stayed = _by_days(product, due, days)
        lines += stayed
    ceilings = [("per_claim_limit", product.per_claim_max), ("limit_left", limit_left(policy, cover))]
    if product.stay is not None:  # an allowance comes on top of the cost, and still not on top of what is asked for
        ceilings.append(("claimed_limit", product.money(max(0, claim.amount.minor))))
    for label, ceiling in ceilings:
        if ceiling < due:
            lines.append(_line(label, ceiling - due, str(ceiling.minor)))
            due = ceiling
    lines.append(_line("due", due))
    return Benefit(due, tuple(lines))


def limit_left(policy: Policy, cover: CoverFact) -> Money:
    """What is left of the sum insured, never below zero."""
    return Money(max(0, policy.sum_insured.minor - max(0, cover.paid_to_date_minor)), policy.sum_insured.currency)


def cover_deductible_left(product: Product, cover: CoverFact) -> int:
    """What the claimant must still bear in this cover before anything is due, minor units."""
    return max(0, product.deductible_cover_minor - max(0, cover.deductible_borne_minor))


def amount_on(paper: PaperFact, field: str) -> int | Unmeasured:
    """Minor units of a money field, as read. A negative or malformed amount is not a measurement."""
    text = paper.value(field)
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    return Unmeasured(f"{paper.name}: {field} reads {text!r}")


def own_cost(paper: PaperFact) -> int | Unmeasured:
    """The part of the bill that the state insurance did not pay, minor units.

    A kind without a field for what the state insurance paid knows none. One that can show its part must show it, or
    the cash paid: a part that nobody read is not zero. What was paid from the patient's own account with the state
    insurance is own cost.
    """
    total = amount_on(paper, "total_minor")
    traits = traits_of(paper)
    if isinstance(total, Unmeasured) or not traits.state_paid:
        return total
    insured = amount_on(paper, traits.state_paid)
    if isinstance(insured, int):
        return max(0, total - insured)
    cash = amount_on(paper, traits.cash_paid) if traits.cash_paid else insured
    return min(total, cash) if isinstance(cash, int) else insured


def _stated(
    claim: Claim, policy: Policy, product: Product, prices: Sequence[PaperFact], repeats: RepeatFact
) -> tuple[tuple[_Part, ...], list[BenefitLine]]:
    lines = []
    minor = max(0, claim.amount.minor)
    if policy.insured_value.minor < minor:
        minor = max(0, policy.insured_value.minor)
        lines.append(_line("insured_value", policy.insured_value))
    paid = [amount for paper in prices if isinstance(amount := amount_on(paper, traits_of(paper).price), int)]
    if paid and sum(paid) < minor:
        minor = sum(paid)
        lines.append(_line("order_price", product.money(minor), " ".join(one.name for one in prices)))
    left = order_left(policy, product, repeats.order_paid_minor, repeats.order_price_minor)
    if repeats.order_paid_minor and left is not None and left.minor < minor:
        minor = left.minor
        lines.append(_line("order_paid", left))
    return (_part(product, "", minor),), lines


def _from_papers(
    product: Product, papers: Sequence[PaperFact]
) -> tuple[tuple[_Part, ...], list[BenefitLine]] | Unmeasured:
    """The bills' own cost in parts, before anything that is said of the claim as a whole."""
    if not papers:
        return Unmeasured("no paper shows the amount")
    lines: list[BenefitLine] = []
    minor_by_share: dict[tuple[ItemClass, bool], int] = {}
    for paper in papers:
        total, own = amount_on(paper, "total_minor"), own_cost(paper)
        if isinstance(total, Unmeasured):
            return total
        if isinstance(own, Unmeasured):
            return own
        lines.append(_line("paper_total", product.money(total), paper.name))
        if own < total:
            lines.append(_line("insurance_paid", product.money(own - total), paper.name))
        standing = hospitals.standing(product, paper)
        if standing == "excluded":
            lines.append(_line("hospital_excluded", product.money(-own), paper.name))
            continue
        designated = standing == "designated"
        for part in _reduce(_by_class(paper, product, total, designated), total - own, _best_covered_first):
            key = (part.item_class, designated)
            minor_by_share[key] = minor_by_share.get(key, 0) + part.minor
    return tuple(_part(product, key[0], minor, key[1]) for key, minor in minor_by_share.items()), lines


def _claimable(claim: Claim, product: Product, cost: tuple[_Part, ...]) -> tuple[tuple[_Part, ...], list[BenefitLine]]:
    """What is left of the cost after another insurer's payment, at most what is asked for."""
    lines = []
    left = _reduce(cost, max(0, claim.other_insurance_minor), _least_covered_first)
    if taken := _sum(left) - _sum(cost):
        lines.append(_line("other_insurance", product.money(taken)))
    return _reduce(left, max(0, _sum(left) - max(0, claim.amount.minor)), _least_covered_first), lines


def _shared(product: Product, loss: tuple[_Part, ...]) -> tuple[int, list[BenefitLine]]:
    """The insurer's share of each part, and a line for what the claimant bears of it."""
    lines, paid, exact = [], 0, 0
    for part in loss:
        if product.rounds_once:
            exact += part.minor * part.rate
            minor = exact // 10_000 - paid
        else:
            minor = share(product.money(part.minor), part.rate).minor
        paid += minor
        if minor != part.minor:
            # "own 0": the class and the insurer's share, for the line's text
            detail = f"{part.item_class or '-'} {part.rate}" + ("" if part.designated else " undesignated")
            lines.append(_line("co_pay", product.money(minor - part.minor), detail))
    return paid, lines


def _by_days(product: Product, due: Money, days: int) -> tuple[Money, list[BenefitLine]]:
    """What the days of the stay cut, and what they add."""
    assert product.stay is not None
    lines = []
    if product.stay.day_limit_minor is not None:
        ceiling = product.money(days * product.stay.day_limit_minor)
        if ceiling < due:
            lines.append(_line("day_limit", ceiling - due, f"{days} {product.stay.day_limit_minor}"))
            due = ceiling
    if days and product.stay.allowance_day_minor:
        allowance = product.money(days * product.stay.allowance_day_minor)
        lines.append(_line("allowance", allowance, f"{days} {product.stay.allowance_day_minor}"))
        due = due + allowance
    return due, lines


def _by_class(paper: PaperFact, product: Product, total: int, designated: bool) -> tuple[_Part, ...]:
    """The total split by the classes of its items. Items past the total are cut, least covered kept: a bad sum never
    pays more."""
    minor_by_class: dict[ItemClass, int] = {}
    for item in paper.items:
        known: ItemClass = next((name for name in product.pays_basis_points if name == item.item_class), "")
        minor_by_class[known] = minor_by_class.get(known, 0) + max(0, item.amount_minor)
    listed = sum(minor_by_class.values())
    minor_by_class[""] = minor_by_class.get("", 0) + max(0, total - listed)
    parts = tuple(_part(product, item_class, minor, designated) for item_class, minor in minor_by_class.items())
    return _reduce(parts, max(0, listed - total), _best_covered_first)


def _part(product: Product, item_class: ItemClass, minor: int, designated: bool = True) -> _Part:
    lower = product.undesignated_pays_basis_points
    rates = product.pays_basis_points if designated or lower is None else lower
    return _Part(item_class, rates.get(item_class, rates[""]), minor, designated)


def _least_covered_first(parts: Iterable[_Part]) -> list[_Part]:
    return sorted(parts, key=lambda part: (part.rate, part.item_class, part.designated))


def _best_covered_first(parts: Iterable[_Part]) -> list[_Part]:
    return sorted(parts, key=lambda part: (-part.rate, part.item_class, part.designated))


def _reduce(
    parts: Sequence[_Part], by_minor: int, order: Callable[[Iterable[_Part]], list[_Part]]
) -> tuple[_Part, ...]:
    """Takes `by_minor` off the parts in that order, as far as they reach; in the same order of classes whatever the
    order of taking."""
    left, reduced = by_minor, []
    for part in order(parts):
        taken = min(left, part.minor)
        left -= taken
        reduced.append(_Part(part.item_class, part.rate, part.minor - taken, part.designated))
    return tuple(_best_covered_first(reduced))


def _sum(parts: Iterable[_Part]) -> int:
    return sum(part.minor for part in parts)


def _line(label: str, amount: Money, detail: str = "") -> BenefitLine:
    return BenefitLine(label, amount, detail)

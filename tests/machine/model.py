"""A model of the claims sent and the most that may be paid for them, independent of the product's own checks.

Every violation has a code, by which a planted fault is detected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

SAME_EVENT_HOURS: Final = 48  # `claims.rules`: so far apart two claims under one cover may be about one event
OTHER_ORDER_MINUTES: Final = 1  # and so far, where both name orders, and different ones (docs/decisions/0015)
LATE_MINUTES: Final = 60  # a cover recorded so long after the event, or later, is never paid by itself
PER_CLAIM_MAX_MINOR: Final = {"fresh_food_rot": 50_000, "outpatient_medical": 500_000}
SEVERAL_AN_EVENT: Final = frozenset({"outpatient_medical"})  # an illness has several bills


class Violation(AssertionError):
    """A broken invariant. `steps`: the actions that led to it, in words."""

    def __init__(self, code: str, words: str, steps: Sequence[str] = ()) -> None:
        lines = "".join(f"\n  {number}. {step}" for number, step in enumerate(steps, 1))
        super().__init__(f"{code}: {words}{lines}")
        self.code = code
        self.words = words
        self.steps = tuple(steps)


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    device: str
    account: str
    address: str


@dataclass
class Cover:
    """An insurance cover. recorded_at: time of its last change of terms. changes: number of such changes."""

    id: str
    owner: Person
    product: str
    recorded_at: datetime
    sum_minor: int
    value_minor: int
    changes: int = 0


@dataclass
class Filed:
    """A claim as it was sent. things: the pictures and bills that its files show, with True if the file is a changed
    copy. order: normalised by hand; "" if the claim names none."""

    id: str
    number: int
    owner: Person
    cover: Cover
    minor: int
    occurred_at: datetime
    order: str
    things: set[tuple[str, bool]]
    erased: bool = False
    resent: int = 0

    def __str__(self) -> str:
        return f"claim {self.number}"


@dataclass(frozen=True, slots=True)
class PayoutOrigin:
    """The origin of a payout: by a person or by the rules, True if the person acknowledged other payments, the
    things that the claim showed then, and the time of its cover's last change of terms.
    """

    by_person: bool
    knowing: bool
    things: frozenset[tuple[str, bool]]
    cover_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Back:
    """A claim's recoveries. asked_minor: owed or returned, less what was written off. come_minor: returned, by
    payment or by offset against another claim's money. given_up_minor: written off.
    """

    asked_minor: int = 0
    come_minor: int = 0
    given_up_minor: int = 0


@dataclass
class Model:
    """The expected state. claims: by id, in the order in which they were filed. origins: by payout."""

    covers: list[Cover] = field(default_factory=list)
    claims: dict[str, Filed] = field(default_factory=dict)
    origins: dict[str, PayoutOrigin] = field(default_factory=dict)

    def promised(self, payout: str, claim_id: str, *, by_person: bool, knowing: bool) -> None:
        """Notes a payout's origin; the first one noted stays."""
        claim = self.claims[claim_id]
        origin = PayoutOrigin(by_person, knowing, frozenset(claim.things), claim.cover.recorded_at)
        self.origins.setdefault(payout, origin)

    def check_money(
        self, paid: Iterable[tuple[str, str, int]], back: Mapping[str, Back] = MappingProxyType({})
    ) -> list[tuple[str, str]]:
        """Returns code and words of every broken rule. paid: (payout, claim, minor units) by the bank's book, and
        offsets that replaced payments, in the order in which they were promised. back: recoveries by claim.
        """
        rows = [(payout, self.claims[claim], minor) for payout, claim, minor in paid]
        violations: list[tuple[str, str]] = []
        by_claim: dict[str, int] = defaultdict(int)
        for _, claim, minor in rows:
            by_claim[claim.id] += minor
        net = {claim_id: minor - back.get(claim_id, Back()).asked_minor for claim_id, minor in by_claim.items()}
        for claim_id, total in net.items():
            claim = self.claims[claim_id]
            most = min(claim.minor, PER_CLAIM_MAX_MINOR[claim.cover.product])
            if claim.cover.product not in SEVERAL_AN_EVENT:
                most = min(most, claim.cover.value_minor)
            if total > most:
                violations.append(("claim_overpaid", f"{claim} was paid {total}, at most {most} was due"))
        violations += self._covers(
            {claim_id: minor - back.get(claim_id, Back()).come_minor for claim_id, minor in by_claim.items()}
        )
        violations += self._things(rows)
        violations += self._orders(rows, net)
        violations += self._events(rows)
        return violations

    def _covers(self, by_claim: Mapping[str, int]) -> list[tuple[str, str]]:
        totals: dict[str, int] = defaultdict(int)
        for claim_id, minor in by_claim.items():
            totals[self.claims[claim_id].cover.id] += minor
        return [
            ("cover_overpaid", f"cover {cover.id} paid {totals[cover.id]} of {cover.sum_minor}")
            for cover in self.covers
            if totals[cover.id] > cover.sum_minor
        ]

    def _things(self, rows: Sequence[tuple[str, Filed, int]]) -> list[tuple[str, str]]:
        """Checks that a picture or a bill is paid once, and again only by a person who acknowledges the first
        payment (or, for a changed copy, disagrees with the machine). Pictures and bills of an erased claim are
        unknown again: the price of erasing, as docs/operating.md says.
        """
        violations = []
        holders: dict[str, list[tuple[Filed, bool]]] = defaultdict(list)
        for payout, claim, _ in rows:
            origin = self.origins[payout]
            for thing, edited in sorted(origin.things):
                before = [(other, was) for other, was in holders[thing] if other.id != claim.id and not other.erased]
                if before and not claim.erased and not origin.knowing:
                    copied = edited or all(was for _, was in before)
                    if not (origin.by_person and copied):
                        kind = "paper" if thing.startswith("bill") else "photo"
                        whom = "a person, who was not told" if origin.by_person else "the rules"
                        violations.append(
                            (f"{kind}_paid_again", f"{thing} of {before[0][0]} was paid again in {claim} by {whom}")
                        )
                holders[thing].append((claim, edited))
        return violations

    def _orders(self, rows: Sequence[tuple[str, Filed, int]], net: Mapping[str, int]) -> list[tuple[str, str]]:
        """Checks that an order is paid once by the rules, and never above its value by anybody. The order of a paid
        claim is remembered when the claim is erased.
        """
        violations = []
        values: dict[str, int] = defaultdict(int)
        totals: dict[str, int] = defaultdict(int)
        first: dict[str, Filed] = {}
        for payout, claim, _ in rows:
            if not claim.order or claim.cover.product in SEVERAL_AN_EVENT:
                continue
            before = first.setdefault(claim.order, claim)
            if before.id != claim.id and not self.origins[payout].by_person:
                words = f"order {claim.order} of {before} was paid again in {claim} by the rules"
                violations.append(("order_paid_again", words))
        for claim_id, minor in net.items():
            claim = self.claims[claim_id]
            if claim.order and claim.cover.product not in SEVERAL_AN_EVENT:
                values[claim.order] = max(values[claim.order], claim.cover.value_minor)
                totals[claim.order] += minor
        violations += [
            ("order_over_value", f"order {order} was paid {total}, it is worth {values[order]}")
            for order, total in totals.items()
            if total > values[order]
        ]
        return violations

    def _events(self, rows: Sequence[tuple[str, Filed, int]]) -> list[tuple[str, str]]:
        violations = []
        before: list[Filed] = []
        for payout, claim, _ in rows:
            origin = self.origins[payout]
            if not origin.by_person:
                late = origin.cover_recorded_at - claim.occurred_at
                if late > timedelta(minutes=LATE_MINUTES):
                    words = f"{claim} was paid by the rules, its cover was recorded {late} after the event"
                    violations.append(("late_cover_paid", words))
                if claim.cover.product not in SEVERAL_AN_EVENT:
                    same = [other for other in before if _one_event(other, claim)]
                    if same:
                        words = f"the event of {same[0]} was paid again in {claim} by the rules"
                        violations.append(("event_paid_again", words))
            before.append(claim)
        return violations


def _one_event(first: Filed, other: Filed) -> bool:
    apart = abs(first.occurred_at - other.occurred_at)
    two_orders = first.order and other.order and first.order != other.order
    most = timedelta(minutes=OTHER_ORDER_MINUTES) if two_orders else timedelta(hours=SAME_EVENT_HOURS)
    return first.id != other.id and first.cover.id == other.cover.id and apart <= most

"""What was sent, and what may at most be paid for it: a plain reckoning that knows nothing of the product's own checks.

Every violation has a code, which a planted fault is found by.
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
    """An invariant that does not hold. `steps`: what was done, in words."""

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
    """recorded_at: when its terms were last written down. changes: how often they were changed."""

    id: str
    owner: Person
    product: str
    recorded_at: datetime
    sum_minor: int
    value_minor: int
    changes: int = 0


@dataclass
class Filed:
    """One claim as it was sent. things: the pictures and bills that its files show, with whether the file is a changed
    copy. order: as it was normalised by hand; "" where the claim names none."""

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
class Said:
    """How a payout came about: by the rules, or by a person, who said that they know of other payments or did not; and
    what the claim showed then, and since when its cover had its terms."""

    by_person: bool
    knowing: bool
    things: frozenset[tuple[str, bool]]
    cover_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Back:
    """Of one claim. asked_minor: what is to come back, or has, without what was given up. come_minor: what has come
    back, paid or taken off another claim's money."""

    asked_minor: int = 0
    come_minor: int = 0
    given_up_minor: int = 0


@dataclass
class Model:
    """claims by id, in the order in which they were filed. said: by payout."""

    covers: list[Cover] = field(default_factory=list)
    claims: dict[str, Filed] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)

    def promised(self, payout: str, claim_id: str, *, by_person: bool, knowing: bool) -> None:
        """A payout is there; what is said of it first stays."""
        claim = self.claims[claim_id]
        said = Said(by_person, knowing, frozenset(claim.things), claim.cover.recorded_at)
        self.said.setdefault(payout, said)

    def check_money(
        self, paid: Iterable[tuple[str, str, int]], back: Mapping[str, Back] = MappingProxyType({})
    ) -> list[tuple[str, str]]:
        """paid: (payout, claim, minor units) by the bank's book, and what was offset instead of being sent, in the
        order in which they were promised. back: by claim. Code and words of every rule that is broken."""
        rows = [(payout, self.claims[claim], minor) for payout, claim, minor in paid]
        found: list[tuple[str, str]] = []
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
                found.append(("claim_overpaid", f"{claim} was paid {total}, at most {most} was due"))
        found += self._covers(
            {claim_id: minor - back.get(claim_id, Back()).come_minor for claim_id, minor in by_claim.items()}
        )
        found += self._things(rows)
        found += self._orders(rows, net)
        found += self._events(rows)
        return found

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
        """A picture or a bill is paid once; a second time only by a person who says that they know of the first. Of a
        changed copy a person may think otherwise than the machine. Pictures and bills of an erased claim are unknown
        again: the price of erasing, as docs/operating.md says."""
        found = []
        holders: dict[str, list[tuple[Filed, bool]]] = defaultdict(list)
        for payout, claim, _ in rows:
            said = self.said[payout]
            for thing, edited in sorted(said.things):
                before = [(other, was) for other, was in holders[thing] if other.id != claim.id and not other.erased]
                if before and not claim.erased and not said.knowing:
                    copied = edited or all(was for _, was in before)
                    if not (said.by_person and copied):
                        kind = "paper" if thing.startswith("bill") else "photo"
                        whom = "a person, who was not told" if said.by_person else "the rules"
                        found.append(
                            (f"{kind}_paid_again", f"{thing} of {before[0][0]} was paid again in {claim} by {whom}")
                        )
                holders[thing].append((claim, edited))
        return found

    def _orders(self, rows: Sequence[tuple[str, Filed, int]], net: Mapping[str, int]) -> list[tuple[str, str]]:
        """An order is paid once by the rules, and never above its value, whoever says so. The order of a claim that was
        paid is remembered when the claim is erased."""
        found = []
        values: dict[str, int] = defaultdict(int)
        totals: dict[str, int] = defaultdict(int)
        first: dict[str, Filed] = {}
        for payout, claim, _ in rows:
            if not claim.order or claim.cover.product in SEVERAL_AN_EVENT:
                continue
            before = first.setdefault(claim.order, claim)
            if before.id != claim.id and not self.said[payout].by_person:
                words = f"order {claim.order} of {before} was paid again in {claim} by the rules"
                found.append(("order_paid_again", words))
        for claim_id, minor in net.items():
            claim = self.claims[claim_id]
            if claim.order and claim.cover.product not in SEVERAL_AN_EVENT:
                values[claim.order] = max(values[claim.order], claim.cover.value_minor)
                totals[claim.order] += minor
        found += [
            ("order_over_value", f"order {order} was paid {total}, it is worth {values[order]}")
            for order, total in totals.items()
            if total > values[order]
        ]
        return found

    def _events(self, rows: Sequence[tuple[str, Filed, int]]) -> list[tuple[str, str]]:
        found = []
        before: list[Filed] = []
        for payout, claim, _ in rows:
            said = self.said[payout]
            if not said.by_person:
                late = said.cover_recorded_at - claim.occurred_at
                if late > timedelta(minutes=LATE_MINUTES):
                    words = f"{claim} was paid by the rules, its cover was recorded {late} after the event"
                    found.append(("late_cover_paid", words))
                if claim.cover.product not in SEVERAL_AN_EVENT:
                    same = [other for other in before if _one_event(other, claim)]
                    if same:
                        words = f"the event of {same[0]} was paid again in {claim} by the rules"
                        found.append(("event_paid_again", words))
            before.append(claim)
        return found


def _one_event(one: Filed, other: Filed) -> bool:
    apart = abs(one.occurred_at - other.occurred_at)
    two_orders = one.order and other.order and one.order != other.order
    most = timedelta(minutes=OTHER_ORDER_MINUTES) if two_orders else timedelta(hours=SAME_EVENT_HOURS)
    return one.id != other.id and one.cover.id == other.cover.id and apart <= most

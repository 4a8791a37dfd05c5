"""The conditions that must still hold when money is promised: what the decision counted, compared with what the books
say by then. Pure; `claims.store.promises` reads the books, under locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claims.errors import CoverSpent
from claims.policy import Policy


@dataclass(frozen=True, slots=True)
class CountedCover:
    """The part of recorded cover facts that other decisions, payments and findings may have outdated meanwhile; see
    `claims.evidence.CoverFact`."""

    held_on_claim_minor: int
    stopped_by: str
    deductible_borne_minor: int
    days_paid: int


def counted_in(facts: Mapping[str, Any]) -> CountedCover | None:
    """Read recorded facts (plain JSON). Returns None for a person's decision, which has no facts and sets its own
    amount."""
    cover = facts.get("cover")
    if cover is None:
        return None
    return CountedCover(
        held_on_claim_minor=int(cover.get("held_on_claim_minor", 0)),
        stopped_by=str(cover.get("stopped_by", "")),
        deductible_borne_minor=int(cover.get("deductible_borne_minor", 0)),
        days_paid=int(cover.get("days_paid", 0)),
    )


def check_held(claim_id: str, counted: CountedCover | None, held_minor: int, stopped_by: str) -> None:
    """Raise CoverSpent when the claim itself was paid, or stopped, since the facts were taken."""
    if counted is not None and (held_minor, stopped_by) != (counted.held_on_claim_minor, counted.stopped_by):
        raise CoverSpent(f"claim {claim_id} was paid {held_minor} minor units by now, or was stopped: {stopped_by}")


def check_terms(counted: CountedCover | None, used: tuple[int, int]) -> None:
    """Raise CoverSpent when other claims have used up more of the cover's deductible or days since the facts were
    taken. used: minor units of deductible borne, and days paid, by now."""
    if counted is None:
        return
    before = (counted.deductible_borne_minor, counted.days_paid)
    if used != before:
        raise CoverSpent(f"deductible borne and days paid are {used} by now, counted were {before}")


def check_sum(policy: Policy, spent_minor: int, pay_minor: int) -> None:
    """Raise CoverSpent when the policy's sum does not hold what is to be paid beside what was spent of it by now."""
    total = spent_minor + pay_minor
    if total > policy.sum_insured.minor:
        raise CoverSpent(f"policy {policy.number}: {total} of {policy.sum_insured.minor} minor units would be paid")

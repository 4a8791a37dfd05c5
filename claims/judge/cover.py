"""Judges if the event is covered: the peril, the time, the waiting period, the time of claiming, what is left of the
sum insured."""

from __future__ import annotations

from datetime import MINYEAR, UTC, date, datetime, timedelta

from claims.benefit import limit_left
from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import CoverFact
from claims.formulas.registry import formula_of
from claims.insured_claim import InsuredClaim
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules


def local_date(at: datetime, product: Product) -> date:
    """Return the calendar day where the product is sold; for a time beyond the calendar there, its first or last
    day."""
    try:
        return (at.astimezone(UTC) + timedelta(minutes=product.utc_offset_minutes)).date()
    except OverflowError:
        return date.min if at.year == MINYEAR else date.max


def first_covered_day(policy: Policy, product: Product) -> date:
    """Return the first day after the waiting period."""
    began = local_date(policy.starts_at, product)
    return date.max if (date.max - began).days < product.waiting_days else began + timedelta(days=product.waiting_days)


def last_covered_day(policy: Policy, product: Product) -> date:
    """Return the last day of the cover. `ends_at` is exclusive: a cover that ends at midnight does not touch the new
    day."""
    try:
        last = policy.ends_at - timedelta(microseconds=1)
    except OverflowError:  # it ends as the calendar begins
        return date.min
    return local_date(last, product)


def mismatches(insured: InsuredClaim, cover: CoverFact) -> list[Reason]:
    """Return a reason for each record that does not belong with the others. No amount can be trusted then, so a person
    looks; none of this is the claimant's doing."""
    claim, policy, product = insured.claim, insured.policy, insured.product
    reasons = []
    if (claim.product, claim.policy_id, claim.claimant_id) != (product.key, policy.id, policy.claimant_id) or (
        policy.product != product.key
    ):
        reasons.append(
            reason("policy_does_not_fit", f"{claim.policy_id} {claim.product}", f"{policy.id} {product.key}")
        )
    currencies = {claim.amount.currency, policy.sum_insured.currency, policy.insured_value.currency, cover.currency}
    if currencies != {product.currency}:
        reasons.append(reason("currency_differs", " ".join(sorted(currencies)), product.currency))
    return reasons


def judge(insured: InsuredClaim, cover: CoverFact, rules: Rules) -> list[Reason]:
    """Return CONTRACT reasons where the terms exclude the event, else `cover_in_force`."""
    claim, policy, product = insured.claim, insured.policy, insured.product
    clauses = product.clauses
    reasons = []
    if claim.peril not in product.perils:
        perils = ", ".join(sorted(product.perils))
        reasons.append(reason("peril_not_covered", claim.peril, perils, clause=clauses["perils"].number))
    if claim.occurred_at < policy.starts_at:
        reasons.append(
            reason(
                "cover_not_begun",
                _day(claim.occurred_at, product),
                f">= {_day(policy.starts_at, product)}",
                clause=clauses["cover"].number,
            )
        )
    elif claim.occurred_at >= policy.ends_at:
        reasons.append(
            reason(
                "cover_ended",
                _day(claim.occurred_at, product),
                f"<= {last_covered_day(policy, product)}",
                clause=clauses["cover"].number,
            )
        )
    elif local_date(claim.occurred_at, product) < first_covered_day(policy, product):
        reasons.append(
            reason(
                "waiting_period_not_over",
                _day(claim.occurred_at, product),
                f">= {first_covered_day(policy, product)}",
                clause=clauses["waiting"].number,
                detail=f"{product.waiting_days} days",
            )
        )
    days = (local_date(claim.submitted_at, product) - local_date(claim.occurred_at, product)).days
    if days > product.claim_within_days:
        reasons.append(
            reason(
                "claimed_too_late",
                f"{days} days",
                f"<= {product.claim_within_days} days",
                clause=clauses["claim_window"].number,
            )
        )
    if limit_left(policy, cover).minor == 0:
        reasons.append(
            reason(
                "limit_exhausted",
                f"{cover.paid_to_date_minor} {product.currency}",
                f"< {policy.sum_insured.minor} {product.currency}",
                clause=clauses["limit"].number,
            )
        )
    if claim.occurred_at > claim.submitted_at:
        reasons.append(
            reason("event_after_claim", claim.occurred_at.isoformat(), f"<= {claim.submitted_at.isoformat()}")
        )
    if formula_of(product).limited_to_insured_value and policy.insured_value.minor <= 0:
        reasons.append(
            reason(
                "insured_value_missing", f"{policy.insured_value.minor} {product.currency}", f"> 0 {product.currency}"
            )
        )
    reasons += _told_too_late(claim, policy, rules)
    if not reasons:
        span = f"{first_covered_day(policy, product)} - {last_covered_day(policy, product)}"
        reasons.append(reason("cover_in_force", _day(claim.occurred_at, product), span))
    return reasons


def _told_too_late(claim: Claim, policy: Policy, rules: Rules) -> list[Reason]:
    """Refer a claim under a cover that was recorded, or widened, too long after the event: it could have been made for
    it."""
    late = timedelta(minutes=rules.cover_recorded_minutes_max)
    told = (
        ("cover_recorded_after_event", policy.recorded_at),
        ("cover_changed_after_event", policy.terms_changed_at),
    )
    return [
        reason(code, at.isoformat(), f"<= {claim.occurred_at.isoformat()}")
        for code, at in told
        if at is not None and at - claim.occurred_at > late
    ]


def _day(at: datetime, product: Product) -> str:
    return local_date(at, product).isoformat()

"""Is the event covered: the peril, the time, the waiting period, the claim's own time, what is left of the sum
insured."""

from __future__ import annotations

from datetime import MINYEAR, UTC, date, datetime, timedelta

from claims.benefit import limit_left
from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import CoverFact
from claims.formulas.registry import formula_of
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules


def local_date(at: datetime, product: Product) -> date:
    """The calendar day where the product is sold; the calendar's first or last day for what lies beyond it there."""
    try:
        return (at.astimezone(UTC) + timedelta(minutes=product.utc_offset_minutes)).date()
    except OverflowError:
        return date.min if at.year == MINYEAR else date.max


def first_covered_day(policy: Policy, product: Product) -> date:
    """The first day after the waiting period."""
    began = local_date(policy.starts_at, product)
    return date.max if (date.max - began).days < product.waiting_days else began + timedelta(days=product.waiting_days)


def last_covered_day(policy: Policy, product: Product) -> date:
    """`ends_at` is exclusive: a cover that ends at midnight does not touch the new day."""
    try:
        last = policy.ends_at - timedelta(microseconds=1)
    except OverflowError:  # it ends as the calendar begins
        return date.min
    return local_date(last, product)


def misfits(claim: Claim, policy: Policy, product: Product, cover: CoverFact) -> list[Reason]:
    """Records that do not belong together. No amount can be trusted then, so a person looks; none of this is the
    claimant's doing."""
    found = []
    if (claim.product, claim.policy_id, claim.claimant_id) != (product.key, policy.id, policy.claimant_id) or (
        policy.product != product.key
    ):
        found.append(reason("policy_does_not_fit", f"{claim.policy_id} {claim.product}", f"{policy.id} {product.key}"))
    currencies = {claim.amount.currency, policy.sum_insured.currency, policy.insured_value.currency, cover.currency}
    if currencies != {product.currency}:
        found.append(reason("currency_differs", " ".join(sorted(currencies)), product.currency))
    return found


def judge(claim: Claim, policy: Policy, product: Product, cover: CoverFact, rules: Rules) -> list[Reason]:
    """CONTRACT reasons where the terms exclude the event; `cover_in_force` where they do not."""
    clauses = product.clauses
    found = []
    if claim.peril not in product.perils:
        perils = ", ".join(sorted(product.perils))
        found.append(reason("peril_not_covered", claim.peril, perils, clause=clauses["perils"].number))
    if claim.occurred_at < policy.starts_at:
        found.append(
            reason(
                "cover_not_begun",
                _day(claim.occurred_at, product),
                f">= {_day(policy.starts_at, product)}",
                clause=clauses["cover"].number,
            )
        )
    elif claim.occurred_at >= policy.ends_at:
        found.append(
            reason(
                "cover_ended",
                _day(claim.occurred_at, product),
                f"<= {last_covered_day(policy, product)}",
                clause=clauses["cover"].number,
            )
        )
    elif local_date(claim.occurred_at, product) < first_covered_day(policy, product):
        found.append(
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
        found.append(
            reason(
                "claimed_too_late",
                f"{days} days",
                f"<= {product.claim_within_days} days",
                clause=clauses["claim_window"].number,
            )
        )
    if limit_left(policy, cover).minor == 0:
        found.append(
            reason(
                "limit_exhausted",
                f"{cover.paid_to_date_minor} {product.currency}",
                f"< {policy.sum_insured.minor} {product.currency}",
                clause=clauses["limit"].number,
            )
        )
    if claim.occurred_at > claim.submitted_at:
        found.append(reason("event_after_claim", claim.occurred_at.isoformat(), f"<= {claim.submitted_at.isoformat()}"))
    if formula_of(product).limited_to_insured_value and policy.insured_value.minor <= 0:
        found.append(
            reason(
                "insured_value_missing", f"{policy.insured_value.minor} {product.currency}", f"> 0 {product.currency}"
            )
        )
    found += _told_too_late(claim, policy, rules)
    if not found:
        span = f"{first_covered_day(policy, product)} - {last_covered_day(policy, product)}"
        found.append(reason("cover_in_force", _day(claim.occurred_at, product), span))
    return found


def _told_too_late(claim: Claim, policy: Policy, rules: Rules) -> list[Reason]:
    """A cover that nobody had heard of, or that was less, when the event happened could have been made for it."""
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

"""The claimant's standing and the company the claim keeps: credit, fraud counts, and how much may be paid with no
person looking."""

from __future__ import annotations

from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import CreditFact, FraudFact, UnmeasuredFact, WindowCount
from claims.fraud.signals.registry import SIGNALS, signal_named
from claims.fraud.windows import WindowLimit, count_of, over_limits, uncounted
from claims.money import Money, share
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules


def judge_counts(claim: Claim, fraud: FraudFact | UnmeasuredFact, rules: Rules) -> list[Reason]:
    """A count that could not be made refers: nobody can ask the claimant for it."""
    if isinstance(fraud, UnmeasuredFact):
        return [reason("fraud_unmeasured", fraud.reason)]
    found = [
        reason(signal_named(count.key).reason, _count(count), _limit(limit))
        for count, limit in over_limits(fraud.counts, rules.fraud_limits)
    ]
    found += [
        reason("fraud_unmeasured", f"{key} not counted")
        for key in uncounted(fraud.counts, rules.fraud_limits, _present(claim))
    ]
    return found or [reason("counts_in_order", "; ".join(_count(count) for count in fraud.counts))]


def judge_credit(credit: CreditFact | UnmeasuredFact, fraud: FraudFact | UnmeasuredFact, rules: Rules) -> list[Reason]:
    """A low score refers only together with many claims of the claimant; alone it is noted, and lowers the automatic
    ceiling."""
    if isinstance(credit, UnmeasuredFact):
        return [reason("credit_unscored", credit.reason)]
    threshold = f">= {rules.credit_low_score}"
    if credit.score >= rules.credit_low_score:
        return [reason("credit_in_order", str(credit.score), threshold, detail=credit.model)]
    lost = ", ".join(f"{one.attribute} {one.bin} -{one.points_lost:.0f}" for one in credit.reasons)
    noted = [reason("credit_low", str(credit.score), threshold, detail=lost)]
    days = rules.credit_low_claims_window_days
    recent = count_of(fraud.counts, "claimant", days) if isinstance(fraud, FraudFact) else ()
    if any(count.claims > rules.credit_low_claims_max for count in recent):
        most = max(count.claims for count in recent)
        limit = f"{threshold} or <= {rules.credit_low_claims_max} claims in {days} days"
        noted.append(
            reason("low_credit_many_claims", f"{credit.score}, {most} claims in {days} days", limit, detail=lost)
        )
    return noted


def auto_pay_ceiling(product: Product, credit: CreditFact | UnmeasuredFact, rules: Rules) -> Money:
    """The most that is paid with no person looking."""
    if isinstance(credit, UnmeasuredFact):
        return share(product.auto_pay_max, rules.auto_pay_share_unscored)
    if credit.score < rules.credit_low_score:
        return share(product.auto_pay_max, rules.auto_pay_share_low_credit)
    return product.auto_pay_max


def judge_amount(due: Money, ceiling: Money) -> Reason:
    code = "within_auto_pay" if due <= ceiling else "above_auto_pay"
    return reason(code, f"{due.minor} {due.currency}", f"<= {ceiling.minor} {ceiling.currency}")


def _present(claim: Claim) -> frozenset[str]:
    return frozenset(signal.name for signal in SIGNALS.values() if signal.carried_by(claim))


def _count(count: WindowCount) -> str:
    return f"{count.key}: {count.claims} claims of {count.claimants} in {count.window_days} days"


def _limit(limit: WindowLimit) -> str:
    return f"<= {limit.claims_max} claims of {limit.claimants_max} in {limit.window_days} days"

"""Judges the claimant's credit score, and how much may be paid without a person."""

from __future__ import annotations

from claims.decision import Reason
from claims.evidence import CreditFact, FraudFact, UnmeasuredFact
from claims.fraud.windows import count_of
from claims.money import Money, share
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules


def judge_credit(credit: CreditFact | UnmeasuredFact, fraud: FraudFact | UnmeasuredFact, rules: Rules) -> list[Reason]:
    """Return the reasons of the credit score. A low score refers only together with many claims of the claimant; alone
    it is noted, and lowers the automatic ceiling."""
    if isinstance(credit, UnmeasuredFact):
        return [reason("credit_unscored", credit.reason)]
    threshold = f">= {rules.credit_low_score}"
    if credit.score >= rules.credit_low_score:
        return [reason("credit_in_order", str(credit.score), threshold, detail=credit.model)]
    lost = ", ".join(f"{cause.attribute} {cause.bin} -{cause.points_lost:.0f}" for cause in credit.reasons)
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
    """Return the most that is paid without a person."""
    if isinstance(credit, UnmeasuredFact):
        return share(product.auto_pay_max, rules.auto_pay_share_unscored)
    if credit.score < rules.credit_low_score:
        return share(product.auto_pay_max, rules.auto_pay_share_low_credit)
    return product.auto_pay_max


def judge_amount(due: Money, ceiling: Money) -> Reason:
    code = "within_auto_pay" if due <= ceiling else "above_auto_pay"
    return reason(code, f"{due.minor} {due.currency}", f"<= {ceiling.minor} {ceiling.currency}")

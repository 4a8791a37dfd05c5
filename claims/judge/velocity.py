"""Judges claim velocity: how many claims share a device, an account, an address or a merchant in a window of days."""

from __future__ import annotations

from claims.claim import Claim
from claims.decision import Reason
from claims.evidence import FraudFact, UnmeasuredFact, WindowCount
from claims.fraud.signals.registry import SIGNALS, signal_named
from claims.fraud.windows import WindowLimit, over_limits, uncounted
from claims.reasons import reason
from claims.rules import Rules


def judge_counts(claim: Claim, fraud: FraudFact | UnmeasuredFact, rules: Rules) -> list[Reason]:
    """Return a reason for each fraud count over its limit. A count that could not be made refers: the claimant cannot
    be asked for it."""
    if isinstance(fraud, UnmeasuredFact):
        return [reason("fraud_unmeasured", fraud.reason)]
    reasons = [
        reason(signal_named(count.key).reason, _count(count), _limit(limit))
        for count, limit in over_limits(fraud.counts, rules.fraud_limits)
    ]
    reasons += [
        reason("fraud_unmeasured", f"{key} not counted")
        for key in uncounted(fraud.counts, rules.fraud_limits, _present(claim))
    ]
    return reasons or [reason("counts_in_order", "; ".join(_count(count) for count in fraud.counts))]


def _present(claim: Claim) -> frozenset[str]:
    return frozenset(signal.name for signal in SIGNALS.values() if signal.carried_by(claim))


def _count(count: WindowCount) -> str:
    return f"{count.key}: {count.claims} claims of {count.claimants} in {count.window_days} days"


def _limit(limit: WindowLimit) -> str:
    return f"<= {limit.claims_max} claims of {limit.claimants_max} in {limit.window_days} days"

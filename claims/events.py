"""Ownership of a matching picture: when two claims of one claimant are about one event.

An appeal and a round with more information are the same claim, whose own photos are never searched. What is left is
the claimant who claims anew: because the first claim was withdrawn, because they think that it was lost, or to be paid
twice. The photo alone cannot tell these apart, the standing of the earlier claim can: a withdrawn claim is closed for
good, and where nothing was paid for it its photos may be used again; any other may still be paid, was paid, or was
refused by a person whose word a second try must not get around.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from claims.claim import Claim, Status
from claims.evidence import MatchOwner
from claims.rules import Rules


@dataclass(frozen=True, slots=True)
class OtherClaim:
    """The facts about a claim with a matching picture that decide whose the match is."""

    id: str
    claimant_id: str
    policy_id: str
    occurred_at: datetime
    status: Status
    paid: bool = False  # or promised money, whatever the status


def same_event(
    occurred_at: datetime, other_at: datetime, orders: frozenset[str], other_orders: frozenset[str], rules: Rules
) -> bool:
    """Return True if two claims under one policy are about one event, by the times they state and the keys of their
    orders.

    Different orders spoil at different times, be it on one day; the very same minute is one event whatever was ordered.
    """
    apart = abs(other_at - occurred_at)
    if orders and other_orders and not orders & other_orders:
        return apart <= timedelta(minutes=rules.same_event_other_order_minutes_max)
    return apart <= timedelta(hours=rules.same_event_hours_max)


def owner_of(claim: Claim, other: OtherClaim, rules: Rules) -> MatchOwner:
    """Return whose claim `other` is, seen from `claim`.

    One event: the same claimant, the same policy, and at most `rules.same_event_hours_max` between the times at which
    the two claims say that it happened. The peril does not count: naming another one does not make it other damage.
    """
    if other.id == claim.id:
        return MatchOwner.SAME_CLAIM
    if other.claimant_id != claim.claimant_id:
        return MatchOwner.OTHER_CLAIMANT
    apart = abs(other.occurred_at - claim.occurred_at)
    if other.policy_id == claim.policy_id and apart <= timedelta(hours=rules.same_event_hours_max):
        return MatchOwner.SAME_EVENT
    return MatchOwner.OWN_EARLIER_CLAIM

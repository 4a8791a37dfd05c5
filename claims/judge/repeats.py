"""Judges if this order, or this event, is claimed for elsewhere, and if the claimant is known under another id.

Of two claims, the first to be submitted is decided as usual and the later one is referred; so is a claim if another was
paid meanwhile. The product says how many the terms allow (docs/decisions/0015-orders-and-events.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from claims.decision import Reason
from claims.evidence import RepeatFact, SharingClaim
from claims.orders import order_left
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason


def judge(policy: Policy, product: Product, repeats: RepeatFact) -> list[Reason]:
    """Return the reasons that refer; none where no other claim shares anything, which needs no reason of its own."""
    reasons: list[Reason] = []
    sharing = beyond_order(product, repeats)
    strangers = [other for other in sharing if not other.same_claimant]
    if strangers:
        reasons.append(_listing("order_of_another_claimant", strangers, "0 other claims"))
    elif sharing:
        reasons.append(_listing("order_claimed_before", sharing, f"< {product.claims_per_order_max}"))
    for other in beyond_event(product, repeats)[:1]:
        standing = f"{other.status}, paid" if other.paid_minor and other.status != "paid" else other.status
        limit = f"< {product.claims_per_event_max}"
        reasons.append(reason("same_event_claimed_before", f"claim {other.claim_id} is {standing}", limit))
    value = order_left(policy, product, 0, repeats.order_price_minor)
    if value is not None and repeats.order_paid_minor >= value.minor:
        paid = f"{repeats.order_paid_minor} {product.currency}"
        reasons.append(reason("order_value_paid", paid, f"< {value.minor} {product.currency}"))
    reasons += [
        reason("claimant_under_two_ids", " ".join(other.shares), "another name", detail=other.claimant_id)
        for other in repeats.identities
    ]
    return reasons


def beyond_order(product: Product, repeats: RepeatFact) -> tuple[SharingClaim, ...]:
    """Return the claims on this order that need a person: another claimant's always, the claimant's own when the terms
    allow no further one."""
    if product.claims_per_order_max is None:
        return ()
    return _beyond([other for other in repeats.claims if other.order], product.claims_per_order_max)


def beyond_event(product: Product, repeats: RepeatFact) -> tuple[SharingClaim, ...]:
    """Return the claims about this event that need a person."""
    if product.claims_per_event_max is None:
        return ()
    return _beyond([other for other in repeats.claims if other.event], product.claims_per_event_max)


def _beyond(sharing: Sequence[SharingClaim], claims_max: int) -> tuple[SharingClaim, ...]:
    counting = [other for other in sharing if other.earlier or other.paid_minor]
    if any(not other.same_claimant for other in counting) or len(counting) >= claims_max:
        return tuple(sorted(counting, key=lambda other: (-other.paid_minor, other.claim_id)))
    return ()


def _listing(code: str, sharing: Sequence[SharingClaim], limit: str) -> Reason:
    return reason(code, str(len(sharing)), limit, detail=" ".join(sorted(other.claim_id for other in sharing)))

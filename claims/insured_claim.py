"""A claim with the contract that it is made under."""

from __future__ import annotations

from dataclasses import dataclass

from claims.claim import Claim
from claims.policy import Policy
from claims.product import Product


@dataclass(frozen=True, slots=True)
class InsuredClaim:
    """A claim, the policy that it is made under and the product's terms. That the three belong together is checked
    where a claim is judged (`claims.judge.cover.mismatches`)."""

    claim: Claim
    policy: Policy
    product: Product

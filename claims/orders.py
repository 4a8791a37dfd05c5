"""Orders: the key that identifies an order across claims, and what is left to pay of it.

A key is made of the number, as a claim states it or a paper shows it. It is a digest, so that a claim that was paid and
then erased leaves no order number behind and its order is still not paid again. Long numbers are unique in the country;
a shop's running number is unique only together with the shop.
"""

from __future__ import annotations

import hashlib
from typing import Final

from claims.benefit import amount_on
from claims.evidence import PaperFact, UnmeasuredFact
from claims.money import Money
from claims.paper_keys import normalised
from claims.paper_meaning import traits_of
from claims.policy import Policy
from claims.product import Product

# Marketplaces number with 16 to 19 digits, tills and small shops with up to six or seven.
ALONE_CHARACTERS_MIN: Final = 8


def order_key(number: str, merchant_id: str = "") -> str:
    """Return 64 hex digits; "" where no number is stated. merchant_id counts beside a short number only."""
    plain = normalised(number)
    if not plain:
        return ""
    shop = normalised(merchant_id) if len(plain) < ALONE_CHARACTERS_MIN else ""
    return hashlib.sha256(f"order:{shop}|{plain}".encode()).hexdigest()


def order_on(paper: PaperFact, merchant_id: str, currency: str) -> tuple[str, int]:
    """Return the key of the order that a paper shows, "" for none, and the price paid for it, 0 where the reading is
    not accepted or in another currency than the product's."""
    price = traits_of(paper).price
    at_home = isinstance(paper.currency, UnmeasuredFact) or paper.currency.code == currency
    total = amount_on(paper, price) if price and paper.accepted and at_home else 0
    return order_key(paper.value("order_number"), merchant_id), total if isinstance(total, int) else 0


def order_left(policy: Policy, product: Product, order_paid_minor: int, order_price_minor: int = 0) -> Money | None:
    """Return what may still be paid of the order: its value (what the policy insures, or its price where that is known
    and less) without what other claims were paid for it. None where the product pays no orders, or the policy states no
    value."""
    if not product.order_covers or policy.insured_value.minor <= 0:
        return None
    value = policy.insured_value.minor
    # A price is that of the goods; what a return costs stands on no order.
    if order_price_minor and product.order_covers == "goods":
        value = min(value, order_price_minor)
    return Money(max(0, value - max(0, order_paid_minor)), policy.insured_value.currency)

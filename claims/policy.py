"""A cover in force: whose, of what product, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from claims.money import Money


@dataclass(frozen=True, slots=True)
class Policy:
    """`ends_at` is exclusive. `pet_id` is "" for products that insure no pet."""

    id: str
    number: str
    product: str
    claimant_id: str
    insured_name: str
    pet_id: str
    starts_at: datetime
    ends_at: datetime
    sum_insured: Money
    insured_value: Money  # of the thing (parcel, order); the product's own ceiling applies beside it

"""A cover in force: whose, of what product, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from claims.money import Money

# A cover without a beginning or an end. Far enough from the edges of the calendar for any zone (up to 14 hours).
OPEN_START: Final = datetime(1, 1, 1, 14, tzinfo=UTC)
OPEN_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """`ends_at` is exclusive; OPEN_START and OPEN_END stand for no beginning and no end.

    `pet_id` is "" for products that insure no pet.
    """

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

"""A cover in force: its holder, product and period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from claims.money import Money

# A cover without a beginning or an end. Far enough from the edges of the calendar for any zone (up to 14 hours).
OPEN_START: Final = datetime(1, 1, 1, 14, tzinfo=UTC)
OPEN_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InsuredPet:
    """The insured animal as the selling platform registered it. born_on: None where it did not say."""

    species: str  # dog, cat
    born_on: date | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`ends_at` is exclusive; OPEN_START and OPEN_END stand for no beginning and no end.

    `pet_id` is "" for products that insure no pet. recorded_at: when the cover was first recorded; terms_changed_at:
    when it was last widened. None where that was not kept. pet: None for products that insure no pet, and in records
    from before it was kept.
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
    recorded_at: datetime | None = None
    terms_changed_at: datetime | None = None
    pet: InsuredPet | None = None


def widens(old: Policy, new: Policy) -> bool:
    """Return True if `new` covers what `old` did not: more time, more money, somebody or something else."""
    return (
        new.starts_at < old.starts_at
        or new.ends_at > old.ends_at
        or new.sum_insured.minor > old.sum_insured.minor
        or new.insured_value.minor > old.insured_value.minor
        or (new.insured_name, new.pet_id) != (old.insured_name, old.pet_id)
    )

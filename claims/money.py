"""Money in integer minor units. A sum in two currencies is an error, never a conversion."""

from __future__ import annotations

from dataclasses import dataclass

from claims.currencies import is_known
from claims.errors import CurrencyMismatch, InvalidMoney


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (fen, cents) of an ISO 4217 currency. Raises InvalidMoney on anything else."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise InvalidMoney(f"minor units must be an integer, got {type(self.minor).__name__}")
        if not is_known(self.currency):
            raise InvalidMoney(f"currency must be a code of ISO 4217, got {self.currency!r}")

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other).minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other).minor

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other).minor

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} against {other.currency}")
        return other


def share(amount: Money, ratio_basis_points: int) -> Money:
    """Return `ratio_basis_points` / 10,000 of `amount`, rounded down: a fraction of a minor unit is never owed."""
    if not 0 <= ratio_basis_points <= 10_000:
        raise InvalidMoney(f"a share lies between 0 and 10,000 basis points, got {ratio_basis_points}")
    return Money(amount.minor * ratio_basis_points // 10_000, amount.currency)


def smallest(first: Money, *others: Money) -> Money:
    """Return the smallest of the amounts; all must share one currency."""
    result = first
    for other in others:
        if other < result:
            result = other
    return result

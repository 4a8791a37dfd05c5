"""Balances of the ledger's transactions, for tests: the product never sums them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from claims.ledger import Account, Transaction


def balances(transactions: Iterable[Transaction]) -> Mapping[tuple[Account, str], int]:
    """Returns minor units by account and currency. After a post or a void nothing stays reserved."""
    sums: dict[tuple[Account, str], int] = defaultdict(int)
    for transaction in transactions:
        for entry in transaction.entries:
            sums[entry.account, entry.amount.currency] += entry.amount.minor
    return dict(sums)

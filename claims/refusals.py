"""The codes by which a bank refuses a payout for good: the only answers after which no money can leave under its id.

A closed set. Any other answer, whatever its HTTP status, leaves the payout open, and the bank is asked about its id
(docs/decisions/0017-the-banks-word.md).
"""

from __future__ import annotations

from typing import Final

# About the payee or the amount, never about the request, its moment or ourselves: those may be answered otherwise
# later, while a payout under the same id is already on its way.
FINAL_REFUSALS: Final = frozenset(
    {
        "account_blocked",
        "account_closed",
        "account_unknown",
        "amount_refused",
        "currency_refused",
        "payee_refused",
    }
)

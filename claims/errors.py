"""Errors of the claims domain.

ClaimsError
├── InvalidMoney            not an amount at all
├── CurrencyMismatch        two currencies in one sum
├── InvalidTransition       a claim cannot go from this status to that one
├── UnknownProduct          no product file of that name
├── InvalidProduct          a product file that breaks its own schema
├── InvalidDecision         a person's decision that the contract does not allow
├── UnknownRules            recorded inputs that other code judged
├── InvalidScorecard        a weights file that is no scorecard
├── UnbalancedTransaction   ledger entries that do not sum to zero
├── BrokenChain             an audit record whose hash does not follow from the one before
└── StoreError
    ├── NotFound            no such row, or not yours
    ├── Conflict            the row changed, or exists already
    │   ├── CoverSpent      other payouts have used up the sum insured since the facts were taken
    │   ├── FloodRuled      the flood that a claim was to wait for was ruled on since the facts were taken
    │   └── RuledAlready    a person has said what these pictures are
    ├── TooManyFiles        a claim's evidence is limited in number
    ├── FileTooLarge        an evidence file is limited in size
    └── LeaseLost           the fencing token is no longer the newest
"""

from __future__ import annotations


class ClaimsError(Exception):
    """Root of every error that the claims package raises on purpose."""


class InvalidMoney(ClaimsError): ...


class CurrencyMismatch(ClaimsError): ...


class InvalidTransition(ClaimsError): ...


class UnknownProduct(ClaimsError): ...


class InvalidProduct(ClaimsError): ...


class InvalidDecision(ClaimsError): ...


class UnknownRules(ClaimsError): ...


class InvalidScorecard(ClaimsError): ...


class UnbalancedTransaction(ClaimsError): ...


class BrokenChain(ClaimsError): ...


class StoreError(ClaimsError): ...


class NotFound(StoreError): ...


class Conflict(StoreError): ...


class CoverSpent(Conflict): ...


class FloodRuled(Conflict): ...


class RuledAlready(Conflict): ...


class TooManyFiles(StoreError): ...


class FileTooLarge(StoreError): ...


class LeaseLost(StoreError): ...

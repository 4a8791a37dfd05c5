"""Errors of the claims domain.

ClaimsError
├── InvalidMoney            not an amount at all
│   └── AmountUnreadable    typed by a person, and not to be read in one way only: `code` says why
├── CurrencyMismatch        two currencies in one sum
├── InvalidTransition       a claim cannot go from this status to that one
├── UnknownProduct          no product file of that name
├── InvalidProduct          a product file that breaks its own schema
├── InvalidDecision         a person's decision that the contract does not allow
├── UnknownRules            recorded inputs that other code judged
├── InputsErased            recorded inputs that were erased: nothing is left to judge again
├── InvalidScorecard        a weights file that is no scorecard
├── UnbalancedTransaction   ledger entries that do not sum to zero
├── BrokenChain             an audit record whose hash does not follow from the one before
└── StoreError
    ├── NotFound            no such row, or not yours
    │   └── ClaimErased     it was there; what it was about is gone
    ├── Conflict            the row changed, or exists already
    │   ├── CoverSpent      other payouts have used up the sum insured since the facts were taken
    │   ├── CopyPaid        another claim with the same photo or paper was paid or promised money
    │   ├── InFlight        the claim is being worked on, paid or judged: `code` says which
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


class AmountUnreadable(InvalidMoney):
    """`code`: amount_missing, amount_ambiguous, amount_too_precise, amount_negative, amount_too_large or
    amount_unreadable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CurrencyMismatch(ClaimsError): ...


class InvalidTransition(ClaimsError): ...


class UnknownProduct(ClaimsError): ...


class InvalidProduct(ClaimsError): ...


class InvalidDecision(ClaimsError): ...


class UnknownRules(ClaimsError): ...


class InputsErased(ClaimsError): ...


class InvalidScorecard(ClaimsError): ...


class UnbalancedTransaction(ClaimsError): ...


class BrokenChain(ClaimsError): ...


class StoreError(ClaimsError): ...


class NotFound(StoreError): ...


class ClaimErased(NotFound): ...


class Conflict(StoreError): ...


class CoverSpent(Conflict): ...


class CopyPaid(Conflict):
    """`claim_ids`: the claims that were paid, or are about to be."""

    def __init__(self, message: str, claim_ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.claim_ids = claim_ids


class InFlight(Conflict):
    """code: `queued`, `leased`, `paying` or `before_a_person`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class FloodRuled(Conflict): ...


class RuledAlready(Conflict): ...


class TooManyFiles(StoreError): ...


class FileTooLarge(StoreError): ...


class LeaseLost(StoreError): ...

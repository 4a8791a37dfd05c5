"""Errors of the claims domain.

ClaimsError
├── InvalidMoney            not an amount at all
│   └── AmountUnreadable    typed by a person, and not to be read in one way only: `code` says why
├── CurrencyMismatch        two currencies in one sum
├── InvalidTransition       a claim cannot go from this status to that one
├── UnknownProduct          no product file of that name
├── InvalidProduct          a product file that breaks its own schema
├── InvalidTexts            a catalogue of texts that lacks a key, or fills one otherwise than the default language
├── UnknownFormula          a product names a benefit formula that is not registered
├── InvalidLineKind         a formula makes a line that it does not declare, or declares one otherwise than another
├── UnknownSignal           a limit names a fraud signal that is not registered
├── InvalidSignal           a fraud signal counts claims by what no claim states
├── InvalidPaperTerms       the insurer's half of a kind of paper that breaks its own schema
├── InvalidDecision         a person's decision that the contract does not allow
│   └── OrderValuePaid      more than is left of the order's value after what other claims were paid for it
├── UnknownRules            recorded inputs that other code judged
├── InputsErased            recorded inputs that were erased: nothing is left to judge again
├── InvalidScorecard        a weights file that is no scorecard
├── UnbalancedTransaction   ledger entries that do not sum to zero
├── BrokenChain             an audit record whose hash does not follow from the one before
├── InvalidTip              words that are no tip of an audit chain
├── InvalidBrake            a brake that cannot be set so
│   └── UnknownBrake        no work of that name can be held
└── StoreError
    ├── NotFound            no such row, or not yours
    │   └── ClaimErased     it was there; what it was about is gone
    ├── Conflict            the row changed, or exists already
    │   ├── CoverSpent      other payouts have used up the sum insured since the facts were taken
    │   ├── OrderSpent      other claims have used up the order's value since the facts were taken
    │   ├── CopyPaid        another claim with the same photo or paper was paid or promised money
    │   │   └── RepeatPaid  another claim for the same order or event was, and the terms allow no further one
    │   ├── InFlight        the claim is being worked on, paid or judged: `code` says which
    │   ├── RecoveryNeeded  less is due than was paid, and nobody said that the rest is to be recovered
    │   ├── NothingToRecover  a recovery was asked for where nothing was paid above what is due
    │   ├── ClaimStopped    books and bank disagree about a payout of the claim: no further one before that is settled
    │   ├── FloodRuled      the flood that a claim was to wait for was ruled on since the facts were taken
    │   └── RuledAlready    a person has said what these pictures are
    ├── TooManyFiles        a claim's evidence is limited in number
    ├── FileTooLarge        an evidence file is limited in size
    ├── Held                people hold this work: `name` says under which brake
    └── LeaseLost           the fencing token is no longer the newest
"""

from __future__ import annotations


class ClaimsError(Exception):
    """Root of every error that the claims package raises on purpose."""


class InvalidMoney(ClaimsError): ...


class AmountUnreadable(InvalidMoney):
    """A typed amount that cannot be read. `code`: amount_missing, amount_ambiguous, amount_too_precise,
    amount_negative, amount_too_large or amount_unreadable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CurrencyMismatch(ClaimsError): ...


class InvalidTransition(ClaimsError): ...


class UnknownProduct(ClaimsError): ...


class InvalidProduct(ClaimsError): ...


class InvalidTexts(ClaimsError): ...


class UnknownFormula(ClaimsError): ...


class InvalidLineKind(ClaimsError): ...


class UnknownSignal(ClaimsError): ...


class InvalidSignal(ClaimsError): ...


class InvalidPaperTerms(ClaimsError): ...


class InvalidDecision(ClaimsError): ...


class OrderValuePaid(InvalidDecision): ...


class UnknownRules(ClaimsError): ...


class InputsErased(ClaimsError): ...


class InvalidScorecard(ClaimsError): ...


class UnbalancedTransaction(ClaimsError): ...


class BrokenChain(ClaimsError): ...


class InvalidTip(ClaimsError): ...


class InvalidBrake(ClaimsError): ...


class UnknownBrake(InvalidBrake): ...


class StoreError(ClaimsError): ...


class NotFound(StoreError): ...


class ClaimErased(NotFound): ...


class Conflict(StoreError): ...


class CoverSpent(Conflict): ...


class OrderSpent(Conflict): ...


class CopyPaid(Conflict):
    """Another claim with the same photo or paper was paid. `claim_ids`: the claims that were paid, or are about to
    be."""

    def __init__(self, message: str, claim_ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.claim_ids = claim_ids


class RepeatPaid(CopyPaid): ...


class InFlight(Conflict):
    """The claim is in use. code: `queued`, `leased`, `paying` or `before_a_person`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RecoveryNeeded(Conflict):
    """Less is due than was paid. paid_minor: what the claimant holds; due_minor: what the decision says is due."""

    def __init__(self, message: str, paid_minor: int, due_minor: int) -> None:
        super().__init__(message)
        self.paid_minor = paid_minor
        self.due_minor = due_minor


class NothingToRecover(Conflict): ...


class ClaimStopped(Conflict): ...


class FloodRuled(Conflict): ...


class RuledAlready(Conflict): ...


class TooManyFiles(StoreError): ...


class FileTooLarge(StoreError): ...


class Held(StoreError):
    """People hold this work under the brake `name`. wait_seconds: the pause before it is looked at again all the same,
    0 for work that waits in its place until the brake is let go."""

    def __init__(self, name: str, wait_seconds: float = 0.0) -> None:
        super().__init__(f"held: {name}")
        self.name = name
        self.wait_seconds = wait_seconds


class LeaseLost(StoreError): ...

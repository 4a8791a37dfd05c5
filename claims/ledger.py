"""Double-entry records of a payout: reserved on approval, posted when the rail confirms, voided when it refuses for
good, corrected when the money turns out to have left all the same. And of a recovery: money that a claimant owes back,
offset against what is due to them, repaid or written off.

Amounts are signed: a debit is positive, a credit negative; every transaction sums to zero. Ids follow from the payout
and the step, so a retry makes the same transaction and cannot post twice.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from claims.errors import InvalidMoney, UnbalancedTransaction
from claims.money import Money

_PAYOUTS = uuid.UUID(
    "5f0d5b2c-6f1e-5f0b-9d38-0d2a5a8e6c41"
)  # the namespace of payout ids; never change it: ids would differ on retry


class Account(StrEnum):
    CLAIMS_EXPENSE = "claims_expense"
    CLAIMS_RESERVED = "claims_reserved"
    BANK = "bank"
    CLAIMANT_RECEIVABLE = "claimant_receivable"
    RECOVERIES_WRITTEN_OFF = "recoveries_written_off"


class Step(StrEnum):
    RESERVE = "reserve"
    POST = "post"
    VOID = "void"
    CORRECT = "correct"  # after a void
    OFFSET = "offset"  # instead of a post
    RECOVER = "recover"  # this and the two below: of a recovery
    REPAY = "repay"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class Entry:
    account: Account
    amount: Money  # debit > 0, credit < 0


@dataclass(frozen=True, slots=True)
class Transaction:
    """A balanced set of entries. Raises UnbalancedTransaction unless they sum to zero in each currency and none of them
    is zero. payout_id: the payout's or the recovery's."""

    id: str
    payout_id: str
    step: Step
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        sums: dict[str, int] = defaultdict(int)
        for entry in self.entries:
            sums[entry.amount.currency] += entry.amount.minor
        if len(self.entries) < 2 or any(sums.values()) or any(entry.amount.minor == 0 for entry in self.entries):
            raise UnbalancedTransaction(f"{self.step} of payout {self.payout_id}: {dict(sums)}")


def payout_id(claim_id: str, decision_id: str) -> str:
    """Return the payout's id: the same for the same claim and decision on every attempt, which makes a payout
    idempotent from here to the bank."""
    return str(uuid.uuid5(_PAYOUTS, f"{len(claim_id)}:{claim_id}{decision_id}"))


def offset_id(claim_id: str, decision_id: str, recovery_id: str) -> str:
    """Return the id of the part of a decision's money that is offset against a recovery instead of sent."""
    return str(uuid.uuid5(_PAYOUTS, f"{len(claim_id)}:{claim_id}{decision_id}:offset:{recovery_id}"))


def recovery_id(claim_id: str, decision_id: str) -> str:
    """Return the recovery's id: the same for the same claim and decision, so that one decision asks for money back
    once."""
    return str(uuid.uuid5(_PAYOUTS, f"{len(claim_id)}:{claim_id}{decision_id}:recovery"))


def reserve(payout_id: str, amount: Money) -> Transaction:
    """Book an approval: the expense is recognised and owed. Raises InvalidMoney unless the amount is positive."""
    return _transaction(payout_id, Step.RESERVE, Account.CLAIMS_EXPENSE, Account.CLAIMS_RESERVED, amount)


def post(payout_id: str, amount: Money) -> Transaction:
    """Book the rail's confirmation: what was owed has left the bank."""
    return _transaction(payout_id, Step.POST, Account.CLAIMS_RESERVED, Account.BANK, amount)


def void(payout_id: str, amount: Money) -> Transaction:
    """Book the rail's final refusal: the reserve is undone."""
    return _transaction(payout_id, Step.VOID, Account.CLAIMS_RESERVED, Account.CLAIMS_EXPENSE, amount)


def correct(payout_id: str, amount: Money) -> Transaction:
    """Book a payment of what the rail had refused: after the void, the expense has left the bank."""
    return _transaction(payout_id, Step.CORRECT, Account.CLAIMS_EXPENSE, Account.BANK, amount)


def offset(payout_id: str, amount: Money) -> Transaction:
    """Book an offset: the reserve pays what the claimant owes; nothing leaves the bank."""
    return _transaction(payout_id, Step.OFFSET, Account.CLAIMS_RESERVED, Account.CLAIMANT_RECEIVABLE, amount)


def recover(recovery_id: str, amount: Money) -> Transaction:
    """Book that a claim was paid too much: the claimant owes the difference, and it is no expense."""
    return _transaction(recovery_id, Step.RECOVER, Account.CLAIMANT_RECEIVABLE, Account.CLAIMS_EXPENSE, amount)


def repay(recovery_id: str, amount: Money) -> Transaction:
    """Book the arrival of the claimant's money."""
    return _transaction(recovery_id, Step.REPAY, Account.BANK, Account.CLAIMANT_RECEIVABLE, amount)


def write_off(recovery_id: str, amount: Money) -> Transaction:
    """Book a recovery that is given up: a loss of its own, told from what claims cost."""
    return _transaction(
        recovery_id, Step.WRITE_OFF, Account.RECOVERIES_WRITTEN_OFF, Account.CLAIMANT_RECEIVABLE, amount
    )


def _transaction(payout: str, step: Step, debit: Account, credit: Account, amount: Money) -> Transaction:
    if amount.minor <= 0:
        raise InvalidMoney(f"{step} of payout {payout}: the amount must be positive, got {amount.minor}")
    entries = (Entry(debit, amount), Entry(credit, Money(-amount.minor, amount.currency)))
    return Transaction(id=f"{payout}:{step}", payout_id=payout, step=step, entries=entries)

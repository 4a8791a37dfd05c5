"""A claim and the statuses it passes through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from claims.decision import Outcome
from claims.errors import InvalidTransition
from claims.money import Money


class Status(StrEnum):
    DRAFT = "draft"  # evidence still coming in
    SUBMITTED = "submitted"  # due for adjudication
    AWAITING_INFORMATION = "awaiting_information"  # the claimant was asked for more
    REFERRED = "referred"  # a person decides (partner insurer or adjuster)
    APPROVED = "approved"  # payout reserved, not yet confirmed by the rail
    PAID = "paid"
    PAYOUT_FAILED = "payout_failed"  # the rail refused for good; a person must look
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"  # its content is gone; outcome, amounts and audit trail are kept


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.SUBMITTED, Status.WITHDRAWN, Status.ERASED}),
    Status.SUBMITTED: frozenset(
        # PAID: a round of an appeal, or asked for after payment, that changes nothing; an appeal that was withdrawn.
        {
            Status.APPROVED,
            Status.REFERRED,
            Status.AWAITING_INFORMATION,
            Status.DECLINED,
            Status.WITHDRAWN,
            Status.PAID,
        }
    ),
    Status.AWAITING_INFORMATION: frozenset(
        # PAID, DECLINED, APPROVED: an appeal that was withdrawn.
        {
            Status.SUBMITTED,
            Status.WITHDRAWN,
            Status.REFERRED,
            Status.ERASED,
            Status.PAID,
            Status.DECLINED,
            Status.APPROVED,
        }
    ),
    Status.REFERRED: frozenset(
        # PAID: an appeal of a paid claim that changes nothing. SUBMITTED: the flood that it waited for was ruled on,
        # and it is decided anew.
        {Status.SUBMITTED, Status.APPROVED, Status.DECLINED, Status.AWAITING_INFORMATION, Status.WITHDRAWN, Status.PAID}
    ),
    Status.APPROVED: frozenset({Status.PAID, Status.PAYOUT_FAILED}),
    Status.PAYOUT_FAILED: frozenset({Status.REFERRED, Status.APPROVED}),
    Status.PAID: frozenset({Status.REFERRED, Status.ERASED}),  # an appeal against the amount
    Status.DECLINED: frozenset({Status.REFERRED, Status.ERASED}),  # an appeal
    Status.WITHDRAWN: frozenset({Status.ERASED, Status.REFERRED}),  # money was paid for it after all
    Status.ERASED: frozenset(),
}


def check_transition(old: Status, new: Status) -> None:
    """Raise InvalidTransition unless a claim may go from `old` to `new`."""
    if new not in TRANSITIONS[old]:
        raise InvalidTransition(f"a claim that is {old} cannot become {new}")


def status_after(outcome: Outcome, pay_minor: int) -> Status:
    """Return the status that a decision leads to. pay_minor: what it still promises, 0 where the claim holds all that
    is due already."""
    if outcome is Outcome.PAY:
        return Status.APPROVED if pay_minor > 0 else Status.PAID
    if outcome is Outcome.DECLINE:
        return Status.DECLINED
    return Status.REFERRED if outcome is Outcome.REFER else Status.AWAITING_INFORMATION


def standing_decision(
    history: Iterable[Status], payout_states: Iterable[str] = (), *, kept_minor: int = 1
) -> Status | None:
    """Return the decision that an open appeal is against, to which the claim goes back when the appeal is withdrawn.

    history: statuses the claim passed through, oldest first. payout_states: of its payouts that are live. kept_minor:
    the sum of these, less what is to be recovered; a claim that was refused after it was paid keeps nothing. Returns
    PAID, APPROVED (money is still on its way) or DECLINED, None for a claim that was never decided for good.
    """
    states = frozenset(payout_states)
    if states - {"paid"}:
        return Status.APPROVED
    if states and kept_minor > 0:
        return Status.PAID
    closed = [status for status in history if status in (Status.PAID, Status.DECLINED)]
    return closed[-1] if closed else None


class EvidenceKind(StrEnum):
    PHOTO = "photo"  # of the damage
    PAPER = "paper"  # a bill, a slip, a receipt
    NOSE = "nose"  # a pet's nose, close up


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as the claimant states it. All times are UTC; amounts are what is asked for, not what is due."""

    id: str
    policy_id: str
    claimant_id: str
    product: str
    peril: str
    amount: Money
    occurred_at: datetime
    submitted_at: datetime
    description: str
    payee_account: str
    device_id: str
    address: str
    merchant_id: str
    order_number: str
    # What another insurer has paid already for the same loss, as the claimant states it; the state insurance's part is
    # on the bill.
    other_insurance_minor: int = 0

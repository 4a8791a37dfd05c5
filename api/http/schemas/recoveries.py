"""Money to be recovered, and differences between bank and books, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from api.http.schemas.words import Incoming, Outgoing, Words

RecoveryState = Literal["open", "offset", "repaid", "written_off"]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not accepted")
    return text


Reference = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Field(min_length=1, max_length=100, description="Reference of the claimant's payment, as the bank shows it"),
    AfterValidator(_printable),
]
Why = Annotated[Words, Field(min_length=1, description="The reason, for the record")]


class RepaymentRequest(Incoming):
    """A claimant's repayment of all that was owed."""

    reference: Reference


class WriteOffRequest(Incoming):
    """Gives up the amount that is still owed."""

    note: Why


class LiftRequest(Incoming):
    """Lets the claim go on after a person has checked the finding."""

    note: Why


class RecoveryRow(Outgoing):
    """An amount that a claimant owes back of what was paid for a claim."""

    id: str
    claim_id: str
    amount_minor: int
    currency: str
    owed_minor: int = Field(description="Amount still owed; zero once the recovery is closed")
    offset_minor: int = Field(description="Amount taken off later payouts of the same claimant")
    repaid_minor: int
    written_off_minor: int
    state: RecoveryState
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str
    reference: str
    note: str


class RecoveryList(Outgoing):
    """The recoveries. owed_minor: the sum of all open ones, by currency."""

    recoveries: list[RecoveryRow]
    owed_minor: dict[str, int]


class FindingRow(Outgoing):
    """A difference between bank and books about a payout: its claim is stopped while this is open."""

    id: int
    payout_id: str
    claim_id: str = Field(description="Empty where the books do not know the payout")
    code: str
    detail: str
    found_by: str
    state: Literal["open", "lifted", "over"]
    found_at: datetime
    ended_at: datetime | None
    ended_by: str
    note: str


class ReconciliationRun(Outgoing):
    """The newest comparison of bank and books. error: the reason why it could not be made; then nothing was found or
    ended."""

    began_at: datetime
    ended_at: datetime
    payouts: int
    payments: int
    open_payouts: int
    differences: int
    error: str


class FindingList(Outgoing):
    findings: list[FindingRow]
    reconciled: ReconciliationRun | None = Field(description="Null before the first")

"""The queue, referrals and operators' figures on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from api.http.schemas.words import Currency, Incoming, Minor, Outgoing, Words

Verdict = Literal["approve", "refuse", "ask"]


class VerdictRequest(Incoming):
    """A person's judgement. `approve` needs an amount, at most what was claimed; `refuse` and `ask` need a note for
    the claimant.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"verdict": "approve", "amount_minor": 4980, "currency": "CNY", "note": "照片与订单相符。"},
                {"verdict": "ask", "note": "请补一张能看清单号的照片。"},
            ]
        }
    )

    verdict: Verdict
    amount_minor: Minor | None = None
    currency: Currency | None = None
    note: Words = ""
    although_copy_paid: bool = Field(
        default=False,
        description="Approve though another claim for the same photo, paper, order or event was paid; else `copy_paid`",
    )

    recover: bool = Field(
        default=False,
        description="Less is due than was paid: the claimant owes the rest, which is taken off later payouts, repaid "
        "or written off; otherwise such a verdict is refused: `recovery_needed`",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.verdict == "approve" and (self.amount_minor is None or self.currency is None):
            raise ValueError("approve needs amount_minor and currency")
        if self.verdict != "approve" and (self.amount_minor is not None or self.currency is not None):
            raise ValueError("only approve has an amount")
        if self.verdict != "approve" and not self.note:
            raise ValueError(f"{self.verdict} needs a note for the claimant")
        if self.verdict == "ask" and self.recover:
            raise ValueError("ask recovers nothing")
        return self


class VerdictTaken(Outgoing):
    claim_id: str
    status: str
    outcome: str
    payout_minor: int
    currency: str
    recovery_id: str = Field(description="Id of the recovery that this verdict opens; empty for none")


class QueueRow(Outgoing):
    """A case that waits for a person; rows come with the most urgent first."""

    referral_id: str
    claim_id: str
    product: str
    partner: str
    cause: str = Field(
        description="Why a person decides: refer, appeal, payout_failed, stopped (bank and books disagree)"
    )
    state: str = Field(description="open: not yet with the partner; delivered: the partner has it as well")
    amount_minor: int
    currency: str
    first_reason: str
    first_reason_text: str
    assigned_to: str
    due_at: datetime
    created_at: datetime
    claim_href: str
    decision_href: str


class QueueCounts(Outgoing):
    """Counts of all waiting cases, whatever the filter; cases that wait for a flood count in by_cause alone."""

    total: int
    overdue: int
    free: int = Field(description="Cases that nobody has taken")
    mine: int = Field(description="Cases that you have taken")
    by_product: dict[str, int]
    by_cause: dict[str, int]
    by_partner: dict[str, int]


class Queue(Outgoing):
    cases: list[QueueRow]
    fitting: int = Field(description="How many cases fit the filter, on all pages")
    counts: QueueCounts


class ReferralRow(Outgoing):
    """A case handed to this partner insurer."""

    id: str
    claim_id: str
    product: str
    cause: str
    state: str
    amount_minor: int
    currency: str
    first_reason: str
    first_reason_text: str
    due_at: datetime
    created_at: datetime
    claim_href: str
    decision_href: str


class ReferralList(Outgoing):
    referrals: list[ReferralRow]
    fitting: int = Field(description="How many cases fit the filter, on all pages")

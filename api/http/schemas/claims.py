"""Claims on the wire: the request of a claimant, and the views for the parties to a claim."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field, JsonValue

from api.http.schemas.words import Currency, EventMoment, Id, Incoming, Line, Minor, Name, Outgoing, Words
from claims.claim import EvidenceKind, Status
from claims.decision import Ground, Outcome

CLAIM_EXAMPLE: dict[str, JsonValue] = {
    "policy_id": "pol-2026-000017",
    "product": "fresh_food_rot",
    "peril": "rot",
    "amount_minor": 5980,
    "currency": "CNY",
    "occurred_at": "2026-11-20T09:30:00+08:00",
    "description": "到货时半箱草莓已经发霉。",
    "payee_account": "6222020200112233",
    "device_id": "ios-3f9a",
    "address": "杭州市西湖区文三路 90 号",
    "merchant_id": "m-fresh-204",
    "order_number": "2026111900417",
}


class ClaimRequest(Incoming):
    """The claimant's statement. `product` may be left out; where it is given it must be the policy's."""

    model_config = ConfigDict(json_schema_extra={"examples": [CLAIM_EXAMPLE]})

    policy_id: Id
    product: Line = ""
    peril: Line = Field(min_length=1, description="One of the product's perils")
    amount_minor: Minor
    currency: Currency
    occurred_at: EventMoment
    description: Words = ""
    payee_account: Name
    device_id: Line = ""
    address: Line = ""
    merchant_id: Line = ""
    order_number: Line = ""
    other_insurance_minor: int = Field(
        default=0,
        ge=0,
        le=10**12,
        strict=True,
        description="Amount that another insurer has paid for this loss; the state insurance's part is on the bill",
    )


class Evidence(Outgoing):
    """One file of a claim. `href` is the original, `preview_href` a clean JPEG or "" while none is made."""

    id: str
    name: str
    kind: EvidenceKind
    media_type: str
    size_bytes: int
    sha256: str
    received_at: datetime
    href: str
    preview_href: str


class TimelineEntry(Outgoing):
    """One change of status. `by` is the kind of actor; staff also see who."""

    status: Status
    text: str
    at: datetime
    by: str
    note: str


class ReasonView(Outgoing):
    """A fact that counted in the decision. For claimants, `value`, `threshold` and `detail` of a suspicion are blank:
    they may concern other people."""

    code: str
    text: str
    ground: Ground
    pulls: Outcome
    value: str
    threshold: str
    evidence_id: str
    clause: str
    detail: str


class BenefitView(Outgoing):
    """A row of the explanation of benefits: `text` is label and amount, `explanation` the reason in a sentence.
    `detail` holds the values in that sentence, such as a class and its share in basis points."""

    code: str
    text: str
    explanation: str
    detail: str
    amount_minor: int
    currency: str


class DecisionView(Outgoing):
    """A decision on the claim. `payout_minor` is zero unless the outcome is `pay`. `decided_by` is "rules" or "person";
    staff see the person's subject."""

    outcome: Outcome
    outcome_text: str
    payout_minor: int
    currency: str
    reasons: list[ReasonView]
    benefit: list[BenefitView]
    rules_version: str
    models: list[str]
    decided_at: datetime
    decided_by: str


class PayoutView(Outgoing):
    id: str
    amount_minor: int
    currency: str
    state: str = Field(description="reserved, sent, paid, failed")
    settled_at: datetime | None
    offset_against: str = Field(description="Id of the recovery that it was set off against; empty where it was sent")


class OwedView(Outgoing):
    """An amount that the claimant owes back of what was paid for the claim."""

    id: str
    amount_minor: int
    owed_minor: int = Field(description="Amount that is still owed")
    currency: str
    state: str = Field(description="open, offset, repaid, written_off")
    opened_at: datetime


class ClaimView(Outgoing):
    """A claim as its parties see it. `decision` is the newest one, null before the first."""

    id: str
    status: Status
    status_text: str
    product: str
    product_name: str
    policy_id: str
    peril: str
    amount_minor: int
    payout_minor: int = Field(description="Approved so far, less what is to be recovered; zero before an approval")
    currency: str
    occurred_at: datetime
    created_at: datetime
    submitted_at: datetime | None
    closed_at: datetime | None
    description: str
    order_number: str
    other_insurance_minor: int = Field(description="Paid by another insurer already, as the claimant states it")
    round: int = Field(
        description="Adjudications so far: 1 at first submission, one more each time more information came"
    )
    evidence: list[Evidence]
    timeline: list[TimelineEntry]
    decision: DecisionView | None
    payouts: list[PayoutView]
    recoveries: list[OwedView]
    stopped_by: list[str] = Field(
        description="Codes of open differences between bank and books; adjusters alone see it"
    )
    next_steps: list[str] = Field(
        description="Steps open to this caller: submit, add_evidence, withdraw, withdraw_appeal, appeal, review"
    )
    trace_id: str
    flow_run_id: str = Field(description="The Prefect flow run; blank for claimants and partners")


class ClaimRow(Outgoing):
    id: str
    status: Status
    status_text: str
    product: str
    amount_minor: int
    currency: str
    created_at: datetime
    submitted_at: datetime | None


class ClaimList(Outgoing):
    claims: list[ClaimRow]


class NoteRequest(Incoming):
    """A note by the claimant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "照片是当天拍的，请人工复核。"}]})

    note: Words = ""


class AppealRequest(Incoming):
    """The claimant's reason for an appeal; a person reads it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "照片是当天拍的，请人工复核。"}]})

    note: Words = Field(min_length=1)


class ClaimTaken(Outgoing):
    """The claim as it stands after the request; follow `href`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "C20261122-9f3ac01b7e",
                    "status": "submitted",
                    "status_text": "Being looked at",
                    "round": 1,
                    "href": "/v1/claims/C20261122-9f3ac01b7e",
                }
            ]
        }
    )

    id: str
    status: Status
    status_text: str
    round: int
    href: str

"""Read models for the API and the pages.

Access is part of the query: `claimant_id` and `partner` narrow it, and a claim outside is NotFound. A draft, and a file
that was not submitted yet, is shown to its claimant alone: without `claimant_id` it is NotFound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import EvidenceKind, Status, standing_decision
from claims.decision import Decision
from claims.errors import ClaimErased, NotFound
from claims.money import Money
from claims.policy import Policy
from claims.store import findings, payouts, recoveries, referrals, waiting
from claims.store.adjudication import EvidenceRow, policy_of
from claims.store.figures import OperatorFigures, operator_figures
from claims.store.findings import Finding
from claims.store.payouts import Payout
from claims.store.recoveries import Recovery
from claims.store.referrals import Referral
from claims.store.tables import claim_history, claims, decisions, evidence, nose_templates, outbox
from claims.store.tables import payouts as payout_rows
from claims.store.tables import referrals as referral_rows
from claims.wire import from_plain

__all__ = [
    "ClaimDetail",
    "ClaimSummary",
    "DecisionRow",
    "OperatorFigures",
    "QueueEntry",
    "TimelineEvent",
    "claim_row",
    "claim_view",
    "evidence_file",
    "list_claims",
    "operator_figures",
    "queue_rows",
]


@dataclass(frozen=True, slots=True)
class ClaimSummary:
    """A claim as stored, without the rows that belong to it."""

    id: str
    policy_id: str
    claimant_id: str
    product: str
    peril: str
    amount: Money
    occurred_at: datetime
    description: str
    payee_account: str
    device_id: str
    address: str
    merchant_id: str
    order_number: str
    other_insurance_minor: int
    status: Status
    round: int
    trace_id: str
    flow_run_id: str
    created_at: datetime
    submitted_at: datetime | None
    closed_at: datetime | None
    touched: bool  # a person took part


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    status: Status
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as stored. seq counts from 1 within the claim; inputs: the canonical bytes that a replay needs;
    stored: the decision's own canonical bytes, which the replay must give again."""

    id: str
    seq: int
    round: int
    decision: Decision
    inputs: bytes
    stored: bytes


@dataclass(frozen=True, slots=True)
class ClaimDetail:
    """Everything about one claim, each list oldest first."""

    claim: ClaimSummary
    policy: Policy
    evidence: tuple[EvidenceRow, ...]
    timeline: tuple[TimelineEvent, ...]
    decisions: tuple[DecisionRow, ...]
    payouts: tuple[Payout, ...]
    referrals: tuple[Referral, ...]
    recoveries: tuple[Recovery, ...] = ()
    findings: tuple[Finding, ...] = ()  # open: the claim is stopped

    @property
    def decision(self) -> DecisionRow | None:
        """Return the newest decision; None before the first."""
        return self.decisions[-1] if self.decisions else None

    @property
    def promised(self) -> Money:
        """Return what was paid or promised so far, less what is to be recovered."""
        live = sum(payout.amount.minor for payout in self.payouts if payout.state in payouts.LIVE)
        back = sum(recovery.amount.minor - recovery.written_off_minor for recovery in self.recoveries)
        return Money(live - back, self.claim.amount.currency)

    @property
    def stands(self) -> Status | None:
        """Return the decision that an open appeal is against, None for a claim that was never decided for good."""
        live = [payout for payout in self.payouts if payout.state in payouts.LIVE]
        kept_minor = sum(payout.amount.minor for payout in live) - sum(
            recovery.amount.minor for recovery in self.recoveries
        )
        timeline = [entry.status for entry in self.timeline]
        return standing_decision(timeline, [payout.state for payout in live], kept_minor=kept_minor)


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A referral that waits, with the claim it is about and the decision that led to it (None for one without)."""

    referral: Referral
    claim: ClaimSummary
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The state of a pet's enrolment. none: no photos yet; pending: being measured; enrolled; refused: `problem` says
    why (older templates stay)."""

    state: Literal["none", "pending", "enrolled", "refused"]
    templates: int
    problem: str


async def claim_view(
    conn: AsyncConnection, claim_id: str, *, claimant_id: str | None = None, partner: str | None = None
) -> ClaimDetail:
    """Return one claim. Raises NotFound, also when it is not `claimant_id`'s or was never referred to `partner`."""
    row = await claim_row(conn, claim_id, claimant_id=claimant_id, partner=partner)
    history = await conn.execute(
        select(claim_history).where(claim_history.c.claim_id == claim_id).order_by(claim_history.c.seq)
    )
    decided = await conn.execute(select(decisions).where(decisions.c.claim_id == claim_id).order_by(decisions.c.seq))
    referred = select(referral_rows).where(referral_rows.c.claim_id == claim_id).order_by(referral_rows.c.created_at)
    if partner is not None:
        referred = referred.where(referral_rows.c.partner == partner)
    return ClaimDetail(
        claim=row,
        policy=await policy_of(conn, row.policy_id),
        evidence=await _evidence(conn, evidence.c.claim_id == claim_id, *_submitted(claimant_id)),
        timeline=tuple(TimelineEvent(Status(event.status), event.actor, event.note, event.at) for event in history),
        decisions=tuple(
            DecisionRow(row.id, row.seq, row.round, _decision(row.decision), row.inputs, row.decision)
            for row in decided
        ),
        payouts=tuple(await payouts.of_claim(conn, claim_id)),
        referrals=tuple(referrals.from_row(row) for row in await conn.execute(referred)),
        recoveries=tuple(await recoveries.of_claim(conn, claim_id)),
        findings=tuple(await findings.listed(conn, claim_id=claim_id)),
    )


async def claim_row(
    conn: AsyncConnection, claim_id: str, *, claimant_id: str | None = None, partner: str | None = None
) -> ClaimSummary:
    """Return the claim alone. Raises NotFound as `claim_view` does."""
    query = select(claims).where(claims.c.id == claim_id, *_visible(claimant_id, partner))
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no claim {claim_id}")
    return _claim(row)


async def list_claims(
    conn: AsyncConnection,
    *,
    claimant_id: str | None = None,
    partner: str | None = None,
    statuses: Sequence[Status] = (),
    before: datetime | None = None,
    limit: int = 50,
) -> list[ClaimSummary]:
    """Return claims, newest first; `before`: created earlier than that, to page on."""
    query = select(claims).where(*_visible(claimant_id, partner)).order_by(claims.c.created_at.desc(), claims.c.id)
    if statuses:
        query = query.where(claims.c.status.in_(statuses))
    if before is not None:
        query = query.where(claims.c.created_at < before)
    return [_claim(row) for row in await conn.execute(query.limit(limit))]


async def evidence_file(
    conn: AsyncConnection,
    claim_id: str,
    name_or_id: str,
    *,
    claimant_id: str | None = None,
    partner: str | None = None,
) -> EvidenceRow:
    """Return one file by its name or evidence id. Raises NotFound as `claim_view` does, ClaimErased once its claim
    was."""
    claim = await claim_row(conn, claim_id, claimant_id=claimant_id, partner=partner)
    if claim.status is Status.ERASED:
        raise ClaimErased(f"claim {claim_id} was erased")
    same = (evidence.c.id == name_or_id) | (evidence.c.name == name_or_id)
    files = await _evidence(conn, evidence.c.claim_id == claim_id, same, *_submitted(claimant_id))
    if not files:
        raise NotFound(f"claim {claim_id} has no evidence {name_or_id!r}")
    return files[0]


async def queue_rows(
    conn: AsyncConnection,
    wanted: waiting.Wanted,
    now: datetime,
    *,
    limit: int = 50,
    offset: int = 0,
    after: tuple[datetime, str] | None = None,
) -> list[QueueEntry]:
    """Return what waits for a person, the most urgent first; `waiting.ids` documents the arguments."""
    page = await waiting.ids(conn, wanted, now, limit=limit, offset=offset, after=after)
    rows = await conn.execute(
        select(referral_rows).where(referral_rows.c.id.in_(page)).order_by(referral_rows.c.due_at, referral_rows.c.id)
    )
    shown = [referrals.from_row(row) for row in rows]
    claim_rows = await conn.execute(select(claims).where(claims.c.id.in_([referral.claim_id for referral in shown])))
    by_id = {row.id: _claim(row) for row in claim_rows}
    decided = await conn.execute(
        select(decisions.c.id, decisions.c.decision).where(
            decisions.c.id.in_([referral.decision_id for referral in shown])
        )
    )
    decision_by_id = {row.id: _decision(row.decision) for row in decided}
    return [
        QueueEntry(referral, by_id[referral.claim_id], decision_by_id.get(referral.decision_id)) for referral in shown
    ]


async def enrolment(conn: AsyncConnection, pet_id: str) -> Enrolment:
    """Return how far the pet's nose enrolment is. An unknown pet has none."""
    counted = await conn.execute(select(func.count()).where(nose_templates.c.pet_id == pet_id))
    templates = counted.scalar_one()
    newest = (
        await conn.execute(
            select(outbox.c.state, outbox.c.last_error)
            .where(outbox.c.topic == "enrol", outbox.c.payload["pet_id"].astext == pet_id)
            .order_by(outbox.c.id.desc())
            .limit(1)
        )
    ).first()
    if newest is not None and newest.state in ("due", "leased"):
        return Enrolment("pending", templates, "")
    if newest is not None and (newest.state == "dead" or not templates):
        return Enrolment("refused", templates, newest.last_error)
    return Enrolment("enrolled" if templates else "none", templates, "")


async def payouts_by_state(conn: AsyncConnection) -> dict[str, int]:
    """Return how many payouts are reserved, sent, paid and failed, of all time."""
    rows = await conn.execute(select(payout_rows.c.state, func.count()).group_by(payout_rows.c.state))
    return {row.state: row[1] for row in rows}


def _visible(claimant_id: str | None, partner: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if claimant_id is not None:
        conditions.append(claims.c.claimant_id == claimant_id)
    else:
        conditions.append(claims.c.submitted_at.is_not(None))
    if partner is not None:
        conditions.append(
            exists(
                select(referral_rows.c.id).where(
                    referral_rows.c.claim_id == claims.c.id, referral_rows.c.partner == partner
                )
            )
        )
    return conditions


def _submitted(claimant_id: str | None) -> list[ColumnElement[bool]]:
    """Return the condition on a claim's files: all for its claimant; for everybody else those of a round that has
    begun."""
    if claimant_id is not None:
        return []
    begun = select(claims.c.round).where(claims.c.id == evidence.c.claim_id).scalar_subquery()
    return [evidence.c.round <= begun]


async def _evidence(conn: AsyncConnection, *conditions: ColumnElement[bool]) -> tuple[EvidenceRow, ...]:
    rows = await conn.execute(select(evidence).where(*conditions).order_by(evidence.c.received_at, evidence.c.name))
    return tuple(
        EvidenceRow(
            id=row.id,
            name=row.name,
            kind=EvidenceKind(row.kind),
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            preview_sha256=row.preview_sha256,
            round=row.round,
            received_at=row.received_at,
        )
        for row in rows
    )


def _decision(stored: bytes) -> Decision:
    return from_plain(Decision, json.loads(stored))


def _claim(row: Row[Any]) -> ClaimSummary:
    special: dict[str, Any] = {"amount": Money(row.amount_minor, row.currency), "status": Status(row.status)}
    return ClaimSummary(
        **special, **{name: getattr(row, name) for name in ClaimSummary.__slots__ if name not in special}
    )

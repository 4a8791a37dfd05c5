"""What a worker needs to decide a claim, and the one transaction that records the decision with everything that follows
from it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.catalogue import product_of
from claims.claim import Claim, EvidenceKind, Status
from claims.decision import Decision, Outcome
from claims.errors import Conflict, CoverSpent, CurrencyMismatch, LeaseLost, NotFound
from claims.floods import waits_for
from claims.money import Money
from claims.policy import Policy
from claims.recovery import settling
from claims.rules import RULES
from claims.store import (
    audit,
    counts,
    findings,
    floods,
    links,
    payouts,
    queue,
    recoveries,
    referrals,
    repeats,
    statuses,
)
from claims.store.queue import Lease
from claims.store.tables import claimants, claims, decisions, evidence, policies
from claims.store.tables import payouts as payout_rows
from claims.store.tables import stage_results as stage_rows
from claims.wire import canonical

_DECISIONS: Final = uuid.UUID("b1f8f1c4-0a63-5d1b-9d0f-6a3f1d2c7e58")


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One file.

    sha256 is its key in the evidence store; preview_sha256 that of the clean preview, "" until the flow has made it.
    """

    id: str
    name: str
    kind: EvidenceKind
    media_type: str
    size_bytes: int
    sha256: str
    preview_sha256: str
    round: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """All that was submitted, as of this round."""

    claim: Claim
    policy: Policy
    evidence: tuple[EvidenceRow, ...]
    round: int
    status: Status
    claimant_name: str
    credit_attributes: Mapping[str, Any]
    trace_id: str


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a finished stage left: plain JSON, and its seconds, {"wall": .., "cpu": ..}."""

    result: Any
    seconds: Mapping[str, float]
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """payout_id (of what goes to the bank), referral_id and recovery_id are "" where the decision led to none."""

    decision_id: str
    status: Status
    payout_id: str
    referral_id: str
    recovery_id: str = ""


async def load(conn: AsyncConnection, claim_id: str) -> ClaimFile:
    """The claim with its policy and evidence. Raises NotFound; Conflict for a draft, which has not been submitted."""
    row = (
        await conn.execute(
            select(claims, claimants.c.name.label("claimant_name"), claimants.c.credit_attributes)
            .join(claimants, claimants.c.id == claims.c.claimant_id)
            .where(claims.c.id == claim_id)
        )
    ).first()
    if row is None:
        raise NotFound(f"no claim {claim_id}")
    if row.submitted_at is None:
        raise Conflict(f"claim {claim_id} is a draft")
    claim = Claim(
        id=row.id,
        policy_id=row.policy_id,
        claimant_id=row.claimant_id,
        product=row.product,
        peril=row.peril,
        amount=Money(row.amount_minor, row.currency),
        occurred_at=row.occurred_at,
        submitted_at=row.submitted_at,
        description=row.description,
        payee_account=row.payee_account,
        device_id=row.device_id,
        address=row.address,
        merchant_id=row.merchant_id,
        order_number=row.order_number,
        other_insurance_minor=row.other_insurance_minor,
    )
    files = await conn.execute(
        select(evidence)
        .where(evidence.c.claim_id == claim_id, evidence.c.round <= row.round)  # not what is only being sent
        .order_by(evidence.c.received_at, evidence.c.name)
    )
    return ClaimFile(
        claim=claim,
        policy=await policy_of(conn, row.policy_id),
        evidence=tuple(
            EvidenceRow(
                id=file.id,
                name=file.name,
                kind=EvidenceKind(file.kind),
                media_type=file.media_type,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                preview_sha256=file.preview_sha256,
                round=file.round,
                received_at=file.received_at,
            )
            for file in files
        ),
        round=row.round,
        status=Status(row.status),
        claimant_name=row.claimant_name,
        credit_attributes=row.credit_attributes,
        trace_id=row.trace_id,
    )


async def policy_of(conn: AsyncConnection, policy_id: str, claimant_id: str | None = None) -> Policy:
    """Raises NotFound, also when the policy is not `claimant_id`'s."""
    query = select(policies).where(policies.c.id == policy_id)
    if claimant_id is not None:
        query = query.where(policies.c.claimant_id == claimant_id)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no policy {policy_id}")
    return Policy(
        id=row.id,
        number=row.number,
        product=row.product,
        claimant_id=row.claimant_id,
        insured_name=row.insured_name,
        pet_id=row.pet_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        sum_insured=Money(row.sum_insured_minor, row.currency),
        insured_value=Money(row.insured_value_minor, row.currency),
        recorded_at=row.created_at,
        terms_changed_at=row.terms_changed_at,
    )


async def stage_results(conn: AsyncConnection, claim_id: str, round_number: int) -> dict[str, StageResult]:
    """Results of the stages that finished in this round, by stage."""
    rows = await conn.execute(
        select(stage_rows).where(stage_rows.c.claim_id == claim_id, stage_rows.c.round == round_number)
    )
    return {row.stage: StageResult(row.result, row.seconds, row.finished_at) for row in rows}


async def save_stage(
    conn: AsyncConnection, lease: Lease, stage: str, result: object, seconds: Mapping[str, float], now: datetime
) -> None:
    """Keep a stage's result (plain JSON) for whoever holds this claim next. Raises LeaseLost."""
    await queue.hold(conn, lease)
    await queue.moved_on(conn, lease)
    values = {"result": result, "seconds": dict(seconds), "finished_at": now}
    await conn.execute(
        upsert(stage_rows)
        .values(claim_id=lease.claim_id, round=lease.round, stage=stage, **values)
        .on_conflict_do_update(index_elements=["claim_id", "round", "stage"], set_=values)
    )


async def set_preview(conn: AsyncConnection, evidence_id: str, preview_sha256: str) -> None:
    """Where the clean preview of an evidence file lies."""
    await conn.execute(update(evidence).where(evidence.c.id == evidence_id).values(preview_sha256=preview_sha256))


async def set_flow_run(conn: AsyncConnection, claim_ids: Sequence[str], flow_run_id: str) -> None:
    """Which flow run works on these claims, for the operator's link."""
    await conn.execute(update(claims).where(claims.c.id.in_(claim_ids)).values(flow_run_id=flow_run_id))


async def record_decision(
    conn: AsyncConnection,
    lease: Lease | None,
    file: ClaimFile,
    decision: Decision,
    inputs: bytes,
    now: datetime,
    actor: str,
    *,
    partner: str = "",
    note: str = "",
    sla: timedelta = referrals.SLA,
    paid_elsewhere: Collection[str] = (),
    recover: bool = False,
) -> Recorded:
    """Decision, status, history, payout with its ledger reserve, referral, outbox, audit and the job's end, in the
    caller's transaction.

    With a lease: a worker's decision on a submitted claim. Without: a person's on a claim before them;
    `decide_referral` is the way there. decision.payout is the whole amount due for the claim: what an earlier decision
    paid or promised is taken off, so an appeal pays the difference only. recover: where less is due than was paid, the
    claimant owes the rest (`claims.store.recoveries`). partner: the insurer that a referral goes to.

    paid_elsewhere: claims with a copy of this one's photo or paper that are known to be paid, and do not matter: a
    person said so, or the photos were looked at again since.

    Raises LeaseLost (fence, or withdrawn meanwhile), Conflict (another round), CoverSpent (take the cover facts again),
    CopyPaid (another claim with a copy of the photo, or for the same order or event, has been paid since they were
    looked for), OrderSpent (look for other claims on the order again), FloodRuled (look at the photos again),
    RecoveryNeeded and NothingToRecover (`claims.recovery`), ClaimStopped (bank and books disagree),
    InvalidTransition.
    """
    claim = file.claim
    facts = _facts(inputs)
    others = links.claims_in(facts)
    found = await statuses.lock_all(conn, {claim.id, *others})
    erased = [other for other in others if found.get(other) is Status.ERASED]
    if erased:
        # Its picture was looked at before it was erased, and must not come back with this decision.
        links.blank(facts, erased)
        inputs = canonical({**json.loads(inputs), "facts": facts})
        await _blank_stage(conn, claim.id, round_number=file.round, erased=erased)
    status, round_number = await statuses.lock(conn, claim.id)
    if round_number != file.round:
        raise Conflict(f"claim {claim.id} is in round {round_number}, the decision is on round {file.round}")
    if lease is not None:
        if (lease.claim_id, lease.round) != (claim.id, round_number):
            raise LeaseLost(f"the lease is on claim {lease.claim_id} round {lease.round}")
        await queue.hold(conn, lease)
    if decision.payout.currency != claim.amount.currency:
        raise CurrencyMismatch(f"claim in {claim.amount.currency}, payout in {decision.payout.currency}")
    held_minor = await recoveries.held_minor(conn, claim.id)
    await _check_held(conn, claim.id, facts, held_minor)
    money = settling(decision.outcome, decision.payout.minor, held_minor, recover=recover)
    decision_id = await _insert_decision(conn, claim.id, round_number, decision, inputs)

    left = money.pay_minor
    new = _status_after(decision.outcome, left)
    if status is Status.PAYOUT_FAILED and new is not Status.APPROVED:
        await statuses.move(conn, claim.id, status, Status.REFERRED, actor=actor, note="", now=now)
        status = Status.REFERRED
    await statuses.move(conn, claim.id, status, new, actor=actor, note=note, now=now)
    if lease is None:
        await conn.execute(update(claims).where(claims.c.id == claim.id).values(touched=True))

    payout_id = referral_id = recovery_id = ""
    await links.record(conn, claim.id, facts)
    if left > 0:
        await findings.check_not_stopped(conn, claim.id)
        await links.check_unpaid(conn, claim.id, paid_elsewhere)
        await repeats.lock_orders(conn, claim.id)
        await _check_cover(conn, file.policy, left)
        await _check_terms(conn, claim.id, facts)
        terms = (file.policy, product_of(claim.product), decision.payout)
        await repeats.check_unpaid(conn, claim, *terms, paid_elsewhere, RULES, by_rules=lease is not None)
        due = Money(left, decision.payout.currency)
        payout_id = await recoveries.pay(conn, claim, decision_id, due, now, actor=actor)
        if not payout_id:  # all of it was offset: nothing goes to the bank
            await statuses.move(conn, claim.id, new, Status.PAID, actor=actor, note="", now=now)
            new = Status.PAID
    if money.recover_minor > 0:
        back = Money(money.recover_minor, decision.payout.currency)
        recovery_id = await recoveries.ask_back(conn, claim, decision_id, back, note, now, actor=actor)
    if decision.outcome is Outcome.REFER:
        waits = await floods.hold(conn, waits_for(decision))
        cause: referrals.Cause = "flood" if waits else "refer"
        referral_id = await referrals.open_referral(conn, claim.id, decision_id, partner, cause, now, sla=sla)
        await floods.join(conn, waits, claim.id, referral_id, now)
    if lease is not None:
        await queue.finish(conn, lease, now)
    content = {
        "decision_id": decision_id,
        "outcome": decision.outcome,
        "payout_minor": decision.payout.minor,
        "reserved_minor": max(left, 0),
        "reasons": [reason.code for reason in decision.reasons],
        "rules_version": decision.rules_version,
        "decided_by": decision.decided_by,
    }
    if paid_elsewhere and left > 0:
        content["although_copy_paid"] = sorted(paid_elsewhere)
    if recovery_id:
        content["recovery_minor"] = money.recover_minor
    await audit.append(conn, actor, "claim.decided", claim.id, content, now)
    return Recorded(decision_id, new, payout_id, referral_id, recovery_id)


async def decide_referral(
    conn: AsyncConnection,
    referral_id: str,
    file: ClaimFile,
    decision: Decision,
    inputs: bytes,
    now: datetime,
    *,
    actor: str,
    subject: str,
    verdict: referrals.Verdict,
    note: str,
    partner: str | None = None,
    although_copy_paid: bool = False,
    recover: bool = False,
) -> Recorded:
    """A person's verdict on a referral and the decision that follows from it. Of two at once one wins, the other gets
    Conflict.

    partner: given when the person belongs to a partner insurer; another's referral is NotFound. although_copy_paid: the
    person knows that another claim with the same photo, paper, order or event was paid; otherwise CopyPaid. Of two
    people who approve two such claims at the same moment one is told. Raises what `record_decision` raises.
    """
    sharing = await links.sharing(conn, file.claim.id)
    await statuses.lock_all(conn, (file.claim.id, *sharing))
    known: tuple[str, ...] = ()
    if although_copy_paid:
        same = await repeats.paid(conn, file.claim, product_of(file.claim.product), RULES)
        known = (*await links.paid(conn, file.claim.id), *same)
    settled = await referrals.settle(conn, referral_id, subject, verdict, note, now, partner=partner)
    if settled.claim_id != file.claim.id:
        raise NotFound(f"referral {referral_id} is not about claim {file.claim.id}")
    return await record_decision(
        conn, None, file, decision, inputs, now, actor, partner=settled.partner, note=note, paid_elsewhere=known,
        recover=recover,
    )  # fmt: skip


def _facts(inputs: bytes) -> dict[str, Any]:
    """The facts in recorded inputs; a person's decision has none of its own."""
    facts: dict[str, Any] = json.loads(inputs or b"{}").get("facts", {})
    return facts


async def _blank_stage(conn: AsyncConnection, claim_id: str, *, round_number: int, erased: Sequence[str]) -> None:
    stage = (
        stage_rows.c.claim_id == claim_id,
        stage_rows.c.round == round_number,
        stage_rows.c.stage == "photos",
    )
    photos = (await conn.execute(select(stage_rows.c.result).where(*stage))).scalar_one_or_none()
    if photos is not None:
        links.blank({"photos": photos}, erased)
        await conn.execute(update(stage_rows).where(*stage).values(result=photos))


def _status_after(outcome: Outcome, left_minor: int) -> Status:
    if outcome is Outcome.PAY:
        return Status.APPROVED if left_minor > 0 else Status.PAID
    if outcome is Outcome.DECLINE:
        return Status.DECLINED
    return Status.REFERRED if outcome is Outcome.REFER else Status.AWAITING_INFORMATION


async def _insert_decision(
    conn: AsyncConnection, claim_id: str, round_number: int, decision: Decision, inputs: bytes
) -> str:
    newest = await conn.execute(
        select(func.coalesce(func.max(decisions.c.seq), 0)).where(decisions.c.claim_id == claim_id)
    )
    seq = int(newest.scalar_one()) + 1
    decision_id = str(uuid.uuid5(_DECISIONS, f"{claim_id}:{seq}"))
    await conn.execute(
        insert(decisions).values(
            id=decision_id,
            claim_id=claim_id,
            seq=seq,
            round=round_number,
            outcome=decision.outcome,
            payout_minor=decision.payout.minor,
            currency=decision.payout.currency,
            inputs=inputs,
            decision=canonical(decision),
            rules_version=decision.rules_version,
            decided_by=decision.decided_by,
            decided_at=decision.decided_at,
        )
    )
    return decision_id


async def _check_held(conn: AsyncConnection, claim_id: str, facts: Mapping[str, Any], held_minor: int) -> None:
    """What the claim itself was paid, and whether it is stopped, may have changed since the facts were taken: a bank
    that paid after all. A person's decision has no facts."""
    cover = facts.get("cover")
    if cover is None:
        return
    stopped = " ".join(await findings.stopping(conn, claim_id))
    if (held_minor, stopped) != (int(cover.get("held_on_claim_minor", 0)), str(cover.get("stopped_by", ""))):
        raise CoverSpent(f"claim {claim_id} was paid {held_minor} minor units by now, or was stopped: {stopped}")


async def _check_terms(conn: AsyncConnection, claim_id: str, facts: Mapping[str, Any]) -> None:
    """Nor the same rest of its deductible or of its days. The policy is locked (`_check_cover`). A person's decision
    has no facts, and sets its own amount."""
    found = facts.get("cover")
    if found is None:
        return
    used = await counts.used_of_cover(conn, claim_id)
    counted = (int(found.get("deductible_borne_minor", 0)), int(found.get("days_paid", 0)))
    if used != counted:
        raise CoverSpent(f"deductible borne and days paid are {used} by now, counted were {counted}")


async def _check_cover(conn: AsyncConnection, policy: Policy, left_minor: int) -> None:
    """Two claims under one policy that are decided at once must not both use the same rest of its sum."""
    await conn.execute(select(policies.c.id).where(policies.c.id == policy.id).with_for_update(key_share=True))
    spent = await conn.execute(
        select(func.coalesce(func.sum(payout_rows.c.amount_minor), 0))
        .join(claims, claims.c.id == payout_rows.c.claim_id)
        .where(claims.c.policy_id == policy.id, payout_rows.c.state.in_(payouts.LIVE))
    )
    total = int(spent.scalar_one()) + left_minor - await recoveries.given_back_minor(conn, policy.id)
    if total > policy.sum_insured.minor:
        raise CoverSpent(f"policy {policy.number}: {total} of {policy.sum_insured.minor} minor units would be paid")

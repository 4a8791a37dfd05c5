"""The one transaction that records a decision with everything that follows from it: status, money, referral, audit."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.catalogue import product_of
from claims.claim import Claim, Status, status_after
from claims.decision import Decision, Outcome
from claims.errors import Conflict, CurrencyMismatch, LeaseLost, NotFound
from claims.floods import waits_for
from claims.money import Money
from claims.promises import CountedCover, counted_in
from claims.recovery import Settling, settling
from claims.rules import RULES
from claims.store import (
    audit,
    findings,
    floods,
    links,
    promises,
    queue,
    recoveries,
    referrals,
    repeats,
    stage_results,
    statuses,
)
from claims.store.adjudication import ClaimFile
from claims.store.queue import Lease
from claims.store.tables import claims, decisions
from claims.wire import canonical

_DECISIONS: Final = uuid.UUID("b1f8f1c4-0a63-5d1b-9d0f-6a3f1d2c7e58")


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision about to be recorded, with everything that is recorded beside it.

    lease: a worker's on a submitted claim; None for a person's decision on a claim before them (`decide_referral` is
    the way there). decision.payout is the whole amount due for the claim: what an earlier decision paid or promised is
    taken off, so an appeal pays the difference only. inputs: what the decision was taken on, as it is replayed from.
    partner, sla: of a referral, the insurer that it goes to and its time. recover: where less is due than was paid, the
    claimant owes the rest (`claims.store.recoveries`). paid_elsewhere: claims with a copy of this one's photo or paper
    that are known to be paid, and do not matter: a person said so, or the photos were looked at again since.
    """

    lease: Lease | None
    file: ClaimFile
    decision: Decision
    inputs: bytes
    now: datetime
    actor: str
    partner: str = ""
    note: str = ""
    sla: timedelta = referrals.SLA
    paid_elsewhere: Collection[str] = ()
    recover: bool = False

    @property
    def claim(self) -> Claim:
        return self.file.claim


@dataclass(frozen=True, slots=True)
class DecisionRecorded:
    """The result of recording. payout_id (of what goes to the bank), referral_id and recovery_id are "" where the
    decision led to none."""

    decision_id: str
    status: Status
    payout_id: str
    referral_id: str
    recovery_id: str = ""


async def record_decision(conn: AsyncConnection, new: NewDecision) -> DecisionRecorded:
    """Record decision, status, history, payout with its ledger reserve, referral, outbox, audit and the job's end, in
    the caller's transaction.

    Raises LeaseLost (fence, or withdrawn meanwhile), Conflict (another round), CoverSpent (take the cover facts again),
    CopyPaid (another claim with a copy of the photo, or for the same order or event, has been paid since they were
    looked for), OrderSpent (look for other claims on the order again), FloodRuled (look at the photos again),
    RecoveryNeeded and NothingToRecover (`claims.recovery`), ClaimStopped (bank and books disagree),
    InvalidTransition.
    """
    decision = new.decision
    facts = _facts(new.inputs)
    inputs = await _without_erased(conn, new, facts)
    status = await _lock_due(conn, new)
    held_minor = await recoveries.held_minor(conn, new.claim.id)
    await promises.check_held(conn, new.claim.id, counted_in(facts), held_minor)
    money = settling(decision.outcome, decision.payout.minor, held_minor, recover=new.recover)
    decision_id = await _insert_decision(conn, new, inputs)
    status = await _move(conn, new, status, status_after(decision.outcome, money.pay_minor))
    await links.record(conn, new.claim.id, facts)
    payout_id = recovery_id = referral_id = ""
    if money.pay_minor > 0:
        payout_id = await _promise(conn, new, decision_id, money.pay_minor, counted_in(facts))
        if not payout_id:  # all of it was offset: nothing goes to the bank
            status = await _step(conn, new, status, Status.PAID)
    if money.recover_minor > 0:
        back = Money(money.recover_minor, decision.payout.currency)
        recovery_id = await recoveries.ask_back(conn, new.claim, decision_id, back, new.note, new.now, actor=new.actor)
    if decision.outcome is Outcome.REFER:
        referral_id = await _refer(conn, new, decision_id)
    if new.lease is not None:
        await queue.finish(conn, new.lease, new.now)
    await _audit(conn, new, decision_id, money)
    return DecisionRecorded(decision_id, status, payout_id, referral_id, recovery_id)


@dataclass(frozen=True, slots=True)
class JudgedReferral:
    """A person's verdict on a referral, with the decision that follows from it.

    partner: given when the person belongs to a partner insurer; another's referral is NotFound. although_copy_paid: the
    person knows that another claim with the same photo, paper, order or event was paid. recover: see NewDecision.
    """

    referral_id: str
    file: ClaimFile
    decision: Decision
    inputs: bytes
    now: datetime
    actor: str
    subject: str
    verdict: referrals.Verdict
    note: str
    partner: str | None = None
    although_copy_paid: bool = False
    recover: bool = False


async def decide_referral(conn: AsyncConnection, judged: JudgedReferral) -> DecisionRecorded:
    """Record a person's verdict on a referral and the decision that follows from it. Of two at once one wins, the other
    gets Conflict.

    Raises what `record_decision` raises, CopyPaid unless the person knows (`although_copy_paid`); of two people who
    approve two such claims at the same moment one is told.
    """
    file = judged.file
    sharing = await links.sharing(conn, file.claim.id)
    await statuses.lock_all(conn, (file.claim.id, *sharing))
    known: tuple[str, ...] = ()
    if judged.although_copy_paid:
        same = await repeats.paid(conn, file.claim, product_of(file.claim.product), RULES)
        known = (*await links.paid(conn, file.claim.id), *same)
    settled = await referrals.settle(
        conn, judged.referral_id, judged.subject, judged.verdict, judged.note, judged.now, partner=judged.partner
    )
    if settled.claim_id != file.claim.id:
        raise NotFound(f"referral {judged.referral_id} is not about claim {file.claim.id}")
    new = NewDecision(
        None, file, judged.decision, judged.inputs, judged.now, judged.actor, partner=settled.partner,
        note=judged.note, paid_elsewhere=known, recover=judged.recover,
    )  # fmt: skip
    return await record_decision(conn, new)


def _facts(inputs: bytes) -> dict[str, Any]:
    """Return the facts in recorded inputs; a person's decision has none of its own."""
    facts: dict[str, Any] = json.loads(inputs or b"{}").get("facts", {})
    return facts


async def _without_erased(conn: AsyncConnection, new: NewDecision, facts: dict[str, Any]) -> bytes:
    """Lock the claim and those that the facts name. Returns the inputs without the pictures of claims that were erased
    since the photos were examined, which must not come back with this decision. Blanks `facts` likewise."""
    others = links.claims_in(facts)
    standing = await statuses.lock_all(conn, {new.claim.id, *others})
    erased = [other for other in others if standing.get(other) is Status.ERASED]
    if not erased:
        return new.inputs
    links.blank(facts, erased)
    await stage_results.blank_photos(conn, new.claim.id, new.file.round, erased)
    return canonical({**json.loads(new.inputs), "facts": facts})


async def _lock_due(conn: AsyncConnection, new: NewDecision) -> Status:
    """Lock the claim and return its status. Raises Conflict, LeaseLost or CurrencyMismatch when this decision is not
    due."""
    status, round_number = await statuses.lock(conn, new.claim.id)
    if round_number != new.file.round:
        raise Conflict(f"claim {new.claim.id} is in round {round_number}, the decision is on round {new.file.round}")
    if new.lease is not None:
        if (new.lease.claim_id, new.lease.round) != (new.claim.id, round_number):
            raise LeaseLost(f"the lease is on claim {new.lease.claim_id} round {new.lease.round}")
        await queue.hold(conn, new.lease)
    if new.decision.payout.currency != new.claim.amount.currency:
        raise CurrencyMismatch(f"claim in {new.claim.amount.currency}, payout in {new.decision.payout.currency}")
    return status


async def _insert_decision(conn: AsyncConnection, new: NewDecision, inputs: bytes) -> str:
    claim_id, decision = new.claim.id, new.decision
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
            round=new.file.round,
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


async def _move(conn: AsyncConnection, new: NewDecision, old: Status, status: Status) -> Status:
    """Move the claim to the status that follows from the decision; a person's decision marks it as touched."""
    if old is Status.PAYOUT_FAILED and status is not Status.APPROVED:
        old = await _step(conn, new, old, Status.REFERRED)
    await _step(conn, new, old, status, note=new.note)
    if new.lease is None:
        await conn.execute(update(claims).where(claims.c.id == new.claim.id).values(touched=True))
    return status


async def _step(conn: AsyncConnection, new: NewDecision, old: Status, status: Status, note: str = "") -> Status:
    await statuses.move(conn, new.claim.id, old, status, actor=new.actor, note=note, now=new.now)
    return status


async def _promise(
    conn: AsyncConnection, new: NewDecision, decision_id: str, pay_minor: int, counted: CountedCover | None
) -> str:
    """Promise the money, unless something that the decision rests on has changed meanwhile. Returns the id of the
    payout, "" where nothing is left for the bank."""
    claim, payout = new.claim, new.decision.payout
    await findings.check_not_stopped(conn, claim.id)
    await links.check_unpaid(conn, claim.id, new.paid_elsewhere)
    await repeats.lock_orders(conn, claim.id)
    await promises.check_cover(conn, new.file.policy, pay_minor)
    await promises.check_terms(conn, claim.id, counted)
    insured = new.file.under(product_of(claim.product))
    await repeats.check_unpaid(conn, insured, payout, new.paid_elsewhere, RULES, by_rules=new.lease is not None)
    due = Money(pay_minor, payout.currency)
    return await recoveries.pay(conn, claim, decision_id, due, new.now, actor=new.actor)


async def _refer(conn: AsyncConnection, new: NewDecision, decision_id: str) -> str:
    """Put the claim before a person; where it waits for nothing but a flood, before the one who rules on that."""
    waits = await floods.hold(conn, waits_for(new.decision))
    cause: referrals.Cause = "flood" if waits else "refer"
    referral_id = await referrals.open_referral(
        conn, new.claim.id, decision_id, new.partner, cause, new.now, sla=new.sla
    )
    await floods.join(conn, waits, new.claim.id, referral_id, new.now)
    return referral_id


async def _audit(conn: AsyncConnection, new: NewDecision, decision_id: str, money: Settling) -> None:
    decision = new.decision
    content = {
        "decision_id": decision_id,
        "outcome": decision.outcome,
        "payout_minor": decision.payout.minor,
        "reserved_minor": money.pay_minor,
        "reasons": [reason.code for reason in decision.reasons],
        "rules_version": decision.rules_version,
        "decided_by": decision.decided_by,
    }
    if new.paid_elsewhere and money.pay_minor > 0:
        content["although_copy_paid"] = sorted(new.paid_elsewhere)
    if money.recover_minor > 0:
        content["recovery_minor"] = money.recover_minor
    await audit.append(conn, new.actor, "claim.decided", new.claim.id, content, new.now)

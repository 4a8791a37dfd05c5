"""Turns the store's read models into the API's documents, with the content and the language for each reader."""

from __future__ import annotations

from urllib.parse import quote

from api.http.context import Context
from api.http.languages import Lang
from api.http.schemas import claims as wire
from api.http.schemas import insured, work
from api.http.tokens import Principal, Role
from claims import explain
from claims.claim import Status
from claims.decision import Decision, Ground, Reason
from claims.disclosure import for_claimant, for_outsiders
from claims.paper_kind import PaperKinds
from claims.policy import Policy
from claims.product import Product
from claims.store.adjudication import EvidenceRow
from claims.store.referrals import OPEN
from claims.store.views import ClaimDetail, ClaimSummary, QueueEntry
from claims.store.waiting import Counts


def claim(view: ClaimDetail, context: Context, principal: Principal, lang: Lang) -> wire.ClaimView:
    """Returns the claim as `principal` may see it."""
    row, newest = view.claim, view.decision
    product = context.catalogue.get(row.product)
    return wire.ClaimView(
        id=row.id,
        status=row.status,
        status_text=explain.status_text(row.status, lang),
        product=row.product,
        product_name=product.name.in_language(lang) if product is not None else row.product,
        policy_id=row.policy_id,
        peril=row.peril,
        amount_minor=row.amount.minor,
        payout_minor=view.promised.minor,
        currency=row.amount.currency,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        submitted_at=row.submitted_at,
        closed_at=row.closed_at,
        description=row.description,
        order_number=row.order_number,
        other_insurance_minor=row.other_insurance_minor,
        round=row.round,
        evidence=[evidence(row.id, file) for file in view.evidence],
        timeline=[
            wire.TimelineEntry(
                status=entry.status,
                text=explain.status_text(entry.status, lang),
                at=entry.at,
                by=_actor(entry.actor, principal),
                note=entry.note,
            )
            for entry in view.timeline
        ],
        decision=None if newest is None else decision(newest.decision, product, context.paper_kinds, principal, lang),
        payouts=[
            wire.PayoutView(
                id=payout.id,
                amount_minor=payout.amount.minor,
                currency=payout.amount.currency,
                state=payout.state,
                settled_at=payout.settled_at,
                offset_against=payout.recovery_id,
            )
            for payout in view.payouts
        ],
        recoveries=[
            wire.OwedView(
                id=recovery.id,
                amount_minor=recovery.amount.minor,
                owed_minor=recovery.owed.minor,
                currency=recovery.amount.currency,
                state=recovery.state,
                opened_at=recovery.opened_at,
            )
            for recovery in view.recoveries
        ],
        stopped_by=[finding.code for finding in view.findings] if principal.role is Role.ADJUSTER else [],
        next_steps=next_steps(view, principal),
        trace_id=row.trace_id,
        flow_run_id=row.flow_run_id if principal.role is Role.ADJUSTER else "",
    )


def evidence(claim_id: str, file: EvidenceRow) -> wire.Evidence:
    href = f"/v1/claims/{claim_id}/evidence/{quote(file.name, safe='')}"
    return wire.Evidence(
        id=file.id,
        name=file.name,
        kind=file.kind,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        received_at=file.received_at,
        href=href,
        preview_href=f"{href}/preview" if file.preview_sha256 else "",
    )


def decision(
    decided: Decision, product: Product | None, kinds: PaperKinds, principal: Principal, lang: Lang
) -> wire.DecisionView:
    by_rules = decided.decided_by == "rules"
    shown = for_claimant(decided.reasons) if principal.role is Role.CLAIMANT else decided.reasons
    return wire.DecisionView(
        outcome=decided.outcome,
        outcome_text=explain.outcome_text(decided.outcome, lang),
        payout_minor=decided.payout.minor,
        currency=decided.payout.currency,
        reasons=[_reason(reason, product, kinds, principal, lang) for reason in shown],
        benefit=[
            wire.BenefitView(
                code=line.label,
                text=explain.benefit_text(line, lang),
                explanation=row.words,
                detail=line.detail,
                amount_minor=line.amount.minor,
                currency=line.amount.currency,
            )
            for line, row in zip(decided.benefit, explain.explanation(decided, lang), strict=True)
        ],
        rules_version=decided.rules_version,
        models=list(decided.models),
        decided_at=decided.decided_at,
        decided_by="rules" if by_rules else decided.decided_by if principal.role is Role.ADJUSTER else "person",
    )


def next_steps(view: ClaimDetail, principal: Principal) -> list[str]:
    """Returns the steps that this caller may take now. The store decides in the end."""
    status = view.claim.status
    if principal.role is not Role.CLAIMANT:
        return ["review"] if any(referral.state in OPEN for referral in view.referrals) else []
    steps = {
        Status.DRAFT: ["add_evidence", "submit", "withdraw"],
        Status.SUBMITTED: ["withdraw"],
        Status.AWAITING_INFORMATION: ["add_evidence", "withdraw"],
        Status.REFERRED: ["withdraw"],
        Status.PAID: ["appeal"],
        Status.DECLINED: ["appeal"],
    }
    after_decision = view.stands is not None
    return ["withdraw_appeal" if step == "withdraw" and after_decision else step for step in steps.get(status, [])]


def claim_row(row: ClaimSummary, lang: Lang) -> wire.ClaimRow:
    return wire.ClaimRow(
        id=row.id,
        status=row.status,
        status_text=explain.status_text(row.status, lang),
        product=row.product,
        amount_minor=row.amount.minor,
        currency=row.amount.currency,
        created_at=row.created_at,
        submitted_at=row.submitted_at,
    )


def queue_row(row: QueueEntry, context: Context, lang: Lang) -> work.QueueRow:
    first = _first_reason(row.decision)
    return work.QueueRow(
        referral_id=row.referral.id,
        claim_id=row.claim.id,
        product=row.claim.product,
        partner=row.referral.partner,
        cause=row.referral.cause,
        state=row.referral.state,
        amount_minor=row.claim.amount.minor,
        currency=row.claim.amount.currency,
        first_reason=first.code if first is not None else "",
        first_reason_text=_first_reason_text(first, row, context, lang),
        assigned_to=row.referral.assigned_to,
        due_at=row.referral.due_at,
        created_at=row.referral.created_at,
        claim_href=f"/v1/claims/{row.claim.id}",
        decision_href=f"/v1/claims/{row.claim.id}/review",
    )


def queue_counts(counted: Counts) -> work.QueueCounts:
    return work.QueueCounts(
        total=counted.total,
        overdue=counted.overdue,
        free=counted.free,
        mine=counted.mine,
        by_product=dict(counted.by_product),
        by_cause=dict(counted.by_cause),
        by_partner=dict(counted.by_partner),
    )


def referral_row(row: QueueEntry, context: Context, lang: Lang) -> work.ReferralRow:
    first = _first_reason(row.decision)
    first = for_outsiders(first) if first is not None else None
    return work.ReferralRow(
        id=row.referral.id,
        claim_id=row.claim.id,
        product=row.claim.product,
        cause=row.referral.cause,
        state=row.referral.state,
        amount_minor=row.claim.amount.minor,
        currency=row.claim.amount.currency,
        first_reason=first.code if first is not None else "",
        first_reason_text=_first_reason_text(first, row, context, lang),
        due_at=row.referral.due_at,
        created_at=row.referral.created_at,
        claim_href=f"/v1/claims/{row.claim.id}",
        decision_href=f"/v1/referrals/{row.referral.id}/decision",
    )


def policy(terms: Policy) -> insured.PolicyView:
    return insured.PolicyView(
        id=terms.id,
        number=terms.number,
        product=terms.product,
        claimant_id=terms.claimant_id,
        insured_name=terms.insured_name,
        pet_id=terms.pet_id,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        currency=terms.sum_insured.currency,
        sum_insured_minor=terms.sum_insured.minor,
        insured_value_minor=terms.insured_value.minor,
    )


def _first_reason(decided: Decision | None) -> Reason | None:
    return decided.reasons[0] if decided is not None and decided.reasons else None


def _first_reason_text(first: Reason | None, row: QueueEntry, context: Context, lang: Lang) -> str:
    if first is None:
        return ""
    return explain.reason_text(first, lang, context.catalogue.get(row.claim.product), context.paper_kinds)


def _reason(
    reason: Reason, product: Product | None, kinds: PaperKinds, principal: Principal, lang: Lang
) -> wire.ReasonView:
    """Returns the reason as `principal` may see it: a claimant sees nothing of a suspicion that could concern other
    people, nor how near a threshold was."""
    to_claimant = principal.role is Role.CLAIMANT
    if principal.role is not Role.ADJUSTER:
        reason = for_outsiders(reason)
    hidden = to_claimant and reason.ground is Ground.SUSPICION
    return wire.ReasonView(
        code=reason.code,
        text=explain.claimant_text(reason, lang, product, kinds)
        if to_claimant
        else explain.reason_text(reason, lang, product, kinds),
        ground=reason.ground,
        pulls=reason.pulls,
        value="" if hidden else reason.value,
        threshold="" if hidden else reason.threshold,
        evidence_id=reason.evidence_id,
        clause=reason.clause,
        detail="" if hidden else explain.detail_text(reason, lang, product, kinds),
    )


def _actor(actor: str, principal: Principal) -> str:
    """Returns the actor as `principal` may see it: staff see the subject; claimants and partners see the kind of actor,
    and themselves."""
    if principal.role is Role.ADJUSTER or actor == str(principal):
        return actor
    return actor.split(":", 1)[0]

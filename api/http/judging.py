"""A person's verdict on a claim: the decision that follows, recorded with everything it entails."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.context import Context
from api.http.repeats import Reply
from api.http.schemas.work import VerdictRequest, VerdictTaken
from api.http.tokens import Principal, Role
from claims.decide import person_decision, person_inputs
from claims.decision import Outcome
from claims.money import Money
from claims.rules import RULES
from claims.store import adjudication, counts
from claims.store.referrals import Referral

_OUTCOMES = {"approve": Outcome.PAY, "refuse": Outcome.DECLINE, "ask": Outcome.ASK}


async def judge(
    conn: AsyncConnection, context: Context, principal: Principal, referral: Referral, verdict: VerdictRequest
) -> Reply:
    """Decide `referral` as `principal`. Raises InvalidDecision, InvalidTransition, Conflict (too late)."""
    now = context.now()
    file = await adjudication.load(conn, referral.claim_id)
    cover = await counts.cover(conn, referral.claim_id)
    product = context.catalogue[file.claim.product]
    outcome = _OUTCOMES[verdict.verdict]
    payout = Money(verdict.amount_minor or 0, verdict.currency or product.currency)
    terms = (file.claim, file.policy, product, outcome, payout, verdict.note, str(principal), RULES, now)
    decision = person_decision(*terms, paid_to_date_minor=cover.paid_to_date_minor)
    inputs = person_inputs(*terms, paid_to_date_minor=cover.paid_to_date_minor)
    recorded = await adjudication.decide_referral(
        conn,
        referral.id,
        file,
        decision,
        inputs,
        now,
        actor=str(principal),
        subject=principal.subject,
        verdict=verdict.verdict,
        note=verdict.note,
        partner=principal.subject if principal.role is Role.PARTNER else None,
    )
    body = VerdictTaken(
        claim_id=referral.claim_id,
        status=recorded.status,
        outcome=outcome,
        payout_minor=decision.payout.minor,
        currency=decision.payout.currency,
    )
    return Reply(200, body)

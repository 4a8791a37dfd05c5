"""Applies a person's verdict to a claim and records the decision with everything that follows from it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.problems import Problem
from api.http.repeats import KeyedRequest, Reply
from api.http.schemas.work import VerdictRequest, VerdictTaken
from api.http.tokens import Role
from claims import explain
from claims.decide import PersonInputs, person_decision
from claims.decision import Outcome
from claims.errors import CopyPaid, RecoveryNeeded, RepeatPaid
from claims.money import Money
from claims.rules import RULES
from claims.store import adjudication, counts, repeats
from claims.store.recording import JudgedReferral, decide_referral
from claims.store.referrals import Referral
from claims.wire import canonical

_OUTCOMES = {"approve": Outcome.PAY, "refuse": Outcome.DECLINE, "ask": Outcome.ASK}


async def judge(conn: AsyncConnection, sent: KeyedRequest, referral: Referral, verdict: VerdictRequest) -> Reply:
    """Decide `referral` as the principal of the request.

    Raises InvalidDecision, InvalidTransition, Conflict (too late), and Problem: `copy_paid` when another claim with the
    same photo, paper, order or event was paid and the verdict does not confirm that this is known, `recovery_needed`
    when less would be due than was paid and the verdict does not decide on the rest.
    """
    context, principal, now = sent.context, sent.principal, sent.context.now()
    file = await adjudication.load(conn, referral.claim_id)
    cover = await counts.cover(conn, referral.claim_id)
    product = context.catalogue[file.claim.product]
    outcome = _OUTCOMES[verdict.verdict]
    payout = Money(verdict.amount_minor or 0, verdict.currency or product.currency)
    of_order = (await repeats.sharing(conn, file.claim, product, RULES)).order_paid_minor
    person = PersonInputs(
        claim=file.claim,
        policy=file.policy,
        product=product,
        outcome=outcome,
        payout=payout,
        note=verdict.note,
        subject=sent.actor,
        rules=RULES,
        now=now,
        paid_to_date_minor=cover.paid_to_date_minor,
        order_paid_minor=of_order,
    )
    decision = person_decision(person)
    judged = JudgedReferral(
        referral_id=referral.id,
        file=file,
        decision=decision,
        inputs=canonical(person),
        now=now,
        actor=sent.actor,
        subject=principal.subject,
        verdict=verdict.verdict,
        note=verdict.note,
        partner=principal.partner,
        although_copy_paid=verdict.although_copy_paid,
        recover=verdict.recover,
    )
    try:
        recorded = await decide_referral(conn, judged)
    except RecoveryNeeded as error:
        paid, due = (explain.money_text(Money(minor, payout.currency)) for minor in (error.paid_minor, error.due_minor))
        words = (
            f"{paid} were paid, {due} would be due: set `recover` to have the rest back, or approve {paid} to leave it."
        )
        raise Problem(
            "recovery_needed",
            words,
            paid_minor=error.paid_minor,
            due_minor=error.due_minor,
            currency=payout.currency,
        ) from error
    except CopyPaid as error:
        # Which claim that is, is for the platform's own people.
        named = f" ({', '.join(error.claim_ids)})" if principal.role is Role.ADJUSTER else ""
        shared = "order or event" if isinstance(error, RepeatPaid) else "photo or paper"
        words = f"Another claim{named} with the same {shared} was paid: look again, or set `although_copy_paid`."
        raise Problem("copy_paid", words) from error
    body = VerdictTaken(
        claim_id=referral.claim_id,
        status=recorded.status,
        outcome=outcome,
        payout_minor=decision.payout.minor,
        currency=decision.payout.currency,
        recovery_id=recorded.recovery_id,
    )
    return Reply(200, body)

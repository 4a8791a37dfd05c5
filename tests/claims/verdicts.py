"""A person's verdict on a referral, recorded as the API records it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from claims.decision import Decision, Outcome
from claims.store import adjudication, recording, referrals

VERDICT_OF: Final[dict[Outcome, referrals.Verdict]] = {
    Outcome.PAY: "approve",
    Outcome.DECLINE: "refuse",
    Outcome.ASK: "ask",
}


async def record_verdict(
    conn: AsyncConnection,
    claim_id: str,
    referral_id: str,
    decision: Decision,
    now: datetime,
    *,
    who: str = "li",
    note: str = "",
    **options: Any,
) -> recording.DecisionRecorded:
    """Records the decision of an adjuster. options: further fields of `JudgedReferral`."""
    judged = recording.JudgedReferral(
        referral_id,
        await adjudication.load(conn, claim_id),
        decision,
        b"{}",
        now,
        actor=f"adjuster:{who}",
        subject=who,
        verdict=VERDICT_OF[decision.outcome],
        note=note,
        **options,
    )
    return await recording.decide_referral(conn, judged)

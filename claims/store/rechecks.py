"""Sends claims that came before a person only because they could not be checked back to the queue once they can be.

The referral is closed as overtaken and the claim is due again in a new round, unless a person has it in hand or has
taken part in it: then it stays with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status
from claims.store import audit, queue, statuses
from claims.store.referrals import OPEN
from claims.store.tables import claim_history, claims, decisions, referrals

ACTOR: Final = "flow:recheck"
OVERTAKEN: Final = "overtaken: the claim is checked again"
_CODE: Final = b'"could_not_check"'


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A claim before a person that could not be checked. error: its kind, as stored; rechecks: how often it was sent
    back already."""

    claim_id: str
    referral_id: str
    stage: str
    error: str
    referred_at: datetime
    rechecks: int


async def unchecked(
    conn: AsyncConnection, wanted: Callable[[str], bool] = lambda _error: True, *, claim_id: str = ""
) -> list[Unchecked]:
    """Return claims that wait for a person who has not touched them, because of an error that is `wanted`; the longest
    waiting first. claim_id: this claim alone."""
    again = (
        select(func.count())
        .where(claim_history.c.claim_id == claims.c.id, claim_history.c.actor == ACTOR)
        .correlate(claims)
        .scalar_subquery()
    )
    rows = await conn.execute(
        select(claims.c.id, referrals.c.id.label("referral_id"), referrals.c.created_at, decisions.c.inputs)
        .add_columns(again.label("rechecks"))
        .join(referrals, referrals.c.claim_id == claims.c.id)
        .join(decisions, decisions.c.id == referrals.c.decision_id)
        .where(
            *_untouched(),
            *([claims.c.id == claim_id] if claim_id else []),
            func.position(literal(_CODE).op("IN")(decisions.c.decision)) > 0,
        )
        .order_by(referrals.c.created_at, referrals.c.id)
    )
    waiting = []
    for row in rows:
        inputs = json.loads(row.inputs or b"{}")
        if inputs.get("by") == "unchecked" and wanted(inputs["error"]):
            waiting.append(
                Unchecked(row.id, row.referral_id, inputs["stage"], inputs["error"], row.created_at, row.rechecks)
            )
    return waiting


async def send_back(conn: AsyncConnection, case: Unchecked, now: datetime, *, actor: str = ACTOR) -> bool:
    """Close the referral as overtaken and make the claim due in a new round. Returns False when a person has it by now,
    or it is no longer before one. actor: an operator who asked for it; only rechecks of our own count as such."""
    status, round_number = await statuses.lock(conn, case.claim_id)
    closed = await conn.execute(
        update(referrals)
        .where(referrals.c.id == case.referral_id, referrals.c.claim_id == claims.c.id, *_untouched())
        .values(state="closed", decided_at=now, note=OVERTAKEN)
        .returning(referrals.c.id)
    )
    if closed.first() is None:
        return False
    note = f"checked again after {case.stage}: {case.error}"
    await statuses.move(conn, case.claim_id, status, Status.SUBMITTED, actor=actor, note=note, now=now)
    await conn.execute(update(claims).where(claims.c.id == case.claim_id).values(round=round_number + 1))
    await queue.put(conn, case.claim_id, round_number + 1, now)
    content = {"referral_id": case.referral_id, "stage": case.stage, "error": case.error, "round": round_number + 1}
    await audit.append(conn, actor, "claim.rechecked", case.claim_id, content, now)
    return True


def due(case: Unchecked, pause_seconds: float, pause_seconds_max: float) -> datetime:
    """Return when it is sent back at the earliest: the pause doubles each time."""
    return case.referred_at + timedelta(seconds=min(pause_seconds * 2 ** min(case.rechecks, 30), pause_seconds_max))


def _untouched() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for an ordinary referral that nobody has in hand, of a claim that no person has taken part
    in."""
    return (
        referrals.c.state.in_(OPEN),
        referrals.c.cause == "refer",
        referrals.c.assigned_to == "",
        claims.c.status == Status.REFERRED,
        ~claims.c.touched,
    )

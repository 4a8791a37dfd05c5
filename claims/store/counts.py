"""Numbers about a claim that only the store knows: what else its policy paid, and how many claims share something with
it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, timedelta

from sqlalchemy import exists, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.decision import Outcome
from claims.errors import NotFound
from claims.evidence import CoverFact, WindowCount
from claims.fraud.signals.registry import signal_named
from claims.fraud.windows import WINDOWS
from claims.store import findings, recoveries
from claims.store.payouts import LIVE
from claims.store.tables import claims, decisions, payouts


async def window_counts(
    conn: AsyncConnection, claim_id: str, windows: Sequence[tuple[str, int]] = WINDOWS
) -> tuple[WindowCount, ...]:
    """Count the claims submitted in the days before this one that share with it what the signals count by.

    The claim itself is not counted. Of two claims submitted at the same instant each counts the other. A field that the
    claim leaves empty is not counted and gives no WindowCount. Raises NotFound and UnknownSignal.
    """
    claim = (await conn.execute(select(claims).where(claims.c.id == claim_id))).first()
    if claim is None or claim.submitted_at is None:
        raise NotFound(f"no submitted claim {claim_id}")
    queries = []
    for key, days in windows:
        stated = {field: getattr(claim, field) for field in signal_named(key).fields}
        if not all(stated.values()):
            continue
        queries.append(
            select(
                literal(key).label("key"),
                literal(days).label("days"),
                func.count().label("claims"),
                func.count(claims.c.claimant_id.distinct()).label("claimants"),
            ).where(
                *(claims.c[field] == value for field, value in stated.items()),
                claims.c.id != claim_id,
                claims.c.submitted_at <= claim.submitted_at,
                claims.c.submitted_at > claim.submitted_at - timedelta(days=days),
            )
        )
    if not queries:
        return ()
    rows = await conn.execute(union_all(*queries))
    return tuple(WindowCount(row.key, row.days, row.claims, row.claimants) for row in rows)


async def cover(conn: AsyncConnection, claim_id: str) -> CoverFact:
    """Return what other claims under the policy were paid or promised, how many were submitted before this one, and how
    often this one was sent back for more information.

    Raises NotFound.
    """
    claim = (await conn.execute(select(claims).where(claims.c.id == claim_id))).first()
    if claim is None or claim.submitted_at is None:
        raise NotFound(f"no submitted claim {claim_id}")
    paid = await conn.execute(
        select(func.coalesce(func.sum(payouts.c.amount_minor), 0))
        .join(claims, claims.c.id == payouts.c.claim_id)
        .where(claims.c.policy_id == claim.policy_id, claims.c.id != claim_id, payouts.c.state.in_(LIVE))
    )
    earlier = await conn.execute(
        select(func.count()).where(
            claims.c.policy_id == claim.policy_id, claims.c.id != claim_id, claims.c.submitted_at <= claim.submitted_at
        )
    )
    asked = await conn.execute(
        select(func.count()).where(decisions.c.claim_id == claim_id, decisions.c.outcome == Outcome.ASK)
    )
    borne, days = await used_of_cover(conn, claim_id)
    back = await recoveries.given_back_minor(conn, claim.policy_id, besides=claim_id)
    return CoverFact(
        paid_to_date_minor=int(paid.scalar_one()) - back,
        currency=claim.currency,
        earlier_claims=earlier.scalar_one(),
        event_date=claim.occurred_at.astimezone(UTC).date(),
        rounds_asked=asked.scalar_one(),
        deductible_borne_minor=borne,
        days_paid=days,
        held_on_claim_minor=await recoveries.held_minor(conn, claim_id),
        stopped_by=" ".join(await findings.stopping(conn, claim_id)),
    )


async def used_of_cover(conn: AsyncConnection, claim_id: str) -> tuple[int, int]:
    """Return what other claims under the policy have borne of the cover's deductible, minor units, and their days of
    stay.

    Of each claim its newest decision of the rules counts: of a paid one both, of one that was declined because the
    deductible was not reached what it bore. Days are counted where money was promised.
    """
    policy = select(claims.c.policy_id).where(claims.c.id == claim_id).scalar_subquery()
    live = exists(select(payouts.c.id).where(payouts.c.claim_id == claims.c.id, payouts.c.state.in_(LIVE)))
    rows = await conn.execute(
        select(decisions.c.claim_id, decisions.c.outcome, decisions.c.decision, live.label("live"))
        .ext(distinct_on(decisions.c.claim_id))
        .join(claims, claims.c.id == decisions.c.claim_id)
        .where(claims.c.policy_id == policy, claims.c.id != claim_id, decisions.c.decided_by == "rules")
        .order_by(decisions.c.claim_id, decisions.c.seq.desc())
    )
    borne = days = 0
    for row in rows:
        decided = json.loads(row.decision)
        unreached = row.outcome == Outcome.DECLINE and decided["reasons"][0]["code"] == "below_deductible"
        for line in decided["benefit"] if row.live or unreached else ():
            if line["label"] == "deductible_cover":
                borne -= int(line["amount"]["minor"])
            elif line["label"] == "days_counted" and row.live:
                days += int(line["detail"])
    return borne, days

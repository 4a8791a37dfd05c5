"""Checks a promise of money against the books: reads what was paid, stopped or used up by now under locks
(`claims.promises` compares)."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import promises
from claims.policy import Policy
from claims.promises import CountedCover
from claims.store import counts, findings, payouts, recoveries
from claims.store.tables import claims, policies
from claims.store.tables import payouts as payout_rows


async def check_held(conn: AsyncConnection, claim_id: str, counted: CountedCover | None, held_minor: int) -> None:
    """Raise CoverSpent as `claims.promises.check_held`. The claim is locked by the caller."""
    if counted is not None:
        promises.check_held(claim_id, counted, held_minor, " ".join(await findings.stopping(conn, claim_id)))


async def check_cover(conn: AsyncConnection, policy: Policy, pay_minor: int) -> None:
    """Raise CoverSpent as `claims.promises.check_sum`. Locks the policy, so that two claims under it that are decided
    at once do not both use the same rest of its sum."""
    await conn.execute(select(policies.c.id).where(policies.c.id == policy.id).with_for_update(key_share=True))
    paid = await conn.execute(
        select(func.coalesce(func.sum(payout_rows.c.amount_minor), 0))
        .join(claims, claims.c.id == payout_rows.c.claim_id)
        .where(claims.c.policy_id == policy.id, payout_rows.c.state.in_(payouts.LIVE))
    )
    spent_minor = int(paid.scalar_one()) - await recoveries.given_back_minor(conn, policy.id)
    promises.check_sum(policy, spent_minor, pay_minor)


async def check_terms(conn: AsyncConnection, claim_id: str, counted: CountedCover | None) -> None:
    """Raise CoverSpent as `claims.promises.check_terms`. The policy is locked (`check_cover`)."""
    if counted is not None:
        promises.check_terms(counted, await counts.used_of_cover(conn, claim_id))

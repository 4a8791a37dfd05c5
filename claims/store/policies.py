"""Policies for their holders to read."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.policy import Policy
from claims.store.adjudication import policy_of
from claims.store.tables import claims, policies


async def of_claimant(conn: AsyncConnection, claimant_id: str, *, limit: int = 50) -> list[Policy]:
    """Return the claimant's policies, the latest to begin first."""
    ids = await conn.execute(
        select(policies.c.id)
        .where(policies.c.claimant_id == claimant_id)
        .order_by(policies.c.starts_at.desc(), policies.c.id)
        .limit(limit)
    )
    return [await policy_of(conn, policy_id) for policy_id in ids.scalars().all()]


async def last_payee_account(conn: AsyncConnection, claimant_id: str) -> str:
    """Return the account of the claimant's newest claim, "" before the first."""
    newest = await conn.execute(
        select(claims.c.payee_account)
        .where(claims.c.claimant_id == claimant_id)
        .order_by(claims.c.created_at.desc())
        .limit(1)
    )
    return newest.scalar_one_or_none() or ""

"""Moves a claim's status under a row lock, checked against `claims.claim.TRANSITIONS`, with each move in the
history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status, check_transition
from claims.errors import NotFound
from claims.store.tables import claim_history, claims

CLOSED: Final = frozenset({Status.PAID, Status.DECLINED, Status.WITHDRAWN})


async def lock(conn: AsyncConnection, claim_id: str, claimant_id: str | None = None) -> tuple[Status, int]:
    """Lock the claim until the transaction ends. Returns its status and round. Raises NotFound, also when it is not
    `claimant_id`'s.

    Lock the claim before its jobs and referrals, everywhere: in one order there is no deadlock.
    """
    query = select(claims.c.status, claims.c.round).where(claims.c.id == claim_id).with_for_update(key_share=True)
    if claimant_id is not None:
        query = query.where(claims.c.claimant_id == claimant_id)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no claim {claim_id}")
    return Status(row.status), row.round


async def lock_all(conn: AsyncConnection, claim_ids: Iterable[str]) -> dict[str, Status]:
    """Lock several claims, in the order that everybody locks several in, and return the status of each; a claim that
    does not exist is missing."""
    rows = await conn.execute(
        select(claims.c.id, claims.c.status)
        .where(claims.c.id.in_(sorted(set(claim_ids))))
        .order_by(claims.c.id)
        .with_for_update(key_share=True)
    )
    return {row.id: Status(row.status) for row in rows}


async def move(
    conn: AsyncConnection, claim_id: str, old: Status, new: Status, *, actor: str, note: str, now: datetime
) -> None:
    """Move the claim from `old`, as `lock` gave it, to `new`. Raises InvalidTransition."""
    check_transition(old, new)
    closed_at = now if new in CLOSED else None
    await conn.execute(update(claims).where(claims.c.id == claim_id).values(status=new, closed_at=closed_at))
    await conn.execute(insert(claim_history).values(claim_id=claim_id, status=new, actor=actor, note=note, at=now))

"""Numbers of papers (an invoice's, a parcel's): published first, then searched, so that of two claims at once one finds
the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status
from claims.store import payouts
from claims.store.tables import claims, document_numbers


async def publish_numbers(
    conn: AsyncConnection, claim_id: str, numbers: Sequence[tuple[str, str]], now: datetime
) -> None:
    """Publish the claim's (number key, evidence id) pairs; the key is as `claims.paper_keys` makes it. Commit before
    searching. Idempotent."""
    if not numbers:
        return
    rows = [
        {"number_key": key, "claim_id": claim_id, "evidence_id": evidence_id, "first_seen_at": now}
        for key, evidence_id in sorted(set(numbers))
    ]
    await conn.execute(insert(document_numbers).values(rows).on_conflict_do_nothing())


async def claims_with_number(
    conn: AsyncConnection, number_keys: Sequence[str], *, exclude_claim: str
) -> dict[str, tuple[str, ...]]:
    """Return the ids of other claims by number, in order of publication; a number that no other claim has is missing.

    A withdrawn claim that was never paid does not count: its paper may be claimed again.
    """
    if not number_keys:
        return {}
    rows = await conn.execute(
        select(document_numbers.c.number_key, document_numbers.c.claim_id, claims.c.status)
        .join(claims, claims.c.id == document_numbers.c.claim_id)
        .where(
            document_numbers.c.number_key.in_(number_keys),
            document_numbers.c.claim_id != exclude_claim,
        )
        .order_by(document_numbers.c.first_seen_at, document_numbers.c.claim_id)
    )
    others = rows.all()
    paid = await payouts.paid_claims(conn, {row.claim_id for row in others})
    by_number: dict[str, tuple[str, ...]] = {}
    for key, claim_id, status in others:
        if status != Status.WITHDRAWN or claim_id in paid:
            by_number[key] = (*by_number.get(key, ()), claim_id)
    return by_number

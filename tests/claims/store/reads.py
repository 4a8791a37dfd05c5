"""Queries of the store that only tests need."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.audit import Record
from claims.store import referrals
from claims.store.referrals import OPEN, Referral
from claims.store.tables import audit, ledger_entries, scrubs_due
from claims.store.tables import referrals as referral_rows


async def balances(conn: AsyncConnection) -> Mapping[tuple[str, str], int]:
    """Returns minor units by account and currency."""
    rows = await conn.execute(
        select(ledger_entries.c.account, ledger_entries.c.currency, func.sum(ledger_entries.c.amount_minor)).group_by(
            ledger_entries.c.account, ledger_entries.c.currency
        )
    )
    return {(account, currency): int(total) for account, currency, total in rows}


async def audit_of(conn: AsyncConnection, subject: str) -> list[Record]:
    """Returns every audit record about one claim, policy or person, oldest first."""
    rows = await conn.execute(select(audit).where(audit.c.subject == subject).order_by(audit.c.seq))
    return [
        Record(row.seq, row.at, row.actor, row.action, row.subject, row.commitment, row.previous_hash, row.hash)
        for row in rows
    ]


async def audit_count(conn: AsyncConnection) -> int:
    """Returns the number of audit records."""
    return (await conn.execute(select(func.count()).select_from(audit))).scalar_one()


async def open_referral(conn: AsyncConnection, claim_id: str) -> Referral:
    """Returns the claim's referral that waits for a person. Raises NoResultFound when there is none."""
    open_of_claim = (referral_rows.c.claim_id == claim_id) & referral_rows.c.state.in_(OPEN)
    referral_id = (await conn.execute(select(referral_rows.c.id).where(open_of_claim))).scalar_one()
    return await referrals.get(conn, referral_id)


async def claims_to_scrub(conn: AsyncConnection) -> tuple[str, ...]:
    """Returns erased claims whose tables were not cleaned yet."""
    rows = await conn.execute(select(scrubs_due.c.claim_id).order_by(scrubs_due.c.created_at, scrubs_due.c.claim_id))
    return tuple(rows.scalars())

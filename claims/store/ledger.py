"""Ledger transactions in their tables. The database refuses what does not balance and every later change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.ledger import Transaction
from claims.store.tables import ledger_entries, ledger_transactions


async def write(conn: AsyncConnection, transaction: Transaction, now: datetime) -> bool:
    """Store a transaction with its entries. Returns False, with nothing written, when this payout's step is there
    already."""
    fresh = await conn.execute(
        insert(ledger_transactions)
        .values(id=transaction.id, payout_id=transaction.payout_id, step=transaction.step, at=now)
        .on_conflict_do_nothing()
        .returning(ledger_transactions.c.id)
    )
    if fresh.first() is None:
        return False
    await conn.execute(
        insert(ledger_entries),
        [
            {
                "transaction_id": transaction.id,
                "account": entry.account,
                "amount_minor": entry.amount.minor,
                "currency": entry.amount.currency,
            }
            for entry in transaction.entries
        ],
    )
    return True

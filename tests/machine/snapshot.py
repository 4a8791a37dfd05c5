"""A snapshot of the store, read in one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store's tables at one moment; rows as dictionaries."""

    claims: dict[str, dict[str, Any]]
    payouts: list[dict[str, Any]]
    recoveries: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    rulings: list[dict[str, Any]]
    referrals: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    history: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    pseudonyms: dict[str, str]  # under which the audit chain names each claimant


_QUERIES: Final = {
    "claims": "SELECT id, status, round FROM claims",
    "payouts": "SELECT id, claim_id, amount_minor, state, attempts, recovery_id FROM payouts ORDER BY created_at, id",
    "recoveries": "SELECT id, claim_id, amount_minor, offset_minor, repaid_minor, written_off_minor, state "
    "FROM recoveries ORDER BY opened_at, id",
    "findings": "SELECT payout_id, claim_id, code, detail, state FROM payout_findings ORDER BY id",
    "rulings": "SELECT id, claim_id FROM match_rulings",
    "referrals": "SELECT claim_id, state, cause FROM referrals",
    "jobs": "SELECT claim_id, round, state, last_error FROM jobs",
    "messages": "SELECT topic, key, state FROM outbox",
    "decisions": "SELECT claim_id, position('could_not_check' in convert_from(decision, 'UTF8')) > 0 AS unchecked, "
    "outcome, convert_from(decision, 'UTF8')::json -> 'reasons' -> 0 ->> 'code' AS first_reason "
    "FROM decisions ORDER BY seq",
    "history": "SELECT claim_id, status, actor FROM claim_history ORDER BY seq",
    "pseudonyms": "SELECT id, pseudonym FROM claimants",
    "audit": "SELECT audit.seq, action, subject, audit_contents.seq IS NOT NULL AS has_content FROM audit "
    "LEFT JOIN audit_contents ON audit_contents.seq = audit.seq ORDER BY audit.seq",
    "ledger": "SELECT t.payout_id, t.step, e.account, e.amount_minor, e.currency FROM ledger_transactions t "
    "LEFT JOIN ledger_entries e ON e.transaction_id = t.id",
}


def _in_one(queries: Mapping[str, str]) -> str:
    parts = (
        f"'{name}', (SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({query}) q)"
        for name, query in queries.items()
    )
    return f"SELECT json_build_object({', '.join(parts)})"


async def snapshot(engine: AsyncEngine) -> Snapshot:
    """Reads `QUERIES` in one statement, hence at one moment."""
    async with engine.connect() as conn:
        read = (await conn.execute(text(_in_one(_QUERIES)))).scalar_one()
    by_id = {row["id"]: row for row in read.pop("claims")}
    pseudonyms = {row["id"]: row["pseudonym"] for row in read.pop("pseudonyms")}
    return Snapshot(claims=by_id, pseudonyms=pseudonyms, **read)

"""Every table of the store. Times are UTC (timestamptz), amounts integer minor units, ids text unless order matters.

The photo library's own tables are in `vision.library`; they live in the same database but know nothing of claims.
"""

from claims.store.tables.access import idempotency_keys, sessions, token_revocations
from claims.store.tables.alerts import alert_notices, alerts
from claims.store.tables.insured import claimants, nose_hits, nose_templates, pets, policies
from claims.store.tables.judged import decisions, referrals
from claims.store.tables.matches import (
    claim_links,
    claim_overlays,
    flood_claims,
    floods,
    match_rulings,
    photo_sightings,
)
from claims.store.tables.money import (
    ledger_entries,
    ledger_transactions,
    payout_findings,
    payouts,
    reconciliations,
    recoveries,
)
from claims.store.tables.records import audit, audit_contents, blob_deletions, scrubs_due
from claims.store.tables.schema import metadata
from claims.store.tables.submitted import claim_history, claim_orders, claims, document_numbers, evidence
from claims.store.tables.work import (
    brakes,
    jobs,
    outbox,
    prefect_controls,
    shown_runs,
    stage_results,
    worker_heartbeats,
)

__all__ = [
    "alert_notices",
    "alerts",
    "audit",
    "audit_contents",
    "blob_deletions",
    "brakes",
    "claim_history",
    "claim_links",
    "claim_orders",
    "claim_overlays",
    "claimants",
    "claims",
    "decisions",
    "document_numbers",
    "evidence",
    "flood_claims",
    "floods",
    "idempotency_keys",
    "jobs",
    "ledger_entries",
    "ledger_transactions",
    "match_rulings",
    "metadata",
    "nose_hits",
    "nose_templates",
    "outbox",
    "payout_findings",
    "payouts",
    "pets",
    "photo_sightings",
    "policies",
    "prefect_controls",
    "reconciliations",
    "recoveries",
    "referrals",
    "scrubs_due",
    "sessions",
    "shown_runs",
    "stage_results",
    "token_revocations",
    "worker_heartbeats",
]

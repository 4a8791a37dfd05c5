"""Tables of decisions, and of the referrals that ask a person."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from claims.store.tables.schema import metadata, time_column

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),  # 1, 2, ... within the claim
    Column("round", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("payout_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("inputs", LargeBinary, nullable=False),  # canonical JSON of claim, policy, facts, now: what a replay needs
    Column("decision", LargeBinary, nullable=False),  # canonical JSON of claims.decision.Decision
    Column("rules_version", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    time_column("decided_at"),
    UniqueConstraint("claim_id", "seq"),
)

referrals = Table(
    "referrals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("decision_id", Text, nullable=False),
    Column("partner", Text, nullable=False, index=True),  # key of the partner insurer, from the product
    Column("state", Text, nullable=False),  # open, delivered, decided, closed
    Column("cause", Text, nullable=False),  # refer, appeal, payout_failed, stopped, flood
    Column("assigned_to", Text, nullable=False, server_default=""),
    time_column("assigned_until", nullable=True),
    time_column("due_at"),  # SLA
    time_column("created_at"),
    time_column("delivered_at", nullable=True),
    time_column("decided_at", nullable=True),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("verdict", Text, nullable=False, server_default=""),  # approve, refuse, ask
    Column("note", Text, nullable=False, server_default=""),
    Index("ix_referrals_open", "due_at", "id", postgresql_where=text("state IN ('open', 'delivered')")),
    Index(
        "ix_referrals_open_partner", "partner", "due_at", "id", postgresql_where=text("state IN ('open', 'delivered')")
    ),
    # At most one person at a time is asked about a claim.
    Index("uq_referrals_open_claim", "claim_id", unique=True, postgresql_where=text("state IN ('open', 'delivered')")),
)

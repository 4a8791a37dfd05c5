"""Tables of claims as they were submitted: their files, their papers' numbers and their orders."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from claims.store.tables.schema import metadata, time_column

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.id"), nullable=False, index=True),
    Column("claimant_id", Text, ForeignKey("claimants.id"), nullable=False),
    Column("product", Text, nullable=False),
    Column("peril", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    time_column("occurred_at"),
    Column("description", Text, nullable=False, server_default=""),
    Column("payee_account", Text, nullable=False),
    Column("device_id", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
    Column("merchant_id", Text, nullable=False, server_default=""),
    Column("order_number", Text, nullable=False, server_default=""),
    # What another insurer has paid for the same loss, as the claimant states it.
    Column("other_insurance_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False),
    # Counts adjudications: 1 at first submission, +1 whenever the claim is submitted again with more information.
    Column("round", Integer, nullable=False, server_default="0"),
    Column("trace_id", Text, nullable=False, server_default=""),
    Column("flow_run_id", Text, nullable=False, server_default=""),
    time_column("created_at"),
    time_column("submitted_at", nullable=True),
    time_column("closed_at", nullable=True),
    Column("touched", Boolean, nullable=False, server_default=text("false")),  # a person took part
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("other_insurance_minor >= 0", name="other_insurance_not_negative"),
    Index("ix_claims_claimant_submitted", "claimant_id", "submitted_at"),
    Index("ix_claims_device_submitted", "device_id", "submitted_at", postgresql_where=text("device_id <> ''")),
    Index("ix_claims_payee_submitted", "payee_account", "submitted_at"),
    Index("ix_claims_address_submitted", "address", "submitted_at", postgresql_where=text("address <> ''")),
    Index("ix_claims_merchant_submitted", "merchant_id", "submitted_at", postgresql_where=text("merchant_id <> ''")),
    Index("ix_claims_status_submitted", "status", "submitted_at"),
)

claim_history = Table(
    "claim_history",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("actor", Text, nullable=False),  # role:subject, or the flow's name
    Column("note", Text, nullable=False, server_default=""),  # the claimant's appeal, the adjuster's question, ...
    time_column("at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # claims.claim.EvidenceKind
    Column("media_type", Text, nullable=False),  # sniffed, not as declared
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, index=True),  # key in the evidence store
    Column("preview_sha256", Text, nullable=False, server_default=""),  # clean re-encoded JPEG, written by the flow
    Column("round", Integer, nullable=False),  # the adjudication it was first there for
    time_column("received_at"),
    UniqueConstraint("claim_id", "name"),
)

# Publish, then search: a paper's number is inserted and committed before other claims with that number are looked up.
document_numbers = Table(
    "document_numbers",
    metadata,
    Column("number_key", Text, primary_key=True),  # family:normalised number (claims.paper_keys)
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("evidence_id", Text, nullable=False),
    time_column("first_seen_at"),
)

# Orders that submitted claims state or show. Kept of an erased claim that was paid: a digest, so no number is.
claim_orders = Table(
    "claim_orders",
    metadata,
    Column("order_key", Text, primary_key=True),  # claims.orders
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("price_minor", BigInteger, nullable=False, server_default=text("0")),  # as a paper shows it, 0: not known
    time_column("first_seen_at"),
    CheckConstraint("price_minor >= 0", name="price_not_negative"),
)

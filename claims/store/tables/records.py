"""Tables of the audit chain, and of what an erasure leaves to be cleaned."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

# Append-only hash chain; commitments instead of personal data, so that erasure keeps it valid (claims.audit).
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    time_column("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),  # claim id, policy id, ...
    Column("commitment", Text, nullable=False),  # hex SHA-256 of salt and content
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Index("ix_audit_subject", "subject"),
)

audit_contents = Table(
    "audit_contents",
    metadata,
    Column("seq", BigInteger, ForeignKey("audit.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),  # deleted by erasure; the chain stays valid without it
)

# Keys in the evidence store that an erasure leaves to be deleted: gone from here once the file is gone, or named again.
blob_deletions = Table(
    "blob_deletions",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("claim_id", Text, nullable=False, index=True),
    time_column("created_at"),
)

# Erasures whose bytes still lie in free space of the database's files: gone from here once they were cleaned
# (claims.store.scrubbing). xid: the erasing transaction's number (xid8).
scrubs_due = Table(
    "scrubs_due",
    metadata,
    Column("claim_id", Text, primary_key=True),
    Column("tables", JSONB, nullable=False),  # names of the tables whose rows it changed or deleted
    Column("xid", BigInteger, nullable=False),
    time_column("created_at"),
)

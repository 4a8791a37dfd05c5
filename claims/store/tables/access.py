"""Tables of requests that may be repeated, sessions of the pages, and tokens taken back."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),  # role:subject, of a claimant role:pseudonym
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),  # of method, path and body
    Column("state", Text, nullable=False),  # in_flight, done, erased (what was answered is gone)
    Column("status_code", Integer, nullable=False, server_default="0"),
    Column("response", LargeBinary, nullable=False, server_default=text("''")),
    Column("response_headers", JSONB, nullable=False, server_default=text("'{}'")),
    time_column("locked_until"),
    time_column("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_sha256", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    time_column("created_at"),
    time_column("expires_at"),
    # The bearer token that opened it, and its key.
    Column("token_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    time_column("token_issued_at"),
)

# Bearer tokens taken back: by their id, or all of a role:subject that were issued until then.
token_revocations = Table(
    "token_revocations",
    metadata,
    Column("what", Text, primary_key=True),
    time_column("issued_until"),
    time_column("revoked_at"),
    time_column("expires_at"),  # the last of them has run out by itself: the row may go
    Column("revoked_by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)

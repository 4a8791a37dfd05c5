"""Tables of alerts and of the notices that tell of them. They name payouts, claims and processes, and no person."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),  # claims.alerts.KINDS
    Column("subject", Text, nullable=False),  # a payout's id, a process's name, ...
    Column("severity", Text, nullable=False),
    Column("figures", JSONB, nullable=False),
    time_column("since"),  # its condition was first met
    time_column("last_at"),  # and last
    time_column("opened_at", nullable=True),
    time_column("closed_at", nullable=True),
    time_column("told_at", nullable=True),  # of its newest notices
    Index("uq_alerts_open", "name", "subject", unique=True, postgresql_where=text("closed_at IS NULL")),
)

# One row a notice and way. way: prefect (the event), webhook, mail.
alert_notices = Table(
    "alert_notices",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", BigInteger, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # of the alert's notices, from 1
    Column("moment", Text, nullable=False),  # claims.alerts.Moment
    Column("way", Text, nullable=False),
    Column("state", Text, nullable=False),  # due, sent, withdrawn, given_up
    time_column("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    # Prefect's automation has taken it on itself to send the other rows of this notice, as far as we know.
    Column("relied", Boolean, nullable=False, server_default=text("false")),
    time_column("created_at"),
    time_column("sent_at", nullable=True),
    Column("sent_by", Text, nullable=False, server_default=""),  # prefect, miaopei
    Index("uq_alert_notices_number", "alert_id", "number", "way", unique=True),
    Index("ix_alert_notices_due", "due_at", postgresql_where=text("state = 'due'")),
)

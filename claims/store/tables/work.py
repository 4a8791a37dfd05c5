"""Tables of work that waits for a worker or for sending, of the brakes on it, and of the processes that are alive."""

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
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", Text, nullable=False),  # due, leased, done, dead
    time_column("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),  # leases, those that were lost included
    Column("failures", Integer, nullable=False, server_default="0"),  # checks that failed by the claim's own doing
    # In a row, for want of resources, and of which: such a check says nothing about the claim.
    Column("postponed", Integer, nullable=False, server_default="0"),
    Column("waits_for", Text, nullable=False, server_default=""),
    # A process ended with it in hand: worked on with nothing beside it since; deaths: ended then, too, and no step on.
    Column("alone", Boolean, nullable=False, server_default=text("false")),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column(
        "fence", BigInteger, nullable=False, server_default="0"
    ),  # +1 at each lease; a holder of an older one has lost it
    Column("leased_by", Text, nullable=False, server_default=""),
    time_column("leased_until", nullable=True),
    Column("last_error", Text, nullable=False, server_default=""),
    time_column("created_at"),
    time_column("finished_at", nullable=True),
    UniqueConstraint("claim_id", "round"),
    Index("ix_jobs_due", "due_at", postgresql_where=text("state IN ('due', 'leased')")),
)

# Results of finished stages: a claim leased again skips what is here for its round.
stage_results = Table(
    "stage_results",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("stage", Text, primary_key=True),  # cover, photos, papers, nose, credit, fraud
    Column("result", JSONB, nullable=False),
    Column("seconds", JSONB, nullable=False, server_default=text("'{}'")),  # {"wall": .., "cpu": ..}
    time_column("finished_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),  # settle, refer, enrol, learn
    Column("key", Text, nullable=False),  # the id of the payout, referral, pet, ruling or flood
    Column("payload", JSONB, nullable=False),
    Column("state", Text, nullable=False),  # due, leased, done, dead
    time_column("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("leased_by", Text, nullable=False, server_default=""),
    time_column("leased_until", nullable=True),
    Column("last_error", Text, nullable=False, server_default=""),
    time_column("created_at"),
    time_column("finished_at", nullable=True),
    UniqueConstraint("topic", "key"),
    Index("ix_outbox_due", "topic", "due_at", postgresql_where=text("state IN ('due', 'leased')")),
)

# Flow runs that Prefect shows as under way, so that those whose process dies can be ended there. A run leaves when it
# has ended and Prefect knows. The database's clock alone writes the times.
shown_runs = Table(
    "shown_runs",
    metadata,
    Column("flow_run_id", Text, primary_key=True),
    Column("flow", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("items", JSONB, nullable=False),  # ids of claims, keys of messages
    time_column("began_at"),
    time_column("alive_at"),  # the process's last sign of life
    time_column("ended_at", nullable=True),  # its work is done, and Prefect missed the end
    Column("message", Text, nullable=False, server_default=""),  # with which it ended; "" for a failure
    time_column("crashed_at", nullable=True),  # its process counts as dead since
    Column("taken_over_by", JSONB, nullable=False, server_default=text("'[]'")),  # runs that have its items now
    Column("tellings", Integer, nullable=False, server_default="0"),  # how often Prefect was told of the crash
    time_column("told_at", nullable=True),  # NULL: Prefect is to be told, once more perhaps
    Index("ix_shown_runs_alive_at", "alive_at"),
)

worker_heartbeats = Table(
    "worker_heartbeats",
    metadata,
    Column("name", Text, primary_key=True),  # process kind and id
    Column("kind", Text, nullable=False),  # worker, settle, refer, runner
    time_column("at"),
    time_column("drain_asked_at", nullable=True),  # an operator asked it to finish what it has and to end
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),  # batch size, backlog, prefect reachable, ...
)

# Work that people hold or limit, by name (claims.store.brakes). A row stays when its brake is let go.
brakes = Table(
    "brakes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at_once_max", Integer),  # null: free; 0: held; n: at most n at once over all processes
    Column("source", Text, nullable=False),  # command, prefect, page
    Column("actor", Text, nullable=False),  # role:subject, or Prefect's address
    Column("reason", Text, nullable=False, server_default=""),
    time_column("at"),
    CheckConstraint("at_once_max >= 0", name="at_once_max_not_negative"),
    CheckConstraint("source IN ('command', 'prefect', 'page')", name="source_known"),
)

# What was last seen or set in Prefect of each pause and limit that stands for a brake: only what differs from it was
# changed there since.
prefect_controls = Table(
    "prefect_controls",
    metadata,
    Column("control", Text, primary_key=True),  # queue:..., deployment:..., limit:...
    Column("prefect_id", Text, nullable=False),  # another server's has another
    Column("at_once_max", Integer),
    time_column("updated_at"),  # by Prefect's clock
)

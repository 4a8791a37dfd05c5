"""Flow runs that are shown as under way are remembered, so that those of a dead process can be ended.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shown_runs",
        sa.Column("flow_run_id", sa.Text(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("alive_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("crashed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "taken_over_by",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("tellings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("flow_run_id", name=op.f("pk_shown_runs")),
    )
    op.create_index("ix_shown_runs_alive_at", "shown_runs", ["alive_at"])


def downgrade() -> None:
    op.drop_table("shown_runs")

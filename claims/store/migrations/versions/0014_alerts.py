"""Alerts about the installation, and the notices that tell of them.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        _time("since"),
        _time("last_at"),
        _time("opened_at", nullable=True),
        _time("closed_at", nullable=True),
        _time("told_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "uq_alerts_open", "alerts", ["name", "subject"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "alert_notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("moment", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("due_at"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _words("last_error"),
        sa.Column("relied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _time("created_at"),
        _time("sent_at", nullable=True),
        _words("sent_by"),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_notices_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notices")),
    )
    op.create_index("uq_alert_notices_number", "alert_notices", ["alert_id", "number", "way"], unique=True)
    op.create_index("ix_alert_notices_due", "alert_notices", ["due_at"], postgresql_where=sa.text("state = 'due'"))


def downgrade() -> None:
    for table in ("alert_notices", "alerts"):
        op.drop_table(table)

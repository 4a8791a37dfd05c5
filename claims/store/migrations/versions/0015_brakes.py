"""Brakes: work that people hold or limit by name, and what was last seen of them in Prefect.

Frozen: later changes of `claims.store.tables` come as revisions of their own. What the audit guard demands is no
revision: `claims.store.guard` installs it after each.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "brakes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at_once_max", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("at_once_max >= 0", name=op.f("ck_brakes_at_once_max_not_negative")),
        sa.CheckConstraint("source IN ('command', 'prefect', 'page')", name=op.f("ck_brakes_source_known")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_brakes")),
    )
    op.create_table(
        "prefect_controls",
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("prefect_id", sa.Text(), nullable=False),
        sa.Column("at_once_max", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("control", name=op.f("pk_prefect_controls")),
    )


def downgrade() -> None:
    # All of the guard, which the next upgrade installs anew: without this table it would still take itself for whole.
    names = op.get_bind().execute(
        sa.text(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND (starts_with(proname, 'audited_') OR proname = 'require_audit')"
        )
    )
    for name in names.scalars().all():
        op.execute(f"DROP FUNCTION {name} CASCADE")
    op.drop_table("prefect_controls")
    op.drop_table("brakes")

"""Pseudonyms of claimants, what an erasure still has to clean, and indexes of the queue and the audit chain.

Frozen: later changes of `claims.store.tables` come as revisions of their own. What the audit guard demands is no
revision: `claims.store.guard` installs it after each.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('open', 'delivered')")


def upgrade() -> None:
    op.add_column(
        "claimants",
        sa.Column(
            "pseudonym",
            sa.Text(),
            server_default=sa.text("'p-' || replace(CAST(gen_random_uuid() AS text), '-', '')"),
            nullable=False,
        ),
    )
    op.create_unique_constraint(op.f("uq_claimants_pseudonym"), "claimants", ["pseudonym"])
    op.execute(
        "UPDATE idempotency_keys SET principal = 'claimant:' || claimants.pseudonym FROM claimants"
        " WHERE idempotency_keys.principal = 'claimant:' || claimants.id"
    )
    op.create_table(
        "scrubs_due",
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("tables", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_scrubs_due")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.drop_index("ix_referrals_open", "referrals")
    op.create_index("ix_referrals_open", "referrals", ["due_at", "id"], postgresql_where=_OPEN)
    op.create_index("ix_referrals_open_partner", "referrals", ["partner", "due_at", "id"], postgresql_where=_OPEN)


def downgrade() -> None:
    _drop_guard()
    op.drop_index("ix_referrals_open_partner", "referrals")
    op.drop_index("ix_referrals_open", "referrals")
    op.create_index("ix_referrals_open", "referrals", ["due_at"], postgresql_where=_OPEN)
    op.drop_index("ix_audit_subject", "audit")
    op.drop_table("scrubs_due")
    op.execute(
        "UPDATE idempotency_keys SET principal = 'claimant:' || claimants.id FROM claimants"
        " WHERE idempotency_keys.principal = 'claimant:' || claimants.pseudonym"
    )
    op.drop_constraint(op.f("uq_claimants_pseudonym"), "claimants", type_="unique")
    op.drop_column("claimants", "pseudonym")


def _drop_guard() -> None:
    names = op.get_bind().execute(
        sa.text(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND (starts_with(proname, 'audited_') OR proname = 'require_audit')"
        )
    )
    for name in names.scalars().all():
        op.execute(f"DROP FUNCTION {name} CASCADE")

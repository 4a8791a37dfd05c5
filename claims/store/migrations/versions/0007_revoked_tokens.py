"""Tokens taken back, which token opened a session, and covers with open ends.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_revocations",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("issued_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_token_revocations")),
    )
    # Open ends of covers, as `claims.policy` writes them: what lies at the edge of the calendar leaves it in some zone.
    op.execute("UPDATE policies SET starts_at = '0001-01-01 14:00+00' WHERE starts_at < '0001-01-01 14:00+00'")
    op.execute("UPDATE policies SET ends_at = '9999-12-31 00:00+00' WHERE ends_at > '9999-12-31 00:00+00'")
    op.create_check_constraint(
        op.f("ck_policies_cover_is_finite"), "policies", sa.text("isfinite(starts_at) AND isfinite(ends_at)")
    )
    # Nobody knows which token opened a session that is open now: everybody signs in again.
    op.execute("DELETE FROM sessions")
    op.add_column("sessions", sa.Column("token_id", sa.Text(), nullable=False))
    op.add_column("sessions", sa.Column("key_id", sa.Text(), nullable=False))
    op.add_column("sessions", sa.Column("token_issued_at", sa.DateTime(timezone=True), nullable=False))


def downgrade() -> None:
    for column in ("token_issued_at", "key_id", "token_id"):
        op.drop_column("sessions", column)
    op.drop_table("token_revocations")
    op.drop_constraint(op.f("ck_policies_cover_is_finite"), "policies", type_="check")

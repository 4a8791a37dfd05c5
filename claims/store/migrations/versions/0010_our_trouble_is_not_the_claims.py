"""Jobs tell what failed by the claim's own doing from what our machines lacked, and which claims are worked on alone.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("failures", "postponed", "deaths"):
        op.add_column("jobs", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("waits_for", sa.Text(), server_default="", nullable=False))
    op.add_column("jobs", sa.Column("alone", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    for name in ("alone", "waits_for", "deaths", "postponed", "failures"):
        op.drop_column("jobs", name)

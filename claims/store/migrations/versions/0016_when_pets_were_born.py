"""When the insured pets were born, where the selling platform says it.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pets", sa.Column("born_on", sa.Date(), nullable=True))


def downgrade() -> None:
    # All of the guard, which the next upgrade installs anew: its trigger names the column.
    names = op.get_bind().execute(
        sa.text(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND (starts_with(proname, 'audited_') OR proname = 'require_audit')"
        )
    )
    for name in names.scalars().all():
        op.execute(f"DROP FUNCTION {name} CASCADE")
    op.drop_column("pets", "born_on")

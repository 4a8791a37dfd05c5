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
    op.drop_column("pets", "born_on")

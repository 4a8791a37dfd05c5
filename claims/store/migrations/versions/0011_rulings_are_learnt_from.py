"""The topic by which a worker learns from rulings is called `learn`; it was `teach`.

Frozen: later changes of `claims.store.tables` come as revisions of their own. The audit chain keeps the actor
`flow:teach` where it stands: its records never change.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE outbox SET topic = 'learn' WHERE topic = 'teach'")


def downgrade() -> None:
    op.execute("UPDATE outbox SET topic = 'teach' WHERE topic = 'learn'")

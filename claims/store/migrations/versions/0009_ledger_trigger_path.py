"""The ledger's trigger reads the real tables, whatever temporary ones a session makes of the same name.

Frozen: later changes come as revisions of their own.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SET_PATH = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION refuse_unbalanced_transaction() SET search_path = %I, pg_temp', current_schema());
END $$
"""


def upgrade() -> None:
    op.execute(SET_PATH)


def downgrade() -> None:
    op.execute("ALTER FUNCTION refuse_unbalanced_transaction() RESET search_path")

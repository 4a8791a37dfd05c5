"""The library takes the nose photos that pets were enrolled with.

Frozen: later changes of `vision.library.tables` come as revisions of their own.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE library_photos DROP CONSTRAINT ck_library_photos_source_known")
    op.execute(
        "ALTER TABLE library_photos ADD CONSTRAINT ck_library_photos_source_known"
        " CHECK (source IN ('claim', 'web', 'stock', 'enrolment'))"
    )


def downgrade() -> None:
    op.execute("DELETE FROM library_photos WHERE source = 'enrolment'")
    op.execute("ALTER TABLE library_photos DROP CONSTRAINT ck_library_photos_source_known")
    op.execute(
        "ALTER TABLE library_photos ADD CONSTRAINT ck_library_photos_source_known"
        " CHECK (source IN ('claim', 'web', 'stock'))"
    )

"""Records which transaction wrote each row: a copy of the library in memory asks for it before it answers.

The column is filled by a trigger, so that no writer (publishing, describing anew, a restored dump) can forget it. Rows
that exist already get the lowest number a transaction can have: every snapshot sees it. No row is rewritten.

Frozen: later changes of `vision.library.tables` come as revisions of their own.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE library_photos ADD COLUMN written_by xid8 NOT NULL DEFAULT '3'")
    op.execute("ALTER TABLE library_photos ALTER COLUMN written_by SET DEFAULT pg_current_xact_id()")
    op.execute(
        """
        CREATE FUNCTION library_photos_written() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.written_by := pg_current_xact_id(); RETURN NEW; END $$
        """
    )
    op.execute(
        "CREATE TRIGGER library_photos_written BEFORE INSERT OR UPDATE ON library_photos"
        " FOR EACH ROW EXECUTE FUNCTION library_photos_written()"
    )
    op.execute("CREATE INDEX ix_library_photos_written_by ON library_photos (written_by)")
    # The evidence store's sweep asks whether a file is a picture's preview.
    op.execute("CREATE INDEX ix_library_photos_preview_sha256 ON library_photos (preview_sha256)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_library_photos_preview_sha256")
    op.execute("ALTER TABLE library_photos DROP COLUMN written_by")
    op.execute("DROP TRIGGER library_photos_written ON library_photos")
    op.execute("DROP FUNCTION library_photos_written()")

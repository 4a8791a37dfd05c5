"""The known pictures: what everybody photographs.

Frozen: later changes of `vision.library.tables` come as revisions of their own.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE library_commons (
            common_id text NOT NULL CONSTRAINT pk_library_commons PRIMARY KEY,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            source text NOT NULL CONSTRAINT ck_library_commons_source_known CHECK (source IN ('ruling', 'imported')),
            whole boolean NOT NULL,
            photo_ids text[] NOT NULL,
            reference text NOT NULL DEFAULT '',
            preview_sha256 text NOT NULL DEFAULT '',
            sha256 text NOT NULL DEFAULT '',
            pixel_sha256 text NOT NULL DEFAULT '',
            keypoints bytea NOT NULL,
            added_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT ck_library_commons_whole_has_pixels CHECK (whole = (pixel_sha256 <> ''))
        )
        """
    )
    op.execute("CREATE INDEX ix_library_commons_pixel_sha256 ON library_commons (pixel_sha256)")


def downgrade() -> None:
    op.execute("DROP TABLE library_commons")

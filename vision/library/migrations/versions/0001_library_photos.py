"""The table of known photos.

Frozen: later changes of `vision.library.tables` come as revisions of their own.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.execute(
        """
        CREATE TABLE library_photos (
            photo_id text NOT NULL CONSTRAINT pk_library_photos PRIMARY KEY,
            source text NOT NULL CONSTRAINT ck_library_photos_source_known CHECK (source IN ('claim', 'web', 'stock')),
            owner_claim text NOT NULL DEFAULT '',
            owner_subject text NOT NULL DEFAULT '',
            reference text NOT NULL DEFAULT '',
            preview_sha256 text NOT NULL DEFAULT '',
            sha256 text NOT NULL,
            pixel_sha256 text NOT NULL,
            phash bigint NOT NULL,
            dhash bigint NOT NULL,
            whash bigint NOT NULL,
            pdq bit(256),
            pdq_quality smallint NOT NULL,
            descriptor halfvec(256),
            descriptor_model text NOT NULL,
            keypoints bytea NOT NULL,
            thumbnail bytea NOT NULL,
            thumbnail_width smallint NOT NULL,
            thumbnail_height smallint NOT NULL,
            width_px integer NOT NULL,
            height_px integer NOT NULL,
            published_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT ck_library_photos_claims_own_their_photos CHECK ((source = 'claim') = (owner_claim <> ''))
        )
        """
    )
    # Keypoints barely compress; trying costs more than the publishing itself.
    op.execute("ALTER TABLE library_photos ALTER COLUMN keypoints SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE library_photos ALTER COLUMN thumbnail SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX ix_library_photos_sha256 ON library_photos (sha256)")
    op.execute("CREATE INDEX ix_library_photos_pixel_sha256 ON library_photos (pixel_sha256)")
    op.execute("CREATE INDEX ix_library_photos_owner_claim ON library_photos (owner_claim) WHERE owner_claim <> ''")
    op.execute(
        "CREATE INDEX ix_library_photos_pdq ON library_photos"
        " USING hnsw (pdq bit_hamming_ops) WITH (m = 16, ef_construction = 96)"
    )
    op.execute(
        "CREATE INDEX ix_library_photos_descriptor ON library_photos"
        " USING hnsw (descriptor halfvec_cosine_ops) WITH (m = 16, ef_construction = 96)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE library_photos")

"""Which claims share a photo or a paper, pictures drawn for claims, and files that an erasure leaves to be deleted.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claim_links",
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("other_claim_id", sa.Text(), nullable=False),
        sa.Column("copied", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_claim_links_claim_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("claim_id", "other_claim_id", name=op.f("pk_claim_links")),
    )
    op.create_index(op.f("ix_claim_links_other_claim_id"), "claim_links", ["other_claim_id"])
    op.create_table(
        "claim_overlays",
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claims.id"], name=op.f("fk_claim_overlays_claim_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("claim_id", "sha256", name=op.f("pk_claim_overlays")),
    )
    op.create_index(op.f("ix_claim_overlays_sha256"), "claim_overlays", ["sha256"])
    op.create_table(
        "blob_deletions",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob_deletions")),
    )
    op.create_index(op.f("ix_blob_deletions_claim_id"), "blob_deletions", ["claim_id"])


def downgrade() -> None:
    for table in ("blob_deletions", "claim_overlays", "claim_links"):
        op.drop_table(table)

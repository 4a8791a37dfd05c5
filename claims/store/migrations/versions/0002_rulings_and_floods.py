"""What people said about matches, and pictures that suddenly match many claims.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "match_rulings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("photo_id", sa.Text(), nullable=False),
        sa.Column("match_photo_id", sa.Text(), nullable=False),
        sa.Column("match_claim_id", sa.Text(), server_default="", nullable=False),
        sa.Column("photo_pixels", sa.Text(), server_default="", nullable=False),
        sa.Column("match_pixels", sa.Text(), server_default="", nullable=False),
        sa.Column("ruling", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("measured", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ruled_by", sa.Text(), nullable=False),
        sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("ruling IN ('confirm', 'reject', 'common')", name=op.f("ck_match_rulings_ruling_known")),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claims.id"], name=op.f("fk_match_rulings_claim_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_match_rulings")),
    )
    op.create_index(op.f("ix_match_rulings_claim_id"), "match_rulings", ["claim_id"])
    op.create_index(op.f("ix_match_rulings_photo_id"), "match_rulings", ["photo_id"])
    op.create_index(op.f("ix_match_rulings_match_photo_id"), "match_rulings", ["match_photo_id"])
    op.create_index(op.f("ix_match_rulings_match_claim_id"), "match_rulings", ["match_claim_id"])
    op.create_index(op.f("ix_match_rulings_photo_pixels"), "match_rulings", ["photo_pixels"])
    op.create_index(op.f("ix_match_rulings_match_pixels"), "match_rulings", ["match_pixels"])
    # One ruling a pair, whichever of the two was sent first.
    op.execute(
        "CREATE UNIQUE INDEX uq_match_rulings_pair ON match_rulings"
        " (least(photo_id, match_photo_id), greatest(photo_id, match_photo_id))"
    )
    op.create_table(
        "photo_sightings",
        sa.Column("photo_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=True),
        sa.Column("matched", sa.Boolean(), nullable=False),
        sa.Column("preview_sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claims.id"], name=op.f("fk_photo_sightings_claim_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("pk_photo_sightings")),
    )
    op.create_index(op.f("ix_photo_sightings_claim_id"), "photo_sightings", ["claim_id"])
    op.create_index("ix_photo_sightings_cluster_seen", "photo_sightings", ["cluster_id", "seen_at"])
    op.create_table(
        "floods",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ruling", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("ruled_by", sa.Text(), server_default="", nullable=False),
        sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'ruled')", name=op.f("ck_floods_state_known")),
        sa.CheckConstraint("ruling IN ('', 'common', 'copies')", name=op.f("ck_floods_ruling_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floods")),
    )
    op.create_index(op.f("ix_floods_cluster_id"), "floods", ["cluster_id"])
    # Of two workers that open a flood of one cluster at once only one does.
    op.create_index(
        "uq_floods_open_cluster", "floods", ["cluster_id"], unique=True, postgresql_where=sa.text("state = 'open'")
    )
    op.create_table(
        "flood_claims",
        sa.Column("flood_id", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("referral_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('held', 'released', 'kept', 'over')", name=op.f("ck_flood_claims_state_known")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_flood_claims_claim_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["flood_id"], ["floods.id"], name=op.f("fk_flood_claims_flood_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("flood_id", "claim_id", name=op.f("pk_flood_claims")),
    )
    op.create_index(op.f("ix_flood_claims_claim_id"), "flood_claims", ["claim_id"])


def downgrade() -> None:
    for table in ("flood_claims", "floods", "photo_sightings", "match_rulings"):
        op.drop_table(table)

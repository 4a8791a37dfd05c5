"""Sketches of nose templates, by which a nose is looked for among all, and noses that are enrolled for two pets.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nose_templates", sa.Column("sketch", sa.LargeBinary(), server_default="", nullable=False))
    op.create_table(
        "nose_hits",
        sa.Column("pet_id", sa.Text(), nullable=False),
        sa.Column("other_pet_id", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.Column("inliers", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("score_min", sa.Float(), nullable=False),
        sa.Column("pets_searched", sa.Integer(), nullable=False),
        sa.Column("fitted_on", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["pet_id"], ["pets.id"], name=op.f("fk_nose_hits_pet_id_pets"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["other_pet_id"], ["pets.id"], name=op.f("fk_nose_hits_other_pet_id_pets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pet_id", "other_pet_id", name=op.f("pk_nose_hits")),
    )
    op.create_index(op.f("ix_nose_hits_other_pet_id"), "nose_hits", ["other_pet_id"])


def downgrade() -> None:
    op.drop_table("nose_hits")
    op.drop_column("nose_templates", "sketch")

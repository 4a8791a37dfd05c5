"""Numbers of papers by family instead of by kind, and what another insurer has paid.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A bill is one paper whatever kind a picture of it is taken for, and so is a slip. Receipts keep their key.
_FAMILIES = (("outpatient_invoice", "bill"), ("parcel_slip", "parcel"))


def upgrade() -> None:
    for kind, family in _FAMILIES:
        _rename(kind, family)
    op.create_index(op.f("ix_document_numbers_claim_id"), "document_numbers", ["claim_id"])
    op.add_column(
        "claims", sa.Column("other_insurance_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_claims_other_insurance_not_negative"), "claims", sa.text("other_insurance_minor >= 0")
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_claims_other_insurance_not_negative"), "claims", type_="check")
    op.drop_column("claims", "other_insurance_minor")
    op.drop_index(op.f("ix_document_numbers_claim_id"), "document_numbers")
    for kind, family in _FAMILIES:
        _rename(family, kind)


def _rename(old: str, new: str) -> None:
    op.execute(
        sa.text(
            "UPDATE document_numbers SET number_key = :new || substr(number_key, length(:old) + 1)"
            " WHERE starts_with(number_key, :old)"
        ).bindparams(old=f"{old}:", new=f"{new}:")
    )

"""Orders of claims by a digest of their number, and when a cover was last widened.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import hashlib
import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1_000
_ALONE_CHARACTERS_MIN = 8


def upgrade() -> None:
    op.add_column("policies", sa.Column("terms_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "claim_orders",
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_claim_orders_price_not_negative")),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claims.id"], name=op.f("fk_claim_orders_claim_id_claims"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_key", "claim_id", name=op.f("pk_claim_orders")),
    )
    op.create_index(op.f("ix_claim_orders_claim_id"), "claim_orders", ["claim_id"])
    _publish()


def downgrade() -> None:
    op.drop_table("claim_orders")
    op.drop_column("policies", "terms_changed_at")


def _publish() -> None:
    """Orders that claims state or show. The digest is made here: PostgreSQL folds letters by its locale."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT id, order_number, merchant_id, submitted_at FROM claims"
            " WHERE order_number <> '' AND submitted_at IS NOT NULL"
        )
    ).all()
    keyed = [
        {"key": key, "claim_id": row.id, "at": row.submitted_at}
        for row in rows
        if (key := _key(row.order_number, row.merchant_id))
    ]
    shown = connection.execute(
        sa.text(
            "SELECT number_key, claim_id, first_seen_at FROM document_numbers WHERE starts_with(number_key, 'order:')"
        )
    ).all()
    keyed += [
        {"key": _key(number, ""), "claim_id": row.claim_id, "at": row.first_seen_at}
        for row in shown
        if len(number := row.number_key.removeprefix("order:")) >= _ALONE_CHARACTERS_MIN
    ]
    insert = sa.text(
        "INSERT INTO claim_orders (order_key, claim_id, first_seen_at) VALUES (:key, :claim_id, :at)"
        " ON CONFLICT DO NOTHING"
    )
    for start in range(0, len(keyed), _ROWS_AT_ONCE):
        connection.execute(insert, keyed[start : start + _ROWS_AT_ONCE])


def _key(number: str, merchant_id: str) -> str:
    plain = _normalised(number)
    if not plain:
        return ""
    shop = _normalised(merchant_id) if len(plain) < _ALONE_CHARACTERS_MIN else ""
    return hashlib.sha256(f"order:{shop}|{plain}".encode()).hexdigest()


def _normalised(value: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", value)).upper()

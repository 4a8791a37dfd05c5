"""Money to be recovered from claimants, and what bank and books disagree about.

Frozen: later changes of `claims.store.tables` come as revisions of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _minor(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.add_column("payouts", _words("recovery_id"))
    op.drop_constraint(op.f("uq_payouts_claim_id_decision_id"), "payouts", type_="unique")
    op.create_unique_constraint(
        op.f("uq_payouts_claim_id_decision_id_recovery_id"), "payouts", ["claim_id", "decision_id", "recovery_id"]
    )
    op.create_table(
        "recoveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("claimant_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        _minor("offset_minor"),
        _minor("repaid_minor"),
        _minor("written_off_minor"),
        sa.Column("state", sa.Text(), nullable=False),
        _time("opened_at"),
        sa.Column("opened_by", sa.Text(), nullable=False),
        _time("closed_at", nullable=True),
        _words("closed_by"),
        _words("reference"),
        _words("note"),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_recoveries_amount_positive")),
        sa.CheckConstraint(
            "offset_minor >= 0 AND repaid_minor >= 0 AND written_off_minor >= 0"
            " AND offset_minor + repaid_minor + written_off_minor <= amount_minor",
            name=op.f("ck_recoveries_parts_within_amount"),
        ),
        sa.CheckConstraint(
            "(state = 'open') = (offset_minor + repaid_minor + written_off_minor < amount_minor)",
            name=op.f("ck_recoveries_open_while_owed"),
        ),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_recoveries_claim_id")),
        sa.ForeignKeyConstraint(["claimant_id"], ["claimants.id"], name=op.f("fk_recoveries_claimant_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_recoveries_decision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recoveries")),
    )
    op.create_index(op.f("ix_recoveries_claim_id"), "recoveries", ["claim_id"])
    op.create_index(
        "ix_recoveries_open", "recoveries", ["claimant_id", "opened_at"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_table(
        "payout_findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("found_at"),
        _time("ended_at", nullable=True),
        _words("ended_by"),
        _words("note"),
        sa.CheckConstraint("state IN ('open', 'lifted', 'over')", name=op.f("ck_payout_findings_state_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_findings")),
    )
    op.create_index(op.f("ix_payout_findings_claim_id"), "payout_findings", ["claim_id"])
    op.create_index("ix_payout_findings_payout_code", "payout_findings", ["payout_id", "code"])
    op.create_index(
        "uq_payout_findings_open",
        "payout_findings",
        ["payout_id", "code"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("began_at"),
        _time("ended_at"),
        sa.Column("payouts", sa.Integer(), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.Column("open_payouts", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        _words("error"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index("ix_reconciliations_began", "reconciliations", ["began_at"])


def downgrade() -> None:
    for table in ("reconciliations", "payout_findings", "recoveries"):
        op.drop_table(table)
    op.drop_constraint(op.f("uq_payouts_claim_id_decision_id_recovery_id"), "payouts", type_="unique")
    op.create_unique_constraint(op.f("uq_payouts_claim_id_decision_id"), "payouts", ["claim_id", "decision_id"])
    op.drop_column("payouts", "recovery_id")

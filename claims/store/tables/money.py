"""Tables of the ledger, payouts, recoveries, and of disagreements between bank and books."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from claims.store.tables.schema import metadata, time_column

# Double entry. Amounts are signed: debit > 0, credit < 0; a deferred trigger refuses a transaction that does not sum
# to zero per currency.
ledger_transactions = Table(
    "ledger_transactions",
    metadata,
    Column("id", Text, primary_key=True),  # derived from payout and step, so that a retry cannot post twice
    Column("payout_id", Text, nullable=False, index=True),  # or a recovery's
    Column("step", Text, nullable=False),  # claims.ledger.Step
    time_column("at"),
    UniqueConstraint("payout_id", "step"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("transaction_id", Text, ForeignKey("ledger_transactions.id"), nullable=False, index=True),
    Column("account", Text, nullable=False),  # claims.ledger.Account
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    CheckConstraint("amount_minor <> 0", name="amount_not_zero"),
)

payouts = Table(
    "payouts",
    metadata,
    Column("id", Text, primary_key=True),  # uuid5 of claim and decision: the same on every attempt
    Column("claim_id", Text, ForeignKey("claims.id"), nullable=False),
    Column("decision_id", Text, ForeignKey("decisions.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payee_account", Text, nullable=False),
    Column("state", Text, nullable=False),  # reserved, sent, paid, failed
    Column("bank_reference", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    time_column("created_at"),
    time_column("settled_at", nullable=True),
    # The recovery that it was offset against: such a one never goes to the bank. "" goes to the bank.
    Column("recovery_id", Text, nullable=False, server_default=""),
    UniqueConstraint("claim_id", "decision_id", "recovery_id"),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
)

# Money that a claimant owes back: a claim was paid more than is due.
recoveries = Table(
    "recoveries",
    metadata,
    Column("id", Text, primary_key=True),  # claims.ledger.recovery_id
    Column("claim_id", Text, ForeignKey("claims.id"), nullable=False, index=True),
    Column("decision_id", Text, ForeignKey("decisions.id"), nullable=False),
    Column("claimant_id", Text, ForeignKey("claimants.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("offset_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("repaid_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("written_off_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False),  # open, offset, repaid, written_off: the last names what ended it
    time_column("opened_at"),
    Column("opened_by", Text, nullable=False),
    time_column("closed_at", nullable=True),
    Column("closed_by", Text, nullable=False, server_default=""),
    Column("reference", Text, nullable=False, server_default=""),  # of the claimant's payment
    Column("note", Text, nullable=False, server_default=""),
    Index("ix_recoveries_open", "claimant_id", "opened_at", postgresql_where=text("state = 'open'")),
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint(
        "offset_minor >= 0 AND repaid_minor >= 0 AND written_off_minor >= 0"
        " AND offset_minor + repaid_minor + written_off_minor <= amount_minor",
        name="parts_within_amount",
    ),
    CheckConstraint(
        "(state = 'open') = (offset_minor + repaid_minor + written_off_minor < amount_minor)", name="open_while_owed"
    ),
)

# Where bank and books disagree about a payout. While one is open, its claim gets no further payout.
payout_findings = Table(
    "payout_findings",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("payout_id", Text, nullable=False),
    Column("claim_id", Text, nullable=False, index=True),  # "" where the books do not know the payout
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("found_by", Text, nullable=False),
    Column("state", Text, nullable=False),  # open; lifted by a person; over: a reconciliation no longer found it
    time_column("found_at"),
    time_column("ended_at", nullable=True),
    Column("ended_by", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    CheckConstraint("state IN ('open', 'lifted', 'over')", name="state_known"),
    Index("uq_payout_findings_open", "payout_id", "code", unique=True, postgresql_where=text("state = 'open'")),
    Index("ix_payout_findings_payout_code", "payout_id", "code"),
)

# Each comparison of bank and books. error: why there was none, "" for a whole one.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    time_column("began_at"),
    time_column("ended_at"),
    Column("payouts", Integer, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("open_payouts", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_reconciliations_began", "began_at"),
)

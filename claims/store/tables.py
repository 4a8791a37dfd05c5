"""Every table of the store. Times are UTC (timestamptz), amounts integer minor units, ids text unless order matters.

The photo library's own tables are in `vision.library`; they live in the same database but know nothing of claims.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# Random, made by the database: nothing of the person is in it.
PSEUDONYM = "'p-' || replace(CAST(gen_random_uuid() AS text), '-', '')"


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


claimants = Table(
    "claimants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("credit_attributes", JSONB, nullable=False, server_default=text("'{}'")),  # see claims.credit
    # Stands for the claimant in what cannot be changed later: the audit chain (docs/decisions/0021).
    Column("pseudonym", Text, nullable=False, unique=True, server_default=text(PSEUDONYM)),
    _time("created_at"),
)

policies = Table(
    "policies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("product", Text, nullable=False),
    Column("claimant_id", Text, ForeignKey("claimants.id"), nullable=False, index=True),
    Column("insured_name", Text, nullable=False),
    Column("pet_id", Text, nullable=False, server_default=""),
    _time("starts_at"),
    _time("ends_at"),
    Column("currency", Text, nullable=False),
    Column("sum_insured_minor", BigInteger, nullable=False),
    Column("insured_value_minor", BigInteger, nullable=False),
    _time("created_at"),
    _time("terms_changed_at", nullable=True),  # last widened: more time, more money, somebody or something else
    CheckConstraint("ends_at > starts_at", name="cover_has_length"),
    # An infinite time comes back without a zone, and compares with nothing. Open ends: `claims.policy`.
    CheckConstraint("isfinite(starts_at) AND isfinite(ends_at)", name="cover_is_finite"),
    CheckConstraint("sum_insured_minor > 0 AND insured_value_minor >= 0", name="sums_positive"),
)

pets = Table(
    "pets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claimant_id", Text, ForeignKey("claimants.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("species", Text, nullable=False),  # dog, cat
    _time("created_at"),
)

# One row a template. `template` is what vision.nose serialises; opaque here.
nose_templates = Table(
    "nose_templates",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("pet_id", Text, ForeignKey("pets.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("photo_sha256", Text, nullable=False),
    Column("template", LargeBinary, nullable=False),
    Column("model", Text, nullable=False),
    _time("created_at"),
    UniqueConstraint("pet_id", "photo_sha256"),
)

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.id"), nullable=False, index=True),
    Column("claimant_id", Text, ForeignKey("claimants.id"), nullable=False),
    Column("product", Text, nullable=False),
    Column("peril", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _time("occurred_at"),
    Column("description", Text, nullable=False, server_default=""),
    Column("payee_account", Text, nullable=False),
    Column("device_id", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
    Column("merchant_id", Text, nullable=False, server_default=""),
    Column("order_number", Text, nullable=False, server_default=""),
    # What another insurer has paid for the same loss, as the claimant states it.
    Column("other_insurance_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False),
    # Counts adjudications: 1 at first submission, +1 whenever the claim is submitted again with more information.
    Column("round", Integer, nullable=False, server_default="0"),
    Column("trace_id", Text, nullable=False, server_default=""),
    Column("flow_run_id", Text, nullable=False, server_default=""),
    _time("created_at"),
    _time("submitted_at", nullable=True),
    _time("closed_at", nullable=True),
    Column("touched", Boolean, nullable=False, server_default=text("false")),  # a person took part
    CheckConstraint("amount_minor > 0", name="amount_positive"),
    CheckConstraint("other_insurance_minor >= 0", name="other_insurance_not_negative"),
    Index("ix_claims_claimant_submitted", "claimant_id", "submitted_at"),
    Index("ix_claims_device_submitted", "device_id", "submitted_at", postgresql_where=text("device_id <> ''")),
    Index("ix_claims_payee_submitted", "payee_account", "submitted_at"),
    Index("ix_claims_address_submitted", "address", "submitted_at", postgresql_where=text("address <> ''")),
    Index("ix_claims_merchant_submitted", "merchant_id", "submitted_at", postgresql_where=text("merchant_id <> ''")),
    Index("ix_claims_status_submitted", "status", "submitted_at"),
)

claim_history = Table(
    "claim_history",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("actor", Text, nullable=False),  # role:subject, or the flow's name
    Column("note", Text, nullable=False, server_default=""),  # the claimant's appeal, the adjuster's question, ...
    _time("at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # claims.claim.EvidenceKind
    Column("media_type", Text, nullable=False),  # sniffed, not as declared
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, index=True),  # key in the evidence store
    Column("preview_sha256", Text, nullable=False, server_default=""),  # clean re-encoded JPEG, written by the flow
    Column("round", Integer, nullable=False),  # the adjudication it was first there for
    _time("received_at"),
    UniqueConstraint("claim_id", "name"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", Text, nullable=False),  # due, leased, done, dead
    _time("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),  # leases, those that were lost included
    Column("failures", Integer, nullable=False, server_default="0"),  # checks that failed by the claim's own doing
    # In a row, for want of resources, and of which: such a check says nothing about the claim.
    Column("postponed", Integer, nullable=False, server_default="0"),
    Column("waits_for", Text, nullable=False, server_default=""),
    # A process ended with it in hand: worked on with nothing beside it since; deaths: ended then, too, and no step on.
    Column("alone", Boolean, nullable=False, server_default=text("false")),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column(
        "fence", BigInteger, nullable=False, server_default="0"
    ),  # +1 at each lease; a holder of an older one has lost it
    Column("leased_by", Text, nullable=False, server_default=""),
    _time("leased_until", nullable=True),
    Column("last_error", Text, nullable=False, server_default=""),
    _time("created_at"),
    _time("finished_at", nullable=True),
    UniqueConstraint("claim_id", "round"),
    Index("ix_jobs_due", "due_at", postgresql_where=text("state IN ('due', 'leased')")),
)

# Results of finished stages: a claim leased again skips what is here for its round.
stage_results = Table(
    "stage_results",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("stage", Text, primary_key=True),  # cover, photos, papers, nose, credit, fraud
    Column("result", JSONB, nullable=False),
    Column("seconds", JSONB, nullable=False, server_default=text("'{}'")),  # {"wall": .., "cpu": ..}
    _time("finished_at"),
)

# Publish, then search: a paper's number is inserted and committed before other claims with that number are looked up.
document_numbers = Table(
    "document_numbers",
    metadata,
    Column("number_key", Text, primary_key=True),  # family:normalised number (claims.paper_keys)
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("evidence_id", Text, nullable=False),
    _time("first_seen_at"),
)

# Orders that submitted claims state or show. Kept of an erased claim that was paid: a digest, so no number is.
claim_orders = Table(
    "claim_orders",
    metadata,
    Column("order_key", Text, primary_key=True),  # claims.orders
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("price_minor", BigInteger, nullable=False, server_default=text("0")),  # as a paper shows it, 0: not known
    _time("first_seen_at"),
    CheckConstraint("price_minor >= 0", name="price_not_negative"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),  # 1, 2, ... within the claim
    Column("round", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("payout_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("inputs", LargeBinary, nullable=False),  # canonical JSON of claim, policy, facts, now: what a replay needs
    Column("decision", LargeBinary, nullable=False),  # canonical JSON of claims.decision.Decision
    Column("rules_version", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    _time("decided_at"),
    UniqueConstraint("claim_id", "seq"),
)

# Double entry. Amounts are signed: debit > 0, credit < 0; a deferred trigger refuses a transaction that does not sum
# to zero per currency.
ledger_transactions = Table(
    "ledger_transactions",
    metadata,
    Column("id", Text, primary_key=True),  # derived from payout and step, so that a retry cannot post twice
    Column("payout_id", Text, nullable=False, index=True),  # or a recovery's
    Column("step", Text, nullable=False),  # claims.ledger.Step
    _time("at"),
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
    _time("created_at"),
    _time("settled_at", nullable=True),
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
    _time("opened_at"),
    Column("opened_by", Text, nullable=False),
    _time("closed_at", nullable=True),
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
    _time("found_at"),
    _time("ended_at", nullable=True),
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
    _time("began_at"),
    _time("ended_at"),
    Column("payouts", Integer, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("open_payouts", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_reconciliations_began", "began_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),  # settle, refer
    Column("key", Text, nullable=False),  # payout id or referral id
    Column("payload", JSONB, nullable=False),
    Column("state", Text, nullable=False),  # due, leased, done, dead
    _time("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("leased_by", Text, nullable=False, server_default=""),
    _time("leased_until", nullable=True),
    Column("last_error", Text, nullable=False, server_default=""),
    _time("created_at"),
    _time("finished_at", nullable=True),
    UniqueConstraint("topic", "key"),
    Index("ix_outbox_due", "topic", "due_at", postgresql_where=text("state IN ('due', 'leased')")),
)

referrals = Table(
    "referrals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("decision_id", Text, nullable=False),
    Column("partner", Text, nullable=False, index=True),  # key of the partner insurer, from the product
    Column("state", Text, nullable=False),  # open, delivered, decided, closed
    Column("cause", Text, nullable=False),  # refer, appeal, payout_failed, stopped, flood
    Column("assigned_to", Text, nullable=False, server_default=""),
    _time("assigned_until", nullable=True),
    _time("due_at"),  # SLA
    _time("created_at"),
    _time("delivered_at", nullable=True),
    _time("decided_at", nullable=True),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("verdict", Text, nullable=False, server_default=""),  # approve, refuse, ask
    Column("note", Text, nullable=False, server_default=""),
    Index("ix_referrals_open", "due_at", "id", postgresql_where=text("state IN ('open', 'delivered')")),
    Index(
        "ix_referrals_open_partner", "partner", "due_at", "id", postgresql_where=text("state IN ('open', 'delivered')")
    ),
    # At most one person at a time is asked about a claim.
    Index("uq_referrals_open_claim", "claim_id", unique=True, postgresql_where=text("state IN ('open', 'delivered')")),
)

# What a person said about two pictures. `measured`: probability, inliers, verdict, transform as they were then.
match_rulings = Table(
    "match_rulings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("photo_id", Text, nullable=False, index=True),  # the claim's photo: its evidence id
    Column("match_photo_id", Text, nullable=False, index=True),  # the library's picture
    Column("match_claim_id", Text, nullable=False, server_default="", index=True),  # "" for web and stock
    # Of the decoded pixels, filled in by the worker that learns from the ruling: files of the same pixels are the same
    # pair.
    Column("photo_pixels", Text, nullable=False, server_default="", index=True),
    Column("match_pixels", Text, nullable=False, server_default="", index=True),
    Column("ruling", Text, nullable=False),  # claims.evidence.MatchRuling
    Column("note", Text, nullable=False, server_default=""),
    Column("measured", JSONB, nullable=False),
    Column("ruled_by", Text, nullable=False),  # role:subject
    _time("ruled_at"),
    CheckConstraint("ruling IN ('confirm', 'reject', 'common')", name="ruling_known"),
)
# One ruling a pair, whichever of the two was sent first.
Index(
    "uq_match_rulings_pair",
    func.least(match_rulings.c.photo_id, match_rulings.c.match_photo_id),
    func.greatest(match_rulings.c.photo_id, match_rulings.c.match_photo_id),
    unique=True,
)

# Pictures that matched one another, in clusters. claim_id: NULL for web and stock. matched: it was found to be a copy;
# not for what others were found to be copies of.
photo_sightings = Table(
    "photo_sightings",
    metadata,
    Column("photo_id", Text, primary_key=True),
    Column("cluster_id", Text, nullable=False),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), index=True),
    Column("matched", Boolean, nullable=False),
    Column("preview_sha256", Text, nullable=False, server_default=""),
    _time("seen_at"),
    Index("ix_photo_sightings_cluster_seen", "cluster_id", "seen_at"),
)

# A cluster that suddenly matches many claims, for a person to look at once.
floods = Table(
    "floods",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cluster_id", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),  # open, ruled
    _time("opened_at"),
    Column("ruling", Text, nullable=False, server_default=""),  # common, copies
    Column("note", Text, nullable=False, server_default=""),
    Column("ruled_by", Text, nullable=False, server_default=""),
    _time("ruled_at", nullable=True),
    CheckConstraint("state IN ('open', 'ruled')", name="state_known"),
    CheckConstraint("ruling IN ('', 'common', 'copies')", name="ruling_known"),
    Index("uq_floods_open_cluster", "cluster_id", unique=True, postgresql_where=text("state = 'open'")),
)

# Claims that nothing holds but a flood. held; released: decided anew; kept: before a person like any other; over: no
# longer before anybody when the flood was ruled on.
flood_claims = Table(
    "flood_claims",
    metadata,
    Column("flood_id", Text, ForeignKey("floods.id", ondelete="CASCADE"), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("referral_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    _time("held_at"),
    _time("ended_at", nullable=True),
    CheckConstraint("state IN ('held', 'released', 'kept', 'over')", name="state_known"),
)

# Which claims share a photo or a paper, as found when `claim_id` was decided.
claim_links = Table(
    "claim_links",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True),
    Column("other_claim_id", Text, primary_key=True, index=True),
    Column("copied", Boolean, nullable=False),  # proven, and explained by nobody; false: merely named in the facts
)

# Pictures that the pipeline drew for a claim (a photo beside its match), as named in the facts of its decisions.
claim_overlays = Table(
    "claim_overlays",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", Text, primary_key=True, index=True),  # key in the evidence store
)

# Keys in the evidence store that an erasure leaves to be deleted: gone from here once the file is gone, or named again.
blob_deletions = Table(
    "blob_deletions",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("claim_id", Text, nullable=False, index=True),
    _time("created_at"),
)

# Erasures whose bytes still lie in free space of the database's files: gone from here once they were cleaned
# (claims.store.scrubbing). xid: the erasing transaction's number (xid8).
scrubs_due = Table(
    "scrubs_due",
    metadata,
    Column("claim_id", Text, primary_key=True),
    Column("tables", JSONB, nullable=False),  # names of the tables whose rows it changed or deleted
    Column("xid", BigInteger, nullable=False),
    _time("created_at"),
)

# Append-only hash chain; commitments instead of personal data, so that erasure keeps it valid (claims.audit).
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),  # claim id, policy id, ...
    Column("commitment", Text, nullable=False),  # hex SHA-256 of salt and content
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Index("ix_audit_subject", "subject"),
)

audit_contents = Table(
    "audit_contents",
    metadata,
    Column("seq", BigInteger, ForeignKey("audit.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),  # deleted by erasure; the chain stays valid without it
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),  # role:subject, of a claimant role:pseudonym
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),  # of method, path and body
    Column("state", Text, nullable=False),  # in_flight, done, erased (what was answered is gone)
    Column("status_code", Integer, nullable=False, server_default="0"),
    Column("response", LargeBinary, nullable=False, server_default=text("''")),
    Column("response_headers", JSONB, nullable=False, server_default=text("'{}'")),
    _time("locked_until"),
    _time("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_sha256", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    _time("created_at"),
    _time("expires_at"),
    # The bearer token that opened it, and its key.
    Column("token_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    _time("token_issued_at"),
)

# Bearer tokens taken back: by their id, or all of a role:subject that were issued until then.
token_revocations = Table(
    "token_revocations",
    metadata,
    Column("what", Text, primary_key=True),
    _time("issued_until"),
    _time("revoked_at"),
    _time("expires_at"),  # the last of them has run out by itself: the row may go
    Column("revoked_by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)

worker_heartbeats = Table(
    "worker_heartbeats",
    metadata,
    Column("name", Text, primary_key=True),  # process kind and id
    Column("kind", Text, nullable=False),  # worker, settle, refer
    _time("at"),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),  # batch size, backlog, prefect reachable, ...
)

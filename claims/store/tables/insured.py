"""Tables of the insured, their policies and their pets."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

# Random, made by the database: nothing of the person is in it.
PSEUDONYM = "'p-' || replace(CAST(gen_random_uuid() AS text), '-', '')"

claimants = Table(
    "claimants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("credit_attributes", JSONB, nullable=False, server_default=text("'{}'")),  # see claims.credit
    # Stands for the claimant in what cannot be changed later: the audit chain (docs/decisions/0021).
    Column("pseudonym", Text, nullable=False, unique=True, server_default=text(PSEUDONYM)),
    time_column("created_at"),
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
    time_column("starts_at"),
    time_column("ends_at"),
    Column("currency", Text, nullable=False),
    Column("sum_insured_minor", BigInteger, nullable=False),
    Column("insured_value_minor", BigInteger, nullable=False),
    time_column("created_at"),
    time_column("terms_changed_at", nullable=True),  # last widened: more time, more money, somebody or something else
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
    Column("born_on", Date),  # NULL where the platform did not say
    time_column("created_at"),
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
    time_column("created_at"),
    # By which a nose is looked for among all; opaque, too. Empty in rows of before: made again from the template.
    Column("sketch", LargeBinary, nullable=False, server_default=""),
    UniqueConstraint("pet_id", "photo_sha256"),
)

# Noses that are enrolled for two pets: a fact for a person, which refuses nothing. score, score_min: `vision.nose`.
nose_hits = Table(
    "nose_hits",
    metadata,
    Column("pet_id", Text, ForeignKey("pets.id", ondelete="CASCADE"), primary_key=True),
    Column("other_pet_id", Text, ForeignKey("pets.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("similarity", Float, nullable=False),
    Column("inliers", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("score_min", Float, nullable=False),
    Column("pets_searched", Integer, nullable=False),
    Column("fitted_on", Text, nullable=False),
    time_column("at"),
)

"""Tables of pictures and papers that claims share: what a person ruled on them, floods, and what was drawn of them."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from claims.store.tables.schema import metadata, time_column

# A person's ruling on two pictures. `measured`: probability, inliers, verdict, transform as they were then.
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
    time_column("ruled_at"),
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
    time_column("seen_at"),
    Index("ix_photo_sightings_cluster_seen", "cluster_id", "seen_at"),
)

# A cluster that suddenly matches many claims, for a person to look at once.
floods = Table(
    "floods",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cluster_id", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),  # open, ruled
    time_column("opened_at"),
    Column("ruling", Text, nullable=False, server_default=""),  # common, copies
    Column("note", Text, nullable=False, server_default=""),
    Column("ruled_by", Text, nullable=False, server_default=""),
    time_column("ruled_at", nullable=True),
    CheckConstraint("state IN ('open', 'ruled')", name="state_known"),
    CheckConstraint("ruling IN ('', 'common', 'copies')", name="ruling_known"),
    Index("uq_floods_open_cluster", "cluster_id", unique=True, postgresql_where=text("state = 'open'")),
)

# Claims that wait for a flood alone. held; released: decided anew; kept: before a person like any other; over: no
# longer before anybody when the flood was ruled on.
flood_claims = Table(
    "flood_claims",
    metadata,
    Column("flood_id", Text, ForeignKey("floods.id", ondelete="CASCADE"), primary_key=True),
    Column("claim_id", Text, ForeignKey("claims.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("referral_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    time_column("held_at"),
    time_column("ended_at", nullable=True),
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

"""The tables of the photo library: every picture from claims, the web and stock with its search data, and the known
pictures.

They lie in the claims' database, so that a claim's photos are published and deleted in the claims' own transactions,
but know nothing of claims except opaque ids.
"""

from __future__ import annotations

from typing import Final

from pgvector.sqlalchemy import BIT, HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.types import UserDefinedType

from vision.copies.descriptor import DIMENSIONS

metadata = MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s"})

PDQ_BITS: Final = 256
HNSW: Final = {"m": 16, "ef_construction": 96}


class Xid8(UserDefinedType[int]):
    """PostgreSQL's number of a transaction, which is never reused."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        return "xid8"


library_photos = Table(
    "library_photos",
    metadata,
    Column("photo_id", Text, primary_key=True),  # id of the evidence, or source and digest of any other picture
    Column("source", Text, nullable=False),  # claim, web, stock, enrolment
    Column("owner_claim", Text, nullable=False, server_default=""),
    Column("owner_subject", Text, nullable=False, server_default=""),  # the claimant, opaque here
    # File name or address of an imported picture; the pet that an enrolment's picture is of.
    Column("reference", Text, nullable=False, server_default=""),
    Column("preview_sha256", Text, nullable=False, server_default=""),  # clean JPEG in the evidence store
    Column("sha256", Text, nullable=False),
    Column("pixel_sha256", Text, nullable=False),
    Column("phash", BigInteger, nullable=False),  # 64 bits, two's complement
    Column("dhash", BigInteger, nullable=False),
    Column("whash", BigInteger, nullable=False),
    Column("pdq", BIT(PDQ_BITS)),  # NULL where the quality is too low to compare by
    Column("pdq_quality", SmallInteger, nullable=False),
    Column("descriptor", HALFVEC(DIMENSIONS)),  # NULL where the picture is featureless
    Column("descriptor_model", Text, nullable=False),
    Column("keypoints", LargeBinary, nullable=False),  # vision.copies.keypoints.Keypoints.to_bytes
    Column("thumbnail", LargeBinary, nullable=False),  # zlib of thumbnail_height x thumbnail_width grey bytes
    Column("thumbnail_width", SmallInteger, nullable=False),
    Column("thumbnail_height", SmallInteger, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    # The transaction that wrote this version of the row, by a trigger: `vision.library.memory` asks by it what is new.
    Column("written_by", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    CheckConstraint("source IN ('claim', 'web', 'stock', 'enrolment')", name="source_known"),
    CheckConstraint("(source = 'claim') = (owner_claim <> '')", name="claims_own_their_photos"),
    Index("ix_library_photos_sha256", "sha256"),
    Index("ix_library_photos_pixel_sha256", "pixel_sha256"),
    Index("ix_library_photos_owner_claim", "owner_claim", postgresql_where=text("owner_claim <> ''")),
    Index("ix_library_photos_preview_sha256", "preview_sha256"),
    Index("ix_library_photos_written_by", "written_by"),
    Index(
        "ix_library_photos_pdq",
        "pdq",
        postgresql_using="hnsw",
        postgresql_with=HNSW,
        postgresql_ops={"pdq": "bit_hamming_ops"},
    ),
    Index(
        "ix_library_photos_descriptor",
        "descriptor",
        postgresql_using="hnsw",
        postgresql_with=HNSW,
        postgresql_ops={"descriptor": "halfvec_cosine_ops"},
    ),
)

# The known pictures: pictures, and parts that pictures share, that everybody photographs. `whole`: a person said it of
# this very picture, so its bytes and pixels are excused, too; otherwise only what the keypoints show.
library_commons = Table(
    "library_commons",
    metadata,
    Column("common_id", Text, primary_key=True),  # id of the ruling or the flood, or digest of an imported picture
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("source", Text, nullable=False),  # ruling, imported
    Column("whole", Boolean, nullable=False),
    Column("photo_ids", ARRAY(Text), nullable=False),  # ids of the library's pictures it was learnt from
    Column("reference", Text, nullable=False, server_default=""),  # file name of an imported one
    Column("preview_sha256", Text, nullable=False, server_default=""),
    Column("sha256", Text, nullable=False, server_default=""),
    Column("pixel_sha256", Text, nullable=False, server_default=""),
    Column("keypoints", LargeBinary, nullable=False),  # those of the known part, in the frame of the picture it lies in
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    CheckConstraint("source IN ('ruling', 'imported')", name="source_known"),
    CheckConstraint("whole = (pixel_sha256 <> '')", name="whole_has_pixels"),
    Index("ix_library_commons_pixel_sha256", "pixel_sha256"),
)

"""Puts photos into the library and takes them out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.copies.fingerprint import Fingerprint

Source = Literal["claim", "web", "stock", "enrolment"]


@dataclass(frozen=True, slots=True, eq=False)
class LibraryPhoto:
    """A picture to publish.

    photo_id: unique; a claim's photo uses its evidence id. owner_claim: "" for all but a claim's. owner_subject: the
    claimant, "" for web and stock. reference: file name or address of an imported picture, the pet of an enrolment's.
    preview_sha256: of a clean JPEG in the evidence store.
    """

    photo_id: str
    source: Source
    fingerprint: Fingerprint
    owner_claim: str = ""
    owner_subject: str = ""
    reference: str = ""
    preview_sha256: str = ""


# Casts go through text, so that no codec has to be registered on the caller's connection.
_INSERT: Final = text(
    """
    INSERT INTO library_photos (
        photo_id, source, owner_claim, owner_subject, reference, preview_sha256, sha256, pixel_sha256, phash, dhash,
        whash, pdq, pdq_quality, descriptor, descriptor_model, keypoints, thumbnail, thumbnail_width, thumbnail_height,
        width_px, height_px
    ) VALUES (
        :photo_id, :source, :owner_claim, :owner_subject, :reference, :preview_sha256, :sha256, :pixel_sha256,
        :phash, :dhash, :whash, CAST(CAST(:pdq AS text) AS bit(256)), :pdq_quality,
        CAST(CAST(:descriptor AS text) AS halfvec(256)), :descriptor_model, :keypoints, :thumbnail,
        :thumbnail_width, :thumbnail_height, :width_px, :height_px
    )
    ON CONFLICT (photo_id) DO NOTHING
    """
)
_REMOVE_PHOTOS: Final = text("DELETE FROM library_photos WHERE photo_id = ANY(CAST(:ids AS text[]))")
_REMOVE: Final = text("DELETE FROM library_photos WHERE owner_claim = :claim_id AND source = 'claim'")


async def publish(conn: AsyncConnection, photos: Sequence[LibraryPhoto]) -> None:
    """Insert the photos; one that is already there under its id stays as it is. The caller commits and only then
    searches.

    A picture of low PDQ quality is not found by PDQ; a featureless one is found by its bytes and pixels only.
    """
    if photos:
        await conn.execute(_INSERT, [_row(photo) for photo in photos])


async def remove_claim(conn: AsyncConnection, claim_id: str) -> int:
    """Remove a claim's photos, for erasure and withdrawal. Returns how many there were. The caller commits."""
    if not claim_id:
        raise ValueError("remove_claim needs a claim id: an empty one would name every web and stock picture")
    return (await conn.execute(_REMOVE, {"claim_id": claim_id})).rowcount


async def remove(conn: AsyncConnection, photo_ids: Sequence[str]) -> int:
    """Remove these pictures. Returns how many there were. The caller commits."""
    return (await conn.execute(_REMOVE_PHOTOS, {"ids": list(photo_ids)})).rowcount


def vector_text(vector: NDArray[np.float32]) -> str:
    """Return the vector as pgvector reads it. Five decimals are finer than half precision near 1."""
    return "[" + ",".join(f"{value:.5f}" for value in vector) + "]"


def bits_text(data: bytes) -> str:
    """Return bytes as the text of a PostgreSQL bit string."""
    return "x" + data.hex()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _row(photo: LibraryPhoto) -> dict[str, Any]:
    fingerprint = photo.fingerprint
    height, width = fingerprint.thumbnail.shape
    return {
        "photo_id": photo.photo_id,
        "source": photo.source,
        "owner_claim": photo.owner_claim,
        "owner_subject": photo.owner_subject,
        "reference": photo.reference,
        "preview_sha256": photo.preview_sha256,
        "sha256": fingerprint.sha256,
        "pixel_sha256": fingerprint.pixel_sha256,
        "phash": _signed(fingerprint.phash),
        "dhash": _signed(fingerprint.dhash),
        "whash": _signed(fingerprint.whash),
        "pdq": bits_text(fingerprint.pdq) if fingerprint.pdq_usable else None,
        "pdq_quality": fingerprint.pdq_quality,
        "descriptor": None if fingerprint.featureless else vector_text(fingerprint.descriptor),
        "descriptor_model": fingerprint.descriptor_model,
        "keypoints": fingerprint.keypoints.to_bytes(),
        "thumbnail": zlib.compress(fingerprint.thumbnail.tobytes(), 1),
        "thumbnail_width": width,
        "thumbnail_height": height,
        "width_px": fingerprint.width_px,
        "height_px": fingerprint.height_px,
    }

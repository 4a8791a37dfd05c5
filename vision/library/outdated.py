"""Pictures of the library whose descriptor another model made. Until they are described anew they are found by bytes
and PDQ only, not by descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.library.photos import vector_text

_COUNT: Final = text(
    "SELECT descriptor_model, count(*) AS photos FROM library_photos WHERE descriptor IS NOT NULL"
    " GROUP BY descriptor_model ORDER BY 1"
)
_OUTDATED: Final = text(
    "SELECT photo_id, sha256, preview_sha256 FROM library_photos"
    " WHERE descriptor IS NOT NULL AND descriptor_model <> :label AND photo_id > :after ORDER BY photo_id LIMIT :count"
)
_DESCRIBE: Final = text(
    "UPDATE library_photos SET descriptor = CAST(:descriptor AS halfvec), descriptor_model = :label"
    " WHERE photo_id = :photo_id"
)


@dataclass(frozen=True, slots=True)
class OutdatedPhoto:
    """A picture to describe anew. sha256: of the original file. preview_sha256: of its clean JPEG, "" if it has
    none."""

    photo_id: str
    sha256: str
    preview_sha256: str


async def described_by(conn: AsyncConnection) -> dict[str, int]:
    """Return how many pictures each descriptor model has described. Reads the whole table."""
    return {str(row.descriptor_model): int(row.photos) for row in await conn.execute(_COUNT)}


async def outdated(conn: AsyncConnection, label: str, after: str, count: int) -> list[OutdatedPhoto]:
    """Return the next pictures, ordered by id, that another model than `label` described."""
    rows = await conn.execute(_OUTDATED, {"label": label, "after": after, "count": count})
    return [OutdatedPhoto(row.photo_id, row.sha256, row.preview_sha256) for row in rows]


async def describe_anew(
    conn: AsyncConnection, label: str, photo_ids: Sequence[str], descriptors: NDArray[np.float32]
) -> int:
    """Store new descriptors, float32 (n, 256), one row a picture. Returns how many pictures still existed. The caller
    commits."""
    rows: list[Mapping[str, str]] = [
        {"photo_id": photo_id, "descriptor": vector_text(row), "label": label}
        for photo_id, row in zip(photo_ids, descriptors, strict=True)
    ]
    return sum([(await conn.execute(_DESCRIBE, row)).rowcount for row in rows])

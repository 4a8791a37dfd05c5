"""Previews that the library refers to and that must stay in the evidence store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_IN_USE: Final = text(
    "SELECT preview_sha256 FROM library_photos WHERE preview_sha256 = ANY(CAST(:sha256s AS text[]))"
    " UNION SELECT preview_sha256 FROM library_commons WHERE preview_sha256 = ANY(CAST(:sha256s AS text[]))"
)


async def previews_in_use(conn: AsyncConnection, sha256s: Sequence[str]) -> frozenset[str]:
    """Return those of `sha256s` (keys in the evidence store) that are the preview of a picture in the library or of a
    known picture."""
    if not sha256s:
        return frozenset()
    return frozenset((await conn.execute(_IN_USE, {"sha256s": list(sha256s)})).scalars())

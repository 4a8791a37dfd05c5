"""Locks on files in the evidence store, so that nobody deletes a file that somebody is about to name in a row.

Files are kept by their hash, so equal files of several claims are one. Whoever writes a row that names a file calls
`hold` in the same transaction and then looks whether the file is there; whoever deletes one holds it, looks whether any
row names it, and deletes it before the transaction ends. One of the two waits for the other: either the row is seen and
the file stays, or the file is seen to be gone and is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store.tables import claim_overlays, evidence, nose_templates

_HOLD: Final = text("SELECT pg_advisory_xact_lock(:space, hashtext(:sha256))")
_SPACE: Final = 0x626C6F62
_ENROLMENTS: Final = text(
    """
    SELECT photo.sha256 FROM outbox CROSS JOIN LATERAL jsonb_array_elements_text(payload -> 'sha256s') AS photo (sha256)
    WHERE topic = 'enrol' AND photo.sha256 = ANY(:sha256s)
    """
)


async def hold(conn: AsyncConnection, sha256s: Iterable[str]) -> None:
    """Keep others from naming or deleting these files until the transaction ends. Locks them in one order, so there is
    no deadlock. Must be the last lock that a transaction takes, after its rows."""
    for sha256 in sorted(set(sha256s) - {""}):
        await conn.execute(_HOLD, {"space": _SPACE, "sha256": sha256})


async def named(conn: AsyncConnection, sha256s: Sequence[str]) -> frozenset[str]:
    """Return those of `sha256s` that some claim's evidence, preview or overlay, or a pet's enrolment, names.

    The photo library names previews, too (`vision.library.previews`).
    """
    if not sha256s:
        return frozenset()
    rows = await conn.execute(
        union(
            select(evidence.c.sha256).where(evidence.c.sha256.in_(sha256s)),
            select(evidence.c.preview_sha256).where(evidence.c.preview_sha256.in_(sha256s)),
            select(claim_overlays.c.sha256).where(claim_overlays.c.sha256.in_(sha256s)),
            select(nose_templates.c.photo_sha256).where(nose_templates.c.photo_sha256.in_(sha256s)),
        )
    )
    enrolments = await conn.execute(_ENROLMENTS, {"sha256s": list(sha256s)})
    return frozenset(rows.scalars()) | frozenset(enrolments.scalars())

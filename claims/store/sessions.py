"""Sessions of the pages: the browser holds a random token, the store only its hash.

A session ends with the bearer token that opened it: at its expiry, when it is revoked, and (for the caller to look)
when the key that signed it is no longer in force.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, literal, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store import revocations
from claims.store.tables import sessions


@dataclass(frozen=True, slots=True)
class OpenedBy:
    """The bearer token that a session was opened by: its id, the id of its key, when it was issued (UTC)."""

    token_id: str
    key_id: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    role: str
    subject: str
    csrf: str
    expires_at: datetime
    key_id: str


async def create(
    conn: AsyncConnection,
    token: str,
    role: str,
    subject: str,
    csrf: str,
    now: datetime,
    expires_at: datetime,
    opened_by: OpenedBy,
) -> None:
    """Record a session. token, csrf: from `secrets.token_urlsafe(32)`."""
    await conn.execute(
        insert(sessions).values(
            id_sha256=_hash(token),
            role=role,
            subject=subject,
            csrf=csrf,
            created_at=now,
            expires_at=expires_at,
            token_id=opened_by.token_id,
            key_id=opened_by.key_id,
            token_issued_at=opened_by.issued_at,
        )
    )


async def find(conn: AsyncConnection, token: str, now: datetime) -> Session | None:
    """Return the session of this token, or None when there is none, it has run out, or what opened it was revoked."""
    principal = sessions.c.role + literal(":") + sessions.c.subject
    revoked = revocations.covers(sessions.c.token_id, principal, sessions.c.token_issued_at)
    row = (
        await conn.execute(
            select(sessions).where(sessions.c.id_sha256 == _hash(token), sessions.c.expires_at > now, not_(revoked))
        )
    ).first()
    return None if row is None else Session(row.role, row.subject, row.csrf, row.expires_at, row.key_id)


async def end(conn: AsyncConnection, token: str) -> None:
    """End the session; it need not exist."""
    await conn.execute(delete(sessions).where(sessions.c.id_sha256 == _hash(token)))


async def purge(conn: AsyncConnection, now: datetime) -> int:
    """Delete sessions that have run out. Returns how many."""
    return (await conn.execute(delete(sessions).where(sessions.c.expires_at <= now))).rowcount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()

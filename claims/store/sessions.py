"""Sessions of the pages: the browser holds a random token, the store only its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store.tables import sessions


@dataclass(frozen=True, slots=True)
class Session:
    role: str
    subject: str
    csrf: str
    expires_at: datetime


async def create(
    conn: AsyncConnection, token: str, role: str, subject: str, csrf: str, now: datetime, expires_at: datetime
) -> None:
    """token, csrf: from `secrets.token_urlsafe(32)`."""
    await conn.execute(
        insert(sessions).values(
            id_sha256=_hash(token), role=role, subject=subject, csrf=csrf, created_at=now, expires_at=expires_at
        )
    )


async def find(conn: AsyncConnection, token: str, now: datetime) -> Session | None:
    """The session of this token, or None when there is none or it has run out."""
    row = (
        await conn.execute(select(sessions).where(sessions.c.id_sha256 == _hash(token), sessions.c.expires_at > now))
    ).first()
    return None if row is None else Session(row.role, row.subject, row.csrf, row.expires_at)


async def end(conn: AsyncConnection, token: str) -> None:
    """Sign out. No session is fine."""
    await conn.execute(delete(sessions).where(sessions.c.id_sha256 == _hash(token)))


async def purge(conn: AsyncConnection, now: datetime) -> int:
    """Delete sessions that have run out; how many."""
    return (await conn.execute(delete(sessions).where(sessions.c.expires_at <= now))).rowcount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

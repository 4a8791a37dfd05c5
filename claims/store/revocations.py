"""Revoked bearer tokens: one by its id, or all of a subject that were issued so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store import audit
from claims.store.tables import token_revocations as table


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation. `what`: a token's id, or role:subject. It does not cover a token issued after `issued_until`."""

    what: str
    issued_until: datetime
    revoked_at: datetime
    expires_at: datetime
    revoked_by: str
    reason: str


async def revoke(
    conn: AsyncConnection, what: str, now: datetime, *, forget_at: datetime, actor: str, reason: str = ""
) -> None:
    """Revoke the token with this id, or every token of this role:subject issued until `now`.

    forget_at: when the last of them has expired, so that the row may go. May be called again: a later call counts.
    """
    values = {"issued_until": now, "revoked_at": now, "expires_at": forget_at, "revoked_by": actor, "reason": reason}
    await conn.execute(
        insert(table).values(what=what, **values).on_conflict_do_update(index_elements=["what"], set_=values)
    )
    await audit.append(conn, actor, "token.revoked", what, {"reason": reason}, now)


async def is_revoked(conn: AsyncConnection, token_id: str, principal: str, issued_at: datetime) -> bool:
    """Return True for a token that was revoked. principal: role:subject."""
    query = select(table.c.what).where(_covers(token_id, principal, issued_at)).limit(1)
    return (await conn.execute(query)).first() is not None


def covers(
    token_id: ColumnElement[str], principal: ColumnElement[str], issued_at: ColumnElement[datetime]
) -> ColumnElement[bool]:
    """Return the same test as a condition on columns, for a query that knows tokens by its own rows."""
    return exists().where(_covers(token_id, principal, issued_at))


async def newest(conn: AsyncConnection, limit: int = 100) -> list[Revocation]:
    """Return revocations, the newest first."""
    rows = await conn.execute(select(table).order_by(table.c.revoked_at.desc()).limit(limit))
    return [
        Revocation(row.what, row.issued_until, row.revoked_at, row.expires_at, row.revoked_by, row.reason)
        for row in rows
    ]


async def purge(conn: AsyncConnection, now: datetime) -> int:
    """Delete revocations of tokens that have expired. Returns how many."""
    return (await conn.execute(delete(table).where(table.c.expires_at <= now))).rowcount


def _covers(
    token_id: ColumnElement[str] | str,
    principal: ColumnElement[str] | str,
    issued_at: ColumnElement[datetime] | datetime,
) -> ColumnElement[bool]:
    return or_(table.c.what == token_id, and_(table.c.what == principal, table.c.issued_until >= issued_at))

"""Bearer tokens that were taken back before their time: one by its id, or all of a subject that were issued so far."""

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
    """`what`: a token's id, or role:subject. A token issued after `issued_until` is not meant."""

    what: str
    issued_until: datetime
    revoked_at: datetime
    expires_at: datetime
    revoked_by: str
    reason: str


async def revoke(
    conn: AsyncConnection, what: str, now: datetime, *, forget_at: datetime, actor: str, reason: str = ""
) -> None:
    """Take back the token with this id, or every token of this role:subject issued until `now`.

    forget_at: when the last of them has expired, so that the row may go. Again is fine: a later one counts.
    """
    values = {"issued_until": now, "revoked_at": now, "expires_at": forget_at, "revoked_by": actor, "reason": reason}
    await conn.execute(
        insert(table).values(what=what, **values).on_conflict_do_update(index_elements=["what"], set_=values)
    )
    await audit.append(conn, actor, "token.revoked", what, {"reason": reason}, now)


async def is_revoked(conn: AsyncConnection, token_id: str, principal: str, issued_at: datetime) -> bool:
    """True for a token that was taken back. principal: role:subject."""
    query = select(table.c.what).where(_covers(token_id, principal, issued_at)).limit(1)
    return (await conn.execute(query)).first() is not None


def covers(
    token_id: ColumnElement[str], principal: ColumnElement[str], issued_at: ColumnElement[datetime]
) -> ColumnElement[bool]:
    """The same as a condition on columns, for a query that knows tokens by its own rows."""
    return exists().where(_covers(token_id, principal, issued_at))


async def newest(conn: AsyncConnection, limit: int = 100) -> list[Revocation]:
    """What was taken back, the newest first."""
    rows = await conn.execute(select(table).order_by(table.c.revoked_at.desc()).limit(limit))
    return [
        Revocation(row.what, row.issued_until, row.revoked_at, row.expires_at, row.revoked_by, row.reason)
        for row in rows
    ]


async def purge(conn: AsyncConnection, now: datetime) -> int:
    """Forget what no token can need any more; how many."""
    return (await conn.execute(delete(table).where(table.c.expires_at <= now))).rowcount


def _covers(
    token_id: ColumnElement[str] | str,
    principal: ColumnElement[str] | str,
    issued_at: ColumnElement[datetime] | datetime,
) -> ColumnElement[bool]:
    return or_(table.c.what == token_id, and_(table.c.what == principal, table.c.issued_until >= issued_at))

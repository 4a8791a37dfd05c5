"""The audit chain in its table: appended one at a time, verified from the start."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import audit as chain
from claims.audit import Content, Record, Tip
from claims.store.tables import audit, audit_contents
from claims.wire import canonical

_LOCK: Final = 0x61756469
_PAGE_ROWS: Final = 2000


async def append(
    conn: AsyncConnection, actor: str, action: str, subject: str, content: Mapping[str, object], now: datetime
) -> Record:
    """Add one record in the caller's transaction, last of all its writes: other appends wait for its end.

    actor: `role:subject` or a process's name; subject: the id of the claim, policy, ... that it is about; content:
    plain JSON data.
    """
    await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    newest = (await conn.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1))).first()
    tip = chain.START if newest is None else Tip(newest.seq, newest.hash)
    body = Content(secrets.token_bytes(chain.SALT_BYTES), canonical(dict(content)))
    record = chain.append(tip, at=now, actor=actor, action=action, subject=subject, content=body)
    await conn.execute(
        insert(audit).values(
            seq=record.seq,
            at=record.at,
            actor=record.actor,
            action=record.action,
            subject=record.subject,
            commitment=record.commitment,
            previous_hash=record.previous_hash,
            hash=record.hash,
        )
    )
    await conn.execute(insert(audit_contents).values(seq=record.seq, salt=body.salt, content=body.content))
    return record


async def verify(conn: AsyncConnection) -> Tip:
    """Walk the whole chain, a page at a time, and return its tip.

    Raises BrokenChain at the first record that does not follow.
    """
    tip = chain.START
    while True:
        rows = (
            await conn.execute(
                select(audit, audit_contents.c.salt, audit_contents.c.content)
                .outerjoin(audit_contents, audit_contents.c.seq == audit.c.seq)
                .where(audit.c.seq > tip.seq)
                .order_by(audit.c.seq)
                .limit(_PAGE_ROWS)
            )
        ).all()
        if not rows:
            return tip
        records = [
            Record(row.seq, row.at, row.actor, row.action, row.subject, row.commitment, row.previous_hash, row.hash)
            for row in rows
        ]
        contents = {row.seq: Content(row.salt, row.content) for row in rows if row.salt is not None}
        tip = chain.verify(records, contents, tip)


async def of_subject(conn: AsyncConnection, subject: str) -> list[Record]:
    """Every record about one claim, policy or person, oldest first."""
    rows = await conn.execute(select(audit).where(audit.c.subject == subject).order_by(audit.c.seq))
    return [
        Record(row.seq, row.at, row.actor, row.action, row.subject, row.commitment, row.previous_hash, row.hash)
        for row in rows
    ]


async def erase_contents(conn: AsyncConnection, subject: str) -> int:
    """Delete salt and content of every record about `subject` and return how many; the chain still verifies."""
    of = select(audit.c.seq).where(audit.c.subject == subject)
    gone = await conn.execute(delete(audit_contents).where(audit_contents.c.seq.in_(of)))
    return gone.rowcount


async def count(conn: AsyncConnection) -> int:
    """How many records there are."""
    return (await conn.execute(select(func.count()).select_from(audit))).scalar_one()

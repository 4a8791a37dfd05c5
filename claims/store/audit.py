"""The audit chain in its table: appended one at a time, verified from the start.

A claimant appears in it by their pseudonym, since a chained record can never be changed; their identity is in the
content, behind the commitment, and is erased with it (docs/decisions/0021).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Transaction, delete, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from claims import audit as chain
from claims.audit import Content, Missing, Record, Tip, Tips
from claims.errors import StoreError
from claims.store.tables import audit, audit_contents, claimants
from claims.wire import canonical

_LOCK: Final = 0x61756469
_PAGE_ROWS: Final = 2000
_CLAIMANT: Final = "claimant:"


@dataclass(frozen=True, slots=True)
class _Entry:
    at: datetime
    actor: str
    action: str
    subject: str
    content: bytes


# Records that each open transaction will append when it commits; dropped when it rolls back.
_waiting: WeakKeyDictionary[Transaction, list[_Entry]] = WeakKeyDictionary()


async def append(
    conn: AsyncConnection, actor: str, action: str, subject: str, content: Mapping[str, object], now: datetime
) -> None:
    """Add one record to the chain with the caller's transaction: both are kept or neither.

    The record is written just before the commit, so the one lock that orders all records is taken last, whatever the
    transaction does after this call: no deadlock, and nobody waits for a slow transaction. Not inside savepoints, whose
    rollback would go unseen: StoreError.

    actor: `role:subject` or a process's name; of a claimant the record names the pseudonym, and the content the actor.
    subject: the id of the claim, policy, ... it is about; content: plain JSON.
    """
    if conn.in_nested_transaction():
        raise StoreError("an audit record cannot be added inside a savepoint")
    if not conn.in_transaction():
        await conn.begin()
    sync = conn.sync_connection
    transaction = sync.get_transaction() if sync is not None else None
    if sync is None or transaction is None:
        raise StoreError("an audit record needs an open connection")
    if not event.contains(sync, "commit", _write):
        event.listen(sync, "commit", _write)
    if actor.startswith(_CLAIMANT):
        content = {**content, "actor": actor}
        actor = await _pseudonymous(conn, actor.removeprefix(_CLAIMANT))
    entry = _Entry(now, actor, action, subject, canonical(dict(content)))
    _waiting.setdefault(transaction, []).append(entry)


def _write(conn: Connection) -> None:
    """Before a commit: chain what is waiting onto the newest record."""
    transaction = conn.get_transaction()
    entries = _waiting.pop(transaction, []) if transaction is not None else []
    if not entries:
        return
    conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    newest = conn.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    tip = chain.START if newest is None else Tip(newest.seq, newest.hash)
    for entry in entries:
        body = Content(secrets.token_bytes(chain.SALT_BYTES), entry.content)
        record = chain.append(
            tip, at=entry.at, actor=entry.actor, action=entry.action, subject=entry.subject, content=body
        )
        conn.execute(insert(audit).values({name: getattr(record, name) for name in Record.__slots__}))
        conn.execute(insert(audit_contents).values(seq=record.seq, salt=body.salt, content=body.content))
        tip = Tip(record.seq, record.hash)


async def _pseudonymous(conn: AsyncConnection, claimant_id: str) -> str:
    known = await conn.execute(select(claimants.c.pseudonym).where(claimants.c.id == claimant_id))
    return f"{_CLAIMANT}{known.scalar_one_or_none() or 'unknown'}"


async def newest(conn: AsyncConnection) -> Tip:
    """Return the tip as it stands, unverified."""
    row = (await conn.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1))).first()
    return chain.START if row is None else Tip(row.seq, row.hash)


async def hash_at(conn: AsyncConnection, seq: int) -> str:
    """Return the stored hash of one record, "" where there is none."""
    stored = await conn.execute(select(audit.c.hash).where(audit.c.seq == seq))
    return stored.scalar_one_or_none() or ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check. missing: records whose content is gone though no erasure covers it; erased: how many were
    erased properly; differing: expected tips that the chain does not have, in words; compared: how many tips were
    expected."""

    tip: Tip
    missing: tuple[int, ...]
    erased: int
    differing: tuple[str, ...]
    compared: int

    @property
    def whole(self) -> bool:
        return not self.missing and not self.differing


async def check(conn: AsyncConnection, expected: Iterable[Tip] = ()) -> Checked:
    """Verify the whole chain, a page at a time: find missing contents, and compare tips noted elsewhere with the
    records as they are.

    Raises BrokenChain at the first record that does not follow.
    """
    tip, missing, tips = chain.START, Missing(), Tips(expected)
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
            return Checked(tip, missing.uncovered, missing.covered, tips.differing(tip), tips.count)
        records = [
            Record(row.seq, row.at, row.actor, row.action, row.subject, row.commitment, row.previous_hash, row.hash)
            for row in rows
        ]
        contents = {row.seq: Content(row.salt, row.content) for row in rows if row.salt is not None}
        tip = chain.verify(records, contents, tip)
        for record in records:
            missing.see(record, contents.get(record.seq))
            tips.see(record)


async def erase_contents(conn: AsyncConnection, subject: str) -> int:
    """Delete salt and content of every record about `subject` and return how many; the chain still verifies."""
    of = select(audit.c.seq).where(audit.c.subject == subject)
    gone = await conn.execute(delete(audit_contents).where(audit_contents.c.seq.in_(of)))
    return gone.rowcount


async def erase_words_on(
    conn: AsyncConnection, subjects: Collection[str], photo_ids: Collection[str]
) -> tuple[int, ...]:
    """Delete what people said about pictures of an erased claim in the records of other claims (`subjects`). Returns
    the numbers of those records, for the erasure's own record to name."""
    records = await conn.execute(
        select(audit.c.seq, audit_contents.c.content)
        .join(audit_contents, audit_contents.c.seq == audit.c.seq)
        .where(audit.c.subject.in_(subjects), audit.c.action.in_(("match.ruled", "match.ruling_taken_back")))
    )
    gone = sorted(row.seq for row in records if json.loads(row.content).get("match_photo_id") in photo_ids)
    await conn.execute(delete(audit_contents).where(audit_contents.c.seq.in_(gone)))
    return tuple(gone)

"""The audit trail as a hash chain: each record's hash covers the record before it, so none can be changed, dropped or
slipped in unseen.

A record holds a commitment, SHA-256(salt || content), in place of the content. Erasing a person's data deletes salt and
content; the chain still verifies, and without the salt the commitment tells nothing, however guessable the content was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from claims.errors import BrokenChain
from claims.wire import canonical

GENESIS = "0" * 64  # the hash before the first record
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One link. `seq` counts from 1 without gaps; hashes are lower-case hex SHA-256."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    commitment: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a commitment stands for. Deleted by erasure."""

    salt: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest link, which is enough to append. Kept elsewhere as well (a daily print, the partner), it also shows a
    cut-off tail."""

    seq: int
    hash: str


START = Tip(seq=0, hash=GENESIS)


def commitment(content: Content) -> str:
    """Hex SHA-256 of salt and content. The salt has a fixed length, so no two pairs run together. Raises ValueError on
    another length."""
    if len(content.salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, got {len(content.salt)}")
    return hashlib.sha256(content.salt + content.content).hexdigest()


def append(tip: Tip, *, at: datetime, actor: str, action: str, subject: str, content: Content) -> Record:
    """The record that follows `tip`. The caller draws the salt (`secrets.token_bytes(SALT_BYTES)`) and gives the time,
    UTC."""
    seq, made = tip.seq + 1, commitment(content)
    return Record(
        seq=seq,
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        commitment=made,
        previous_hash=tip.hash,
        hash=_hash(seq, at, actor, action, subject, made, tip.hash),
    )


def verify(records: Iterable[Record], contents: Mapping[int, Content], start: Tip = START) -> Tip:
    """Walks the chain and returns its tip. `contents` by seq holds what was not erased; each is checked against its
    commitment.

    Raises BrokenChain that names the first record that does not follow.
    """
    tip = start
    for record in records:
        if record.seq != tip.seq + 1:
            raise BrokenChain(f"record {record.seq} follows {tip.seq}: one is missing or doubled")
        if not hmac.compare_digest(record.previous_hash, tip.hash):
            raise BrokenChain(f"record {record.seq} does not name the hash of record {tip.seq}")
        expected = _hash(
            record.seq, record.at, record.actor, record.action, record.subject, record.commitment, record.previous_hash
        )
        if not hmac.compare_digest(record.hash, expected):
            raise BrokenChain(f"record {record.seq} was changed: its hash does not fit its own fields")
        if record.seq in contents and commitment(contents[record.seq]) != record.commitment:
            raise BrokenChain(f"record {record.seq}: the stored content is not what was committed to")
        tip = Tip(record.seq, record.hash)
    return tip


def _hash(seq: int, at: datetime, actor: str, action: str, subject: str, made: str, previous: str) -> str:
    # Microseconds in UTC: what a timestamptz column gives back, whatever zone the connection uses.
    instant = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [seq, instant, actor, action, subject, made, previous]
    return hashlib.sha256(canonical(fields)).hexdigest()

"""The audit trail as a hash chain: each record's hash covers the record before it, so none can be changed, dropped or
slipped in unseen.

A record holds a commitment, SHA-256(salt || content), in place of the content. Erasing a person's data deletes salt and
content; the chain still verifies, and without the salt the commitment tells nothing, however guessable the content was.
Content that is gone without a record of such an erasure was taken away by somebody else: `Missing` tells the two apart.

The chain alone shows no cut-off tail and no chain that was written anew from some record on: that takes tips noted
elsewhere (`Tips`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from claims.audit_actions import ERASED
from claims.errors import BrokenChain, InvalidTip
from claims.wire import canonical

GENESIS = "0" * 64  # the hash before the first record
SALT_BYTES = 32
# In the content of an erasure's record: records of other claims whose contents went with it.
ELSEWHERE = "contents_elsewhere"
_TIP = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


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
    """The content that a commitment stands for. Erasure deletes it."""

    salt: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest link, which is all that appending needs. Noted elsewhere as well (a daily print, the partner), it also
    reveals a cut-off tail."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, words: str) -> Tip:
        """Parse `SEQ:HASH`, the hash in full. Raises InvalidTip."""
        match = _TIP.fullmatch(words)
        if match is None:
            raise InvalidTip(f"a tip is a number, a colon and 64 hexadecimal digits, not {words[:80]!r}")
        return cls(int(match[1]), match[2])


START = Tip(seq=0, hash=GENESIS)


def commitment(content: Content) -> str:
    """Return the hex SHA-256 of salt and content. The salt has a fixed length, so no two pairs run together. Raises
    ValueError on another length."""
    if len(content.salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, got {len(content.salt)}")
    return hashlib.sha256(content.salt + content.content).hexdigest()


def append(tip: Tip, *, at: datetime, actor: str, action: str, subject: str, content: Content) -> Record:
    """Return the record that follows `tip`. The caller draws the salt (`secrets.token_bytes(SALT_BYTES)`) and gives the
    time in UTC."""
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
    """Walk the chain and return its tip. `contents` by seq holds what was not erased; each is checked against its
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


class Missing:
    """Missing contents, sorted into those that an erasure covers and those that none does. Must be shown every record
    of the chain, in order."""

    def __init__(self) -> None:
        self.covered = 0
        self._open: defaultdict[str, list[int]] = defaultdict(list)  # by subject

    @property
    def uncovered(self) -> tuple[int, ...]:
        """Return the numbers of the records whose content is gone and that no later erasure of their subject covers."""
        return tuple(sorted(seq for seqs in self._open.values() for seq in seqs))

    def see(self, record: Record, content: Content | None) -> None:
        """Take in one record. content: None where it is gone."""
        if content is None:
            self._open[record.subject].append(record.seq)
        if record.action != ERASED:
            return
        # An erasure covers what came before it; its own record must still say why.
        before = [seq for seq in self._open.pop(record.subject, []) if seq != record.seq]
        self.covered += len(before)
        if content is None:
            self._open[record.subject].append(record.seq)
            return
        elsewhere = set(json.loads(content.content).get(ELSEWHERE, ()))
        for subject in [open_subject for open_subject, seqs in self._open.items() if elsewhere.intersection(seqs)]:
            left = [seq for seq in self._open[subject] if seq not in elsewhere]
            self.covered += len(self._open[subject]) - len(left)
            self._open[subject] = left


class Tips:
    """Tips that were noted elsewhere, compared with the chain as it is now. Must be shown every record."""

    def __init__(self, expected: Iterable[Tip]) -> None:
        self._hashes: defaultdict[int, set[str]] = defaultdict(set)
        for tip in expected:
            self._hashes[tip.seq].add(tip.hash)
        self._differing: list[str] = []

    @property
    def count(self) -> int:
        return sum(len(hashes) for hashes in self._hashes.values())

    def see(self, record: Record) -> None:
        if self._hashes.get(record.seq, set()) - {record.hash}:
            self._differing.append(f"record {record.seq} has another hash than was noted: the chain was written anew")

    def differing(self, tip: Tip) -> tuple[str, ...]:
        """Return what does not fit, in words. tip: the tip of the whole chain."""
        newest = max(self._hashes, default=0)
        if newest <= tip.seq:
            return tuple(self._differing)
        return (*self._differing, f"record {newest} was noted, the chain ends at {tip.seq}: its tail was cut off")


def _hash(seq: int, at: datetime, actor: str, action: str, subject: str, made: str, previous: str) -> str:
    # Microseconds in UTC: what a timestamptz column gives back, whatever zone the connection uses.
    instant = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [seq, instant, actor, action, subject, made, previous]
    return hashlib.sha256(canonical(fields)).hexdigest()

"""Notes tips of the audit chain outside the database. The chain itself reveals changes inside it, but not that its
newest records were cut off or that it was written anew; a tip noted elsewhere reveals both (`miaopei audit verify`).

    a line a tip, `SEQ:HASH TIME`, appended to a file and fsynced: after so many records, or so many seconds
    and, where an address is set, a signed webhook to somebody who cannot be made to forget
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.audit import START, Tip
from claims.errors import InvalidTip
from claims.store import audit
from flows.config import TipConfig
from flows.drain import STORE_AWAY
from flows.process import pause
from flows.queues import Clock, utc_now
from flows.webhooks import signed_headers

log = structlog.get_logger(__name__)
EVENT: Final = "audit.tip"


@dataclass(frozen=True, slots=True)
class Noted:
    """The tips of a file, oldest first, and the number of its lines that are not tips: a power cut may leave half a
    line."""

    tips: tuple[Tip, ...]
    unreadable: int


def read_tips(path: Path) -> Noted:
    """Read a file of tips, one a line; text after the tip on a line is for people. Raises OSError."""
    tips, unreadable = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split(maxsplit=1)
        if not words:
            continue
        try:
            tips.append(Tip.parse(words[0]))
        except InvalidTip:
            unreadable += 1
    return Noted(tuple(tips), unreadable)


def write_tip(path: Path, tip: Tip, at: datetime) -> None:
    """Append one line, which is on the disk when this returns; only its owner may read the file. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" * torn + f"{tip} {at.isoformat(timespec='seconds')}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def notice(tip: Tip, at: datetime, secret: str) -> tuple[bytes, dict[str, str]]:
    """Returns body and headers of the webhook, signed as notices to partners are (standardwebhooks.com)."""
    event = {"type": EVENT, "timestamp": at.isoformat(), "data": {"seq": tip.seq, "hash": tip.hash}}
    body = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
    return body, signed_headers(f"audit-tip-{tip.seq}", body, secret, at)


@dataclass
class TipKeeper:
    """Notes tips for one process. `noted`: the newest one on the disk; `sent`: the newest that the webhook took."""

    engine: AsyncEngine
    config: TipConfig
    client: httpx.AsyncClient
    now: Clock = utc_now
    noted: Tip = START
    sent: Tip = START
    missing: bool = False  # the chain did not hold a tip noted before: said until somebody restarts the process
    _noted_at: float = field(default=float("-inf"))  # of the event loop's clock

    async def keep(self, stop: asyncio.Event) -> None:
        """Note tips until `stop`, and once more then. A tip that cannot be noted now is tried again next time."""
        self.noted = await asyncio.to_thread(self._newest_of_file)
        while not stop.is_set():
            await self._guarded(ending=False)
            await pause(stop, self.config.look_seconds)
        await self._guarded(ending=True)

    async def _guarded(self, *, ending: bool) -> None:
        try:
            await self.look(ending=ending)
        except STORE_AWAY as error:  # an OSError of the file is among them
            log.error("the audit chain's tip was not noted", error=error)

    async def note_now(self) -> bool:
        """Note the newest record now, whatever was noted when; True if it was not the one noted last. Raises what
        `look` raises."""
        self.noted = await asyncio.to_thread(self._newest_of_file)
        return await self.look(ending=True)

    async def look(self, *, ending: bool = False) -> bool:
        """Note the tip if it is due; True if it was. ending: a new record is enough to make it due."""
        async with self.engine.connect() as conn:
            newest = await audit.newest(conn)
            before = await audit.hash_at(conn, self.noted.seq) if self.noted.seq else self.noted.hash
        clock = asyncio.get_running_loop().time()
        waited = clock - self._noted_at >= self.config.every_seconds
        many = newest.seq - self.noted.seq >= self.config.every_records
        if newest == self.noted or not (waited or many or ending):
            return False
        if before != self.noted.hash:
            self.missing = True
            log.error("the audit chain does not hold the tip noted last: `miaopei audit verify`", noted=str(self.noted))
        if newest != START:
            await asyncio.to_thread(write_tip, self.config.file, newest, self.now())
        self.noted, self._noted_at = newest, clock
        await self._send(newest)
        return True

    async def _send(self, tip: Tip) -> None:
        if not self.config.webhook_url:
            return
        body, headers = notice(tip, self.now(), self.config.secret)
        try:
            answer = await self.client.post(self.config.webhook_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("nobody took the audit chain's tip; the next one is sent in its time", error=error)
            return
        if answer.is_success:
            self.sent = tip
        else:
            log.warning("the audit chain's tip was refused", status=answer.status_code)

    def report(self) -> Mapping[str, Any]:
        """Returns the figures for the operator's page."""
        return {"audit_tip": self.noted.seq, "audit_tip_missing": self.missing}

    def _newest_of_file(self) -> Tip:
        try:
            tips = read_tips(self.config.file).tips
        except OSError:  # no file yet; a file that cannot be read cannot be written either, and that is logged
            return START
        return tips[-1] if tips else START

"""What the stages of adjudication work with: one value a worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.credit import Scorecard
from claims.floods import FloodLimits
from claims.paper_kind import PaperKinds, load_paper_kinds
from flows.looking import Looking
from flows.queues import Clock, utc_now
from vision.library import known_pictures
from vision.library.known_pictures import KnownPictures
from vision.library.memory import Memory


@dataclass(slots=True)
class KnownPicturesKeeper:
    """The negative bank in memory, read again when it has changed."""

    _bank: KnownPictures = field(default_factory=lambda: known_pictures.assemble(()))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bank(self, conn: AsyncConnection) -> KnownPictures:
        if await known_pictures.version(conn) == self._bank.version:
            return self._bank
        async with self._lock:
            if await known_pictures.version(conn) != self._bank.version:
                self._bank = await known_pictures.load(conn)
            return self._bank


@dataclass(frozen=True, slots=True)
class StageContext:
    """Connections, vision and limits of one worker.

    memory: a copy of the library; None: PostgreSQL's own indexes alone. paper_kinds: the insurer's half of what the
    reader knows.
    """

    engine: AsyncEngine
    looking: Looking
    scorecard: Scorecard
    now: Clock = utc_now
    floods: FloodLimits = field(default_factory=FloodLimits)
    bank: KnownPicturesKeeper = field(default_factory=KnownPicturesKeeper)
    memory: Memory | None = None
    paper_kinds: PaperKinds = field(default_factory=load_paper_kinds)

"""The value that the stages of adjudication work with; each worker has one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.credit import Scorecard
from claims.floods import FloodLimits
from claims.paper_kind import PaperKinds, load_paper_kinds
from flows.queues import Clock, utc_now
from flows.vision_pool import VisionPool
from vision.library import known_pictures
from vision.library.known_pictures import KnownPictures
from vision.library.memory import Memory


@dataclass(slots=True)
class KnownPicturesKeeper:
    """Keeps the known pictures in memory and reads them again when they have changed."""

    _known: KnownPictures = field(default_factory=lambda: known_pictures.assemble(()))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self, conn: AsyncConnection) -> KnownPictures:
        if await known_pictures.version(conn) == self._known.version:
            return self._known
        async with self._lock:
            if await known_pictures.version(conn) != self._known.version:
                self._known = await known_pictures.load(conn)
            return self._known


@dataclass(frozen=True, slots=True)
class StageContext:
    """Connections, vision and limits of one worker.

    memory: the copy of the photo library; None searches by PostgreSQL's own indexes alone. paper_kinds: the insurer's
    half of each kind of paper that the reader knows.
    """

    engine: AsyncEngine
    vision: VisionPool
    scorecard: Scorecard
    now: Clock = utc_now
    floods: FloodLimits = field(default_factory=FloodLimits)
    known_pictures: KnownPicturesKeeper = field(default_factory=KnownPicturesKeeper)
    memory: Memory | None = None
    paper_kinds: PaperKinds = field(default_factory=load_paper_kinds)

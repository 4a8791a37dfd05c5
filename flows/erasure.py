"""Erasing a claim, rows first and files after, and what else is kept for nobody: files that no row names, and answers
to requests that nobody repeats any more.

    one transaction: the claim's rows (claims.store.erasure), the library's rows, a list of files to delete, audit
    then each file by itself: held, looked for in every row that could name it, deleted, taken off the list
    then the tables: free space, indexes, statistics (claims.store.scrubbing)

Killed anywhere, the next run or the next round of `tend` goes on where it stopped. Equal files of several claims are
one file: it stays for as long as anybody names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.store import erasure, holding, idempotency, scrubbing, sessions
from claims.store.blobs import BlobStore
from claims.store.engine import alone
from claims.store.scrubbing import Scrubbed, ScrubLimits
from flows.config import RetentionLimits
from flows.drain import STORE_AWAY
from flows.process import pause
from flows.queues import Clock, utc_now
from vision.library import known_pictures, remove_claim
from vision.library.previews import previews_in_use

log = structlog.get_logger(__name__)
_ONE_AT_A_TIME = 0x7265746E
_LOOKED_UP_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure. first: True if this run erased the claim. files_kept: files that others still use.
    scrubbed: what was cleaned in the database's files."""

    claim_id: str
    erased_at: datetime
    first: bool
    library_photos: int
    files_deleted: int
    files_kept: int
    scrubbed: Scrubbed


@dataclass(frozen=True, slots=True)
class Swept:
    """The counts of what one round of `tend` deleted. finished: files of erasures that had stopped half-way. keys:
    idempotency keys with their stored answers. sessions: expired sessions. scrubbed: erasures whose traces in the
    database's files were cleaned."""

    finished: int
    incoming: int
    orphans: int
    keys: int
    sessions: int = 0
    scrubbed: int = 0


async def erase(
    engine: AsyncEngine,
    blobs: BlobStore,
    claim_id: str,
    *,
    actor: str,
    reason: str,
    now: Clock = utc_now,
    scrub: ScrubLimits | None = None,
) -> Erasure:
    """Erase a claim, or finish its erasure. Raises claims.errors.NotFound, and InFlight with its code."""
    async with engine.begin() as conn:
        erased = await erasure.erase(conn, claim_id, now(), actor=actor, reason=reason)
        await known_pictures.forget_claim(conn, claim_id)  # while the library still knows which photos were its own
        photos = await remove_claim(conn, claim_id)
        if erased.first:
            await scrubbing.note(conn, claim_id, now())
    deleted, kept = await delete_files(engine, blobs, erased.files)
    scrubbed = await scrubbing.scrub(engine, scrub or ScrubLimits())
    log.info("erased", claim=claim_id, first=erased.first, files=deleted, kept=kept)
    return Erasure(claim_id, erased.at, erased.first, photos, deleted, kept, scrubbed)


async def delete_files(engine: AsyncEngine, blobs: BlobStore, sha256s: Sequence[str]) -> tuple[int, int]:
    """Delete the files that no row names, each in a transaction of its own. Returns how many were deleted and how many
    stayed."""
    deleted = 0
    for sha256 in sha256s:
        async with engine.begin() as conn:
            await holding.hold(conn, [sha256])
            if not await _named(conn, [sha256]):
                await asyncio.to_thread(blobs.delete, sha256)
                deleted += 1
            await erasure.file_done(conn, sha256)
    return deleted, len(sha256s) - deleted


async def sweep(engine: AsyncEngine, blobs: BlobStore, limits: RetentionLimits, now: datetime) -> Swept:
    """Run one round: delete old idempotency keys, finish erasures that stopped half-way, delete uploads that never
    arrived and files that no row names.

    A file without a row is left by a request that was refused after its files were kept, by the replacement of a file
    before it was judged, or by a worker that died after writing a preview.
    """
    # First: it needs no evidence store, which may be away.
    async with engine.begin() as conn:
        keys = await idempotency.purge(conn, now - timedelta(hours=limits.idempotency_hours))
        ended = await sessions.purge(conn, now)
    async with engine.connect() as conn:
        left = await erasure.files_left(conn)
    finished, _ = await delete_files(engine, blobs, left)
    unfinished_before = now - timedelta(hours=limits.incoming_hours)
    incoming = await asyncio.to_thread(blobs.sweep_incoming, unfinished_before)
    unnamed_before = now - timedelta(hours=limits.orphan_hours)
    orphans = 0
    for folder in await asyncio.to_thread(blobs.folders):
        old = await asyncio.to_thread(blobs.older_than, folder, unnamed_before)
        for start in range(0, len(old), _LOOKED_UP_AT_ONCE):
            part = old[start : start + _LOOKED_UP_AT_ONCE]
            async with engine.connect() as conn:
                named = await _named(conn, part)
            gone, _ = await delete_files(engine, blobs, [sha256 for sha256 in part if sha256 not in named])
            orphans += gone
    scrubbed = await scrubbing.scrub(engine, limits.scrub)
    if scrubbed.still_due:
        log.warning("erased data stays in the database's files", refused=scrubbed.refused, held_back=scrubbed.held_back)
    return Swept(finished, incoming, orphans, keys, ended, len(scrubbed.claims))


async def sweep_alone(engine: AsyncEngine, blobs: BlobStore, limits: RetentionLimits, now: datetime) -> Swept | None:
    """Run one round of `sweep`. Returns None while another process sweeps."""
    async with engine.connect() as conn:
        return await sweep(engine, blobs, limits, now) if await alone(conn, _ONE_AT_A_TIME) else None


async def tend(engine: AsyncEngine, blobs: BlobStore, limits: RetentionLimits, stop: asyncio.Event) -> None:
    """Run `sweep` again and again until `stop`; only one worker sweeps at a time."""
    while not stop.is_set():
        try:
            swept = await sweep_alone(engine, blobs, limits, utc_now())
            if swept is not None and swept != Swept(0, 0, 0, 0):
                log.info("swept", **asdict(swept))
        except STORE_AWAY as error:
            log.warning("not swept: a store is away", error=error)
        await pause(stop, limits.every_seconds)


async def _named(conn: AsyncConnection, sha256s: Sequence[str]) -> frozenset[str]:
    return await holding.named(conn, sha256s) | await previews_in_use(conn, sha256s)

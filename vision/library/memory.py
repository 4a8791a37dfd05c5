"""A copy of the library's search data in the memory of one process; PostgreSQL stays the truth.

The copy may be missing at any time (still loading, too large, the database restarted): `vision.library.search` then
uses PostgreSQL's own indexes. If the copy answers, it covers everything that was committed before the search began:

- Each row carries the transaction that wrote it (`written_by`, set by a trigger). Before a search, one statement
  fetches all rows whose transaction the previous statement's snapshot could not see, in whatever order they were
  committed.
- Rows that were erased or rewritten stay in memory until a search returns them: every result is read again from the
  table, and a row that is gone, or has another version there, is marked as buried and the candidates are ranked again.
  Buried rows do not count among the nearest, so they displace no other row. Blocks with many buried rows are rebuilt,
  and the whole copy is read again once a day, so that nothing erased stays in memory for longer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import asyncpg
import faiss
import numpy as np
import structlog
from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from vision.copies.descriptor import DIMENSIONS
from vision.copies.fingerprint import Fingerprint
from vision.errors import SearchTimedOut
from vision.library.limits import Looks, SearchLimits
from vision.library.scan import PDQ_BYTES, Block, Rows, ScanHit, ScanLimits, ScanQuery, gather, owner_hash, scan

log = structlog.get_logger(__name__)
# asyncpg raises errors of its own while a connection is opened: to a server that is starting up, for example.
AWAY: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_SPARE: Final = 32  # rows that each query returns beyond those ranked, to replace rows that turn out to be gone


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits of the copy in memory.

    bytes_max: size of the copy; it takes twice as much for a moment while it is read again; 0: no copy. threads:
    threads that scan. fetch_seconds: time in which new rows must have arrived. look_seconds: between checks whether to
    load, refresh or tidy. refused_minutes: pause after the copy was too large. again_hours: age at which the whole copy
    is read again. load_rows: rows read at once. buried_max: buried rows that a block may hold before it is rebuilt.
    """

    bytes_max: int = 2 * 2**30
    threads: int = 2
    fetch_seconds: float = 10.0
    look_seconds: float = 5.0
    again_hours: float = 24.0
    refused_minutes: float = 60.0
    load_rows: int = 20_000
    buried_max: int = 2_000
    scan: ScanLimits = field(default_factory=ScanLimits)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """The copy. snapshot: all that it can see is in the blocks. server: start time of the server; another one may have
    another history."""

    blocks: tuple[Block, ...]
    snapshot: str
    server: datetime
    loaded_at: float  # time.monotonic

    @property
    def rows(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def bytes(self) -> int:
        return sum(block.bytes for block in self.blocks)


_COLUMNS: Final = """
    p.photo_id, CAST(CAST(p.written_by AS text) AS bigint), p.owner_claim, p.descriptor_model,
    halfvec_send(p.descriptor), bit_send(p.pdq)
"""
# A row from a restored dump may name a future transaction: it was there when the copy was loaded.
_NEWS: Final = text(
    f"""
    SELECT CAST(pg_current_snapshot() AS text) AS snapshot, pg_postmaster_start_time() AS server, {_COLUMNS}
    FROM (SELECT) AS once LEFT JOIN library_photos p
      ON p.written_by >= pg_snapshot_xmin(CAST(CAST(:seen AS text) AS pg_snapshot))
     AND p.written_by < pg_snapshot_xmax(pg_current_snapshot())
     AND NOT pg_visible_in_snapshot(p.written_by, CAST(CAST(:seen AS text) AS pg_snapshot))
    """
)
_SNAPSHOT: Final = text("SELECT CAST(pg_current_snapshot() AS text) AS snapshot, pg_postmaster_start_time() AS server")
_ALL: Final = f"SELECT {_COLUMNS} FROM library_photos p"
_VERSIONS: Final = text(
    "SELECT photo_id, CAST(CAST(written_by AS text) AS bigint) AS version FROM library_photos"
    " WHERE photo_id = ANY(CAST(:ids AS text[]))"
)


class TooLarge(Exception):
    """The copy would take more than `MemoryLimits.bytes_max`."""


class Memory:
    """The copy with its loading and searching. Belongs to the event loop that `memory` was entered on; scans on its own
    threads."""

    def __init__(self, engine: AsyncEngine, model: str, limits: MemoryLimits) -> None:
        self._engine, self._model, self._limits = engine, model, limits
        self._pool = ThreadPoolExecutor(limits.threads, "library", initializer=faiss.omp_set_num_threads, initargs=(1,))
        self._slow = ThreadPoolExecutor(1, "library-load", initializer=faiss.omp_set_num_threads, initargs=(1,))
        self.answered = 0  # searches, since the process began
        self.settled = asyncio.Event()  # set once the copy was loaded, or turned out to be too large or not wanted
        self._held: _Held | None = None
        self._changing = asyncio.Lock()  # guards changes of `_held`
        self._conn: AsyncConnection | None = None
        self._fetching: asyncio.Task[_Held | None] | None = None
        self._next: asyncio.Task[_Held | None] | None = None
        self._closing = threading.Event()
        self._not_before = 0.0  # time.monotonic of the next loading

    @property
    def rows(self) -> int:
        """Number of rows held, buried ones included; 0 while there is no copy."""
        return self._held.rows if self._held is not None else 0

    @property
    def bytes(self) -> int:
        return self._held.bytes if self._held is not None else 0

    @property
    def blocks(self) -> int:
        return len(self._held.blocks) if self._held is not None else 0

    def answers(self, fingerprint: Fingerprint) -> bool:
        """True if there is a copy made with this fingerprint's descriptor."""
        usable = fingerprint.descriptor_model == self._model and not fingerprint.featureless
        return self._held is not None and usable

    async def recall(self, fingerprint: Fingerprint, exclude_claim: str, limits: SearchLimits) -> Recalled | None:
        """Return the nearest rows by descriptor and PDQ among all that was committed before the call; None if
        PostgreSQL must be asked instead. Raises SearchTimedOut."""
        if not self.answers(fingerprint):
            return None
        try:
            async with asyncio.timeout(limits.seconds_max):
                held = await self._refreshed()
                if held is None:
                    return None
                query = _query(fingerprint, exclude_claim, limits)
                by_descriptor, by_pdq = await self._scanned(held.blocks, query)
        except TimeoutError as error:
            raise SearchTimedOut(f"the library's search took longer than {limits.seconds_max:g} s") from error
        except AWAY as error:
            log.warning("the library in memory could not be brought up to date", error=error)
            return None
        self.answered += 1
        return Recalled(by_descriptor, by_pdq, query)

    async def keep(self, stop: asyncio.Event) -> None:
        """Load the copy and keep it in order until `stop` is set."""
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: self._closing.set())  # a million rows are not waited for
        try:
            while not stop.is_set():
                try:
                    await self.look_after()
                    self.settled.set()
                except AWAY as error:
                    log.warning("the library in memory was not looked after", error=error)
                await asyncio.wait([stopped], timeout=self._limits.look_seconds)
        finally:
            stopped.cancel()

    async def look_after(self) -> None:
        """Run one round of `keep`: load, read again, refresh or tidy, whichever is due."""
        held = self._held
        if held is None or time.monotonic() - held.loaded_at > self._limits.again_hours * 3600:
            await self._load()
        elif self._fetching is None:
            await self._refreshed()  # so that a search after a quiet night, or after an import, does not wait for it
        await self._tidy()

    async def _load(self) -> None:
        limits = self._limits
        if limits.bytes_max <= 0 or time.monotonic() < self._not_before:
            return
        began = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            held = await loop.run_in_executor(
                self._slow, lambda: asyncio.run(_loaded(self._engine.url, self._model, limits, self._closing))
            )
        except TooLarge as error:
            self._refuse(str(error))
            return
        async with self._changing:
            self._held = held
        if held is not None:
            seconds = round(time.monotonic() - began, 1)
            log.info("library in memory", rows=held.rows, mib=held.bytes // 2**20, seconds=seconds)

    def _refuse(self, reason: str) -> None:
        self._held = None
        self._not_before = time.monotonic() + self._limits.refused_minutes * 60
        log.warning("the library is searched in PostgreSQL only", reason=reason)

    async def _scanned(
        self, blocks: Sequence[Block], query: ScanQuery
    ) -> tuple[list[list[ScanHit]], list[list[ScanHit]]]:
        loop, limits = asyncio.get_running_loop(), self._limits.scan
        parts = await asyncio.gather(
            *(loop.run_in_executor(self._pool, scan, block, query, limits) for block in blocks)
        )
        return await loop.run_in_executor(self._pool, gather, parts, query, limits)

    async def _refreshed(self) -> _Held | None:
        """Return the copy with all that was committed before the call. Searches that wait at the same time share one
        statement."""
        if self._next is None:
            self._next = asyncio.create_task(self._fetched_after(self._fetching))
            self._next.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # retrieves the exception even if nobody waits
        return await asyncio.shield(self._next)

    async def _fetched_after(self, earlier: asyncio.Task[_Held | None] | None) -> _Held | None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._fetching, self._next = self._next, None  # later callers need another statement
        try:
            async with self._changing:
                await self._fetch()
                return self._held  # read it now: a copy that is loaded meanwhile may know less
        finally:
            if self._fetching is asyncio.current_task():
                self._fetching = None

    async def _fetch(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            async with asyncio.timeout(self._limits.fetch_seconds):
                if self._conn is None:
                    self._conn = await self._engine.connect()
                news = (await self._conn.execute(_NEWS, {"seen": held.snapshot})).all()
        except BaseException:
            # Cancelled or broken half way: the connection may still hold an answer to this question.
            conn, self._conn = self._conn, None
            if conn is not None:
                await conn.invalidate()
                await conn.close()
            raise
        if news[0].server != held.server:
            log.info("the database was started anew: the library is read again")
            self._held = None
            return
        fresh = [row[2:] for row in news if row[2] is not None]
        blocks = held.blocks
        if fresh:
            loop = asyncio.get_running_loop()
            rows = _rows(fresh, self._model)
            blocks += (await loop.run_in_executor(self._pool, Block, rows, self._limits.scan),)
        self._held = replace(held, blocks=blocks, snapshot=news[0].snapshot)
        if fresh and self._held.bytes > self._limits.bytes_max:
            self._held = None  # read again at once: it may fit without what is outdated
            log.warning("the library in memory has grown beyond its limit: it is read again")

    async def _tidy(self) -> None:
        """Merge small blocks, and rebuild blocks that hold many buried rows without them."""
        loop = asyncio.get_running_loop()
        while (held := self._held) is not None:
            due = _due(held.blocks, self._limits)
            if not due:
                return
            made = await loop.run_in_executor(self._slow, _made_anew, due, self._limits.scan)
            async with self._changing:
                if self._held is None or not set(due) <= set(self._held.blocks):
                    return  # read again meanwhile
                others = [block for block in self._held.blocks if block not in due]
                self._held = replace(self._held, blocks=(*others, *([made] if len(made) else [])))

    async def close(self) -> None:
        self._closing.set()
        if self._next is not None:
            self._next.cancel()
        if self._conn is not None:
            await self._conn.close()
        self._held = None
        for pool in (self._pool, self._slow):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)


@asynccontextmanager
async def memory(dsn: str, model: str, limits: MemoryLimits = MemoryLimits()) -> AsyncIterator[Memory]:
    """Open the copy, empty at first; `Memory.keep` fills it. dsn: postgresql+asyncpg://. model: label of the descriptor
    in use."""
    engine = create_async_engine(
        dsn,
        hide_parameters=True,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        # Without statistics (just restored, just imported) the planner would read the whole table to find new rows.
        connect_args={
            "server_settings": {"application_name": "miaopei-library", "enable_seqscan": "off", "jit": "off"}
        },
    )
    made = Memory(engine, model, limits)
    try:
        yield made
    finally:
        await made.close()
        await engine.dispose()


class Recalled:
    """The results of one search in memory."""

    def __init__(self, by_descriptor: list[list[ScanHit]], by_pdq: list[list[ScanHit]], query: ScanQuery) -> None:
        self._ways = {"descriptor": by_descriptor, "pdq": by_pdq}
        self._depths = {"descriptor": query.depth, "pdq": query.depth_pdq}

    def looks(self) -> Looks:
        """Return the results by kind of query, as `vision.library.search` ranks them, without buried rows."""
        return {
            way: [
                (number, hit.photo_id, hit.value)
                for number, hits in enumerate(looks, 1)
                for hit in hits
                if not hit.block.buried[hit.row]
            ]
            for way, looks in self._ways.items()
        }

    def outdated(self, photo_ids: Sequence[str], versions: dict[str, int]) -> bool:
        """True if one of these photos came up here and is gone or was rewritten. versions: of the photos that still
        exist."""
        asked = set(photo_ids)
        return any(hit.photo_id in asked and versions.get(hit.photo_id) != hit.version for hit in self._living())

    async def bury(self, conn: AsyncConnection) -> bool:
        """Bury all results that are not in the table in this version. Returns True if the library must be searched
        again: a row was rewritten, or so many results of one query are gone that too few are left."""
        living = self._living()
        rows = await conn.execute(_VERSIONS, {"ids": list({hit.photo_id for hit in living})})
        versions = {str(row.photo_id): int(row.version) for row in rows}
        anew = False
        for hit in living:
            if versions.get(hit.photo_id) != hit.version:
                hit.block.buried[hit.row] = True
                anew |= hit.photo_id in versions
        return anew or any(
            len(hits) == self._depths[way]
            and sum(not hit.block.buried[hit.row] for hit in hits) <= self._depths[way] - _SPARE
            for way, looks in self._ways.items()
            for hits in looks
        )

    def _living(self) -> list[ScanHit]:
        return [hit for looks in self._ways.values() for hits in looks for hit in hits if not hit.block.buried[hit.row]]


def _query(fingerprint: Fingerprint, exclude_claim: str, limits: SearchLimits) -> ScanQuery:
    whole = np.empty((0, DIMENSIONS), np.float32)
    views, hashes = whole, np.empty((0, PDQ_BYTES), np.uint8)
    if not fingerprint.featureless:
        vectors = np.stack([fingerprint.descriptor, *(view.descriptor for view in fingerprint.views)])
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        whole, views = vectors[:1], vectors[1:]
        if fingerprint.pdq_usable and limits.by_pdq:
            # A picture that is its own mirror image has the same hash twice; the nearest of all counts.
            hashes = np.frombuffer(b"".join(dict.fromkeys(fingerprint.pdq_turned)), np.uint8).reshape(-1, PDQ_BYTES)
    return ScanQuery(
        whole=np.ascontiguousarray(whole),
        views=np.ascontiguousarray(views) if limits.by_view else views[:0],
        hashes=hashes,
        owner=owner_hash(exclude_claim) if exclude_claim else None,
        depth=max(limits.by_descriptor, limits.by_view) + _SPARE,
        depth_pdq=limits.by_pdq + _SPARE,
        pdq_bits_max=limits.pdq_bits_max,
    )


def _rows(records: Sequence[Sequence[Any]], model: str) -> Rows:
    """Return rows of the table (`_COLUMNS`; at least one) as arrays."""
    photo_ids, versions, owners, models, descriptors, hashes = zip(*records, strict=True)
    described = [n for n, value in enumerate(descriptors) if value is not None and models[n] == model]
    hashed = [n for n, value in enumerate(hashes) if value is not None]
    # Formats that PostgreSQL sends: halfvec after two 16-bit integers, bits after a 32-bit one; big endian.
    halves = np.frombuffer(b"".join(descriptors[n] for n in described), ">f2").reshape(-1, DIMENSIONS + 2)
    bits = np.frombuffer(b"".join(hashes[n] for n in hashed), np.uint8).reshape(-1, PDQ_BYTES + 4)
    return Rows(
        photo_ids=np.array(photo_ids, np.dtypes.StringDType()),
        versions=np.array(versions, np.int64),
        owners=np.array([owner_hash(claim_id) for claim_id in owners], np.int64),
        described=np.array(described, np.int32),
        descriptors=halves[:, 2:].astype(np.float16),
        hashed=np.array(hashed, np.int32),
        hashes=np.ascontiguousarray(bits[:, 4:]),
    )


async def _loaded(url: URL, model: str, limits: MemoryLimits, closing: threading.Event) -> _Held | None:
    """Read the whole library, streamed, as one transaction sees it; None if `closing` is set.

    Runs on its own thread and loop: turning a million rows into arrays would make searches wait. Raises TooLarge.
    """
    began, told = time.monotonic(), time.monotonic()
    engine = create_async_engine(url, hide_parameters=True, poolclass=NullPool, isolation_level="REPEATABLE READ")
    blocks: list[Block] = []
    parts: list[Rows] = []
    count, held_bytes = 0, 0
    try:
        async with engine.connect() as conn:
            await conn.execute(text("SET LOCAL statement_timeout = 0"))
            visible = (await conn.execute(_SNAPSHOT)).one()
            driver = (await conn.get_raw_connection()).driver_connection
            assert driver is not None
            cursor = await driver.cursor(_ALL)  # within the transaction that SQLAlchemy began
            while part := await cursor.fetch(limits.load_rows):
                if closing.is_set():
                    return None
                parts.append(_rows(part, model))
                count, held_bytes = count + len(part), held_bytes + parts[-1].bytes
                if held_bytes > limits.bytes_max:
                    raise TooLarge(
                        f"{count} rows take {held_bytes // 2**20} MiB, {limits.bytes_max // 2**20} are allowed"
                    )
                if sum(map(len, parts)) + limits.load_rows > limits.scan.block_rows_max:
                    blocks.append(Block(Rows.joined(parts), limits.scan))
                    parts.clear()
                if time.monotonic() - told > 5:
                    told = time.monotonic()
                    log.info("loading the library", rows=count, seconds=round(told - began, 1))
            if parts:
                blocks.append(Block(Rows.joined(parts), limits.scan))
    finally:
        await engine.dispose()
    return _Held(tuple(blocks), visible.snapshot, visible.server, time.monotonic())


def _due(blocks: Sequence[Block], limits: MemoryLimits) -> list[Block]:
    """Return blocks to be merged into one: a block with too many buried rows, or neighbours of small size, so that
    there are few blocks and each row is moved only a few times."""
    for block in blocks:
        if int(block.buried.sum()) > min(limits.buried_max, len(block) // 2):
            return [block]
    ordered = sorted(blocks, key=len)
    for start in range(len(ordered) - 1):
        small, large = ordered[start : start + 2]
        if len(large) <= 4 * len(small) and len(small) + len(large) <= limits.scan.block_rows_max:
            return [small, large]
    return []


def _made_anew(blocks: Sequence[Block], limits: ScanLimits) -> Block:
    return Block(Rows.joined([block.living() for block in blocks]), limits)

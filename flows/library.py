"""Growing the photo library: pictures of folders and tar files, published in small batches.

Resumable and idempotent: a picture's id is derived from its source and its bytes, and what the library has is skipped
before it is decoded. Each batch is committed by itself, so that a killed import loses at most those under way, and a
batch that fails (its database or evidence store went away, its process died) does not sink the rest: the next import
does it. Where batches are worked on is a `Runner`: this process, or Prefect's task runners (`flows.library_prefect`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import StoreError
from claims.faults import fault
from claims.store.away import STORE_ERRORS
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows import picture_files
from flows.config import DescriptorConfig, StoreConfig
from flows.errors import ImportStopped
from flows.vision_pool import fingerprinter
from vision.copies.fingerprint import Fingerprinter
from vision.decode.image import Decoder, preview_jpeg
from vision.errors import ImageRefused, VisionError
from vision.library import LibraryPhoto, publish


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """Limits of one library import. batch, batch_bytes_max: pictures, and their bytes, held in memory together and
    committed at once. file_bytes_max: larger files are refused unread. batches_waiting_max: batches read ahead for each
    one worked on. failures_max: failed batches in a row that stop the import, since then it is not the pictures' doing.
    """

    batch: int = 16
    batch_bytes_max: int = 32 * 1024 * 1024
    file_bytes_max: int = 25 * 1024 * 1024
    batches_waiting_max: int = 2
    failures_max: int = 5
    preview_long_edge_px: int = 1024


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """The destination of an import and its descriptor; small, and the same for every process."""

    store: StoreConfig
    source: Literal["web", "stock"]
    descriptor: DescriptorConfig | None = None
    limits: ImportLimits = field(default_factory=ImportLimits)


@dataclass(frozen=True, slots=True)
class ImportedPicture:
    """A file to import. photo_id: derived from its source and its bytes."""

    reference: str
    data: bytes
    sha256: str
    photo_id: str


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """Pictures that are published together. position: bytes of all sources up to and including the last picture."""

    pictures: tuple[ImportedPicture, ...]
    position: int


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The result of one batch. failed: why nothing of it was published, "" otherwise."""

    added: int
    known: int
    refused: dict[str, str]
    failed: str = ""


@dataclass(slots=True)
class ImportReport:
    """The result of an import: counts, the reason for each picture that was refused, and for batches that failed the
    pictures to try again with the reason. position: bytes read."""

    added: int = 0
    known: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    position: int = 0

    @property
    def seen(self) -> int:
        return self.added + self.known + len(self.refused) + len(self.failed)


class Runner(Protocol):
    """Runs batches, several at once. `done` is called in this thread, once for each batch, in any order."""

    def __call__(
        self, target: ImportTarget, batches: Iterable[ImportBatch], done: Callable[[ImportBatch, BatchReport], None]
    ) -> None: ...


def import_pictures(
    target: ImportTarget,
    sources: Sequence[Path],
    runner: Runner | None = None,
    *,
    advance: Callable[[ImportReport], None] = lambda _report: None,
    stop: threading.Event | None = None,
) -> ImportReport:
    """Publish every picture below `sources` that the library does not have. Blocks; not from within an event loop.

    `advance` is called after each batch. `stop`: once set, no further batch is read. Raises ImportStopped after
    `failures_max` failed batches in a row; what was published until then stays.
    """
    report, failures = ImportReport(), 0

    def done(batch: ImportBatch, made: BatchReport) -> None:
        nonlocal failures
        report.added += made.added
        report.known += made.known
        report.refused |= made.refused
        report.failed |= {picture.reference: made.failed for picture in batch.pictures if made.failed}
        report.position = max(report.position, batch.position)
        failures = failures + 1 if made.failed else 0
        advance(report)
        if failures >= target.limits.failures_max:
            raise ImportStopped(f"{failures} batches failed one after another, the last with: {made.failed}")

    run = runner or InThisProcess()
    run(target, _batches(target, sources, report, stop or threading.Event()), done)
    advance(report)
    return report


def _batches(
    target: ImportTarget, sources: Sequence[Path], report: ImportReport, stop: threading.Event
) -> Iterator[ImportBatch]:
    """Yields batches, reading as far ahead of the work as the runner asks for. A file that occurs twice counts as known
    the second time."""
    limits = target.limits
    pictures: list[ImportedPicture] = []
    digests: set[bytes] = set()
    size_bytes, position = 0, 0
    for file in picture_files.read(sources, limits.file_bytes_max):
        if stop.is_set():
            return
        position = file.position
        if isinstance(file, picture_files.FileRefused):
            report.refused[file.reference] = f"{file.why}: {file.detail}"
            continue
        digest = hashlib.sha256(file.data)
        if digest.digest() in digests:
            report.known += 1
            continue
        digests.add(digest.digest())
        if pictures and size_bytes + len(file.data) > limits.batch_bytes_max:
            yield ImportBatch(tuple(pictures), position)
            pictures, size_bytes = [], 0
        sha256 = digest.hexdigest()
        pictures.append(ImportedPicture(file.reference, file.data, sha256, f"{target.source}:{sha256}"))
        size_bytes += len(file.data)
        if len(pictures) == limits.batch:
            yield ImportBatch(tuple(pictures), position)
            pictures, size_bytes = [], 0
    report.position = position
    if pictures:
        yield ImportBatch(tuple(pictures), position)


class InThisProcess:
    """Runs batches in threads of this process, without Prefect. workers: batches worked on at once; decoding has
    processes of its own, and networks and keypoints release the GIL, so threads keep as many cores busy."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers

    def __call__(
        self, target: ImportTarget, batches: Iterable[ImportBatch], done: Callable[[ImportBatch, BatchReport], None]
    ) -> None:
        waiting: deque[tuple[ImportBatch, Future[BatchReport]]] = deque()
        in_flight = self._workers * target.limits.batches_waiting_max
        with opened(target, self._workers) as tools, ThreadPoolExecutor(self._workers) as pool:
            try:
                for batch in batches:
                    waiting.append((batch, pool.submit(tools.publish, batch)))
                    if len(waiting) >= in_flight:
                        first, future = waiting.popleft()
                        done(first, future.result())
                while waiting:
                    first, future = waiting.popleft()
                    done(first, future.result())
            finally:
                for _, future in waiting:
                    future.cancel()


class Tools:
    """The tools of one process that publishes batches: a decoder, a descriptor, the two stores. Thread-safe."""

    def __init__(self, target: ImportTarget, decoder: Decoder, describer: Fingerprinter) -> None:
        self._target = target
        self._decoder = decoder
        self._fingerprinter = describer
        self._blobs = BlobStore(target.store.evidence_url)

    def publish(self, batch: ImportBatch) -> BatchReport:
        """Decode, measure and commit the pictures of the batch that the library lacks. Never raises for a store or
        decoder that is away: the report says so."""
        try:
            return asyncio.run(self._publish(batch))
        except (*STORE_ERRORS, StoreError, VisionError) as error:
            return BatchReport(0, 0, {}, fault(error))

    async def _publish(self, batch: ImportBatch) -> BatchReport:
        # An engine belongs to the event loop that opened it: one a batch costs a connection, some milliseconds of
        # the batch's seconds.
        engine = connect(self._target.store.dsn, pool_size=1)
        try:
            there = await _known(engine, [picture.photo_id for picture in batch.pictures])
            fresh = [picture for picture in batch.pictures if picture.photo_id not in there]
            photos, refused = self._measure(fresh)
            if photos:
                async with engine.begin() as conn:
                    await publish(conn, photos)
            return BatchReport(len(photos), len(there), refused)
        finally:
            await engine.dispose()

    def _measure(self, pictures: Sequence[ImportedPicture]) -> tuple[list[LibraryPhoto], dict[str, str]]:
        photos: list[LibraryPhoto] = []
        refused: dict[str, str] = {}
        for picture in pictures:
            try:
                decoded = self._decoder.decode(picture.data)
            except ImageRefused as error:
                refused[picture.reference] = f"{error.code}: {error.detail}"
                continue
            preview = preview_jpeg(decoded.pixels, self._target.limits.preview_long_edge_px)
            photos.append(
                LibraryPhoto(
                    photo_id=picture.photo_id,
                    source=self._target.source,
                    fingerprint=self._fingerprinter.fingerprint(decoded, picture.sha256),
                    reference=picture.reference,
                    preview_sha256=self._blobs.put(preview),
                )
            )
        return photos, refused


async def _known(engine: AsyncEngine, photo_ids: Sequence[str]) -> set[str]:
    async with engine.connect() as conn:
        rows = await conn.execute(
            text("SELECT photo_id FROM library_photos WHERE photo_id = ANY(:ids)"), {"ids": list(photo_ids)}
        )
        return {row.photo_id for row in rows}


@contextlib.contextmanager
def opened(target: ImportTarget, decoders: int = 1) -> Iterator[Tools]:
    """Open the tools for `target`. Raises models.errors.ModelMissing or ModelCorrupt."""
    describer = fingerprinter(target.descriptor)
    with Decoder(processes=decoders) as decoder:
        yield Tools(target, decoder, describer)

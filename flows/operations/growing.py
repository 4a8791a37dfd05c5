"""The photo library grown and described anew, opening and closing all tools, for the command line and as jobs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.config import DescriptorConfig, StoreConfig
from flows.library import ImportReport, ImportTarget, Runner, import_pictures
from flows.picture_files import bytes_of
from flows.refingerprint import refingerprint
from flows.vision_pool import describes
from vision.decode.image import Decoder
from vision.library.outdated import described_by


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Number of pictures done, and bytes of the sources read."""

    pictures: int
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class GrownLibrary:
    """The result of an import, as `flows.library.ImportReport` has it, and the time that it took."""

    report: ImportReport
    seconds: float

    @property
    def pictures_per_second(self) -> float:
        return self.report.seen / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class DescribedAnew:
    """The result of describing the library anew. left: by id, why a picture keeps its old descriptor."""

    descriptor: str
    described: int
    left: dict[str, str] = field(default_factory=dict)


async def grow_library(
    target: ImportTarget,
    sources: Sequence[Path],
    batches: Callable[[], AbstractContextManager[Runner]],
    *,
    advance: Callable[[ImportProgress], None] = lambda _progress: None,
) -> GrownLibrary:
    """Import into the library. batches: where its batches are worked on, opened for the time of the import. Cancelled,
    it ends once the batches under way are done. Raises flows.errors.ImportStopped."""
    total, stop = bytes_of(sources), threading.Event()

    def moved(report: ImportReport) -> None:
        advance(ImportProgress(report.seen, report.position, total))

    def run() -> ImportReport:
        with batches() as runner:
            return import_pictures(target, sources, runner, advance=moved, stop=stop)

    began = time.monotonic()
    try:
        report = await asyncio.to_thread(run)
    finally:
        stop.set()  # cancelled: the thread ends once the batches under way are done
    return GrownLibrary(report, time.monotonic() - began)


async def describe_library_anew(
    store: StoreConfig,
    descriptor: DescriptorConfig | None,
    *,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> DescribedAnew:
    """Describe pictures that another descriptor described. descriptor: the operator's, None for our own."""
    used = (await asyncio.to_thread(describes, descriptor)).descriptor
    engine = connect(store.dsn, pool_size=1)
    try:
        async with engine.connect() as conn:
            counts = await described_by(conn)
        total = sum(count for label, count in counts.items() if label != used.label)
        with Decoder(processes=1) as decoder:
            report = await refingerprint(
                engine,
                BlobStore(store.evidence_url),
                decoder,
                used,
                advance=lambda so_far: advance(so_far.described + len(so_far.left), total),
            )
    finally:
        await engine.dispose()
    return DescribedAnew(used.label, report.described, report.left)

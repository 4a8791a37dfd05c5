"""Imports into the photo library and describes it anew, opening and closing all tools, for `miaopei photos ...` and the
demo."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from api.settings import Settings

RUNNERS = ("local", "threads", "dask", "ray")


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Number of pictures done, and bytes of the sources read."""

    pictures: int
    bytes_done: int
    bytes_total: int


async def import_folder(
    dsn: str,
    settings: Settings,
    sources: Sequence[Path],
    *,
    source: Literal["web", "stock"],
    runner: str = "local",
    workers: int = 1,
    address: str = "",
    advance: Callable[[ImportProgress], None] = lambda _progress: None,
) -> dict[str, Any]:
    """Import into the library behind `dsn`. Returns counts, rate, and the reason for each picture that was refused or
    failed.

    runner: local, or one of Prefect's (threads, dask, ray), which show the import as a flow run: on the configured
    server, else on one that is started for the time of the import. address: address of a Dask scheduler or Ray head; ""
    starts one here. Raises flows.errors.ImportStopped, and ImportError where the runner's package is not installed.
    """
    from api.processes import descriptor_config
    from flows.config import StoreConfig
    from flows.library import ImportReport, ImportTarget, InThisProcess, import_pictures
    from flows.picture_files import bytes_of

    total = bytes_of(sources)
    target = ImportTarget(StoreConfig(dsn, settings.evidence_url), source, descriptor_config(settings))
    stop = threading.Event()

    def moved(report: ImportReport) -> None:
        advance(ImportProgress(report.seen, report.position, total))

    def run() -> ImportReport:
        if runner == "local":
            return import_pictures(target, sources, InThisProcess(workers), advance=moved, stop=stop)
        from api.stack import open_prefect

        with open_prefect(settings, dsn) as opened:
            from api.processes import prefect_config
            from flows.library_prefect import InPrefect, task_runner

            in_prefect = InPrefect(task_runner(runner, workers, address), prefect_config(opened), workers, total)
            return import_pictures(target, sources, in_prefect, advance=moved, stop=stop)

    began = time.monotonic()
    try:
        report = await asyncio.to_thread(run)
    finally:
        stop.set()  # cancelled: the thread ends once the batches under way are done
    seconds = time.monotonic() - began
    return {
        "added": report.added,
        "known": report.known,
        "refused": report.refused,
        "failed": report.failed,
        "runner": runner,
        "seconds": round(seconds, 1),
        "pictures_per_second": round(report.seen / max(seconds, 1e-9), 2),
    }


async def refingerprint_library(
    dsn: str, settings: Settings, *, advance: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, Any]:
    """Describe pictures that another descriptor described. Returns counts, and the reason for each picture that was
    left."""
    from api.processes import descriptor_config
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from flows.refingerprint import refingerprint
    from flows.vision_pool import describes
    from vision.decode.image import Decoder
    from vision.library.outdated import described_by

    descriptor = describes(descriptor_config(settings)).descriptor
    engine = connect(dsn, pool_size=1)
    try:
        async with engine.connect() as conn:
            counts = await described_by(conn)
        total = sum(count for label, count in counts.items() if label != descriptor.label)
        with Decoder(processes=1) as decoder:
            report = await refingerprint(
                engine,
                BlobStore(settings.evidence_url),
                decoder,
                descriptor,
                advance=lambda so_far: advance(so_far.described + len(so_far.left), total),
            )
    finally:
        await engine.dispose()
    return {"descriptor": descriptor.label, "described": report.described, "left": report.left}

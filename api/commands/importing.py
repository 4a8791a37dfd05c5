"""Imports into the photo library and describes it anew, with the settings, for `miaopei photos ...` and the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from api.settings import Settings

if TYPE_CHECKING:
    from flows.library import Runner
    from flows.operations.growing import ImportProgress

RUNNERS = ("local", "threads", "dask", "ray")


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
    from flows.library import ImportTarget, InThisProcess
    from flows.operations.growing import grow_library

    @contextmanager
    def batches() -> Iterator[Runner]:
        if runner == "local":
            yield InThisProcess(workers)
            return
        from api.stack import open_prefect

        with open_prefect(settings, dsn) as opened:
            from api.processes import prefect_config
            from flows.library_prefect import InPrefect, task_runner
            from flows.picture_files import bytes_of

            total = bytes_of(sources)
            yield InPrefect(task_runner(runner, workers, address), prefect_config(opened), workers, total)

    target = ImportTarget(StoreConfig(dsn, settings.evidence_url), source, descriptor_config(settings))
    grown = await grow_library(target, sources, batches, advance=advance)
    return {
        "added": grown.report.added,
        "known": grown.report.known,
        "refused": grown.report.refused,
        "failed": grown.report.failed,
        "runner": runner,
        "seconds": round(grown.seconds, 1),
        "pictures_per_second": round(grown.pictures_per_second, 2),
    }


async def refingerprint_library(
    dsn: str, settings: Settings, *, advance: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, Any]:
    """Describe pictures that another descriptor described. Returns counts, and the reason for each picture that was
    left."""
    from api.processes import descriptor_config
    from flows.config import StoreConfig
    from flows.operations.growing import describe_library_anew

    store = StoreConfig(dsn, settings.evidence_url)
    done = await describe_library_anew(store, descriptor_config(settings), advance=advance)
    return {"descriptor": done.descriptor, "described": done.described, "left": done.left}

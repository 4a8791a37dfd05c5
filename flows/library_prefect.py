"""The library import as a Prefect flow, with one task for each batch, on any task runner.

Each worker process opens its own decoder, descriptor and stores, once. Pictures travel with their task, so that workers
elsewhere need to reach the database and the evidence store, and no file of this machine.
"""

from __future__ import annotations

import atexit
import contextlib
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from prefect import Flow, Task, tags
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.config import PrefectConfig
from flows.errors import ImportStopped
from flows.library import BatchReport, ImportBatch, ImportTarget, Tools, opened
from flows.prefect_server import address_settings
from flows.progress import ProgressArtifact
from flows.runs import OURS

_tools: dict[ImportTarget, Tools] = {}
_tools_lock = threading.Lock()
_open = contextlib.ExitStack()


def _import_batch(packed: bytes) -> BatchReport:
    target, batch = pickle.loads(packed)
    return _tools_here(target).publish(batch)


def _import_library(source: str) -> None:
    del source  # for Prefect to show: a target carries a password
    _submit_all()


# Not as decorators: Prefect sends flow and task to other processes, which find plain functions by their names. Packed,
# because both Prefect and Dask look for futures inside of whatever they take for a collection, dataclasses included.
import_batch = Task(_import_batch, name="import batch", retries=0, persist_result=False, cache_policy=NO_CACHE)


def _tools_here(target: ImportTarget) -> Tools:
    """Returns this process's tools, opened by its first batch and closed when the process ends."""
    with _tools_lock:
        if target not in _tools:
            if not _tools:
                atexit.register(_open.close)
            _tools[target] = _open.enter_context(opened(target))
        return _tools[target]


class InPrefect:
    """Runs batches on Prefect's task runners. prefect: a server's address, and what opens it. workers: batches worked
    on at once. bytes_total: of all sources, for the run's progress artifact; 0 shows none."""

    def __init__(
        self, task_runner: TaskRunner[Any], prefect: PrefectConfig, workers: int, bytes_total: int = 0
    ) -> None:
        self._bytes_total = bytes_total
        self._task_runner = task_runner
        self._prefect = prefect
        self._workers = workers

    def __call__(
        self, target: ImportTarget, batches: Iterable[ImportBatch], done: Callable[[ImportBatch, BatchReport], None]
    ) -> None:
        progress = ProgressArtifact("library-import", "Bytes of the sources that are in the library")

        def counted(batch: ImportBatch, report: BatchReport) -> None:
            done(batch, report)
            if self._bytes_total:
                progress(batch.position, self._bytes_total)

        work = _Work(target, batches, counted, self._workers * target.limits.batches_waiting_max)
        flow = Flow(
            _import_library, name="import library", task_runner=self._task_runner, persist_result=False,
            validate_parameters=False,
        )  # fmt: skip
        token = _current.set(work)
        try:
            settings = address_settings(self._prefect) | {PREFECT_LOGGING_TO_API_ENABLED: False}
            with temporary_settings(settings), tags(OURS, "import"):
                state = flow(target.source, return_state=True)
        finally:
            _current.reset(token)
        if work.stopped is not None:
            raise work.stopped
        state.result(raise_on_failure=True)


@dataclass(slots=True)
class _Work:
    """The import that the flow under way carries out; passed by context, so that nothing of it is sent anywhere with
    the flow."""

    target: ImportTarget
    batches: Iterable[ImportBatch]
    done: Callable[[ImportBatch, BatchReport], None]
    in_flight: int
    stopped: ImportStopped | None = None


_current: ContextVar[_Work] = ContextVar("the import of the current flow")


def _submit_all() -> None:
    work = _current.get()
    waiting: deque[tuple[ImportBatch, PrefectFuture[BatchReport]]] = deque()
    try:
        for batch in work.batches:
            waiting.append((batch, import_batch.submit(pickle.dumps((work.target, batch)))))
            if len(waiting) >= work.in_flight:
                _collect(waiting, work.done)
        while waiting:
            _collect(waiting, work.done)
    except ImportStopped as error:
        work.stopped = error
        raise


def _collect(
    waiting: deque[tuple[ImportBatch, PrefectFuture[BatchReport]]], done: Callable[[ImportBatch, BatchReport], None]
) -> None:
    batch, future = waiting.popleft()
    future.wait()
    state = future.state
    if state.is_completed():
        done(batch, future.result())
    else:
        done(batch, BatchReport(0, 0, {}, f"{state.name}: {state.message or 'its process was lost'}"))


def task_runner(name: str, workers: int, address: str = "") -> TaskRunner[Any]:
    """Returns the task runner of this name, a key of `_TASK_RUNNERS`. address: address of a running Dask scheduler or
    Ray head; "" starts one on this machine for the time of the import, on loopback and without a dashboard.

    Raises ImportError, with the name of the package, where the runner's package is not installed, and KeyError for an
    unknown name.
    """
    return _TASK_RUNNERS[name](workers, address)


def _threads(workers: int, _address: str) -> TaskRunner[Any]:
    return ThreadPoolTaskRunner(max_workers=workers)


def _dask(workers: int, address: str) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    if address:
        return DaskTaskRunner(address=address)
    here = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1"}
    return DaskTaskRunner(
        cluster_class="distributed.LocalCluster", cluster_kwargs={**here, "dashboard_address": None, "silence_logs": 50}
    )


def _ray(workers: int, address: str) -> TaskRunner[Any]:
    from prefect_ray import RayTaskRunner

    here = {"num_cpus": workers, "include_dashboard": False, "log_to_driver": False}
    made: TaskRunner[Any] = RayTaskRunner(address=address) if address else RayTaskRunner(init_kwargs=here)
    return made


_TASK_RUNNERS: Final[dict[str, Callable[[int, str], TaskRunner[Any]]]] = {
    "threads": _threads,
    "dask": _dask,
    "ray": _ray,
}

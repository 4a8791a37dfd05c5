"""Runs shown in Prefect, or run without it: the same plain function either way.

Prefect shows and schedules; it is never the authority on a claim's state or on money. So the work is done exactly once
here, whatever happens to the server: a run that cannot be registered is run untracked, and a server that dies in the
middle of a run loses the picture of it, not the result (docs/decisions/0004-prefect-shows.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import httpx
import structlog

from claims.faults import fault
from flows.config import PrefectConfig
from flows.errors import RunLost, WorkFailed

T = TypeVar("T")
Row = dict[str, str | int | float]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Label:
    """How one run is shown. `items` is the run's only parameter; `artifact_key` comes from the function below."""

    flow: str
    run: str
    tags: tuple[str, ...]
    items: tuple[str, ...]
    artifact_key: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What is left in Prefect of a finished run: one line, and a table."""

    message: str
    rows: Sequence[Row]


class RunResult(Protocol):
    """How one item of a run ended: its outcome in a word, and its row of the run's table."""

    @property
    def outcome(self) -> str: ...

    def row(self) -> Row: ...


def summarise(results: Sequence[RunResult]) -> Summary:
    """Counts by outcome, and a row for each result."""
    counts = Counter(result.outcome for result in results)
    message = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return Summary(message, [result.row() for result in results])


@dataclass(slots=True)
class Tally:
    """Seconds and runs since the process started; `around_seconds` is how much longer runs took than their work."""

    tracked: int = 0
    untracked: int = 0
    work_seconds: float = 0.0
    around_seconds: float = 0.0


class Work(Generic[T]):
    """One body under way and what comes of it, kept apart from what Prefect makes of the run.

    It starts at once: neither a slow server nor one that hangs until a timeout delays a claim.
    """

    def __init__(
        self,
        body: Callable[[], Coroutine[Any, Any, T]],
        summarise: Callable[[T], Summary],
        linked: Callable[[str], Awaitable[None]],
    ) -> None:
        self._summarise = summarise
        self._linked = linked
        self._began = time.perf_counter()
        self._ended = self._began
        self.shown = False
        self.task = asyncio.create_task(body())
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[T]) -> None:  # noqa: ARG002  (a callback's shape)
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._ended - self._began

    @property
    def finished(self) -> bool:
        """Ended, and not by an error."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    async def call(self, run_id: str) -> None:
        """What a flow run consists of: its link, then the work to its end."""
        self.shown = True
        await self._linked(run_id)
        await asyncio.wait([self.task])
        error = self.task.exception()
        if error is not None:
            # Prefect shows the words of what ends a run, and its server keeps them.
            raise WorkFailed(fault(error)) from None

    def summary(self) -> Summary:
        return self._summarise(self.task.result())


async def _unlinked(run_id: str) -> None:
    """For work that keeps no link to its run."""


class Runs(Protocol):
    """Where runs are shown. Every method raises RunLost, and nothing else of its own, when the server lets it down."""

    async def show(self, label: Label, work: Work[T]) -> None:
        """Await the work inside a run, which is shown as failed where the work fails. The work's own errors are not
        raised here: whoever awaits the work has them."""
        ...

    async def mark_lost(self, run_id: str) -> None:
        """Show a run whose process died as crashed."""
        ...


def artifact_key(*parts: str) -> str:
    """Lower case, digits and dashes only, as Prefect's Artifacts page requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


class Tracker:
    """Decides for each run whether Prefect sees it. Built by `tracking`; one event loop, any number of tasks."""

    def __init__(self, config: PrefectConfig, probe: httpx.AsyncClient, runs: Runs | None) -> None:
        self._config = config
        self._probe = probe
        self._runs = runs
        self._healthy = False
        self._known_until = 0.0  # on the monotonic clock
        self.tally = Tally()

    @property
    def healthy(self) -> bool:
        """What the last probe or run found."""
        return self._healthy

    async def run(
        self,
        label: Label,
        body: Callable[[], Coroutine[Any, Any, T]],
        summarise: Callable[[T], Summary],
        linked: Callable[[str], Awaitable[None]] = _unlinked,
    ) -> T:
        """Call `body` once and return what it returns; `linked` is told the id of its flow run, if it gets one.

        The body's own errors are raised; Prefect's are logged and never reach the caller.
        """
        began = time.perf_counter()
        work = Work(body, summarise, linked)
        try:
            if self._runs is not None and await self._reachable():
                try:
                    await self._runs.show(label, work)
                except RunLost as error:
                    self._lost()
                    log.warning("prefect lost a run", flow=label.flow, run=label.run, shown=work.shown, error=error)
            return await work.task
        finally:
            if not work.task.done():
                work.task.cancel()
                await asyncio.wait([work.task])
            self.tally.tracked += work.shown
            self.tally.untracked += not work.shown
            self.tally.work_seconds += work.seconds
            self.tally.around_seconds += time.perf_counter() - began - work.seconds

    async def mark_lost(self, run_id: str) -> None:
        """Show a run whose process died as crashed: nobody else would ever end it."""
        if not run_id or self._runs is None or not await self._reachable():
            return
        try:
            await self._runs.mark_lost(run_id)
        except RunLost as error:
            self._lost()
            log.info("a lost flow run could not be marked", run_id=run_id, error=error)

    def _lost(self) -> None:
        self._healthy = False
        self._known_until = time.monotonic() + self._config.retry_after_seconds

    async def _reachable(self) -> bool:
        if time.monotonic() < self._known_until:
            return self._healthy
        # Set before the await: other tasks go by the old answer meanwhile instead of asking too.
        self._known_until = time.monotonic() + self._config.probe_timeout_seconds
        was = self._healthy
        try:
            response = await self._probe.get(f"{self._config.api_url.rstrip('/')}/health")
            self._healthy = response.is_success
        except httpx.HTTPError:
            self._healthy = False
        pause = self._config.probe_every_seconds if self._healthy else self._config.retry_after_seconds
        self._known_until = time.monotonic() + pause
        if was != self._healthy:
            log.info("prefect is reachable" if self._healthy else "prefect is away: runs are untracked")
        return self._healthy


@contextlib.asynccontextmanager
async def tracking(config: PrefectConfig) -> AsyncIterator[Tracker]:
    """A Tracker for the life of a process. Tasks that use it must be started inside."""
    async with httpx.AsyncClient(timeout=config.probe_timeout_seconds, trust_env=False) as probe:
        if not config.api_url:
            yield Tracker(config, probe, None)
            return
        # Imported here: more than a second that a process without a server need not spend.
        from flows.prefect_runs import prefect_runs

        async with prefect_runs(config) as runs:
            yield Tracker(config, probe, runs)

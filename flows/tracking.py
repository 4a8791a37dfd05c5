"""Runs shown in Prefect, or run without it: the same plain function either way.

Prefect shows and schedules; it is never the authority on a claim's state or on money. So the work is done exactly once
here, at once, and nobody waits for what Prefect makes of it: runs are registered and reported beside the work
(docs/decisions/0031-tasks-are-reported.md). A run that cannot be registered is untracked, and a server that dies in the
middle of a run loses the picture of it, not the result (docs/decisions/0004-prefect-shows.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import structlog

from flows.config import PrefectConfig
from flows.errors import RunLost
from flows.run_record import RunRecord, collect
from flows.runs import RunLabel, Runs, Summary, Work

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """Seconds and runs since the process started; `around_seconds` is how much longer runs were reported than worked
    on. Nobody waits for that."""

    tracked: int = 0
    untracked: int = 0
    work_seconds: float = 0.0
    around_seconds: float = 0.0


async def _unlinked(run_id: str) -> None:
    """Do nothing: for work that keeps no link to its run."""


class Tracker:
    """Decides for each run whether Prefect sees it. Built by `tracking`; one event loop, any number of tasks."""

    def __init__(self, config: PrefectConfig, probe: httpx.AsyncClient, runs: Runs | None) -> None:
        self._config = config
        self._probe = probe
        self._runs = runs
        self._healthy = False
        self._known_until = 0.0  # on the monotonic clock
        self._showing: set[asyncio.Task[None]] = set()
        self.tally = Tally()

    @property
    def healthy(self) -> bool:
        """True if the last probe or run reached the server."""
        return self._healthy

    async def run(
        self,
        label: RunLabel,
        body: Callable[[], Coroutine[Any, Any, T]],
        summarise: Callable[[T], Summary],
        linked: Callable[[str], Awaitable[None]] = _unlinked,
    ) -> T:
        """Call `body` once and return what it returns; `linked` is told the id of its flow run, if it gets one, which
        may be after `body` has ended.

        The body's own errors are raised; Prefect's are logged and never reach the caller.
        """
        record = RunRecord(self._config.record) if self._runs is not None else None
        work = Work(body, summarise, linked, record)
        if self._runs is None:
            self.tally.untracked += 1
        elif len(self._showing) >= self._config.shown_at_once_max:
            self.tally.untracked += 1
            log.warning("a run is not shown: prefect is behind", flow=label.flow, run=label.run)
        else:
            showing = asyncio.create_task(self._show(self._runs, label, work))
            self._showing.add(showing)
            showing.add_done_callback(self._showing.discard)
        try:
            return await work.task
        finally:
            if not work.task.done():
                work.task.cancel()
                await asyncio.wait([work.task])
            self.tally.work_seconds += work.seconds

    async def _show(self, runs: Runs, label: RunLabel, work: Work[Any]) -> None:
        began = time.perf_counter()
        try:
            if await self._reachable():
                await runs.show(label, work)
        except RunLost as error:
            self._lost()
            log.warning("prefect lost a run", flow=label.flow, run=label.run, shown=work.shown, error=error)
        finally:
            self.tally.tracked += work.shown
            self.tally.untracked += not work.shown
            if work.task.done():
                self.tally.around_seconds += max(0.0, time.perf_counter() - began - work.seconds)

    async def warm(self) -> bool:
        """Ask now whether the server answers, so that the first run need not; returns the answer."""
        return self._runs is not None and await self._reachable()

    async def close(self) -> None:
        """Give the runs that are still being reported a while, then leave them: no process hangs on Prefect."""
        if self._showing:
            await asyncio.wait(self._showing, timeout=self._config.close_seconds)
        for showing in (left := list(self._showing)):
            showing.cancel()
        if left:
            await asyncio.wait(left)
            log.warning("runs are left unreported", count=len(left))

    async def mark_lost(self, run_id: str) -> None:
        """Show a run as crashed whose process died: nobody else would ever end it."""
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

        collecting_lines()
        async with prefect_runs(config) as runs:
            tracker = Tracker(config, probe, runs)
            try:
                yield tracker
            finally:
                await tracker.close()


def collecting_lines() -> None:
    """Have this process's log repeat its lines about a run in the run's record, before anything else is done to
    them."""
    processors = structlog.get_config()["processors"]
    if collect not in processors:
        structlog.configure(processors=[collect, *processors])

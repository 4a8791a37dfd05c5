"""Runs shown in Prefect, or run without it: the same plain function either way.

Prefect shows and schedules; it is never the authority on a claim's state or on money. So the work is done exactly once
here, whatever happens to the server: a run that cannot be registered is run untracked, and a server that dies in the
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
from flows.runs import RunLabel, Runs, Summary, Work

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """Seconds and runs since the process started; `around_seconds` is how much longer runs took than their work."""

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

        async with prefect_runs(config) as runs:
            yield Tracker(config, probe, runs)

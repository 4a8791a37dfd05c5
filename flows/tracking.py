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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

import httpx
import structlog

from flows.config import PrefectConfig
from flows.errors import RunLost
from flows.prefect_api import REFUSED, open_api
from flows.run_record import RunRecord, collect
from flows.runs import NoRegister, RunLabel, RunRegister, Runs, Summary, Work

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

    def __init__(
        self, config: PrefectConfig, probe: httpx.AsyncClient, runs: Runs | None, register: RunRegister | None = None
    ) -> None:
        self._config = config
        self._probe = probe
        self._runs = runs
        self._register = register or NoRegister()
        self._healthy = False
        self._showing: set[asyncio.Task[None]] = set()
        self._failures = 0  # in a row
        self._known_until = 0.0  # on the monotonic clock
        self._told = ""  # the last words that the log has of the server
        self.refusal = ""  # why the server lets nothing of ours in; "" while it does
        self.tally = Tally()

    @property
    def healthy(self) -> bool:
        """True if the last probe or run reached the server."""
        return self._healthy

    @property
    def reporting(self) -> int:
        """Returns how many runs Prefect is being told of now."""
        return len(self._showing)

    def report(self) -> dict[str, object]:
        """Returns the state of the server, for the operator's page."""
        return {"prefect": self._healthy} | ({"prefect_refuses": self.refusal} if self.refusal else {})

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
        run_ids: list[str] = []

        async def begun(run_id: str) -> None:
            run_ids.append(run_id)
            await self._register.began(run_id, label)
            await linked(run_id)

        work = Work(body, summarise, begun, record)
        if self._runs is None:
            self.tally.untracked += 1
        elif len(self._showing) >= self._config.shown_at_once_max:
            self.tally.untracked += 1
            log.warning("a run is not shown: prefect is behind", flow=label.flow, run=label.run)
        else:
            showing = asyncio.create_task(self._show(self._runs, label, work, run_ids))
            self._showing.add(showing)
            showing.add_done_callback(self._showing.discard)
        try:
            return await work.task
        finally:
            if not work.task.done():
                work.task.cancel()
                await asyncio.wait([work.task])
            self.tally.work_seconds += work.seconds

    async def _show(self, runs: Runs, label: RunLabel, work: Work[Any], run_ids: Sequence[str]) -> None:
        """Show the run until its end. run_ids: its id, once it has one."""
        began = time.perf_counter()
        try:
            if await self._reachable():
                told = True
                try:
                    await runs.show(label, work)
                except RunLost as error:
                    told = False
                    self._lost()
                    log.warning("prefect lost a run", flow=label.flow, run=label.run, shown=work.shown, error=error)
                for run_id in run_ids:
                    await work.ended()
                    message = work.summary().message if work.finished else ""
                    await self._register.ended(run_id, told=told, message=message)
        finally:
            self.tally.tracked += work.shown
            self.tally.untracked += not work.shown
            if work.task.done():
                self.tally.around_seconds += max(0.0, time.perf_counter() - began - work.seconds)

    async def warm(self) -> bool:
        """Ask now whether the server answers, so that the first run need not; returns the answer."""
        return self._runs is not None and await self._reachable()

    async def reported(self) -> None:
        """Wait until Prefect has been told of every run that was begun before."""
        while self._showing:
            await asyncio.wait(list(self._showing))

    async def close(self) -> None:
        """Give the runs that are still being reported a while, then leave them: no process hangs on Prefect."""
        if self._showing:
            await asyncio.wait(self._showing, timeout=self._config.close_seconds)
        for showing in (left := list(self._showing)):
            showing.cancel()
        if left:
            await asyncio.wait(left)
            log.warning("runs are left unreported", count=len(left))

    def _lost(self) -> None:
        self._healthy = False
        self._failures += 1
        self._known_until = time.monotonic() + self._pause_seconds()

    def _pause_seconds(self) -> float:
        """Returns how long the last answer is believed."""
        if self._healthy:
            return self._config.probe_every_seconds
        doublings = min(max(0, self._failures - 1), 10)
        return float(min(self._config.retry_after_seconds * 2**doublings, self._config.retry_after_seconds_max))

    async def _reachable(self) -> bool:
        if time.monotonic() < self._known_until:
            return self._healthy
        # Set before the await: other tasks go by the old answer meanwhile instead of asking too.
        self._known_until = time.monotonic() + self._config.probe_timeout_seconds
        was = self._healthy
        try:
            answer = await self._ask("/health")
            if answer.is_success and not was:
                answer = await self._introduce()
            self._healthy = answer.is_success
            self.refusal = ""
            if answer.status_code in REFUSED:
                self.refusal = f"prefect refuses our key or password (HTTP {answer.status_code}): runs are untracked"
        except httpx.HTTPError:
            self._healthy, self.refusal = False, ""
        self._failures = 0 if self._healthy else self._failures + 1
        self._known_until = time.monotonic() + self._pause_seconds()
        self._tell("prefect is reachable" if self._healthy else self.refusal or "prefect is away: runs are untracked")
        return self._healthy

    async def _introduce(self) -> httpx.Response:
        """Returns the answer to something that only those may ask whom the server knows: its health is told to
        everybody."""
        answer = await self._ask("/flows/count", "POST")
        if answer.is_success:
            version = await self._ask("/admin/version")  # a server with accounts does not tell
            theirs = version.text.strip().strip('"')[:40]
            if version.is_success and theirs != prefect_version():
                # It is tried all the same: what it does not understand leaves runs untracked, no more.
                log.warning("prefect is of another version", theirs=theirs, ours=prefect_version())
        return answer

    async def _ask(self, path: str, method: str = "GET") -> httpx.Response:
        return await self._probe.request(method, path, json={} if method == "POST" else None)

    def _tell(self, words: str) -> None:
        """Log a change, once."""
        if words == self._told:
            return
        self._told = words
        if self.refusal:
            log.error(words, server=self._config.api_url)
        else:
            log.info(words)


def prefect_version() -> str:
    """Returns the version of the Prefect that is installed here."""
    return metadata.version("prefect")


@contextlib.asynccontextmanager
async def tracking(config: PrefectConfig, register: RunRegister | None = None) -> AsyncIterator[Tracker]:
    """A Tracker for the life of a process. Tasks that use it must be started inside. register: where runs under way are
    remembered; None for nowhere. Raises OSError when the file of certificates cannot be read."""
    async with open_api(config, config.probe_timeout_seconds) as probe:
        if not config.api_url:
            yield Tracker(config, probe, None)
            return
        # Imported here: more than a second that a process without a server need not spend.
        from flows.prefect_runs import prefect_runs

        collecting_lines()
        async with prefect_runs(config) as runs:
            tracker = Tracker(config, probe, runs, register)
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

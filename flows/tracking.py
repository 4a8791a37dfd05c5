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
from importlib import metadata
from typing import Any, TypeVar

import httpx
import structlog

from flows.config import PrefectConfig
from flows.errors import RunLost
from flows.prefect_api import REFUSED, open_api
from flows.runs import NoRegister, RunLabel, RunRegister, Runs, Summary, Work

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

    def __init__(
        self, config: PrefectConfig, probe: httpx.AsyncClient, runs: Runs | None, register: RunRegister | None = None
    ) -> None:
        self._config = config
        self._probe = probe
        self._runs = runs
        self._register = register or NoRegister()
        self._healthy = False
        self._failures = 0  # in a row
        self._known_until = 0.0  # on the monotonic clock
        self._told = ""  # the last words that the log has of the server
        self.refusal = ""  # why the server lets nothing of ours in; "" while it does
        self.tally = Tally()

    @property
    def healthy(self) -> bool:
        """True if the last probe or run reached the server."""
        return self._healthy

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
        """Call `body` once and return what it returns; `linked` is told the id of its flow run, if it gets one.

        The body's own errors are raised; Prefect's are logged and never reach the caller.
        """
        began = time.perf_counter()
        run_ids: list[str] = []

        async def begun(run_id: str) -> None:
            run_ids.append(run_id)
            await self._register.began(run_id, label)
            await linked(run_id)

        work = Work(body, summarise, begun)
        try:
            if self._runs is not None and await self._reachable():
                told = True
                try:
                    await self._runs.show(label, work)
                except RunLost as error:
                    told = False
                    self._lost()
                    log.warning("prefect lost a run", flow=label.flow, run=label.run, shown=work.shown, error=error)
                for run_id in run_ids:
                    await asyncio.wait([work.task])
                    message = work.summary().message if work.finished else ""
                    await self._register.ended(run_id, told=told, message=message)
            return await work.task
        finally:
            if not work.task.done():
                work.task.cancel()
                await asyncio.wait([work.task])
            self.tally.tracked += work.shown
            self.tally.untracked += not work.shown
            self.tally.work_seconds += work.seconds
            self.tally.around_seconds += time.perf_counter() - began - work.seconds

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

        async with prefect_runs(config) as runs:
            yield Tracker(config, probe, runs, register)

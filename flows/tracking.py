"""Runs shown in Prefect, or run without it: the same plain function either way.

Prefect shows and schedules; it is never the authority on a claim's state or on money. So the work is done exactly once
here, whatever happens to the server: a run that cannot be registered is run untracked, and a server that dies in the
middle of a run loses the picture of it, not the result. Flow runs have no tasks: a task for every claim would cost
several requests each (docs/decisions/0004-prefect-shows.md).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import httpx
import structlog

from flows.config import PrefectConfig

# Read by Prefect at its first import. Without the first, a call without a server would start a server of its own; the
# second keeps a process from sending anything about itself anywhere.
os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # our own log says it once, without the traceback

from prefect import Flow
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectSignal
from prefect.flow_engine import run_flow
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_EVENTS_WORKER_MAX_QUEUE_SIZE,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.states import Completed, Crashed

T = TypeVar("T")
Row = dict[str, str | int | float]

log = structlog.get_logger(__name__)

# What a server that is away, overloaded, half dead or of another mind raises through Prefect's client and engine.
# PrefectSignal is a BaseException: an orchestration rule may abort a run.
TRACKING_ERRORS = (PrefectException, PrefectSignal, httpx.HTTPError, OSError, TimeoutError)

ARTIFACT_ROWS_MAX = 64
UNENDED_MAX = 1_000  # lost runs remembered for a server that comes back


@dataclass(frozen=True, slots=True)
class Label:
    """How one run is shown: `flow` is the flow's name, `items` its only parameter, `artifact_key` lower case and
    dashes.
    """

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


@dataclass(slots=True)
class Tally:
    """Seconds and runs since the process started; `around_seconds` is what tracking added around the work itself."""

    tracked: int = 0
    untracked: int = 0
    work_seconds: float = 0.0
    around_seconds: float = 0.0


class _Work(Generic[T]):
    """One body and what came of it, kept apart from what Prefect makes of the run."""

    def __init__(self, body: Callable[[str], Awaitable[T]], summarise: Callable[[T], Summary], label: Label) -> None:
        self._body = body
        self._summarise = summarise
        self._label = label
        self._results: list[T] = []
        self.started = False
        self.failed = False
        self.seconds = 0.0

    @property
    def done(self) -> bool:
        return bool(self._results)

    @property
    def result(self) -> T:
        return self._results[0]

    async def call(self, run_id: str) -> None:
        self.started = True
        began = time.perf_counter()
        try:
            self._results.append(await self._body(run_id))
        except BaseException:
            self.failed = True
            raise
        finally:
            self.seconds = time.perf_counter() - began

    @property
    def message(self) -> str:
        return self._summarise(self.result).message

    async def show(self) -> str:
        summary = self._summarise(self.result)
        await acreate_table_artifact(
            key=self._label.artifact_key, table=list(summary.rows)[:ARTIFACT_ROWS_MAX], description=summary.message
        )
        return summary.message


_current: ContextVar[tuple[_Work[object], str]] = ContextVar("current tracked work")


async def _call_current(items: list[str]) -> object:
    """The function of every flow: `items` is what Prefect shows, the work itself comes by context, in this process."""
    del items
    work, run_id = _current.get()
    await work.call(run_id)
    return Completed(message=await work.show())


def _flow(name: str) -> Flow[..., object]:
    return Flow(_call_current, name=name, validate_parameters=False, persist_result=False, retries=0, log_prints=False)


def artifact_key(*parts: str) -> str:
    """Lower case, digits and dashes only, as Prefect's Artifacts page requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


class Tracker:
    """Decides for each run whether Prefect sees it. Built by `tracking`; one event loop, any number of tasks."""

    def __init__(self, config: PrefectConfig, probe: httpx.AsyncClient, clients: AsyncClientContext | None) -> None:
        self._config = config
        self._probe = probe
        self._clients = clients
        self._flows: dict[str, Flow[..., object]] = {}
        self._healthy = False
        self._known_until = 0.0  # on the monotonic clock
        self._unended: dict[UUID, str] = {}  # runs whose work is done and whose end the server never heard of
        self.tally = Tally()

    @property
    def healthy(self) -> bool:
        """What the last probe or run found."""
        return self._healthy

    async def run(self, label: Label, body: Callable[[str], Awaitable[T]], summarise: Callable[[T], Summary]) -> T:
        """Call `body` once, with the id of its flow run or "" when untracked, and return what it returns.

        The body's own errors are raised; Prefect's are logged and never reach the caller.
        """
        work = _Work(body, summarise, label)
        began = time.perf_counter()
        if await self._reachable():
            await self._tracked(label, work)
        if not work.started:
            await work.call("")
            self.tally.untracked += 1
        else:
            self.tally.tracked += 1
        self.tally.work_seconds += work.seconds
        self.tally.around_seconds += time.perf_counter() - began - work.seconds
        return work.result

    async def mark_lost(self, run_id: str) -> None:
        """Show a run whose process died as crashed: nobody else would ever end it."""
        if not run_id or self._clients is None or not await self._reachable():
            return
        try:
            run = await self._clients.client.read_flow_run(UUID(run_id))
            if run.state is not None and run.state.type in (StateType.RUNNING, StateType.PENDING):
                message = "the process was lost; its claims were taken over by another run"
                await self._clients.client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        except TRACKING_ERRORS as error:
            log.info("a lost flow run could not be marked", run_id=run_id, error=str(error)[:200])

    async def _tracked(self, label: Label, work: _Work[T]) -> None:
        assert self._clients is not None  # _reachable is false without
        flow = self._flows.setdefault(label.flow, _flow(label.flow))
        parameters = {"items": list(label.items)}
        token = None
        run: FlowRun | None = None
        try:
            await self._end_runs()
            # Created here, with its name, and not by the engine: one request less than a name given afterwards.
            run = await self._clients.client.create_flow_run(
                flow, name=label.run, parameters=parameters, tags=label.tags
            )
            token = _current.set((work, str(run.id)))  # type: ignore[arg-type]
            await run_flow(flow, flow_run=run, parameters=parameters)  # type: ignore[misc]
        except TRACKING_ERRORS as error:
            if work.failed:
                raise
            if run is not None and len(self._unended) < UNENDED_MAX:
                self._unended[run.id] = work.message if work.done else ""
            self._healthy = False
            self._known_until = time.monotonic() + self._config.retry_after_seconds
            log.warning(
                "prefect lost a run", flow=label.flow, run=label.run, finished=work.done, error=repr(error)[:200]
            )
        finally:
            if token is not None:
                _current.reset(token)

    async def _end_runs(self) -> None:
        """Tell the server, back again, how the runs ended that it lost."""
        assert self._clients is not None
        for run_id, message in list(self._unended.items()):
            state: State[object] = Completed(message=message) if message else Crashed(message="it was run untracked")
            with contextlib.suppress(ObjectNotFound):  # another server, or an empty one: nothing to end
                await self._clients.client.set_flow_run_state(run_id, state, force=True)
            self._unended.pop(run_id, None)

    async def _reachable(self) -> bool:
        if self._clients is None:
            return False
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
    timeout = httpx.Timeout(config.probe_timeout_seconds)
    async with contextlib.AsyncExitStack() as stack:
        probe = await stack.enter_async_context(httpx.AsyncClient(timeout=timeout, trust_env=False))
        if not config.api_url:
            yield Tracker(config, probe, None)
            return
        stack.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: config.api_url,
                    PREFECT_API_REQUEST_TIMEOUT: config.request_timeout_seconds,
                    PREFECT_CLIENT_MAX_RETRIES: 0,
                    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
                    PREFECT_EVENTS_WORKER_MAX_QUEUE_SIZE: config.events_queue_max,
                    PREFECT_LOGGING_TO_API_ENABLED: False,  # a claim's log lines stay in our own log
                }
            )
        )
        clients = await stack.enter_async_context(AsyncClientContext())
        yield Tracker(config, probe, clients)

"""The process that runs jobs which Prefect schedules, by a schedule or by "Run" and "Retry" in its pages.

Long-lived, so that models are loaded once and a run begins within a poll. Nothing of a claim waits for it: workers,
settle and refer do their work without it and without Prefect.

A run is taken by its move to Pending, which the server allows once: of two runners one gets it. Due is what is due by
the clock of the server that scheduled it; a clock of ours that jumps starts nothing. Of several runs of a schedule that
nobody took in time the newest is run, and the others are cancelled with a word. A server that is away, replaced or
half broken costs runs their picture: work under way is done to its end, which is told when the server is back.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Pending
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.faults import fault
from claims.store import heartbeats
from claims.store.engine import connect
from flows.config import RunnerConfig
from flows.drain import STORE_AWAY
from flows.errors import JobRefused
from flows.operations.deployments import register
from flows.operations.job import Job, JobCall, JobResult
from flows.operations.job_run import MESSAGE_CHARACTERS_MAX, JobRun
from flows.operations.jobs import Jobs, jobs
from flows.prefect_server import ANSWER_ERRORS, client_settings
from flows.process import live, pause, stopping
from flows.queues import utc_now

log = structlog.get_logger(__name__)
KIND: Final = "runner"
TAKEN_BY: Final = "taken by "
ASKED_BY: Final = "by:"  # tag of a run that a command made, with the name of its user
MISSED: Final = "missed: nobody took it in time, and a later run of the schedule does it"
_NAME: Final = re.compile(r"^[\w.@-]{1,64}$")
_UNDER_WAY: Final = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class ServerClock:
    """The Prefect server's clock, as its newest answer gave it."""

    def __init__(self) -> None:
        self._told: datetime | None = None
        self._at = 0.0

    def set(self, response: httpx.Response) -> None:
        """Take the time of an answer."""
        with suppress(ValueError, TypeError):
            told = parsedate_to_datetime(response.headers["date"]) if "date" in response.headers else None
            if told is not None:
                self._told, self._at = told.astimezone(UTC), time.monotonic()

    def now(self) -> datetime:
        """Returns the server's time; ours, as long as no answer told it."""
        if self._told is None:
            return utc_now()
        return self._told + timedelta(seconds=time.monotonic() - self._at)


@dataclass(eq=False, slots=True)
class RunInHand:
    """A run that this process has taken. work: None until it has begun. wish: how it is to end before its time."""

    run: FlowRun
    job: Job[Any]
    lease: UUID | None
    work: asyncio.Task[JobResult] | None = None
    wish: State[Any] | None = None

    def end(self, wish: State[Any]) -> None:
        """Stop the work, or keep it from beginning."""
        if self.wish is None:
            self.wish = wish
            if self.work is not None:
                self.work.cancel()


class JobRunner:
    """Takes due runs of our deployments from one Prefect server and runs them in this process."""

    def __init__(self, config: RunnerConfig, client: PrefectClient, engine: AsyncEngine, known: Jobs) -> None:
        self._config = config
        self._limits = config.limits
        self._client = client
        self._engine = engine
        self._known = known
        self._clock = ServerClock()
        self._jobs: dict[UUID, Job[Any]] = {}  # by the id of its deployment
        self._register_at = self._sweep_at = float("-inf")
        self._running: dict[UUID, RunInHand] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[UUID] = set()  # runs whose runner was silent at the last look
        self._ends: dict[UUID, State[Any]] = {}  # ends that the server has not taken yet
        self.healthy = False
        self.done = 0

    def report(self) -> dict[str, object]:
        """Returns the figures for the operator's page."""
        return {"in_flight": len(self._running), "done": self.done, "prefect": self.healthy}

    async def run(self, stop: asyncio.Event) -> None:
        """Take and run until `stop`, then finish what is under way or hand it back."""
        seconds = self._limits.poll_seconds
        while not stop.is_set():
            try:
                await self._look()
            except (*ANSWER_ERRORS, *STORE_AWAY) as error:
                if self.healthy or not self._jobs:
                    log.warning("no job is taken: prefect or the store does not answer as it should", error=error)
                self.healthy = False
                seconds = min(2 * seconds, self._limits.retry_seconds_max)
            else:
                self.healthy, seconds = True, self._limits.poll_seconds
            await pause(stop, seconds)
        await self._finish()

    async def _look(self) -> None:
        await self._register()
        await self._tell_ends()
        await self._cancel()
        for run in await self._due():
            if len(self._running) >= self._limits.runs_at_once_max:
                break
            await self._take(run)
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + self._limits.lost_seconds / 3
            await self._end_lost()

    async def _register(self) -> None:
        """Register our deployments where the server does not have them as they are now: at the start, and whenever it
        was replaced. A server that fails at that is asked again; what it knows already is served meanwhile."""
        if time.monotonic() < self._register_at:
            return
        try:
            registered = await register(self._client, self._known)
        except ANSWER_ERRORS as error:
            if not self._jobs:
                raise
            log.warning("deployments are not registered", error=error)
            return
        self._register_at = time.monotonic() + self._limits.register_seconds
        self._jobs = {registered.ids[name]: job for name, job in self._known.items()}
        if registered.created or registered.updated or registered.removed:
            log.info("deployments", created=registered.created, updated=registered.updated, removed=registered.removed)

    async def _due(self) -> Sequence[FlowRun]:
        """Returns the runs to begin now, the longest waiting first. Cancels runs of a schedule that a later one of the
        same schedule has overtaken."""
        if not self.healthy:
            self._clock.set(await self._client.hello())
        while True:
            before = self._clock.now()
            response = await self._client.request(
                "POST",
                "/deployments/get_scheduled_flow_runs",
                json={
                    "deployment_ids": [str(deployment) for deployment in self._jobs],
                    "scheduled_before": before.isoformat(),
                    "limit": self._limits.due_max,
                },
            )
            self._clock.set(response)
            due = [FlowRun.model_validate(run) for run in response.json()]
            kept = await self._newest_of_each_schedule(due)
            if len(due) < self._limits.due_max or len(kept) == len(due):
                return [run for run in kept if run.id not in self._running and run.id not in self._ends]

    async def _newest_of_each_schedule(self, due: Sequence[FlowRun]) -> list[FlowRun]:
        by_schedule: dict[UUID | None, list[FlowRun]] = defaultdict(list)
        for run in due:
            if run.auto_scheduled and run.run_count == 0:
                by_schedule[run.deployment_id].append(run)
        overtaken = {run.id for runs in by_schedule.values() for run in sorted(runs, key=_expected)[:-1]}
        for run_id in overtaken:
            with suppress(ObjectNotFound):
                await self._client.set_flow_run_state(run_id, Cancelled(message=MISSED))
        if overtaken:
            log.warning("runs of schedules were missed", runs=len(overtaken))
        return [run for run in due if run.id not in overtaken]

    async def _take(self, run: FlowRun) -> None:
        job = self._jobs.get(run.deployment_id) if run.deployment_id is not None else None
        if job is None:
            return
        try:
            taken: State[Any] = Pending(message=TAKEN_BY + self._config.name)
            answer: OrchestrationResult[Any] = await self._client.set_flow_run_state(run.id, taken)
        except ObjectNotFound:
            return  # deleted meanwhile
        if answer.status is not SetStateStatus.ACCEPT:
            return  # another runner has it, or it waits for a place under its deployment's limit
        lease = answer.state.state_details.deployment_concurrency_lease_id if answer.state is not None else None
        in_hand = self._running[run.id] = RunInHand(run, job, lease)
        task = asyncio.create_task(self._run(in_hand), name=f"{job.name} {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a run broke", exc_info=error)  # a fault of this loop, not of a job

    async def _run(self, in_hand: RunInHand) -> None:
        run, job = in_hand.run, in_hand.job
        shown = JobRun(self._client, run, job, self._limits, in_hand.lease)
        try:
            if not await self._begun(shown):
                return
            state, result = await self._work(in_hand, shown)
            log.info("job", job=job.name, run=str(run.id), state=state.name, message=state.message)
            await shown.finish(state, result)
            await self._tell(run.id, state)
            self.done += 1
        finally:
            self._running.pop(run.id, None)

    async def _begun(self, shown: JobRun) -> bool:
        try:
            return await shown.begin(self._config.name)
        except ObjectNotFound:
            return False
        except ANSWER_ERRORS as error:
            # Nothing was done yet: whoever is there when the server is back does it.
            log.warning("a run did not begin: prefect does not answer", run=str(shown.run.id), error=error)
            self._ends[shown.run.id] = AwaitingRetry(message="did not begin: the server was away")
            return False

    async def _work(self, in_hand: RunInHand, shown: JobRun) -> tuple[State[Any], JobResult | None]:
        """Do the job. Returns how the run ends, and the result if there is one."""
        job, run = in_hand.job, in_hand.run
        call = JobCall(self._config.jobs, _actor(run), shown.say, shown.advance)
        call.info(f"{job.name} begins on {self._config.name}")
        if in_hand.wish is not None:
            return in_hand.wish, None
        # A task, so that whatever it raises is this run's end and nobody else's.
        in_hand.work = asyncio.create_task(_called(job, call, run.parameters))
        over = asyncio.Event()
        keeping = asyncio.create_task(shown.keep(over))
        try:
            await asyncio.wait([in_hand.work])
        finally:
            over.set()
            await asyncio.wait([keeping])
        if in_hand.work.cancelled():
            wish: State[Any] = in_hand.wish or Crashed(message="its process was stopped")
            call.warn(wish.message or "stopped")
            return wish, None
        error = in_hand.work.exception()
        if error is not None:
            return self._failed(call, job, error), None
        result = in_hand.work.result()
        call.say(logging.INFO if result.good else logging.ERROR, result.message)
        message = result.message[:MESSAGE_CHARACTERS_MAX]
        return (Completed if result.good else Failed)(message=message), result

    def _failed(self, call: JobCall, job: Job[Any], error: BaseException) -> State[Any]:
        if isinstance(error, JobRefused):
            call.say(logging.ERROR, str(error))
            return Failed(name="Refused", message=str(error)[:MESSAGE_CHARACTERS_MAX])
        log.error("a job failed", job=job.name, exc_info=error)
        words = fault(error)  # without the error's own words, which may be somebody's
        call.say(logging.ERROR, words)
        return Failed(message=words[:MESSAGE_CHARACTERS_MAX])

    async def _tell(self, run_id: UUID, state: State[Any]) -> None:
        try:
            await self._client.set_flow_run_state(run_id, state)
        except ObjectNotFound:
            return  # another server, or an emptied one
        except ANSWER_ERRORS as error:
            log.warning("prefect does not know yet how a run ended", run=str(run_id), state=state.name, error=error)
            if len(self._ends) < self._limits.ends_max:
                self._ends[run_id] = state

    async def _tell_ends(self) -> None:
        for run_id, state in list(self._ends.items()):
            with suppress(ObjectNotFound):
                await self._client.set_flow_run_state(run_id, state, force=True)
            self._ends.pop(run_id, None)

    async def _cancel(self) -> None:
        """Stop the runs in hand that an operator cancelled."""
        if not self._running:
            return
        wanted = FlowRunFilter(
            id=FlowRunFilterId(any_=list(self._running)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING, StateType.CANCELLED])),
        )
        for run in await self._client.read_flow_runs(flow_run_filter=wanted):
            if in_hand := self._running.get(run.id):
                in_hand.end(Cancelled(message="cancelled by an operator; what was done by then stays"))

    async def _end_lost(self) -> None:
        """Show runs as crashed whose runner gives no sign of life, and as cancelled where that was asked for."""
        wanted = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=list(self._jobs)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_UNDER_WAY))),
        )
        suspects = {
            run.id: (run, owner)
            for run in await self._client.read_flow_runs(flow_run_filter=wanted)
            if (owner := _owner(run)) and run.id not in self._running and run.id not in self._ends
        }
        if not suspects:
            self._silent = set()
            return
        async with self._engine.connect() as conn:
            alive = await heartbeats.since(conn, utc_now() - timedelta(seconds=self._limits.lost_seconds))
        names = {process.name for process in alive} - {self._config.name}  # ours, and yet not in hand: lost, too
        silent = {run_id for run_id, (_, owner) in suspects.items() if owner not in names}
        # At two looks in a row: after the store was away or the machine stood still everybody seems silent at first.
        lost, self._silent = silent & self._silent, silent
        for run, owner in (suspects[run_id] for run_id in lost):
            cancelling = run.state is not None and run.state.type is StateType.CANCELLING
            state: State[Any] = (
                Cancelled() if cancelling else Crashed(message=f"its process is gone: {owner}; run it again")
            )
            with suppress(ObjectNotFound):
                await self._client.set_flow_run_state(run.id, state, force=True)
            log.warning("a run was lost with its process", run=str(run.id), owner=owner)

    async def _finish(self) -> None:
        """Let runs under way finish for a while, then stop them and hand them back to be run again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._limits.shutdown_seconds)
        for in_hand in list(self._running.values()):
            in_hand.end(AwaitingRetry(message="its process was stopped before it was done; it is run again"))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        with suppress(*ANSWER_ERRORS):
            await self._tell_ends()


async def _called(job: Job[Any], call: JobCall, parameters: dict[str, Any]) -> JobResult:
    return await job.call(call, parameters)


def _expected(run: FlowRun) -> datetime:
    return run.expected_start_time or run.next_scheduled_start_time or datetime.min.replace(tzinfo=UTC)


def _owner(run: FlowRun) -> str:
    """Returns the name of the runner that has a run under way, "" for one that is a worker's."""
    message = run.state.message if run.state is not None and run.state.type is StateType.PENDING else ""
    owner = message.removeprefix(TAKEN_BY) if message and message.startswith(TAKEN_BY) else run.infrastructure_pid
    return owner if owner and owner.startswith(f"{KIND}@") else ""


def _actor(run: FlowRun) -> str:
    """Returns who asked for a run, for the audit chain: the user that a command named, over Prefect, which anybody who
    reaches it can do in any name."""
    names = [tag.removeprefix(ASKED_BY) for tag in run.tags if tag.startswith(ASKED_BY)]
    named = f" ({names[0]})" if len(names) == 1 and _NAME.match(names[0]) else ""
    return f"operator:prefect{named}"


async def run(config: RunnerConfig, stop: asyncio.Event | None = None) -> None:
    """Run jobs that Prefect schedules, until SIGTERM or `stop`. The server may come later, go and be replaced."""
    stop = stop or asyncio.Event()
    engine = connect(config.jobs.store.dsn, pool_size=2)
    try:
        with client_settings(config.prefect):
            async with AsyncClientContext() as clients, stopping(stop, []):
                runner = JobRunner(config, clients.client, engine, jobs(config.jobs))
                log.info("ready", process=config.name)
                await live(
                    engine, config.name, KIND, [], stop, runner.report, config.beat_seconds, beside=[runner.run(stop)]
                )
    finally:
        await engine.dispose()

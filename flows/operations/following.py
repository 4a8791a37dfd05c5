"""A job asked for by command: through Prefect, as "Run" in its pages does it, or in this process while Prefect is
away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import AsyncClientContext
from prefect.states import Cancelled

from flows.config import PrefectConfig
from flows.errors import JobRefused
from flows.operations.deployments import ours, register
from flows.operations.job import Job, JobOutcome, Say
from flows.operations.job_run import LOGGER, RESULT
from flows.operations.jobs import Jobs
from flows.operations.runner import ASKED_BY
from flows.prefect_server import ANSWER_ERRORS, client_settings

LOOK_SECONDS: Final = 1.0
TAKEN_SECONDS_MAX: Final = 60.0  # for a runner to take the run
LINES_A_LOOK: Final = 200


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job with what the server says of it. registered: False where it has no deployment there, or no server
    answered. next_run: its next scheduled run."""

    job: Job[Any]
    registered: bool = False
    paused: bool = False
    schedule_active: bool = False
    next_run: datetime | None = None
    last_state: str = ""


@asynccontextmanager
async def prefect_client(config: PrefectConfig) -> AsyncIterator[PrefectClient | None]:
    """Open a client; None while there is no server or it does not answer."""
    if not config.api_url:
        yield None
        return
    with client_settings(config):
        async with AsyncClientContext() as clients:
            away = await clients.client.api_healthcheck()
            yield clients.client if away is None else None


async def ask(client: PrefectClient, known: Jobs, job: Job[Any], given: Mapping[str, Any], user: str) -> FlowRun:
    """Make a run of the job's deployment, which is registered first where the server does not have it. user: who asked
    for it. Raises one of ANSWER_ERRORS, and JobRefused for bad parameters."""
    job.check(given)
    ids = (await register(client, known)).ids
    return await client.create_flow_run_from_deployment(ids[job.name], parameters=dict(given), tags=[ASKED_BY + user])


async def follow(
    client: PrefectClient,
    run_id: UUID,
    *,
    say: Say = lambda _level, _words: None,
    advance: Callable[[float, float], None] = lambda _done, _total: None,
    taken_seconds_max: float = TAKEN_SECONDS_MAX,
) -> JobOutcome:
    """Wait until the run has ended, with its log lines and its progress. A server that is away meanwhile is waited for.
    Raises JobRefused, and cancels the run, when no runner takes it in time."""
    told, began = 0, time.monotonic()
    while True:
        try:
            run = await client.read_flow_run(run_id)
            lines = await client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), limit=LINES_A_LOOK, offset=told
            )
            for line in lines:
                if line.name == LOGGER:
                    say(line.level, line.message)
            told += len(lines)
            await _progress(client, run_id, advance)
            if run.state is not None and run.state.is_final():
                return JobOutcome(
                    str(run_id), run.state.name or "", run.state.message or "", await _result(client, run_id)
                )
            waits = run.state is not None and run.state.is_scheduled() and run.state.name != "AwaitingConcurrencySlot"
            if waits and time.monotonic() - began > taken_seconds_max:
                await client.set_flow_run_state(run_id, Cancelled(message="no runner took it"))
                raise JobRefused("no_runner", "no runner process takes runs: start `miaopei runner`, or use --here")
        except ANSWER_ERRORS:
            pass  # the run goes on without it
        await asyncio.sleep(LOOK_SECONDS)


async def list_jobs(client: PrefectClient | None, known: Jobs) -> list[ListedJob]:
    """Returns every job with what the server says of it. Raises one of ANSWER_ERRORS."""
    if client is None:
        return [ListedJob(job) for job in known.values()]
    there, listed = await ours(client), []
    for name, job in known.items():
        deployment = there.get(name)
        if deployment is None:
            listed.append(ListedJob(job))
            continue
        of_it = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]))
        runs = await client.read_flow_runs(flow_run_filter=of_it, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=20)
        states = [run.state for run in runs]
        ahead = [run.expected_start_time for run in runs if run.state is not None and run.state.is_scheduled()]
        times = [at for at in ahead if at is not None]
        last = next((state.name or "" for state in states if state is not None and not state.is_scheduled()), "")
        active = any(schedule.active for schedule in deployment.schedules)
        listed.append(ListedJob(job, True, deployment.paused, active, min(times, default=None), last))
    return listed


async def _progress(client: PrefectClient, run_id: UUID, advance: Callable[[float, float], None]) -> None:
    for artifact in await client.read_artifacts(artifact_filter=_artifacts_of(run_id)):
        if artifact.type == "progress" and isinstance(artifact.data, int | float):
            advance(float(artifact.data), 100.0)


async def _result(client: PrefectClient, run_id: UUID) -> Mapping[str, Any]:
    newest: dict[str, Any] = {}
    for artifact in await client.read_artifacts(artifact_filter=_artifacts_of(run_id)):
        if artifact.type == RESULT and isinstance(artifact.data, dict):
            newest = artifact.data
    return newest


def _artifacts_of(run_id: UUID) -> ArtifactFilter:
    return ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))

"""One run of a job as Prefect shows it: its task, log lines, progress, result and end.

Spoken to the server request by request and not through Prefect's engine, which would put its own handler of SIGTERM in
place of the process's and would tie the work to a server that may go away. What the server misses of log and progress
is dropped; the end is told by `flows.operations.runner`, again and again until it is known.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate, LogCreate, TaskRunCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus, StateWaitDetails
from prefect.states import Running, to_state_create

from flows.config import RunnerLimits
from flows.operations.job import Job, JobResult
from flows.prefect_server import ANSWER_ERRORS
from flows.process import pause
from flows.runs import artifact_key

log = structlog.get_logger(__name__)
LOGGER: Final = "miaopei.jobs"
MESSAGE_CHARACTERS_MAX: Final = 1_500
ROWS_MAX: Final = 100
WAITS_MAX: Final = 20  # times that the server asks for a pause before a run may begin
RESULT: Final = "result"  # type of the artifact with the result as plain JSON


class JobRun:
    """Shows one run. `say` and `advance` may be called from any thread; nothing here waits for the server but `begin`,
    `keep` and `finish`."""

    def __init__(self, client: PrefectClient, run: FlowRun, job: Job[Any], limits: RunnerLimits, lease: UUID | None):
        self._client = client
        self.run = run
        self._job = job
        self._limits = limits
        self._lease = lease
        self._lines: list[LogCreate] = []
        self._said = 0
        self._share = 0.0
        self._shared = -1.0
        self._progress: UUID | None = None
        self._task: UUID | None = None
        self._renewed = time.monotonic()

    def say(self, level: int, words: str) -> None:
        """Add a line to the run's log; beyond the limit only warnings and errors."""
        self._said += 1
        if self._said > self._limits.log_lines_max and level < logging.WARNING:
            return
        words = words[:MESSAGE_CHARACTERS_MAX]
        at = datetime.now(UTC)
        self._lines.append(
            LogCreate(name=LOGGER, level=level, message=words, timestamp=at, flow_run_id=self.run.id,
                      task_run_id=self._task)
        )  # fmt: skip
        del self._lines[: -2 * self._limits.log_lines_max]

    def advance(self, done: float, total: float) -> None:
        """Note how far the work is."""
        self._share = 100.0 * min(1.0, done / total) if total > 0 else 100.0

    async def begin(self, owner: str) -> bool:
        """Show the run and its task as running. Returns False when the run may not begin: it was cancelled, or its
        place was lost. Raises one of ANSWER_ERRORS."""
        await self._client.update_flow_run(self.run.id, infrastructure_pid=owner)
        for _ in range(WAITS_MAX):
            answer: OrchestrationResult[Any] = await self._client.set_flow_run_state(self.run.id, Running())
            if answer.status is not SetStateStatus.WAIT:
                break
            assert isinstance(answer.details, StateWaitDetails)
            await asyncio.sleep(min(answer.details.delay_seconds, 1))
        if answer.status is not SetStateStatus.ACCEPT:
            return False
        await self._begin_task()
        return True

    async def _begin_task(self) -> None:
        made = TaskRunCreate(
            name=self._job.name,
            flow_run_id=self.run.id,
            task_key=f"{self._job.name}-{self.run.run_count + 1}",
            dynamic_key=str(self.run.run_count),
            tags=list(self._job.tags),
            state=to_state_create(Running()),
        )
        response = await self._client.request("POST", "/task_runs/", json=made.model_dump(mode="json", exclude={"id"}))
        self._task = UUID(str(response.json()["id"]))

    async def keep(self, over: asyncio.Event) -> None:
        """Send log lines and progress, and keep the place under the deployment's limit, until the work is over. Not
        cancelled, as a request cut off half-way would be made again and show lines twice."""
        while not over.is_set():
            await pause(over, self._limits.report_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Send what is there to be sent; what the server does not take now is tried again next time."""
        try:
            while self._lines:
                part = self._lines[: self._limits.log_lines_max]
                await self._client.create_logs(part)
                del self._lines[: len(part)]
            await self._show_progress()
            if self._lease is not None and time.monotonic() - self._renewed > self._limits.lease_seconds / 3:
                self._renewed = time.monotonic()
                await self._client.renew_concurrency_lease(self._lease, self._limits.lease_seconds)
        except ANSWER_ERRORS as error:
            log.info("prefect takes no log or progress now", run=str(self.run.id), error=error)

    async def _show_progress(self) -> None:
        if self._share == self._shared or (self._progress is None and self._share == 0.0):
            return
        share = self._share
        if self._progress is None:
            made = await self._client.create_artifact(
                ArtifactCreate(
                    key=artifact_key(self._job.name, "progress"), type="progress", data=share,
                    description=f"Progress of {self.run.name}", flow_run_id=self.run.id, task_run_id=self._task,
                )
            )  # fmt: skip
            self._progress = made.id
        else:
            await self._client.update_artifact(self._progress, ArtifactUpdate(data=share))
        self._shared = share

    async def finish(self, state: State[Any], result: JobResult | None) -> None:
        """Send the rest of the log, the result and the task's end. What the server does not take is dropped."""
        await self.flush()
        try:
            if result is not None:
                await self._show_result(result)
            if self._task is not None:
                await self._client.set_task_run_state(self._task, state, force=True)
        except ANSWER_ERRORS as error:
            log.info("prefect takes no result now", run=str(self.run.id), error=error)

    async def _show_result(self, result: JobResult) -> None:
        words = f"# {self._job.name}\n\n{result.message}\n\n{_table(result)}"
        await self._client.create_artifact(
            ArtifactCreate(
                key=artifact_key(self._job.name), type="markdown", data=words, description=result.message,
                flow_run_id=self.run.id, task_run_id=self._task,
            )
        )  # fmt: skip
        plain: Mapping[str, Any] = json.loads(json.dumps(dict(result.data), default=str))
        await self._client.create_artifact(
            ArtifactCreate(type=RESULT, data=plain, flow_run_id=self.run.id, task_run_id=self._task)
        )


def _table(result: JobResult) -> str:
    """Returns the rows as a Markdown table, or the plain data where there are none."""
    rows = [dict(row) for row in result.rows[:ROWS_MAX]] or [
        {"what": name, "value": value if isinstance(value, str | int | float) else json.dumps(value, default=str)}
        for name, value in result.data.items()
    ]
    if not rows:
        return ""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_cell(row.get(head, "")) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")

"""Shows runs in a Prefect server: a flow run for each batch, with task runs, log lines, a table and pages.

The server is told beside the work, in a few requests a run: one that creates the flow run, one for all events of its
task runs, one for all log lines, one for each artifact and one for its end. A long run is reported every few seconds.
What the server refuses is tried again a little and then left; a server that is away loses the picture only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Crashed, Failed, Running

from claims.faults import fault
from flows.config import PrefectConfig
from flows.errors import RunLost
from flows.prefect_reports import Json, RunReport, batch_page
from flows.prefect_server import SERVER_ERRORS, again, client_settings, let_events_go
from flows.run_record import RunRecord
from flows.runs import OURS, RunLabel, RunPage, Summary, Work, artifact_key

T = TypeVar("T")

ARTIFACT_ROWS_MAX: Final = 64
UNENDED_MAX: Final = 1_000  # lost runs remembered for a server that comes back
TRY_AGAIN_SECONDS: Final = 0.2
DEPLOYMENT: Final = "{flow}/{flow}"  # the deployment that runs of a flow belong to, where there is one

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _KnownFlow:
    """A flow as the server knows it. deployment_id: None where none is registered; asked again after a while."""

    id: UUID
    deployment_id: UUID | None = None
    looked_at: float = float("-inf")


class PrefectRuns:
    """Shows runs in one Prefect server. Built by `prefect_runs`."""

    def __init__(self, client: PrefectClient, config: PrefectConfig) -> None:
        self._client = client
        self._config = config
        self._flows: dict[str, _KnownFlow] = {}
        self._unended: dict[UUID, State[object]] = {}  # ends of runs that did not reach the server
        self._ending = asyncio.Lock()

    async def show(self, label: RunLabel, work: Work[T]) -> None:
        record = work.record or RunRecord(self._config.record)
        try:
            await self._end_runs()
            report = await self._register(label, record)
        except SERVER_ERRORS as error:
            raise RunLost(fault(error)) from error
        work.shown = True
        try:
            await work.linked(str(report.run_id))
            while not await work.ended(self._config.report_seconds):
                await self._tell(report, done=False)
            await self._finish(report, label, work)
        except SERVER_ERRORS as error:
            await work.ended()
            if len(self._unended) < UNENDED_MAX:
                self._unended[report.run_id] = _end(work)
            raise RunLost(fault(error)) from error

    async def _register(self, label: RunLabel, record: RunRecord) -> RunReport:
        """Create the flow run, already running: the work is."""
        try:
            return await self._create(label, record)
        except (httpx.HTTPStatusError, ObjectNotFound):
            # Another server may have taken the place of the one that knew this flow and its deployment.
            self._flows.pop(label.flow, None)
            return await self._create(label, record)

    async def _create(self, label: RunLabel, record: RunRecord) -> RunReport:
        flow = await self._flow(label.flow)
        state: State[object] = Running()
        body: Json = {
            "name": label.run,
            "flow_id": str(flow.id),
            "deployment_id": str(flow.deployment_id) if flow.deployment_id is not None else None,
            "parameters": {label.parameter: list(label.items)},
            "tags": [OURS, *label.tags],
            "labels": {"miaopei.trace_id": record.trace_id},
            "state": {"type": state.type.value, "name": state.name},
        }
        run_id = _id_in(await self._post("/flow_runs/", body))
        log.info("a run is shown", flow=label.flow, run_id=str(run_id), trace_id=record.trace_id)
        items = len(label.items)
        graphs = items <= self._config.graph_items_max
        return RunReport(label.flow, run_id, label.run, record, items, graphs)

    async def _flow(self, name: str) -> _KnownFlow:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _KnownFlow(_id_in(await self._post("/flows/", {"name": name})))
        if time.monotonic() - flow.looked_at > self._config.deployment_seconds:
            flow.looked_at = time.monotonic()
            path = f"/deployments/name/{DEPLOYMENT.format(flow=name)}"
            response = await self._send("GET", path, needed=False)
            flow.deployment_id = _id_in(response) if response.is_success else None
        return flow

    async def _tell(self, report: RunReport, *, done: bool) -> None:
        """Report what has happened since the last report."""
        if events := report.events(done=done):
            await self._post("/events", events, needed=False)
        if lines := report.logs(done=done):
            await self._post("/logs/", lines, needed=False)

    async def _finish(self, report: RunReport, label: RunLabel, work: Work[T]) -> None:
        await self._tell(report, done=True)
        if not work.stopped and not work.failure:
            await self._leave(report, label, work.summary())
        end = _end(work)
        body = {"state": {"type": end.type.value, "name": end.name, "message": end.message}, "force": True}
        await self._post(f"/flow_runs/{report.run_id}/set_state", body)

    async def _leave(self, report: RunReport, label: RunLabel, summary: Summary) -> None:
        """Leave the run's artifacts: its table, and a page for each item or one for all."""
        rows = json.dumps(list(summary.rows)[:ARTIFACT_ROWS_MAX], ensure_ascii=False)
        await self._artifact(report, "table", label.artifact_key, rows, summary.message)
        pages: Sequence[RunPage] = summary.pages
        if not report.graphs:
            failed = [str(row.get("claim") or row.get("key")) + ": postponed" for row in summary.rows
                      if row.get("outcome") == "postponed"]  # fmt: skip
            whole = batch_page(report.record, summary.message, failed)
            pages = [RunPage(artifact_key(label.artifact_key, "page"), whole, summary.message)]
        for page in pages:
            await self._artifact(report, "markdown", page.key, page.markdown, page.description)

    async def _artifact(self, report: RunReport, kind: str, key: str, data: str, description: str) -> None:
        body = {
            "type": kind, "key": key, "data": data, "description": description, "flow_run_id": str(report.run_id),
        }  # fmt: skip
        await self._post("/artifacts/", body, needed=False)

    async def _post(self, path: str, body: Any, *, needed: bool = True) -> httpx.Response:
        return await self._send("POST", path, body, needed=needed)

    async def _send(
        self, method: Literal["GET", "POST"], path: str, body: Any = None, *, needed: bool = True
    ) -> httpx.Response:
        """Send, again a few times where the server answers with an error of its own. needed: False for what the run can
        do without; the answer is then the refusal."""
        try:
            return await again(
                lambda: self._client.request(method, path, json=body),  # type: ignore[arg-type]
                tries_max=self._config.report_tries_max,
                pause_seconds=TRY_AGAIN_SECONDS,
            )
        except httpx.HTTPStatusError as error:
            if needed:
                raise
            if error.response.status_code != httpx.codes.NOT_FOUND:
                log.warning("prefect refused a part of a run", part=path, code=error.response.status_code)
            return error.response

    async def _end_runs(self) -> None:
        """Tell the server, once it is back, how the runs ended that it lost; one of the runs shown at once does so."""
        if self._ending.locked():
            return
        async with self._ending:
            for run_id, state in list(self._unended.items()):
                with contextlib.suppress(ObjectNotFound):
                    await self._client.set_flow_run_state(run_id, state, force=True)
                self._unended.pop(run_id, None)


def _id_in(response: httpx.Response) -> UUID:
    """Returns the id of what was created. Raises RunLost for an answer that is none of Prefect's."""
    try:
        return UUID(response.json()["id"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunLost("the answer has no id") from error


def _end(work: Work[Any]) -> State[object]:
    if work.stopped:
        return Crashed(message="the process was stopped; what it had in hand was given back")
    if work.failure:
        # Prefect shows the words of what ends a run, and its server keeps them.
        return Failed(message=work.failure)
    return Completed(message=work.summary().message)


@contextlib.asynccontextmanager
async def prefect_runs(config: PrefectConfig) -> AsyncIterator[PrefectRuns]:
    """Open one client, with Prefect's settings, for the life of a process; no request is made before the first run."""
    with client_settings(config):
        try:
            async with AsyncClientContext() as clients:
                yield PrefectRuns(clients.client, config)
        finally:
            await let_events_go(config.events_seconds_max)

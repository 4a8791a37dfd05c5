"""Shows flow runs in a Prefect server: one for each batch, without tasks, named and tagged by claim, with a table of
the outcomes.

A task for every claim would cost several requests each; a run costs four requests, whatever the size of its batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import Flow
from prefect.artifacts import acreate_table_artifact
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectSignal
from prefect.flow_engine import run_flow
from prefect.states import Completed, Crashed

from claims.faults import fault
from flows.config import PrefectConfig
from flows.errors import RunLost, WorkFailed
from flows.prefect_server import client_settings
from flows.runs import OURS, RunLabel, Work

T = TypeVar("T")

# Errors that Prefect's client and engine raise for a server that is away, overloaded, half dead or inconsistent.
# PrefectSignal is a BaseException: an orchestration rule may abort a run.
SERVER_ERRORS = (PrefectException, PrefectSignal, httpx.HTTPError, OSError, TimeoutError)

ARTIFACT_ROWS_MAX = 64
UNENDED_MAX = 1_000  # lost runs remembered for a server that comes back

_current: ContextVar[tuple[Work[Any], RunLabel, str]] = ContextVar("the work of the current run")


async def _call_current(items: list[str]) -> State[object]:
    """The function of every flow. `items` is what Prefect shows; the work, already under way, is passed by context."""
    del items
    work, label, run_id = _current.get()
    await work.call(run_id)
    summary = work.summary()
    await acreate_table_artifact(
        key=label.artifact_key, table=list(summary.rows)[:ARTIFACT_ROWS_MAX], description=summary.message
    )
    return Completed(message=summary.message)


class PrefectRuns:
    """Shows runs in one Prefect server. Built by `prefect_runs`."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._flows: dict[str, Flow[..., Any]] = {}
        self._unended: dict[UUID, str] = {}  # runs whose work is done and whose end did not reach the server

    async def show(self, label: RunLabel, work: Work[T]) -> None:
        flow = self._flow(label.flow)
        parameters = {"items": list(label.items)}
        run: FlowRun | None = None
        token = None
        try:
            await self._end_runs()
            # Created here, with its name, and not by the engine: one request less than a name given afterwards.
            run = await self._client.create_flow_run(
                flow, name=label.run, parameters=parameters, tags=(OURS, *label.tags)
            )
            token = _current.set((work, label, str(run.id)))
            await run_flow(flow, flow_run=run, parameters=parameters)  # type: ignore[misc]
        except WorkFailed:
            return
        except SERVER_ERRORS as error:
            if run is not None and len(self._unended) < UNENDED_MAX:
                self._unended[run.id] = work.summary().message if work.finished else ""
            raise RunLost(fault(error)) from error
        finally:
            if token is not None:
                _current.reset(token)

    async def mark_lost(self, run_id: str) -> None:
        try:
            run = await self._client.read_flow_run(UUID(run_id))
            if run.state is not None and run.state.type in (StateType.RUNNING, StateType.PENDING):
                message = "the process was lost; its claims were taken over by another run"
                await self._client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        except ObjectNotFound:
            return  # another server, or an emptied one
        except SERVER_ERRORS as error:
            raise RunLost(fault(error)) from error

    async def _end_runs(self) -> None:
        """Tell the server, once it is back, how the runs ended that it lost."""
        for run_id, message in list(self._unended.items()):
            state: State[object] = (
                Completed(message=message)
                if message
                else Crashed(message="the server was away; the work went on untracked")
            )
            with contextlib.suppress(ObjectNotFound):
                await self._client.set_flow_run_state(run_id, state, force=True)
            self._unended.pop(run_id, None)

    def _flow(self, name: str) -> Flow[..., Any]:
        if name not in self._flows:
            self._flows[name] = Flow(
                _call_current, name=name, validate_parameters=False, persist_result=False, retries=0, log_prints=False
            )
        return self._flows[name]


@contextlib.asynccontextmanager
async def prefect_runs(config: PrefectConfig) -> AsyncIterator[PrefectRuns]:
    """Open one client, with Prefect's settings, for the life of a process; no request is made before the first run."""
    with client_settings(config):
        async with AsyncClientContext() as clients:
            yield PrefectRuns(clients.client)

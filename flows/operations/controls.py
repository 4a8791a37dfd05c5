"""Prefect's pauses and limits that stand for brakes (`claims.store.brakes`): where they are, what they show, and how
they are set.

    work queue `<brake>` of the pool `miaopei`    paused holds; its concurrency limit is how many at once
    deployment `<flow>/<brake>`                   paused holds
    global concurrency limit `<name>`             0 holds; a number is how many at once; not active is no limit

Prefect has no word for a global limit without a limit: it shows FREE_SLOTS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowFilter, FlowFilterName
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from claims.store import brakes
from claims.store.gates import INSURER, PRODUCT
from flows.config import BrakeLimits
from flows.operations.job import BRAKE
from flows.prefect_server import again
from flows.runs import OURS

T = TypeVar("T")
POOL: Final = "miaopei"
FREE_SLOTS: Final = 1_000_000
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)  # whatever changes a new control is later
_PAGE: Final = 200  # rows of one answer of Prefect's server, by its default
# Of the deployments that are made here. Nothing is started by them: their processes run as long as the stack is up.
_ENTRYPOINTS: Final[Mapping[str, str]] = {
    "settle": "flows/settle.py:run",
    "refer": "flows/refer.py:run",
    "enrol": "flows/worker.py:run",
    "learn": "flows/worker.py:run",
}
_POOL_WORDS: Final = (
    "Miaopei's own processes. Pausing one of its work queues holds that work within seconds; claims wait and nothing "
    "is lost. Runs are not started from here."
)
_WORDS: Final[Mapping[str, str]] = {
    "adjudicate": "Checks and decides claims, in the worker processes. Pause: claims wait; those begun are decided.",
    "settle": "Sends payouts to the bank, in the settle process. Pause: no payout leaves; those sent are asked about.",
    "refer": "Sends notices to the partner insurers, in the refer process. Pause: no notice leaves.",
    "enrol": "Enrols pets' noses, in the worker processes. Pause: enrolments wait.",
    "learn": "Learns from people's rulings, in the worker processes. Pause: lessons wait.",
}


@dataclass(frozen=True, slots=True)
class PrefectControl:
    """One pause or limit in Prefect, and the brake that it stands for. key: its name there."""

    kind: Literal["queue", "deployment", "limit"]
    key: str
    brake: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"

    def shows(self, at_once_max: int | None) -> int | None:
        """Return what a brake looks like here: a deployment is paused or not, and a limit ends at FREE_SLOTS."""
        if at_once_max is None or at_once_max == 0:
            return at_once_max
        if self.kind == "deployment" or (self.kind == "limit" and at_once_max >= FREE_SLOTS):
            return None
        return at_once_max


@dataclass(frozen=True, slots=True)
class ShownControl:
    """A control as Prefect shows it. updated_at: by Prefect's clock."""

    prefect_id: str
    at_once_max: int | None
    updated_at: datetime


def controls() -> tuple[PrefectControl, ...]:
    """Return every control, in the order in which they are made."""
    flows = [(brake, brake) for brake in brakes.FLOWS]
    limits = ["adjudicate", "ocr", "bank", *(name for name in brakes.names() if name.startswith((PRODUCT, INSURER)))]
    return (
        *(PrefectControl("queue", brake, brake) for brake, _ in flows),
        *(PrefectControl("deployment", f"{flow}/{brake}", brake) for brake, flow in flows),
        *(PrefectControl("limit", name, brakes.named(name)) for name in limits),
    )


class PrefectPanel:
    """The controls of one Prefect server. Its methods raise what Prefect's client raises, and ValueError for an answer
    that cannot be understood; an answer of 5xx is asked for again a few times."""

    def __init__(self, client: PrefectClient, limits: BrakeLimits) -> None:
        self._client = client
        self._limits = limits
        self._controls = {str(control): control for control in controls()}

    async def read(self) -> dict[PrefectControl, ShownControl]:
        """Return the controls that are there. The work pool is made where it is missing."""
        shown: dict[str, ShownControl] = {}
        for queue in await self._queues():
            limit = 0 if queue.is_paused else queue.concurrency_limit
            shown[f"queue:{queue.name}"] = ShownControl(str(queue.id), limit, _time(queue.updated))
        for name, deployment in (await self._deployments()).items():
            paused = 0 if deployment.paused else None
            shown[f"deployment:{name}"] = ShownControl(str(deployment.id), paused, _time(deployment.updated))
        for limit_row in await self._limit_rows():
            free = not limit_row.active or limit_row.limit >= FREE_SLOTS
            slots = None if free else limit_row.limit
            shown[f"limit:{limit_row.name}"] = ShownControl(str(limit_row.id), slots, _time(limit_row.updated))
        return {self._controls[name]: value for name, value in shown.items() if name in self._controls}

    async def make(self, control: PrefectControl, at_once_max: int | None) -> ShownControl | None:
        """Make a control that is missing, showing a brake as it stands, and return it. Returns None, and leaves it as
        it is, where somebody has made it meanwhile or is to make it."""
        shown = control.shows(at_once_max)

        async def made() -> UUID:
            match control.kind:
                case "queue":
                    queue = await self._client.create_work_queue(
                        name=control.key,
                        description=_WORDS[control.brake],
                        is_paused=shown == 0,
                        concurrency_limit=shown or None,
                        work_pool_name=POOL,
                    )
                    return queue.id
                case "deployment":
                    flow, name = control.key.split("/")
                    return await self._client.create_deployment(
                        await self._client.create_flow_from_name(flow),
                        name,
                        description=_WORDS[control.brake],
                        paused=shown == 0,
                        work_pool_name=POOL,
                        work_queue_name=control.brake,
                        entrypoint=_ENTRYPOINTS[control.brake],  # Prefect's pages lock the switch of one without
                        tags=[OURS, BRAKE],
                        parameter_openapi_schema={"type": "object", "properties": {}},
                    )
                case "limit":
                    slots = FREE_SLOTS if shown is None else shown
                    limit = GlobalConcurrencyLimitCreate(name=control.key, limit=slots, active=True)
                    return await self._client.create_global_concurrency_limit(limit)

        if control.kind == "deployment" and control.brake not in _ENTRYPOINTS:
            return None  # `adjudicate` is a job of its own: whoever serves it registers it
        try:
            return ShownControl(str(await self._again(made)), shown, _LONG_AGO)
        except ObjectAlreadyExists:
            return None

    async def set(self, control: PrefectControl, prefect_id: str, at_once_max: int | None) -> None:
        """Make a control show a brake as it stands."""
        shown = control.shows(at_once_max)

        async def told() -> None:
            match control.kind:
                case "queue" if shown == 0:
                    await self._client.update_work_queue(prefect_id, is_paused=True)  # type: ignore[arg-type]
                case "queue":
                    await self._client.update_work_queue(
                        prefect_id,  # type: ignore[arg-type]
                        is_paused=False,
                        concurrency_limit=shown,
                    )
                case "deployment" if shown == 0:
                    await self._client.pause_deployment(prefect_id)
                case "deployment":
                    await self._client.resume_deployment(prefect_id)
                case "limit":
                    slots = FREE_SLOTS if shown is None else shown
                    update = GlobalConcurrencyLimitUpdate(limit=slots, active=True)
                    await self._client.update_global_concurrency_limit(prefect_id, update)

        await self._again(told)

    async def _queues(self) -> list[Any]:
        try:
            return list(await self._again(lambda: self._client.read_work_queues(work_pool_name=POOL, limit=_PAGE)))
        except ObjectNotFound:
            pool = WorkPoolCreate(name=POOL, type="process", description=_POOL_WORDS, base_job_template={})
            with contextlib.suppress(ObjectAlreadyExists):
                await self._again(lambda: self._client.create_work_pool(pool))
            return []

    async def _deployments(self) -> dict[str, Any]:
        """Return our deployments by flow and name."""
        wanted = [control.key.split("/") for control in self._controls.values() if control.kind == "deployment"]
        flow_filter = FlowFilter(name=FlowFilterName(any_=[flow for flow, _ in wanted]))
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name for _, name in wanted]))
        flows = await self._again(lambda: self._client.read_flows(flow_filter=flow_filter))
        flow_of = {flow.id: flow.name for flow in flows}
        rows = await self._again(
            lambda: self._client.read_deployments(flow_filter=flow_filter, deployment_filter=named, limit=_PAGE)
        )
        return {f"{flow_of[row.flow_id]}/{row.name}": row for row in rows if row.flow_id in flow_of}

    async def _limit_rows(self) -> list[Any]:
        rows: list[Any] = []
        while True:
            page = await self._again(partial(self._client.read_global_concurrency_limits, _PAGE, len(rows)))
            rows += page
            if len(page) < _PAGE:
                return rows

    async def _again(self, request: Callable[[], Awaitable[T]]) -> T:
        return await again(request, tries_max=self._limits.tries_max, pause_seconds=self._limits.try_again_seconds)


def _time(updated: datetime | None) -> datetime:
    if updated is None:
        raise ValueError("Prefect gives no time of the last change")
    return updated

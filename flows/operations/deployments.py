"""Registers every job as a deployment in a Prefect server: with its form, description, tags, schedule and limit.

Idempotent. A deployment's version is the digest of what we say of it: while it is the same nothing is written, so that
what an operator changed in Prefect's pages (a pause, a schedule switched on, a limit) stays. Where we say something
new, only what differs is written, and never the pause. Deployments with our tag that are jobs no longer are removed;
those that stand for a brake are not jobs and are left alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound

from flows.operations.job import BRAKE, Job, JobSchedule
from flows.operations.jobs import Jobs, tags_of
from flows.prefect_server import again
from flows.runs import OURS

T = TypeVar("T")
TRIES: Final = 3  # of each request of a registration
TRY_PAUSE_SECONDS: Final = 0.2
PAGE: Final = 200
SLUG: Final = "miaopei"  # of our schedule; schedules that an operator adds have others, and stay
_ANCHOR: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Registered:
    """The result of a registration, by name. ids: of every deployment of ours."""

    ids: dict[str, UUID] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


async def register(client: PrefectClient, known: Jobs) -> Registered:
    """Register every job. Each request is made a few times, for a server that fails now and then. Raises one of
    ANSWER_ERRORS; the next call goes on where this one stopped."""
    there = await _again(lambda: ours(client))
    done = Registered()
    for name, job in known.items():
        existing = there.pop(name, None)
        if existing is None:
            flow_id = await _again(partial(client.create_flow_from_name, name))
            done.ids[name] = await _again(partial(_create, client, job, flow_id))
            done.created.append(name)
            continue
        done.ids[name] = existing.id
        if existing.version == version_of(job):
            done.unchanged.append(name)
        else:
            await _again(partial(client.update_deployment, existing.id, _update(job, existing)))
            done.updated.append(name)
    for name, existing in there.items():
        with suppress(ObjectNotFound):
            await _again(partial(client.delete_deployment, existing.id))
        done.removed.append(name)
    return done


async def ours(client: PrefectClient) -> dict[str, DeploymentResponse]:
    """Returns every deployment with our tag that is or was a job, by its name. Raises one of ANSWER_ERRORS."""
    wanted = DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS]))
    listed: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(deployment_filter=wanted, limit=PAGE, offset=len(listed))
        listed += page
        if len(page) < PAGE:
            return {deployment.name: deployment for deployment in listed if BRAKE not in deployment.tags}


def version_of(job: Job[Any]) -> str:
    """Returns the digest of everything that is registered of a job."""
    registered = {
        "description": job.description,
        "tags": tags_of(job),
        "schema": job.schema(),
        "schedule": _plain_schedule(job.schedule),
        "at_once_max": job.at_once_max,
    }
    return hashlib.sha256(json.dumps(registered, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _plain_schedule(schedule: JobSchedule | None) -> Mapping[str, Any] | None:
    if schedule is None:
        return None
    every = schedule.every.total_seconds() if schedule.every is not None else None
    return {"every": every, "cron": schedule.cron, "active": schedule.active, "parameters": dict(schedule.parameters)}


async def _again(request: Callable[[], Awaitable[T]]) -> T:
    """Make a request that may be made again, a few times. That there is no such thing is an answer."""
    return await again(
        request,
        tries_max=TRIES,
        pause_seconds=TRY_PAUSE_SECONDS,
        passing=lambda error: not isinstance(error, ObjectNotFound),
    )


async def _create(client: PrefectClient, job: Job[Any], flow_id: UUID) -> UUID:
    schedule = job.schedule
    return await client.create_deployment(
        flow_id=flow_id,
        name=job.name,
        version=version_of(job),
        description=job.description,
        tags=tags_of(job),
        parameter_openapi_schema=job.schema(),
        enforce_parameter_schema=True,
        concurrency_limit=job.at_once_max,
        concurrency_options=_waiting(job),
        schedules=[]
        if schedule is None
        else [
            DeploymentScheduleCreate(
                schedule=_times(schedule), active=schedule.active, parameters=dict(schedule.parameters), slug=SLUG
            )
        ],
    )


def _update(job: Job[Any], existing: DeploymentResponse) -> DeploymentUpdate:
    """Returns what differs from what the server has. Whether it is paused, and whether its schedule is switched on, is
    an operator's word."""
    changed: dict[str, Any] = {"version": version_of(job)}
    limit = existing.global_concurrency_limit.limit if existing.global_concurrency_limit is not None else None
    for name, wanted, standing in (
        ("description", job.description, existing.description),
        ("tags", tags_of(job), existing.tags),
        ("parameter_openapi_schema", job.schema(), existing.parameter_openapi_schema),
        ("enforce_parameter_schema", True, existing.enforce_parameter_schema),
        ("concurrency_limit", job.at_once_max, limit),
    ):
        if wanted != standing:
            changed[name] = wanted
    if "concurrency_limit" in changed:
        changed["concurrency_options"] = _waiting(job)
    before = next((schedule for schedule in existing.schedules if schedule.slug == SLUG), None)
    if job.schedule is not None and not _same(job.schedule, before):
        active = job.schedule.active if before is None else before.active
        changed["schedules"] = [
            DeploymentScheduleUpdate(
                schedule=_times(job.schedule),
                active=active,
                parameters=dict(job.schedule.parameters),
                slug=SLUG,
            )
        ]
    return DeploymentUpdate(**changed)


def _same(schedule: JobSchedule, before: DeploymentSchedule | None) -> bool:
    if before is None or dict(before.parameters or {}) != dict(schedule.parameters):
        return False
    times = _times(schedule)
    if isinstance(times, CronSchedule):
        return isinstance(before.schedule, CronSchedule) and before.schedule.cron == times.cron
    return isinstance(before.schedule, IntervalSchedule) and before.schedule.interval == times.interval


def _times(schedule: JobSchedule) -> CronSchedule | IntervalSchedule:
    if schedule.every is not None:
        return IntervalSchedule(interval=schedule.every, anchor_date=_ANCHOR, timezone="UTC")
    return CronSchedule(cron=schedule.cron, timezone="UTC")


def _waiting(job: Job[Any]) -> ConcurrencyOptions | None:
    """Returns the rule for a run that comes while as many as may are under way: it waits."""
    if job.at_once_max is None:
        return None
    return ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)

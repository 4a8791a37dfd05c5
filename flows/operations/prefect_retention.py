"""Retention of what is shown in Prefect: finished runs of ours that are old leave it, with their task runs, logs and
artifacts.

Through the server's REST interface, so for any server. It deletes by our tag and by final states alone, in one
transaction with the question: a run that is retried meanwhile stays. Events have no such interface: the server deletes
them by its own setting, PREFECT_SERVER_EVENTS_RETENTION_PERIOD, which `miaopei up` sets. A log cannot be deleted
without its run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import shown_runs
from claims.store.engine import alone
from flows.config import PrefectConfig
from flows.drain import STORE_AWAY
from flows.errors import RunLost
from flows.prefect_api import FINAL_STATES, PrefectApi, open_api
from flows.process import pause
from flows.runs import OURS

_ONE_AT_A_TIME: Final = 0x6D697072  # advisory lock
ROUND_SECONDS_MAX: Final = 3_600.0  # for which a process that stands still keeps others from it
FIRST_SECONDS: Final = 60.0  # before the first round: the start of a process has other work

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunsDeleted:
    """The result of one round. complete: False if the round's limit left some for the next."""

    runs: int
    artifacts: int
    complete: bool


async def prefect_retention(
    engine: AsyncEngine, config: PrefectConfig, *, runs_days: float | None = None
) -> RunsDeleted:
    """Delete our finished runs that ended more than `runs_days` ago (None: as configured). Raises RunLost when the
    server is away, or answers with an error: what was deleted is deleted, and the next round goes on."""
    limits = config.truth
    days = limits.runs_days if runs_days is None else runs_days
    if days <= 0:
        raise ValueError(f"runs_days must be above 0, not {days:g}: a run that has just ended is still read")
    async with engine.connect() as conn:
        before = await shown_runs.database_time(conn) - timedelta(days=days)
    runs = artifacts = 0
    async with open_api(config, config.request_timeout_seconds) as client:
        api = PrefectApi(client)
        while runs < limits.retention_runs_max:
            query: dict[str, Any] = {
                "tags": {"all_": [OURS]},
                "state": {"type": {"any_": list(FINAL_STATES)}},
                "end_time": {"before_": before.isoformat()},
            }
            ids = [run.run_id for run in await api.runs(query, limits.retention_batch)]
            if not ids:
                return RunsDeleted(runs, artifacts, True)
            # The artifacts first: without their run nobody would find them.
            while artifacts < limits.retention_artifacts_max and (artifact_ids := await api.artifacts_of(ids)):
                for artifact_id in artifact_ids:
                    await api.delete_artifact(artifact_id)
                artifacts += len(artifact_ids)
            deleted = await api.delete_runs({**query, "id": {"any_": ids}}, limits.retention_batch)
            runs += deleted
            if not deleted:  # all were taken up again meanwhile, or the server does not do what it says
                return RunsDeleted(runs, artifacts, False)
    return RunsDeleted(runs, artifacts, False)


async def keep_short(engine: AsyncEngine, config: PrefectConfig, stop: asyncio.Event) -> None:
    """Run `prefect_retention` again and again until `stop`; one process at a time. Returns at once where there is no
    Prefect server."""
    every = config.truth.retention_every_seconds
    wait_seconds = min(every, FIRST_SECONDS)
    while config.api_url and not stop.is_set():
        await pause(stop, wait_seconds)
        wait_seconds = every
        if stop.is_set():
            return
        try:
            async with engine.connect() as held, held.begin():
                if await alone(held, _ONE_AT_A_TIME, idle_seconds_max=ROUND_SECONDS_MAX):
                    done = await prefect_retention(engine, config)
                    log.info("prefect's old runs were deleted", runs=done.runs, artifacts=done.artifacts)
        except STORE_AWAY as error:
            log.warning("prefect's old runs stay: the store is away", error=error)
        except RunLost as error:
            log.warning("prefect's old runs stay", error=error)

"""Measures how long Prefect goes on showing the run of a killed process as running, for `miaopei bench flows`.

Real processes on this machine: PostgreSQL, a Prefect server, a process that shows a run and is killed with SIGKILL, and
this one, which does what settle and refer do beside their work. The limits are the product's own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from api.processes import prefect_config
from api.settings import Settings
from api.stack import open_database, open_prefect
from claims.store import shown_runs
from claims.store.engine import connect
from flows.config import PrefectConfig
from flows.operations.crashed import keep_truth
from flows.prefect_api import PrefectApi, open_api
from flows.register import StoredRegister
from flows.runs import RunLabel, Summary
from flows.tracking import tracking

SHOWN_SECONDS_MAX = 300.0  # until the run to be killed is shown, on a busy machine
CRASHED_SECONDS_MAX = 300.0
LOOK_SECONDS = 0.2


def seconds_to_crashed() -> float:
    """Returns the seconds from the kill of a process to its run being Crashed in Prefect. Raises TimeoutError after
    five minutes."""
    with tempfile.TemporaryDirectory(prefix="miaopei-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", prefect_api_url="")
        with open_database(settings) as dsn, open_prefect(settings, dsn) as opened:
            return asyncio.run(_measure(dsn, prefect_config(opened)))


async def _measure(dsn: str, config: PrefectConfig) -> float:
    engine, stop = connect(dsn, pool_size=4), asyncio.Event()
    told = {"BENCH_DSN": dsn, "BENCH_URL": config.api_url, "BENCH_AUTH": config.auth_string}
    killed = subprocess.Popen([sys.executable, "-m", "benchmarks.flows_crash"], env={**os.environ, **told})
    try:
        keeping = asyncio.create_task(keep_truth(engine, config, StoredRegister(engine, "bench"), stop))
        async with open_api(config, 30) as client:
            api = PrefectApi(client)
            run_id = await _shown(engine, api)
            await asyncio.sleep(config.truth.silent_seconds)  # as in a process that has run for a while
            killed.send_signal(signal.SIGKILL)
            began = time.monotonic()
            await _until_state(api, run_id, "CRASHED", CRASHED_SECONDS_MAX)
            seconds = time.monotonic() - began
        stop.set()
        await keeping
        return seconds
    finally:
        killed.kill()
        killed.wait()
        await engine.dispose()


async def _shown(engine: AsyncEngine, api: PrefectApi) -> str:
    """Returns the id of the run to be killed, once it is running."""
    async with asyncio.timeout(SHOWN_SECONDS_MAX):
        while True:
            async with engine.connect() as conn:
                ids = await shown_runs.under_way(conn)
            if ids:
                await _until_state(api, ids[0], "RUNNING", SHOWN_SECONDS_MAX)
                return ids[0]
            await asyncio.sleep(LOOK_SECONDS)


async def _until_state(api: PrefectApi, run_id: str, kind: str, seconds_max: float) -> None:
    async with asyncio.timeout(seconds_max):
        while (state := await api.state(run_id)) is None or state.type != kind:
            await asyncio.sleep(LOOK_SECONDS)


async def _work_for_ever() -> None:
    """Be the process that is killed: show a run, sign for it, and never end."""
    engine = connect(os.environ["BENCH_DSN"], pool_size=3)
    config = PrefectConfig(os.environ["BENCH_URL"], auth_string=os.environ["BENCH_AUTH"])
    register = StoredRegister(engine, "killed")
    async with tracking(config, register) as tracker:
        signing = asyncio.create_task(keep_truth(engine, config, register, asyncio.Event()))
        label = RunLabel("adjudicate", "adjudicate of a killed process", ("claim:clm-0",), ("clm-0",), "bench")
        await tracker.run(label, asyncio.Event().wait, lambda _: Summary("never", []))
        await signing


if __name__ == "__main__":
    asyncio.run(_work_for_ever())

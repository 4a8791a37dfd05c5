"""A claim that kills every process that works on it, among others that do not; and processes that are only stopped."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from sqlalchemy import select

from claims.claim import Status
from claims.store.tables import decisions, jobs
from tests.forked import Forked
from tests.waiting import until

pytestmark = pytest.mark.anyio

# A worker's own drain and flow, without vision, which finds nothing in claims that have no files; and a fault planted
# in one stage, where real bytes would take the process down.
_WORKER = """
import asyncio, os, signal, sys
from types import MappingProxyType
from claims.credit import Scorecard
from claims.store.engine import connect
from flows import adjudicate
from flows.config import LeaseLimits
from flows.drain import Drain
from flows.process import stopping
from flows.queues import ClaimQueue
from flows.stage_context import StageContext
from flows.stages import STAGES
from flows.tracking import PrefectConfig, tracking
from models.registry import weights_path

dsn, poison, name = sys.argv[1:]

async def photos(context, file, watch):
    await asyncio.sleep(0.2)
    if file.claim.id == poison:
        os.kill(os.getpid(), signal.SIGSTOP if name.startswith("stops") else signal.SIGKILL)
    return ()

async def nothing(context, file, watch):
    return ()

looks = {"photos": photos, "papers": nothing, "nose": nothing}
adjudicate.STAGES = MappingProxyType(STAGES | {name: (look, STAGES[name][1]) for name, look in looks.items()})

async def main():
    # One that stops must not do so in the middle of a heartbeat, which holds the claim's row.
    beat = 60 if name.startswith("stops") else 0.5
    engine, limits = connect(dsn), LeaseLimits(lease_seconds=2, heartbeat_seconds=beat, backoff_seconds=0.1)
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    stop, wake = asyncio.Event(), asyncio.Event()
    async with tracking(PrefectConfig()) as tracker, stopping(stop, [wake]):
        work = adjudicate.Adjudication(StageContext(engine, None, scorecard), tracker, limits, 8).work
        await Drain("test", ClaimQueue(engine, name, 2), work, limits, stop, wake).run()

asyncio.run(main())
"""


async def test_it_ends_with_a_person_after_a_few_deaths_and_the_claims_beside_it_are_decided(world: Any) -> None:
    policy = await world.policy("anna")
    ids = [await world.claim(policy, {}) for _ in range(12)]
    poison = ids[5]
    deaths = -1
    worker: Forked | None = None

    async def all_decided() -> bool:
        nonlocal deaths, worker
        if worker is None or worker.poll() is not None:
            deaths += 1
            worker = Forked([world.dsn, poison, f"worker-{deaths}"], code=_WORKER)
        return Status.SUBMITTED not in (await world.statuses()).values()

    try:
        await until(all_decided)
    finally:
        assert worker is not None
        worker.terminate()
        worker.wait()
    assert deaths == 4, "once among others, three times alone"
    assert await world.status(poison) is Status.REFERRED
    async with world.engine.connect() as conn:
        made = (await conn.execute(select(decisions.c.claim_id, decisions.c.inputs))).all()
        kept = {row.claim_id: row for row in await conn.execute(select(jobs))}
    assert sorted(row.claim_id for row in made) == sorted(ids)
    by = {row.claim_id: json.loads(row.inputs) for row in made}
    assert (by[poison]["error"], by[poison]["stage"]) == ("KillsWorkers", "lease")
    assert all(inputs["by"] != "unchecked" for claim_id, inputs in by.items() if claim_id != poison)
    assert all(row.deaths == 0 for claim_id, row in kept.items() if claim_id != poison)


async def test_workers_that_get_no_cpu_for_a_whole_lease_and_then_go_on_count_as_no_deaths(world: Any) -> None:
    """Each is stopped with the claim alone in hand until another has taken it over, more often than deaths would end
    with a person."""
    claim = await world.claim(await world.policy("anna"), {})
    stopped: list[Forked] = []
    try:
        for number in range(5):
            owner = f"stops-{number}"
            stopped.append(Forked([world.dsn, claim, owner], code=_WORKER))

            async def taken(owner: str = owner) -> bool:
                async with world.engine.connect() as conn:
                    return (await conn.execute(select(jobs.c.leased_by))).scalar_one() == owner

            await until(taken)
            await until(lambda pid=stopped[-1].pid: _is_stopped(pid))
            if number:
                await _go_on_and_end(stopped[-2])
        async with world.engine.connect() as conn:
            (row,) = (await conn.execute(select(jobs))).all()
        assert row.attempts == 5
        assert row.deaths <= 1, "at most that of the last one, which has not come back yet"
        last = Forked([world.dsn, "", "works"], code=_WORKER)
        stopped.append(last)
        await until(lambda: _is_decided(world))
    finally:
        for worker in stopped:
            if worker.poll() is None:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
    async with world.engine.connect() as conn:
        inputs = (await conn.execute(select(decisions.c.inputs))).scalar_one()
    assert json.loads(inputs)["by"] != "unchecked"


async def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


async def _is_decided(world: Any) -> bool:
    return Status.SUBMITTED not in (await world.statuses()).values()


async def _go_on_and_end(worker: Forked) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    os.kill(worker.pid, signal.SIGCONT)

    async def over() -> bool:
        return worker.poll() is not None

    await until(over)

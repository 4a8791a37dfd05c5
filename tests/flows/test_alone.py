"""One claim's flow alone: `python -m flows.adjudicate CLAIM` decides what is due and says in words why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from claims.claim import Status
from claims.store import queue
from claims.store.tables import jobs
from flows.alone import adjudicate_alone
from flows.errors import NotDue
from flows.queues import utc_now

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]


async def lease(world: Any, owner: str, seconds: float) -> None:
    async with world.engine.begin() as conn:
        assert await queue.lease(conn, owner, 1, seconds, utc_now())


async def test_a_claim_that_nobody_may_decide_now_is_refused_in_words(world: Any) -> None:
    config = world.worker_config("alone-1")
    with pytest.raises(NotDue, match="there is no claim clm_0"):
        await adjudicate_alone(config, "clm_0")
    paid, _ = await world.approve("anna")
    with pytest.raises(NotDue, match=f"claim {paid} is approved"):
        await adjudicate_alone(config, paid)
    taken = await world.claim(await world.policy("bert"), {})
    await lease(world, "worker-7", 60)
    with pytest.raises(NotDue, match=f"claim {taken} is in the hands of worker-7"):
        await adjudicate_alone(config, taken)
    async with world.engine.begin() as conn:
        later = {"state": "due", "due_at": utc_now() + timedelta(hours=1), "waits_for": "reader"}
        await conn.execute(update(jobs).where(jobs.c.claim_id == taken).values(**later))
    with pytest.raises(NotDue, match=f"claim {taken} is put off for want of reader, until"):
        await adjudicate_alone(config, taken)


async def test_a_claim_is_leased_for_one_owner_only(world: Any) -> None:
    claim_id = await world.claim(await world.policy("anna"), {})
    async with world.engine.begin() as conn:
        first = await queue.lease_claim(conn, "alone-1", claim_id, 60, utc_now())
    async with world.engine.begin() as conn:
        second = await queue.lease_claim(conn, "alone-2", claim_id, 60, utc_now())
        others = await queue.lease(conn, "worker-1", 64, 60, utc_now())
    assert first is not None
    assert (first.claim_id, second, list(others)) == (claim_id, None, [])


async def test_the_module_decides_a_due_claim_once(world: Any) -> None:
    claim_id = await world.claim(await world.policy("anna"), {})
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIAOPEI_", "PREFECT_"))}
    told = {"MIAOPEI_DATABASE_URL": world.dsn, "MIAOPEI_EVIDENCE_URL": world.blobs.url, "PYTHONPATH": str(ROOT)}

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.adjudicate", claim_id, "--json"]
        return subprocess.run(command, env=kept | told, capture_output=True, text=True, cwd=ROOT)

    first = run()
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert (result["claim_id"], result["outcome"], result["reason"]) == (claim_id, "ask", "photos_missing")
    assert await world.status(claim_id) is Status.AWAITING_INFORMATION
    again = run()
    assert again.returncode == 2
    assert f"claim {claim_id} is awaiting_information" in again.stderr.replace("\n", " ")
    async with world.engine.connect() as conn:
        assert (await conn.execute(select(jobs.c.state, jobs.c.attempts))).all() == [("done", 1)]

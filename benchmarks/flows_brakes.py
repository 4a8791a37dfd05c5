"""Measures how long after a click in Prefect nothing new is begun, and how long after the next one work goes on.

The whole stack on this machine with a queue of claims, each with one photo. The click is the request that Prefect's
pages send when the work queue `adjudicate` is paused; a claim is begun when its first stage is stored, so claims that
were leased in one batch count one by one. By command nothing is waited for but the turn of the next claim.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from api.client import ApiClient, FileToSend
from api.http.tokens import Role
from api.processes import prefect_config
from api.sandbox import Sandbox
from api.settings import Settings
from benchmarks.scratch import scratch_folder
from claims.store import brakes
from claims.store.engine import connect
from claims.store.tables import claims, stage_results
from fixtures import demo_world
from flows.prefect_api import open_api

CLAIMS = 100
WATCHED_SECONDS = 12.0  # after the click: whatever begins in that time counts
READY_SECONDS_MAX = 300.0
_QUEUE = "/work_pools/miaopei/queues/adjudicate"


def seconds_to_hold() -> dict[str, float]:
    """Returns the seconds from the click to the last claim that was begun (`seconds_to_hold`), and from the click that
    lets go to the next one (`seconds_to_go_on`). Raises TimeoutError when Prefect's server or the claims do not come,
    or when none is left to hold."""
    with scratch_folder() as folder, Sandbox(Settings(), folder / "home") as sandbox:
        return asyncio.run(measure(sandbox, CLAIMS))


async def measure(sandbox: Sandbox, count: int) -> dict[str, float]:
    """Returns the same of a stack that is up, with `count` new claims."""
    assert sandbox.stack is not None
    settings = sandbox.stack.settings
    engine = connect(settings.database_url, pool_size=2)
    try:
        async with open_api(prefect_config(settings), 30.0) as prefect:
            await _until(lambda: _answers(prefect), "Prefect shows no work queue")
            await _put(engine, 0)
            await _file(sandbox, count)
            await _put(engine, None)
            await _until(lambda: _at_least(engine, max(2, count // 20)), "no claim is begun")
            await _until(lambda: _let_go(prefect), "Prefect still shows the work as held")
            return await _click(engine, prefect)
    finally:
        await engine.dispose()


async def _click(engine: AsyncEngine, prefect: httpx.AsyncClient) -> dict[str, float]:
    clicked = datetime.now(UTC)
    (await prefect.patch(_QUEUE, json={"is_paused": True})).raise_for_status()
    await asyncio.sleep(WATCHED_SECONDS)
    async with engine.connect() as conn:
        last = (await conn.execute(_begun(func.max(stage_results.c.finished_at)))).scalar_one()
        left = (await conn.execute(select(func.count()).where(claims.c.status == "submitted"))).scalar_one()
    if not left:
        raise TimeoutError("every claim was decided before the click: more claims are needed")
    released = datetime.now(UTC)
    (await prefect.patch(_QUEUE, json={"is_paused": False})).raise_for_status()
    first: datetime | None = None

    async def goes_on() -> bool:
        nonlocal first
        async with engine.connect() as conn:
            after = _begun(func.min(stage_results.c.finished_at)).where(stage_results.c.finished_at > released)
            first = (await conn.execute(after)).scalar_one()
        return first is not None

    await _until(goes_on, "nothing goes on")
    assert first is not None
    return {
        "seconds_to_hold": round(max(0.0, (last - clicked).total_seconds()), 2),
        "seconds_to_go_on": round((first - released).total_seconds(), 2),
    }


async def _file(sandbox: Sandbox, count: int) -> None:
    now = datetime.now(UTC)
    photo = demo_world.sample_photo("coffee.png")
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "bench")) as platform:
        for number in range(count):
            name = f"brakes-{number}"
            policy = demo_world.DemoPolicy(f"pol-{name}", "fresh_food_rot", name, name)
            await platform.post("/v1/policies", demo_world.policy_body(policy, now))
            claim = demo_world.DemoClaim("measured", policy.id, "rot", 5_000, (), frozenset())
            body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{name}"}
            async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, name)) as claimant:
                await claimant.submit_claim(body, [FileToSend("photo", "damage.jpg", photo)])


async def _put(engine: AsyncEngine, at_once_max: int | None) -> None:
    async with engine.begin() as conn:
        now = datetime.now(UTC)
        await brakes.put(conn, "adjudicate", at_once_max, now, source="command", actor="operator:bench")


async def _answers(prefect: httpx.AsyncClient) -> bool:
    try:
        return (await prefect.get(_QUEUE)).is_success
    except httpx.HTTPError:
        return False


async def _let_go(prefect: httpx.AsyncClient) -> bool:
    return not (await prefect.get(_QUEUE)).raise_for_status().json()["is_paused"]


async def _at_least(engine: AsyncEngine, count: int) -> bool:
    async with engine.connect() as conn:
        return bool((await conn.execute(_begun(func.count()))).scalar_one() >= count)


def _begun(figure: Any) -> Any:
    return select(figure).select_from(stage_results).where(stage_results.c.stage == "cover")


async def _until(condition: Any, otherwise: str) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {READY_SECONDS_MAX:.0f} s")
        await asyncio.sleep(0.1)

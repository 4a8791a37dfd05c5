"""Brakes pulled in Prefect and by command, on a real server: what is clicked there holds here, what is told here shows
there, the last change wins, and a server that is away, empty or half dead changes nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import audit, brakes
from claims.store.tables import audit as audit_rows
from flows.config import BrakeLimits, PrefectConfig
from flows.operations.brakes import Stepper, keep_in_step
from flows.operations.controls import FREE_SLOTS, POOL, PrefectPanel
from flows.prefect_server import client_settings
from flows.queues import utc_now
from tests.prefect_front import Front
from tests.prefect_server import PrefectServer
from tests.waiting import until

pytestmark = pytest.mark.anyio
QUICK = BrakeLimits(look_seconds=0.2)


class Site:
    """Prefect as its UI reaches it: the requests that its buttons send."""

    def __init__(self, api_url: str) -> None:
        self.client = httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=60)

    async def _send(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def queue(self, name: str) -> Any:
        return await self._send("GET", f"/work_pools/{POOL}/queues/{name}")

    async def change_queue(self, name: str, **values: object) -> None:
        await self._send("PATCH", f"/work_pools/{POOL}/queues/{name}", values)

    async def deployment(self, name: str) -> Any:
        return await self._send("GET", f"/deployments/name/{name}")

    async def register(self, flow: str, name: str) -> None:
        """Does what whoever serves a job does."""
        flow_id = (await self._send("POST", "/flows/", {"name": flow}))["id"]
        await self._send("POST", "/deployments/", {"name": name, "flow_id": flow_id})

    async def change_deployment(self, name: str, *, paused: bool) -> None:
        await self._send("PATCH", f"/deployments/{(await self.deployment(name))['id']}", {"paused": paused})

    async def limit(self, name: str) -> tuple[int, bool]:
        row = await self._send("GET", f"/v2/concurrency_limits/{name}")
        return row["limit"], row["active"]

    async def change_limit(self, name: str, **values: object) -> None:
        await self._send("PATCH", f"/v2/concurrency_limits/{name}", values)

    async def delete_limit(self, name: str) -> None:
        await self._send("DELETE", f"/v2/concurrency_limits/{name}")


@asynccontextmanager
async def looking(engine: AsyncEngine, api_url: str) -> AsyncIterator[Stepper]:
    from prefect.client.orchestration import get_client

    with client_settings(PrefectConfig(api_url=api_url)):
        async with get_client() as client:
            yield Stepper(engine, PrefectPanel(client, QUICK), api_url.split("/")[2])


@pytest.fixture
async def site(prefect_server: PrefectServer) -> AsyncIterator[Site]:
    made = Site(prefect_server.api_url)
    yield made
    await made.client.aclose()


async def pull(engine: AsyncEngine, name: str, at_once_max: int | None) -> None:
    async with engine.begin() as conn:
        await brakes.put(conn, name, at_once_max, utc_now(), source="command", actor="operator:eve")


async def stands(engine: AsyncEngine, name: str) -> int | None:
    async with engine.connect() as conn:
        brake = await brakes.get(conn, brakes.named(name))
    return None if brake is None else brake.at_once_max


async def test_what_is_clicked_in_prefect_is_carried_into_the_store_and_shown_at_every_other_place(
    engine: AsyncEngine, prefect_server: PrefectServer, site: Site
) -> None:
    async with looking(engine, prefect_server.api_url) as stepper:
        assert await stepper.look() == []  # makes what is missing
        assert (await site.limit("insurer:anshun")) == (FREE_SLOTS, True)
        assert await stepper.look() == []
        assert await stepper.look() == []

        # A work queue is paused; its limit is set while another is let go.
        await site.change_queue("settle", is_paused=True)
        assert await stepper.look() == ["settle"]
        assert await stands(engine, "bank") == 0
        assert (await site.deployment("settle/settle"))["paused"]
        assert await site.limit("bank") == (0, True)
        await site.change_queue("settle", is_paused=False, concurrency_limit=2)
        assert await stepper.look() == ["settle"]
        assert await stands(engine, "bank") == 2
        assert not (await site.deployment("settle/settle"))["paused"]
        assert await site.limit("bank") == (2, True)

        # A deployment is paused and resumed.
        await site.change_deployment("learn/learn", paused=True)
        assert await stepper.look() == ["learn"]
        assert (await site.queue("learn"))["is_paused"]
        await site.change_deployment("learn/learn", paused=False)
        assert await stepper.look() == ["learn"]
        assert await stands(engine, "learn") is None
        assert not (await site.queue("learn"))["is_paused"]

        # A global limit: to 0, to a number, and switched off.
        await site.change_limit("ocr", limit=0)
        await site.change_limit("product:pet_medical", limit=3)
        assert await stepper.look() == ["ocr", "product:pet_medical"]
        assert (await stands(engine, "ocr"), await stands(engine, "product:pet_medical")) == (0, 3)
        await site.change_limit("ocr", active=False)
        assert await stepper.look() == ["ocr"]
        assert await stands(engine, "ocr") is None
        assert await site.limit("ocr") == (0, False)
        assert await stepper.look() == []
    async with engine.connect() as conn:
        rows = (await conn.execute(select(audit_rows.c.actor, audit_rows.c.action, audit_rows.c.subject))).all()
        assert (await audit.check(conn)).whole
        brake = await brakes.get(conn, "settle")
    assert {row.actor for row in rows} == {f"prefect:127.0.0.1:{prefect_server.port}"}
    assert [(row.action, row.subject) for row in rows] == [
        ("brake.set", "settle"),
        ("brake.set", "settle"),
        ("brake.set", "learn"),
        ("brake.released", "learn"),
        ("brake.set", "ocr"),
        ("brake.set", "product:pet_medical"),
        ("brake.released", "ocr"),
    ]
    assert brake is not None
    assert (brake.source, brake.reason) == ("prefect", "queue:settle")


async def test_what_is_told_by_command_shows_in_prefect_and_the_last_change_wins(
    engine: AsyncEngine, prefect_server: PrefectServer, site: Site
) -> None:
    await pull(engine, "adjudicate", 0)
    await site.register("adjudicate", "adjudicate")
    async with looking(engine, prefect_server.api_url) as stepper:
        # Another store's values are on this server, older than the command.
        await stepper.look()
        assert (await site.queue("adjudicate"))["is_paused"]
        assert (await site.deployment("adjudicate/adjudicate"))["paused"]
        assert await site.limit("adjudicate") == (0, True)
        await pull(engine, "adjudicate", 5)
        assert await stepper.look() == []
        shown = await site.queue("adjudicate")
        assert (shown["is_paused"], shown["concurrency_limit"]) == (False, 5)
        assert await site.limit("adjudicate") == (5, True)
        # Both change; whoever came last is followed.
        await site.change_queue("adjudicate", is_paused=True)
        await pull(engine, "adjudicate", 7)
        assert await stepper.look() == []
        assert not (await site.queue("adjudicate"))["is_paused"]
        await pull(engine, "adjudicate", 8)
        await site.change_queue("adjudicate", is_paused=True)
        assert await stepper.look() == ["adjudicate"]
        assert await stands(engine, "adjudicate") == 0
        # A limit deleted in the UI is made anew, as it stands.
        await site.delete_limit("adjudicate")
        await stepper.look()
        assert await site.limit("adjudicate") == (0, True)
        await pull(engine, "adjudicate", None)
        assert await stepper.look() == []
        assert await site.limit("adjudicate") == (FREE_SLOTS, True)
        assert (await site.queue("adjudicate"))["concurrency_limit"] is None


async def test_one_process_looks_and_another_takes_over_and_a_server_that_dies_or_is_replaced_lets_nothing_go(
    engine: AsyncEngine, prefect_server: PrefectServer, site: Site
) -> None:
    config, stops = PrefectConfig(api_url=prefect_server.api_url), [asyncio.Event(), asyncio.Event()]
    first, second = (asyncio.create_task(keep_in_step(engine, config, stop, QUICK)) for stop in stops)

    async def held_in_the_ui() -> bool:
        try:
            return bool((await site.queue("refer"))["is_paused"])
        except httpx.HTTPError:
            return False  # not there yet

    async def held_here() -> bool:
        return await stands(engine, "refer") == 0

    async def let_go() -> bool:
        return await stands(engine, "refer") is None

    await pull(engine, "refer", 0)
    await until(held_in_the_ui)
    stops[0].set()
    await first
    await site.change_queue("refer", is_paused=False)
    await until(let_go)  # the second does it now

    prefect_server.kill()
    await pull(engine, "refer", 0)
    await asyncio.sleep(1)
    assert await held_here()
    prefect_server.replace()  # of this thread: the server ends with the one that started it
    await until(held_in_the_ui)
    assert await held_here()
    await site.change_queue("refer", is_paused=False)
    await until(let_go)
    stops[1].set()
    await second


async def test_a_server_that_answers_500_to_half_is_still_heard(
    engine: AsyncEngine, prefect_server: PrefectServer, site: Site
) -> None:
    with Front(prefect_server.api_url).serving() as front:
        front.failing, front.dice = 0.5, random.Random(7)
        async with looking(engine, front.url) as stepper:
            await until(lambda: _looked(stepper))
            await site.change_limit("insurer:heyuan", limit=0)

            async def held() -> bool:
                return await _looked(stepper) and await stands(engine, "insurer:heyuan") == 0

            await until(held)
        assert front.failed > 5


async def _looked(stepper: Stepper) -> bool:
    try:
        await stepper.look()
    except httpx.HTTPError:
        return False
    return True

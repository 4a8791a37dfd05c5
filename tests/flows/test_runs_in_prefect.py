"""Runs in a real Prefect server: graphs of tasks, states, logs and pages of claims; and a server that dies, refuses or
is replaced costs the picture only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import asyncpg
import httpx
import pytest
from prefect import Flow
from sqlalchemy import select, update

from claims.claim import Status
from claims.credit import Scorecard
from claims.store import audit
from claims.store.tables import claimants, jobs
from claims.store.tables import claims as claim_rows
from flows import adjudicate, settle
from flows.config import LeaseLimits, PrefectConfig
from flows.declaring import task
from flows.drain import LeasedBatch
from flows.prefect_server import client_settings
from flows.progress import ProgressArtifact
from flows.queues import ClaimQueue, utc_now
from flows.run_record import taken_from_store, working_on
from flows.runs import RunLabel, Summary
from flows.stage_context import StageContext
from flows.tracking import tracking
from models.registry import weights_path
from tests.prefect_front import Front
from tests.prefect_server import PrefectServer, prefect_api_url, prefect_server

pytestmark = pytest.mark.anyio
__all__ = ["prefect_api_url", "prefect_server"]

WORD = "KANARI"
TASKS = ["cover", "photos", "papers", "nose", "credit", "fraud", "repeats", "decide", "record"]
QUICK = {"report_seconds": 0.5, "retry_after_seconds": 0.5, "probe_every_seconds": 0.5}


class Shown:
    """Answers of the server about runs, over its API."""

    def __init__(self, api_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=60)

    async def ask(self, path: str, **body: Any) -> Any:
        response = await self._client.post(path, json=body)
        response.raise_for_status()
        return response.json()

    async def get(self, path: str) -> Any:
        response = await self._client.get(path)
        response.raise_for_status()
        return response.json()

    async def run(self, tag: str) -> dict[str, Any] | None:
        """Returns the newest flow run with this tag."""
        asked = {"flow_runs": {"tags": {"all_": [tag]}}, "sort": "EXPECTED_START_TIME_DESC"}
        return next(iter(await self.ask("/flow_runs/filter", **asked)), None)

    async def tasks(self, run: str) -> list[dict[str, Any]]:
        rows = await self.ask("/task_runs/filter", task_runs={"flow_run_id": {"any_": [run]}})
        return sorted(rows, key=lambda shown: shown["start_time"])

    async def logs(self, run: str) -> list[dict[str, Any]]:
        asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return list(await self.ask("/logs/filter", **asked))

    async def artifacts(self, run: str) -> list[dict[str, Any]]:
        return list(await self.ask("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}}))


@pytest.fixture
def shown(prefect_api_url: str) -> Shown:
    return Shown(prefect_api_url)


async def _nothing(context: Any, file: Any, watch: Any) -> tuple[()]:
    del context, file
    watch.add_cpu(0.25)
    return ()


@pytest.fixture
def blind_world(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the world with claims that have no files: their stages need no vision."""
    blind = {name: (_nothing, adjudicate.STAGES[name][1]) for name in ("photos", "papers", "nose")}
    monkeypatch.setattr(adjudicate, "STAGES", MappingProxyType(adjudicate.STAGES | blind))
    return world


@asynccontextmanager
async def adjudicating(world: Any, config: PrefectConfig) -> AsyncIterator[Any]:
    """Yields a function that leases up to so many due claims and adjudicates them as one batch; leaves when all runs
    were reported."""
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    limits = LeaseLimits(lease_seconds=30, backoff_seconds=0.01)
    async with tracking(config) as tracker:
        context = StageContext(world.engine, None, scorecard)  # type: ignore[arg-type]
        work = adjudicate.Adjudication(context, tracker, limits, 8, "https://claims.example")
        queue = ClaimQueue(world.engine, "worker-1", 30)

        async def batch(limit: int) -> Sequence[Any]:
            leases = await queue.lease(limit)
            await work.work(LeasedBatch(leases))
            return leases

        batch.tracker = tracker  # type: ignore[attr-defined]
        yield batch


async def run_of(world: Any, claim_id: str) -> str:
    async with world.engine.connect() as conn:
        return str((await conn.execute(select(claim_rows.c.flow_run_id).where(claim_rows.c.id == claim_id))).scalar())


def prefect(api_url: str, **changes: Any) -> PrefectConfig:
    return replace(PrefectConfig(api_url=api_url), **(QUICK | changes))


async def whole(shown: Shown, run: str, count: int, wait_until: Any) -> list[dict[str, Any]]:
    """Returns the task runs once the recorder, which works in the background, has them all."""

    async def there() -> bool:
        return len(await shown.tasks(run)) >= count

    await wait_until(there)
    return await shown.tasks(run)


async def test_a_claims_run_is_a_graph_of_its_tasks_with_logs_and_a_page(
    blind_world: Any, prefect_api_url: str, shown: Shown, wait_until: Any
) -> None:
    flow = (await shown.ask("/flows/", name="adjudicate"))["id"]
    deployment = (await shown.ask("/deployments/", name="adjudicate", flow_id=flow))["id"]
    claim_id = await blind_world.claim(await blind_world.policy("anna"), {})
    async with adjudicating(blind_world, prefect(prefect_api_url)) as batch:
        await batch(1)
    run_id = await run_of(blind_world, claim_id)
    run = await shown.get(f"/flow_runs/{run_id}")
    assert (run["state_type"], run["deployment_id"]) == ("COMPLETED", deployment)
    assert run["parameters"] == {"claim_ids": [claim_id]}
    assert (await shown.run(f"claim:{claim_id}") or {})["id"] == run_id
    tasks = await whole(shown, run_id, len(TASKS), wait_until)
    assert [shown_task["name"] for shown_task in tasks] == TASKS
    assert {shown_task["state_name"] for shown_task in tasks} == {"Completed"}
    assert tasks[0]["empirical_policy"]["retries"] == 2
    assert tasks[2]["tags"] == ["ocr"]
    assert all(shown_task["end_time"] >= shown_task["start_time"] for shown_task in tasks)
    assert all(shown_task["total_run_time"] > 0 for shown_task in tasks)
    graph = {node["id"]: node for _, node in (await shown.get(f"/flow_runs/{run_id}/graph-v2"))["nodes"]}
    chain = [node for node in graph.values() if not node["parents"]]
    while children := chain[-1]["children"]:
        chain.append(graph[children[0]["id"]])
    assert [node["label"] for node in chain] == TASKS
    lines = await shown.logs(run_id)
    assert [line["level"] for line in lines] == [20] * len(lines)
    trace = run["labels"]["miaopei.trace_id"]
    assert any(f"trace_id={trace}" in line["message"] for line in lines)
    assert any(
        "claim" in line["message"] and "outcome=ask reason=photos_missing" in line["message"] for line in lines
    ), lines
    (photos,) = [line for line in lines if line["message"].startswith("photos: Completed")]
    assert "0.250 s CPU" in photos["message"]
    assert photos["task_run_id"] == tasks[1]["id"]
    artifacts = {artifact["type"]: artifact for artifact in await shown.artifacts(run_id)}
    assert set(artifacts) == {"table", "markdown"}
    page = artifacts["markdown"]["data"]
    for words in (f"# Claim {claim_id}", "**ask**", "photos_missing", "| photos | done |", trace):
        assert words in page
    assert f"https://claims.example/v1/claims/{claim_id}" in page


async def test_a_larger_batch_is_one_task_run_a_stage(
    blind_world: Any, prefect_api_url: str, shown: Shown, wait_until: Any
) -> None:
    claims = [await blind_world.claim(await blind_world.policy(f"claimant-{number}"), {}) for number in range(6)]
    async with adjudicating(blind_world, prefect(prefect_api_url)) as batch:
        assert len(await batch(64)) == 6
    run_id = await run_of(blind_world, claims[0])
    tasks = await whole(shown, run_id, len(TASKS), wait_until)
    assert [shown_task["name"] for shown_task in tasks] == [f"{name} (6 items)" for name in TASKS]
    graph = [node for _, node in (await shown.get(f"/flow_runs/{run_id}/graph-v2"))["nodes"]]
    assert sorted(len(node["parents"]) for node in graph) == [0, *[1] * 8]
    kinds = sorted(artifact["type"] for artifact in await shown.artifacts(run_id))
    assert kinds == ["markdown", "table"]
    page = next(artifact for artifact in await shown.artifacts(run_id) if artifact["type"] == "markdown")["data"]
    assert "| record | 6 | 0 | 0 | 0 |" in page
    assert {claim for claim in claims if any(claim in line["message"] for line in await shown.logs(run_id))} == {
        *claims
    }


async def test_a_failed_task_is_shown_as_failed_and_stored_ones_as_cached(
    blind_world: Any, prefect_api_url: str, shown: Shown, wait_until: Any
) -> None:
    claim_id = await blind_world.claim(await blind_world.policy("anna"), {})

    async def attributes(value: Any) -> None:
        async with blind_world.engine.begin() as conn:
            await conn.execute(update(claimants).values(credit_attributes=value))
            known_as = (await conn.execute(select(claimants.c.pseudonym))).scalar_one()
            await audit.append(conn, "platform", "claimant.recorded", known_as, {}, utc_now())

    await attributes([WORD, "not", "a", "mapping"])
    async with adjudicating(blind_world, prefect(prefect_api_url)) as batch:
        await batch(1)

        async def linked() -> bool:
            return await run_of(blind_world, claim_id) != ""

        await wait_until(linked)
        first = await run_of(blind_world, claim_id)
        await attributes({})
        async with blind_world.engine.begin() as conn:
            await conn.execute(update(jobs).values(due_at=utc_now()))
        await batch(1)
    second = await run_of(blind_world, claim_id)
    failed = await whole(shown, first, 5, wait_until)
    assert [(shown_task["name"], shown_task["state_name"]) for shown_task in failed][-1] == ("credit", "Failed")
    words = (await shown.get(f"/task_runs/{failed[-1]['id']}"))["state"]["message"]
    assert " at claims/credit.py:" in words
    assert WORD not in words
    levels = {line["level"] for line in await shown.logs(first)}
    assert levels == {20, 40}
    tasks = await whole(shown, second, len(TASKS), wait_until)
    states = {shown_task["name"]: shown_task["state_name"] for shown_task in tasks}
    assert [name for name, state in states.items() if state == "Cached"] == TASKS[:4]
    assert (states["credit"], states["record"]) == ("Completed", "Completed")


async def test_retries_and_further_calls_are_shown_as_prefect_shows_them(
    prefect_api_url: str, shown: Shown, wait_until: Any
) -> None:
    tries = 0

    @task(name="unsteady", retries=2, retry_delay_seconds=0.01, retry_on=(ConnectionError,))
    async def unsteady() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionResetError(WORD)

    @task(name="remembered")
    async def remembered() -> None:
        taken_from_store()

    async def body() -> None:
        with working_on("item-1"):
            await unsteady()
            await remembered()
            await unsteady()

    async with tracking(prefect(prefect_api_url)) as tracker:
        label = RunLabel("trial", "trial of retries", ("trial",), ("item-1",), "trial")
        await tracker.run(label, body, lambda _: Summary("done", []))
    run = await shown.run("trial")
    assert run is not None
    tasks = await whole(shown, run["id"], 3, wait_until)
    told = [(shown_task["name"], shown_task["state_name"], shown_task["run_count"]) for shown_task in tasks]
    assert told == [("unsteady", "Completed", 2), ("remembered", "Cached", 1), ("unsteady (again, 1)", "Completed", 1)]
    states = await shown.get(f"/task_run_states/?task_run_id={tasks[0]['id']}")
    names = [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]
    assert names == ["Running", "AwaitingRetry", "Retrying", "Completed"]
    assert [line["level"] for line in await shown.logs(run["id"]) if "again in" in line["message"]] == [30]


async def test_a_long_run_is_shown_while_it_runs_and_a_failed_one_without_words(
    prefect_api_url: str, shown: Shown, wait_until: Any
) -> None:
    go_on = asyncio.Event()

    @task(name="slow")
    async def slow() -> None:
        await go_on.wait()
        raise ValueError(WORD)

    async with tracking(prefect(prefect_api_url, report_seconds=0.2)) as tracker:
        label = RunLabel("trial", "a long trial", ("long",), ("item-1",), "trial")
        running = asyncio.create_task(tracker.run(label, slow, lambda _: Summary("done", [])))

        async def under_way() -> bool:
            run = await shown.run("long")
            return run is not None and [t["state_name"] for t in await shown.tasks(run["id"])] == ["Running"]

        await wait_until(under_way)
        go_on.set()
        with pytest.raises(ValueError, match=WORD):
            await running
    run = await shown.run("long")
    assert run is not None
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith("ValueError at ")

    async def failed() -> bool:
        return [t["state_name"] for t in await shown.tasks(run["id"])] == ["Failed"]

    await wait_until(failed)


async def test_a_payouts_run_has_a_task_and_logs(
    world: Any, bank: Any, prefect_api_url: str, shown: Shown, wait_until: Any, run_process: Any
) -> None:
    claim_id, payout_id = await world.approve("anna")
    config = replace(world.settle_config(bank.url), prefect=prefect(prefect_api_url))

    async def paid() -> bool:
        return bool(await world.status(claim_id) is Status.PAID)

    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(paid)
    run = await shown.run(f"claim:{claim_id}")
    assert run is not None
    (pay,) = await whole(shown, run["id"], 1, wait_until)
    assert (pay["name"], pay["state_name"]) == ("pay", "Completed")
    assert any(line["message"] == f"{payout_id}: paid" for line in await shown.logs(run["id"]))


async def test_a_long_flow_shows_its_progress(prefect_api_url: str, shown: Shown) -> None:
    def long() -> None:
        progress = ProgressArtifact("a-long-flow", "Parts that are done", every_seconds=0.0)
        progress(1, 4)
        progress(4, 4)

    ProgressArtifact("outside", "of any run")(1, 4)
    with client_settings(prefect(prefect_api_url)):
        await asyncio.to_thread(Flow(long, name="long", persist_result=False))
    (artifact,) = await shown.ask("/artifacts/filter", artifacts={"key": {"any_": ["a-long-flow", "outside"]}})
    assert (artifact["type"], artifact["data"]) == ("progress", 100.0)
    assert artifact["flow_run_id"]


@pytest.fixture
def unsteady(prefect_api_url: str) -> Iterator[str]:
    with Front(prefect_api_url).serving() as front:
        front.failing, front.health_told = 0.5, True
        yield front.url


async def test_a_server_that_refuses_every_second_request_still_shows_the_run(
    blind_world: Any, unsteady: str, shown: Shown, wait_until: Any
) -> None:
    claim_id = await blind_world.claim(await blind_world.policy("anna"), {})
    async with adjudicating(blind_world, prefect(unsteady)) as batch:
        await batch(1)
    assert await blind_world.status(claim_id) is Status.AWAITING_INFORMATION
    run_id = await run_of(blind_world, claim_id)
    assert (await shown.get(f"/flow_runs/{run_id}"))["state_type"] == "COMPLETED"
    assert len(await whole(shown, run_id, len(TASKS), wait_until)) == len(TASKS)
    assert len(await shown.artifacts(run_id)) == 2


async def test_nobodys_data_is_in_any_table_of_prefects(
    blind_world: Any, prefect_server: PrefectServer, prefect_api_url: str
) -> None:
    policy = await blind_world.policy(
        "anna", number=f"{WORD}-number", insured_name=f"{WORD}-insured", product="fresh_food_rot"
    )
    stated = {
        name: f"{WORD}-{name}"
        for name in ("description", "payee_account", "device_id", "address", "merchant_id", "order_number")
    }
    claim_id = await blind_world.claim(policy, {}, **stated)
    async with adjudicating(blind_world, prefect(prefect_api_url)) as batch:
        await batch(1)
    assert await run_of(blind_world, claim_id)
    conn = await asyncpg.connect(prefect_server.postgres.dsn(prefect_server.database).replace("+asyncpg", ""))
    try:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        texts = {
            row["tablename"]: [str(line["t"]) for line in await conn.fetch(f'SELECT t::text FROM "{row[0]}" t')]
            for row in tables
        }
    finally:
        await conn.close()
    assert any(claim_id in text for text in texts["flow_run"]), "what is looked through is what was written"
    assert [name for name, rows in texts.items() if any(WORD in text for text in rows)] == []


# The last ones: they end the server.


async def test_a_server_that_dies_in_the_middle_costs_the_picture_and_the_run_is_ended_when_it_is_back(
    blind_world: Any, prefect_server: PrefectServer, shown: Shown, wait_until: Any
) -> None:
    go_on = asyncio.Event()

    @task(name="slow")
    async def slow() -> str:
        await go_on.wait()
        return "result"

    async with tracking(prefect(prefect_server.api_url)) as tracker:
        label = RunLabel("trial", "a trial that outlives", ("outlives",), ("item-1",), "trial")
        running = asyncio.create_task(tracker.run(label, slow, lambda _: Summary("1 done", [])))

        async def registered() -> bool:
            return await shown.run("outlives") is not None

        await wait_until(registered)
        prefect_server.kill()
        go_on.set()
        assert await running == "result"
        claim_id = await blind_world.claim(await blind_world.policy("anna"), {})
        async with adjudicating(blind_world, prefect(prefect_server.api_url)) as batch:
            await batch(1)
        assert await blind_world.status(claim_id) is Status.AWAITING_INFORMATION
        prefect_server.start()

        async def ended() -> bool:
            await tracker.run(replace(label, run="the next", tags=("next",)), _done, lambda _: Summary("1 done", []))
            run = await shown.run("outlives")
            return run is not None and run["state_type"] == "COMPLETED"

        await wait_until(ended)


async def test_an_empty_server_in_its_place_shows_the_next_runs(prefect_server: PrefectServer, wait_until: Any) -> None:
    label = RunLabel("trial", "a trial", ("before",), ("item-1",), "trial")
    async with tracking(prefect(prefect_server.api_url)) as tracker:
        await tracker.run(label, _done, lambda _: Summary("1 done", []))

        async def reported() -> bool:
            return tracker.tally.tracked == 1

        await wait_until(reported)
        await asyncio.to_thread(prefect_server.replace)
        shown = Shown(prefect_server.api_url)

        async def there() -> bool:
            await tracker.run(replace(label, tags=("after",)), _done, lambda _: Summary("1 done", []))
            run = await shown.run("after")
            return run is not None and run["state_type"] == "COMPLETED"

        await wait_until(there)


async def _done() -> str:
    return "done"

"""Prefect shows the truth about runs whose process died, whose end it missed or that nobody knows, and is kept
short."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.processes import prefect_config
from api.settings import PrefectSettings, Settings
from flows.config import PrefectConfig, TruthLimits
from flows.errors import RunLost
from flows.operations.crashed import SIGNS, Steadiness, Truth, keep_truth
from flows.operations.prefect_retention import keep_short, prefect_retention
from flows.prefect_api import PrefectApi, RunState, open_api
from flows.register import StoredRegister
from flows.runs import OURS, RunLabel, Summary
from flows.tracking import Tracker, tracking
from tests.forked import Forked
from tests.prefect_front import Front
from tests.waiting import until

pytestmark = pytest.mark.anyio

# A process that shows one run and works on it until a file is there.
WORKING = """
import asyncio, os
from flows.config import PrefectConfig, TruthLimits
from flows.errors import RunLost
from flows.operations.crashed import keep_truth
from flows.register import StoredRegister
from flows.runs import RunLabel, Summary
from flows.tracking import tracking
from claims.store.engine import connect

async def main():
    engine = connect({dsn!r}, pool_size=3)
    register, stop = StoredRegister(engine, {process!r}), asyncio.Event()
    config = PrefectConfig({url!r}, truth=TruthLimits(silent_seconds=2))
    async def body():
        while not os.path.exists({done!r}):
            await asyncio.sleep(0.05)
    async with tracking(config, register) as tracker:
        truth = asyncio.create_task(keep_truth(engine, config, register, stop))
        label = RunLabel("adjudicate", "adjudicate of {process}", ("claim:" + {item!r},), ({item!r},), "table")
        await tracker.run(label, body, lambda _: Summary("1 paid", []))
        await tracker.reported()
        stop.set()
        await truth

asyncio.run(main())
"""


def label(*items: str, flow: str = "adjudicate") -> RunLabel:
    return RunLabel(flow, f"{flow} {items[0]}", (f"claim:{items[0]}",), items, "table-of-a-run")


@pytest.fixture
def config(prefect_api_url: str) -> PrefectConfig:
    return PrefectConfig(
        prefect_api_url,
        ui_url="http://pages",
        retry_after_seconds=0.05,
        retry_after_seconds_max=0.2,
        events_seconds_max=0.2,
        truth=TruthLimits(silent_seconds=2),
    )


@pytest.fixture
async def api(config: PrefectConfig) -> AsyncIterator[PrefectApi]:
    async with open_api(config, 30) as client:
        yield PrefectApi(client)


@pytest.fixture
async def keeping(engine: AsyncEngine, config: PrefectConfig) -> AsyncIterator[StoredRegister]:
    """Runs what every process runs beside its work; yields this process's register."""
    register, stop = StoredRegister(engine, "here"), asyncio.Event()
    task = asyncio.create_task(keep_truth(engine, config, register, stop))
    yield register
    stop.set()
    await task


def working(database_url: str, config: PrefectConfig, item: str, done: Any) -> Forked:
    code = WORKING.format(dsn=database_url, process=f"worker@{item}", url=config.api_url, done=str(done), item=item)
    return Forked([], code=code)


async def shown(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as conn:
        return list(await conn.execute(text("SELECT * FROM shown_runs ORDER BY began_at")))


async def under_way(engine: AsyncEngine) -> str:
    """Returns the id of the one run that is registered, once there is one."""
    await until(lambda: _any(engine))
    return str((await shown(engine))[0].flow_run_id)


async def _any(engine: AsyncEngine) -> bool:
    return bool(await shown(engine))


async def state(api: PrefectApi, run_id: str) -> RunState:
    run = await api.state(run_id)
    assert run is not None
    return run


async def shows(api: PrefectApi, run_id: str, kind: str, words: str = "") -> None:
    """Waits until the run is shown so."""

    async def so() -> bool:
        run = await state(api, run_id)
        return run.type == kind and words in run.message

    await until(so, pause_seconds=0.1)


async def finish(tracker: Tracker, *items: str) -> None:
    async def body() -> None:
        await asyncio.sleep(0.01)

    await tracker.run(label(*items), body, lambda _: Summary("1 paid", [{"claim": items[0]}]))
    await tracker.reported()


async def test_the_run_of_a_killed_process_is_crashed_and_leads_to_who_has_its_claim_now(
    database_url: str,
    engine: AsyncEngine,
    config: PrefectConfig,
    api: PrefectApi,
    keeping: StoredRegister,
    tmp_path: Any,
) -> None:
    process = working(database_url, config, "clm-1", tmp_path / "never")
    run_id = await under_way(engine)
    await shows(api, run_id, "RUNNING")
    process.kill()
    process.wait()
    await shows(api, run_id, "CRASHED", "worker@clm-1 gave no sign of life")  # nobody has leased its claim again
    async with tracking(config, keeping) as tracker:
        await finish(tracker, "clm-0", "clm-1")
    await shows(api, run_id, "CRASHED", "taken over by run ")
    (row,) = await shown(engine)
    (successor,) = row.taken_over_by
    assert (await state(api, successor)).type == "COMPLETED"
    assert successor in (await state(api, run_id)).message
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        query = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}

        async def linked() -> bool:
            pages = (await client.post("/artifacts/filter", json=query)).json()
            return any(f"(http://pages/runs/flow-run/{successor})" in str(page["data"]) for page in pages)

        await until(linked)


async def events(client: httpx.AsyncClient, run_id: str, name: str) -> int:
    query = {"event": {"name": [f"prefect.flow-run.{name}"]}, "resource": {"id": [f"prefect.flow-run.{run_id}"]}}
    return int((await client.post("/events/filter", json={"filter": query})).json()["total"])


async def test_a_crash_is_told_once_where_the_claim_is_soon_taken_over(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi, keeping: StoredRegister
) -> None:
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        lost = await made(client, "RUNNING", OURS)
        await StoredRegister(engine, "worker@dead").began(lost, label("clm-20"))

        async def crashed() -> bool:
            return bool((await shown(engine))[0].crashed_at)

        await until(crashed)
        assert (await state(api, lost)).type == "RUNNING", "somebody may take it over any moment"
        async with tracking(config, keeping) as tracker:
            await finish(tracker, "clm-20")
        await shows(api, lost, "CRASHED", "taken over by run ")

        async def kept() -> bool:
            return bool(await events(client, lost, "Crashed"))

        await until(kept)
        assert await events(client, lost, "Crashed") == 1


async def test_a_crashed_run_that_somebody_retries_is_left_to_the_runner(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi
) -> None:
    truth = Truth(engine, api, config)
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        lost = await made(client, "RUNNING", OURS)
        await StoredRegister(engine, "worker@dead").began(lost, label("clm-21"))
        await age(engine, "-1 hour")
        await truth.look()
        await truth.tell()
        await shows(api, lost, "CRASHED", "gave no sign of life")
        # Retry leases the claim anew: a worker has it, in a run of its own, while the runner has this one.
        for kind, owner in (("SCHEDULED", ""), ("PENDING", ""), ("RUNNING", "runner@here"), ("COMPLETED", "")):
            if owner:
                await client.patch(f"/flow_runs/{lost}", json={"infrastructure_pid": owner})
            await api.set_state(lost, kind, "as the runner says")
            successor = await made(client, "RUNNING", OURS)
            await StoredRegister(engine, "worker@alive").began(successor, label("clm-21"))
            assert await truth.tell() == 1
            assert (await state(api, lost)).message == "as the runner says", kind
            await api.set_state(successor, "COMPLETED", "decided")
        assert await truth.tell() == 0
        pages = (await client.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [lost]}}})).json()
        assert any(successor in str(page["data"]) for page in pages), "the link is there all the same"


async def test_an_answer_of_another_shape_is_a_server_that_is_away() -> None:
    answers = (b"{}", b"[1]", b'["a"]', b'"x"', b"7", b'{"deleted": 1}', b'[{"id": 1, "state": 2}]', b"[")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    async with server, httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
        api = PrefectApi(client)
        for body in answers:
            told = 0
            for call in (api.state("x"), api.runs({}, 1), api.artifacts_of(["x"]), api.delete_runs({}, 1)):
                try:
                    await call
                except RunLost:
                    told += 1
            assert told >= 3, body


async def test_a_crashed_run_that_completes_later_stays_crashed(
    database_url: str,
    engine: AsyncEngine,
    config: PrefectConfig,
    api: PrefectApi,
    keeping: StoredRegister,
    tmp_path: Any,
) -> None:
    del keeping
    process = working(database_url, config, "clm-2", tmp_path / "done")
    run_id = await under_way(engine)
    await shows(api, run_id, "RUNNING")
    process.send_signal(signal.SIGSTOP)
    await shows(api, run_id, "CRASHED")
    (tmp_path / "done").touch()
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:

        async def over() -> bool:
            states = (await client.get("/flow_run_states/", params={"flow_run_id": run_id})).json()
            kinds = [told["type"] for told in sorted(states, key=lambda told: told["timestamp"])]
            return kinds[-3:] == ["CRASHED", "COMPLETED", "CRASHED"]

        await until(over, pause_seconds=0.1)


async def test_runs_that_end_by_themselves_leave_nothing_behind(
    engine: AsyncEngine, config: PrefectConfig, keeping: StoredRegister
) -> None:
    async with tracking(config, keeping) as tracker:
        assert await tracker._reachable()
        await asyncio.gather(*(finish(tracker, f"clm-{number}") for number in range(3)))
        await until(lambda: _tracked(tracker, 3))  # reported beside the work
        assert (tracker.tally.tracked, tracker.tally.untracked) == (3, 0)
        assert tracker.report() == {"prefect": True}
    assert await shown(engine) == []


async def _tracked(tracker: Tracker, count: int) -> bool:
    return tracker.tally.tracked == count


async def test_the_end_that_prefect_missed_is_told_when_it_is_back(engine: AsyncEngine, config: PrefectConfig) -> None:
    with Front(config.api_url).serving() as front:
        away = replace(config, api_url=front.url)
        register = StoredRegister(engine, "here")

        async def body() -> None:
            await under_way(engine)
            front.away = True

        async def failing() -> None:
            await until(lambda: _more_than(engine, 1))
            front.away = True
            raise LookupError("names of people")

        async with tracking(away, register) as tracker, open_api(away, 5) as client:
            await tracker.run(label("clm-3"), body, lambda _: Summary("1 paid", []))
            await until(lambda: _ended(engine, 1))  # reported beside the work
            (row,) = await shown(engine)
            assert row.message == "1 paid"
            front.away = False
            await until(lambda: _reaches(tracker))
            with pytest.raises(LookupError):
                await tracker.run(label("clm-4"), failing, lambda _: Summary("none", []))
            await until(lambda: _ended(engine, 2))
            truth, api = Truth(engine, PrefectApi(client), away), PrefectApi(client)
            ids = [row.flow_run_id for row in await shown(engine)]
            assert len(ids) == 2
            front.away = False
            assert await truth.tell() == 2
            ends = [await state(api, run_id) for run_id in ids]
            assert [end.type for end in ends] == ["COMPLETED", "FAILED"]
            assert "people" not in ends[1].message
        assert await shown(engine) == []


async def _ended(engine: AsyncEngine, count: int) -> bool:
    return sum(row.ended_at is not None for row in await shown(engine)) == count


async def _more_than(engine: AsyncEngine, count: int) -> bool:
    return len(await shown(engine)) > count


async def _reaches(tracker: Tracker) -> bool:
    return await tracker._reachable()


async def test_of_a_server_that_does_not_know_the_run_nothing_is_asked_again(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi
) -> None:
    register = StoredRegister(engine, "dead")
    await register.began("11111111-0000-4000-8000-000000000000", label("clm-5"))
    await age(engine, "-1 hour")
    truth = Truth(engine, api, config)
    assert await truth.look() == 1
    assert await truth.tell() == 1
    assert await shown(engine) == []


async def age(engine: AsyncEngine, interval: str) -> None:
    async with engine.begin() as conn:
        await conn.execute(text(f"UPDATE shown_runs SET alive_at = alive_at + interval '{interval}'"))


async def test_only_one_process_tells_at_a_time(engine: AsyncEngine, config: PrefectConfig, api: PrefectApi) -> None:
    await StoredRegister(engine, "dead").began("11111111-0000-4000-8000-000000000001", label("clm-6"))
    await age(engine, "-1 hour")
    truth = Truth(engine, api, config)
    await truth.look()
    done = await asyncio.gather(*(truth.tell() for _ in range(5)))
    assert sum(done) == 1


@pytest.mark.parametrize(("interval", "crashed"), [("-3 seconds", 1), ("-1 second", 0), ("1 hour", 1)])
async def test_silence_is_measured_by_the_databases_clock_whichever_way_it_jumped(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi, interval: str, crashed: int
) -> None:
    register = StoredRegister(engine, "perhaps dead")
    await register.began("11111111-0000-4000-8000-000000000002", label("clm-7"))
    await age(engine, interval)
    assert await Truth(engine, api, config).look() == crashed


def test_the_longest_silence_that_can_be_set_leaves_room_for_a_look_within_a_minute() -> None:
    with pytest.raises(ValidationError):
        PrefectSettings(silent_seconds=46)
    longest = prefect_config(Settings(prefect=PrefectSettings(silent_seconds=45))).truth.silent_seconds
    assert longest + longest / SIGNS < 60


def test_whoever_has_not_looked_without_a_gap_judges_nobody() -> None:
    """After a pause of the store, of the machine or of the clock, everybody seems silent."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def looks(*at: tuple[float, float]) -> list[bool]:
        """Returns the answers to looks at these seconds of the database's and of the machine's clock."""
        steady = Steadiness(TruthLimits(silent_seconds=20))
        return [steady.looked(noon + timedelta(seconds=told), 1_000 + passed) for told, passed in at]

    steadily = [(5.0 * number, 5.0 * number) for number in range(6)]
    assert looks(*steadily) == [False] * 4 + [True] * 2
    assert looks(*steadily, (3_600, 30), (3_605, 35))[-2:] == [False, False], "the clock jumped forward"
    assert looks(*steadily, (-3_600, 30), (-3_595, 35))[-2:] == [False, False], "the clock was set back"
    assert looks(*steadily, (90, 90), (95, 95))[-2:] == [False, False], "the store was away for a minute"
    back = [(-3_600 + 5.0 * number, 30 + 5.0 * number) for number in range(6)]
    assert looks(*steadily, *back)[-1], "and goes on by the new one"


async def test_a_run_that_nobody_knows_is_ended_after_a_while_and_other_peoples_runs_are_left(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi
) -> None:
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        ours = [await made(client, kind, OURS) for kind in ("RUNNING", "PENDING")]
        flow = (await client.post("/flows/", json={"name": "another"})).json()["id"]
        there = (await client.post("/deployments/", json={"name": "another", "flow_id": flow})).json()["id"]
        ours.append(await made(client, "RUNNING", OURS, deployment_id=there))  # a worker's, under `adjudicate`
        served = [await made(client, "PENDING", OURS, deployment_id=there) for _ in range(2)]
        await client.patch(f"/flow_runs/{served[1]}", json={"infrastructure_pid": "runner@here"})
        await api.set_state(served[1], "RUNNING", "")
        known = await made(client, "RUNNING", OURS)
        theirs = await made(client, "RUNNING", "of somebody else")
    await StoredRegister(engine, "alive").began(known, label("clm-8"))
    fresh = Truth(engine, api, config)
    assert await fresh.sweep_unknown() == 0
    hasty = replace(config, truth=replace(config.truth, unknown_hours=1e-6))
    assert await Truth(engine, api, hasty).sweep_unknown() == 3
    assert [(await state(api, run_id)).type for run_id in ours] == ["CRASHED"] * 3
    assert [(await state(api, run_id)).type for run_id in served] == ["PENDING", "RUNNING"], "a runner ends them"
    assert [(await state(api, run_id)).type for run_id in (known, theirs)] == ["RUNNING", "RUNNING"]
    for run_id in (known, theirs, *served):
        await api.set_state(run_id, "CANCELLED", "the test is over")


async def made(client: httpx.AsyncClient, kind: str, tag: str, **more: str) -> str:
    """Makes a run of another program in the server and returns its id."""
    flow = (await client.post("/flows/", json={"name": "another"})).json()["id"]
    body = {"flow_id": flow, "tags": [tag], "state": {"type": kind}, **more}
    answer = await client.post("/flow_runs/", json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


async def test_old_runs_of_ours_leave_prefect_with_all_that_is_theirs(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi, prefect_server: Any
) -> None:
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        done = [await made(client, "COMPLETED", OURS) for _ in range(5)]
        crashed, running = await made(client, "CRASHED", OURS), await made(client, "RUNNING", OURS)
        theirs = await made(client, "COMPLETED", "of somebody else")
        for run_id in (done[0], theirs):
            line = {"name": "log", "level": 20, "message": "a line", "flow_run_id": run_id}
            sent = line | {"timestamp": datetime.now(UTC).isoformat()}
            assert (await client.post("/logs/", json=[sent])).is_success
            for _ in range(2):
                await api.add_markdown(run_id, "page", "a page", "")
            task = {"flow_run_id": run_id, "task_key": "a task", "dynamic_key": "1"}
            assert (await client.post("/task_runs/", json=task)).is_success

    async def rows(table: str) -> set[str]:
        told = prefect_server.query(f"SELECT DISTINCT flow_run_id FROM {table} WHERE flow_run_id IS NOT NULL")
        return {str(row[0]) for row in told}

    assert (await prefect_retention(engine, config)).runs == 0, "none is a month old"
    short = replace(config, truth=replace(config.truth, retention_batch=2))
    first = await prefect_retention(
        engine, replace(short, truth=replace(short.truth, retention_runs_max=2)), runs_days=1e-6
    )
    assert (first.runs, first.complete) == (2, False)
    rest = await prefect_retention(engine, short, runs_days=1e-6)
    assert rest.complete
    assert first.artifacts + rest.artifacts >= 2
    assert [await api.state(run_id) for run_id in (*done, crashed)] == [None] * 6
    assert [(await state(api, run_id)).type for run_id in (running, theirs)] == ["RUNNING", "COMPLETED"]

    async def gone() -> bool:  # the server deletes logs beside
        return done[0] not in await rows("log")

    await until(gone)
    for table in ("log", "artifact", "task_run"):
        left = await rows(table)
        assert theirs in left, table
        assert done[0] not in left, table
    with pytest.raises(ValueError, match="runs_days must be above 0"):
        await prefect_retention(engine, config, runs_days=0)
    await api.set_state(running, "CANCELLED", "the test is over")


async def test_old_runs_leave_by_a_timer_also_after_prefect_was_away(
    engine: AsyncEngine, config: PrefectConfig, api: PrefectApi
) -> None:
    async with httpx.AsyncClient(base_url=config.api_url, trust_env=False) as client:
        old = await made(client, "FAILED", OURS)
    with Front(config.api_url).serving() as front:
        front.away = True
        truth = replace(config.truth, runs_days=1e-6, retention_every_seconds=0.05)
        stop = asyncio.Event()
        task = asyncio.create_task(keep_short(engine, replace(config, api_url=front.url, truth=truth), stop))
        await until(lambda: _asked(front))
        assert await api.state(old) is not None
        front.away = False

        async def gone() -> bool:
            return await api.state(old) is None

        await until(gone)
        stop.set()
        await task


async def _asked(front: Front) -> bool:
    return front.requests > 1

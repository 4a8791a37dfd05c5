"""Runs are shown on any Prefect server: with a password, below a path, behind TLS, two behind a balancer; and a wrong
password, a newer version, an emptied server or one that fails half of the time costs the picture and no work."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from api.postgres import Postgres
from flows.config import PrefectConfig, TruthLimits
from flows.operations.crashed import Truth
from flows.prefect_api import PrefectApi, open_api
from flows.register import StoredRegister
from flows.runs import OURS, RunLabel, Summary
from flows.tracking import Tracker, tracking
from tests.prefect_front import Balancer, Front
from tests.prefect_server import PrefectServer, start_server
from tests.scratch import server_folder
from tests.waiting import until

pytestmark = pytest.mark.anyio

OPENED_BY = "miaopei:a password: with colons"


@pytest.fixture(scope="module")
def servers(postgres: Postgres) -> Iterator[tuple[PrefectServer, PrefectServer]]:
    """Yields two Prefect servers over one database, which ask for a password."""
    asked = {"PREFECT_SERVER_API_AUTH_STRING": OPENED_BY}
    with server_folder() as home:
        first = start_server(postgres, home, asked)
        second = PrefectServer(postgres, home, first.database, asked)
        try:
            second.start()
            yield first, second
        finally:
            second.stop()
            first.stop()


@pytest.fixture
def config(servers: tuple[PrefectServer, PrefectServer]) -> PrefectConfig:
    truth = TruthLimits(silent_seconds=2)
    return PrefectConfig(
        servers[0].api_url, auth_string=OPENED_BY, retry_after_seconds=0.05, retry_after_seconds_max=0.2, truth=truth
    )


async def runs_of(config: PrefectConfig, **query: Any) -> list[dict[str, Any]]:
    async with open_api(config, 30) as client:
        answer = await client.post("/flow_runs/filter", json={"flow_runs": query, "limit": 200})
        answer.raise_for_status()
        return list(answer.json())


async def show(tracker: Tracker, name: str) -> int:
    """Runs a flow of the name; returns what its work returns, once Prefect has been told."""

    async def body() -> int:
        await asyncio.sleep(0.01)
        return 7

    label = RunLabel("adjudicate", name, (f"claim:{name}",), (name,), "table-of-a-run")
    result = await tracker.run(label, body, lambda _: Summary("1 paid", [{"claim": name}]))
    await tracker.reported()
    return result


async def completed(config: PrefectConfig, name: str) -> None:
    """Waits until the server at `config` shows the run as completed."""

    async def so() -> bool:
        runs = await runs_of(config, name={"any_": [name]})
        return [run["state"]["type"] for run in runs] == ["COMPLETED"]

    await until(so)


async def events_of(config: PrefectConfig, name: str) -> set[str]:
    """Returns the kinds of events that the server keeps of the runs of that name."""
    ids = [f"prefect.flow-run.{run['id']}" for run in await runs_of(config, name={"any_": [name]})]
    async with open_api(config, 30) as client:
        answer = await client.post("/events/filter", json={"filter": {"resource": {"id": ids}}})
        answer.raise_for_status()
        return {event["event"] for event in answer.json()["events"]}


async def test_a_server_with_a_password_shows_runs(config: PrefectConfig) -> None:
    async with tracking(config) as tracker:
        assert await show(tracker, "with a password") == 7
    await completed(config, "with a password")
    (run,) = await runs_of(config, name={"any_": ["with a password"]})
    assert {OURS, "claim:with a password"} <= set(run["tags"])


@pytest.mark.parametrize(
    "wrong", [{"auth_string": "miaopei:wrong"}, {"auth_string": ""}, {"auth_string": "", "api_key": "pnu_wrong"}]
)
async def test_a_wrong_password_is_told_once_in_words_and_leaves_runs_untracked(
    config: PrefectConfig, wrong: dict[str, str]
) -> None:
    with capture_logs() as told:
        async with tracking(replace(config, **wrong)) as tracker:
            for number in range(4):
                assert await show(tracker, f"refused {wrong} {number}") == 7
                await asyncio.sleep(0.1)
    words = [line["event"] for line in told]
    assert words == ["prefect refuses our key or password (HTTP 401): runs are untracked"]
    assert "wrong" not in str(told)
    assert (tracker.tally.tracked, tracker.tally.untracked) == (0, 4)
    assert tracker.report() == {"prefect": False, "prefect_refuses": words[0]}
    assert await runs_of(config, name={"like_": "refused"}) == []


async def test_a_password_that_is_put_right_needs_no_restart(config: PrefectConfig) -> None:
    with Front(config.api_url, auth="proxy:new").serving() as front, capture_logs() as told:
        async with tracking(replace(config, api_url=front.url)) as tracker:
            await show(tracker, "too early")
            assert tracker.refusal
            front.auth = ""
            await until(lambda: _reaches(tracker))
            assert await show(tracker, "put right") == 7
            assert tracker.report() == {"prefect": True}
    assert "prefect is reachable" in [line["event"] for line in told][1:]
    await completed(config, "put right")


async def _reaches(tracker: Tracker) -> bool:
    return await tracker._reachable()


async def test_two_servers_behind_a_balancer_show_runs_and_take_their_events(
    config: PrefectConfig, servers: tuple[PrefectServer, PrefectServer]
) -> None:
    """Requests and event sockets go to either server. What they do not share without Redis is the feed of live events
    and the automations' memory; what is kept of runs and events is in their one database."""
    ports = [server.port for server in servers]
    with Balancer(ports).serving() as balancer:
        through = replace(config, api_url=f"http://127.0.0.1:{balancer.port}/api")
        for number in range(4):  # connections are kept, so each tracker has its own
            async with tracking(through) as tracker:
                assert await show(tracker, f"balanced {number}") == 7
                assert tracker.tally.tracked == 1
        for number in range(4):
            for server in servers:
                await completed(replace(config, api_url=server.api_url), f"balanced {number}")
        assert min(balancer.connections.values()) >= 2, balancer.connections

        async def kept() -> bool:
            told = [await events_of(through, f"balanced {number}") for number in range(4)]
            return all("prefect.flow-run.Completed" in kinds for kinds in told)

        await until(kept, pause_seconds=0.2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Returns a certificate for loopback that no public authority vouches for, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=prefect", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_a_server_below_a_path_behind_a_private_authoritys_tls_shows_runs(
    config: PrefectConfig, certificate: tuple[Path, Path]
) -> None:
    with Front(config.api_url, prefix="/tools/prefect", auth=OPENED_BY, tls=certificate).serving() as front:
        strange = replace(config, api_url=front.url)
        async with tracking(strange) as tracker:
            assert await show(tracker, "a stranger") == 7
            assert tracker.tally.tracked == 0, "nobody vouches for the server"
        known = replace(strange, ssl_cert_file=certificate[0])
        async with tracking(known) as tracker:
            assert await show(tracker, "below a path") == 7
            assert tracker.tally.tracked == 1
        await completed(config, "below a path")

        async def kept() -> bool:
            return "prefect.flow-run.Completed" in await events_of(config, "below a path")

        await until(kept, pause_seconds=0.2)


async def test_a_server_of_a_newer_version_is_used_and_the_log_says_so_once(config: PrefectConfig) -> None:
    with Front(config.api_url).serving() as front, capture_logs() as told:
        front.version = "4.1.0"
        async with tracking(replace(config, api_url=front.url)) as tracker:
            for number in range(2):
                assert await show(tracker, f"newer {number}") == 7
            assert tracker.tally.tracked == 2
    versions = [line for line in told if line["event"] == "prefect is of another version"]
    assert [line["theirs"] for line in versions] == ["4.1.0"]


async def test_a_server_that_fails_half_of_the_requests_costs_no_work_and_in_the_end_shows_no_run_as_running(
    config: PrefectConfig, engine: AsyncEngine
) -> None:
    with Front(config.api_url).serving() as front:
        half = replace(config, api_url=front.url, truth=replace(config.truth, unknown_hours=1e-6))
        register = StoredRegister(engine, "here")
        async with tracking(half, register) as tracker, open_api(half, 30) as client:
            front.failing, number = 0.5, 0
            while front.failed < 15:
                assert await show(tracker, f"half {number}") == 7
                await asyncio.sleep(0.05)
                number += 1
            front.failing = 0.0
            truth = Truth(engine, PrefectApi(client), half)
            await truth.tell()
            await truth.sweep_unknown()
        runs = await runs_of(config, name={"like_": "half"})
        assert {run["state"]["type"] for run in runs} <= {"COMPLETED", "CRASHED", "FAILED"}
    async with engine.connect() as conn:
        assert (await conn.execute(text("SELECT count(*) FROM shown_runs"))).scalar_one() == 0


async def test_a_server_replaced_by_an_empty_one_shows_the_next_runs(
    config: PrefectConfig, servers: tuple[PrefectServer, PrefectServer], engine: AsyncEngine
) -> None:
    """The last of this file: the first server has another database afterwards."""
    register = StoredRegister(engine, "here")
    async with tracking(config, register) as tracker:
        assert await show(tracker, "before") == 7

        async def replaced() -> int:
            await until(lambda: _linked(engine))
            await asyncio.to_thread(servers[0].replace)
            return 8

        label = RunLabel("adjudicate", "during", (), ("clm",), "table-of-a-run")
        assert await tracker.run(label, replaced, lambda _: Summary("1 paid", [])) == 8
        await tracker.reported()
        await until(lambda: _reaches(tracker))
        assert await show(tracker, "after") == 7
    await completed(config, "after")
    async with open_api(config, 30) as client:
        await Truth(engine, PrefectApi(client), config).tell()
    assert not await _linked(engine), "the emptied server knows nothing of the run that was under way"


async def _linked(engine: AsyncEngine) -> bool:
    async with engine.connect() as conn:
        return bool((await conn.execute(text("SELECT count(*) FROM shown_runs"))).scalar_one())


def test_the_health_of_a_server_with_a_password_is_told_to_everybody(
    servers: tuple[PrefectServer, PrefectServer],
) -> None:
    """So a probe of health alone would take a wrong password for a good one."""
    url = servers[1].api_url
    assert httpx.get(f"{url}/health", trust_env=False).is_success
    assert httpx.post(f"{url}/flows/count", json={}, trust_env=False).status_code == 401

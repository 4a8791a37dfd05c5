"""The stack runs and pays claims while Prefect's server is down; once it is up, runs are shown."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from api import stack as stacks
from api.cli import app
from api.client import ApiClient, FileToSend
from api.http.tokens import Role
from api.process import ChildCommand
from api.sandbox import Sandbox
from api.settings import PrefectSettings, Settings, WorkSettings
from fixtures import demo_world
from tests import prefect_server
from tests.forked import launch
from tests.waiting import wait_until

# Neither ready nor ended until a file is there; then the real server, in the same process.
LATE = """
import os, pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def may_come(tmp_path: Path) -> Path:
    return tmp_path / "prefect-may-come"


@pytest.fixture
def late(may_come: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Runs a stack whose Prefect server hangs until `may_come` is set."""
    real = stacks._prefect

    def hangs(settings: Settings, dsn: str, ready_seconds_max: float) -> ChildCommand:
        command = real(settings, dsn, ready_seconds_max)
        return replace(command, argv=[sys.executable, "-c", LATE, str(may_come), *command.argv])

    monkeypatch.setattr(stacks, "_prefect", hangs)
    prefect_server.prepare(tmp_path / "home")
    settings = Settings(prefect=PrefectSettings(silent_seconds=4), work=WorkSettings(lease_seconds=3))
    with Sandbox(settings, tmp_path / "home", launch=launch) as running:
        yield running


async def _paid(sandbox: Sandbox, number: int, picture: str) -> str:
    """Sends a claim over HTTP, waits until it is paid and returns its flow run's id."""
    return await _run_of_paid(sandbox, number, await _sent(sandbox, number, picture))


async def _sent(sandbox: Sandbox, number: int, picture: str) -> str:
    """Sends a claim over HTTP and returns its id."""
    now = datetime.now(UTC)
    policy = demo_world.DemoPolicy(f"pol-{number}", "cosmetics_allergy", f"claimant-{number}", f"claimant {number}")
    claim = demo_world.DemoClaim("a claim", policy.id, "allergy", 4_000, (), frozenset())
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "shop")) as platform:
        await platform.post("/v1/policies", demo_world.policy_body(policy, now))
    await sandbox.age_policies()
    body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{number}"}
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        photo = FileToSend("photo", f"{number}.jpg", demo_world.sample_photo(picture))
        sent = await claimant.upload("/v1/claims", [photo], {"claim": body}, key=f"claim-{number}")
    return str(sent["id"])


async def _run_of_paid(sandbox: Sandbox, number: int, claim: str) -> str:
    """Waits until a claim is paid and returns its flow run's id."""
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, f"claimant-{number}")) as claimant:
        shown = await claimant.wait_while(claim, frozenset({"submitted", "approved"}), timeout_seconds=600)
    assert shown["status"] == "paid", shown
    async with ApiClient(sandbox.api_url, sandbox.token(Role.ADJUSTER, "zhang")) as adjuster:
        return str((await adjuster.claim(claim))["flow_run_id"])


def test_claims_are_paid_while_prefect_hangs_and_runs_appear_when_it_comes(late: Sandbox, may_come: Path) -> None:
    assert asyncio.run(_paid(late, 1, "astronaut.png")) == "", "nobody shows its run"
    assert late.stack is not None
    api = late.stack.settings.prefect_api_url
    may_come.touch()

    def answers() -> bool:
        try:
            return httpx.get(f"{api}/health", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    wait_until(answers, pause_seconds=0.5)
    pictures = iter(("camera.png", "coins.png", "moon.png", "brick.png", "grass.png", "gravel.png", "page.png"))
    numbers = itertools.count(2)
    run = ""
    while not run:  # the worker probes every ten seconds while it is away
        run = asyncio.run(_paid(late, next(numbers), next(pictures)))
    assert httpx.get(f"{api}/flow_runs/{run}", trust_env=False, timeout=60).status_code == 401, "it asks for a password"
    user, _, password = late.stack.prefect_auth.read_text(encoding="utf-8").partition(":")
    opened = httpx.get(f"{api}/flow_runs/{run}", auth=(user, password), trust_env=False, timeout=60)
    assert opened.json()["id"] == run

    # Typed beside the stack, with its home alone, a command finds this server and what opens it.
    with pytest.MonkeyPatch.context() as typed:
        typed.setenv("MIAOPEI_HOME", str(late.home))
        ran = CliRunner().invoke(app, ["flows", "run", "audit-verify", "--json"])
    ended = json.loads(ran.stdout)
    assert (ended["state"], bool(ended["run"])) == ("Completed", True), ran.output

    # Killed with a claim in hand: the other processes show that, before anybody takes the claim over and after.
    with httpx.Client(base_url=api, auth=(user, password), trust_env=False, timeout=60) as prefect:

        def message() -> str:
            state = prefect.get(f"/flow_runs/{lost}").json()["state"]
            return str(state["message"]) if state["type"] == "CRASHED" else ""

        number = next(numbers)
        claim, lost = _killed_with_a_claim_in_hand(late, number, "rocket.jpg")
        wait_until(lambda: "gave no sign of life" in message(), pause_seconds=0.2)
        late.stack.processes["worker"].started_at = float("-inf")  # long ago: it is started again at once
        assert late.stack.restart_ended() == ["worker"]
        now = asyncio.run(_run_of_paid(late, number, claim))
        if now != lost:  # else the new worker's first probe was too late, and the claim was paid without a run
            wait_until(lambda: f"taken over by run {now}" in message(), pause_seconds=0.2)


def _killed_with_a_claim_in_hand(sandbox: Sandbox, number: int, picture: str) -> tuple[str, str]:
    """Kills the worker while it works on a claim that is shown. Returns the claim's id and its run's."""
    assert sandbox.stack is not None
    assert sandbox.stack.postgres is not None
    worker, dsn = sandbox.stack.processes["worker"], sandbox.stack.postgres.dsn("miaopei").replace("+asyncpg", "")

    async def kill() -> tuple[str, str]:
        conn = await asyncpg.connect(dsn)
        try:
            # Nothing can be decided for the time being, so that the kill comes before the end.
            async with conn.transaction():
                await conn.execute("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE")
                claim = await _sent(sandbox, number, picture)
                while not (run := await conn.fetchval("SELECT flow_run_id FROM claims WHERE id = $1", claim)):
                    await asyncio.sleep(0.05)
                os.kill(worker.pid, signal.SIGKILL)
            return claim, str(run)
        finally:
            await conn.close()

    return asyncio.run(kill())


def test_a_prefect_that_ends_at_once_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stacks._prefect

    def broken(settings: Settings, dsn: str, ready_seconds_max: float) -> ChildCommand:
        command = real(settings, dsn, ready_seconds_max)
        return replace(command, argv=[sys.executable, "-c", "raise SystemExit('no such server')"])

    monkeypatch.setattr(stacks, "_prefect", broken)
    with Sandbox(Settings(), tmp_path / "home", launch=launch) as sandbox:
        assert sandbox.stack is not None
        assert sandbox.stack.dead() == "", "nothing that is needed has ended"
        assert not sandbox.stack.processes["prefect"].alive()
        assert asyncio.run(_paid(sandbox, 1, "astronaut.png")) == ""

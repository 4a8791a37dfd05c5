"""The ten things of docs/flows.md that an operator does, on a whole stack with its Prefect server: by the requests that
Prefect's pages make, and by command.

Two of them are tested where a failure can be made: what happened to a crashed worker's run (8) in
tests/flows/test_shown_runs.py and tests/api/test_without_prefect.py; *Retry* of a claim that was put off (5), a run's
refusal in words and every other job (6) in tests/flows/test_deployments.py. Every click of a brake (4) is in
tests/flows/test_brakes_in_prefect.py, notices and automations (9) in tests/flows/test_automations.py, the age at which
runs leave (10) in tests/flows/test_shown_runs.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from api.cli import app
from api.client import ApiClient, FileToSend
from api.environments import environment
from api.http.tokens import Role
from api.processes import jobs_config
from api.sandbox import Sandbox
from api.settings import PrefectSettings, Settings, WorkSettings
from api.stack import Stack
from claims.store import brakes
from fixtures import demo_world
from flows.adjudicate import adjudicate
from flows.operations.jobs import jobs
from tests import prefect_server
from tests.api.pages.conftest import browser
from tests.scratch import server_folder
from tests.waiting import PATIENCE_SECONDS, wait_until

__all__ = ["browser"]  # a fixture
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
Command = Callable[..., list[Any]]
_numbers = itertools.count(1)


@dataclass
class Shop:
    """A stack with claims, and its Prefect server as its pages ask it."""

    sandbox: Sandbox
    prefect: httpx.Client

    @property
    def stack(self) -> Stack:
        assert self.sandbox.stack is not None
        return self.sandbox.stack

    def post(self, path: str, **body: Any) -> Any:
        answer = self.prefect.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.prefect.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def patch(self, path: str, **body: Any) -> None:
        answer = self.prefect.patch(path, json=body)
        assert answer.is_success, answer.text

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {shown["name"]: shown for shown in self.post("/deployments/filter")}

    def run(self, job: str, **parameters: Any) -> str:
        """Does what "Run" of a deployment does. Returns the run's id."""
        deployment = self.deployments()[job]["id"]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.post(f"/deployments/{deployment}/create_flow_run", **body)["id"])

    def ended(self, run_id: str) -> tuple[str, str, str]:
        """Waits for a run's end. Returns its state's type, name and message."""
        wait_until(lambda: self.get(f"/flow_runs/{run_id}")["state"]["type"] in ENDED, pause_seconds=0.3)
        state = self.get(f"/flow_runs/{run_id}")["state"]
        return state["type"], state["name"], state["message"]

    def logs(self, run_id: str) -> list[str]:
        asked = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"}
        return [line["message"] for line in self.post("/logs/filter", **asked)]

    def send(self, picture: str) -> str:
        """Sends a claim over HTTP. Returns its id."""
        return asyncio.run(self._send(next(_numbers), picture))

    def paid(self, claim_id: str) -> str:
        """Waits until a claim is paid. Returns the id of its run."""
        return asyncio.run(self._until(claim_id, "paid"))

    async def _send(self, number: int, picture: str) -> str:
        now = datetime.now(UTC)
        policy = demo_world.DemoPolicy(f"pol-{number}", "cosmetics_allergy", f"claimant-{number}", f"claimant {number}")
        claim = demo_world.DemoClaim("a claim", policy.id, "allergy", 4_000, (), frozenset())
        async with ApiClient(self.sandbox.api_url, self.sandbox.token(Role.PLATFORM, "shop")) as platform:
            await platform.post("/v1/policies", demo_world.policy_body(policy, now))
        await self.sandbox.age_policies()
        body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{number}"}
        photo = FileToSend("photo", f"{number}.jpg", demo_world.sample_photo(picture))
        async with ApiClient(self.sandbox.api_url, self.sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
            return str((await claimant.upload("/v1/claims", [photo], {"claim": body}, key=f"claim-{number}"))["id"])

    async def _until(self, claim_id: str, status: str) -> str:
        waiting = frozenset({"submitted", "approved", "paid"} - {status})
        async with ApiClient(self.sandbox.api_url, self.sandbox.token(Role.ADJUSTER, "zhang")) as adjuster:
            shown = await adjuster.wait_while(claim_id, waiting, timeout_seconds=PATIENCE_SECONDS)
        assert shown["status"] == status, shown["decision"]
        return str(shown["flow_run_id"])

    def approved(self, claim_id: str) -> None:
        asyncio.run(self._until(claim_id, "approved"))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    settings = Settings(prefect=PrefectSettings(silent_seconds=20), work=WorkSettings(lease_seconds=5))
    with server_folder() as folder:
        prefect_server.prepare(folder / "home")
        with Sandbox(settings, folder / "home") as sandbox:
            assert sandbox.stack is not None
            told = sandbox.stack.settings
            user, _, password = sandbox.stack.prefect_auth.read_text(encoding="utf-8").strip().partition(":")
            with httpx.Client(base_url=told.prefect_api_url, auth=(user, password), trust_env=False) as prefect:
                prefect.timeout = httpx.Timeout(60)
                made = Shop(sandbox, prefect)
                wait_until(lambda: _answers(prefect), pause_seconds=0.3)
                there = {*jobs(jobs_config(told)), *brakes.FLOWS}
                wait_until(lambda: set(made.deployments()) >= there, pause_seconds=0.3)
                yield made


def _answers(prefect: httpx.Client) -> bool:
    try:
        return prefect.get("/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Returns a function that runs a command with `--json` and returns the objects that it printed."""
    for name, value in environment(shop.stack.settings).items():
        monkeypatch.setenv(name, value)

    def run(*argv: str, code: int = 0) -> list[Any]:
        done = CliRunner().invoke(app, [*argv, "--json"])
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return run


@pytest.fixture(scope="module")
def claim(shop: Shop) -> tuple[str, str]:
    """Returns the id of a paid claim, and of the run that decided it."""
    run = ""
    for picture in ("astronaut.png", "camera.png", "coins.png", "moon.png", "brick.png", "grass.png"):
        claim_id = shop.send(picture)
        run = shop.paid(claim_id)
        if run:  # a worker that found Prefect away asks it again after ten seconds
            return claim_id, run
    raise AssertionError("no claim has a run")


def test_1_a_claims_run_has_its_tag_and_the_command_names_it(
    shop: Shop, claim: tuple[str, str], command: Command
) -> None:
    claim_id, run = claim
    asked = {"flow_runs": {"tags": {"all_": [f"claim:{claim_id}"]}}, "sort": "START_TIME_DESC"}
    by_flow = {
        shop.get(f"/flows/{shown['flow_id']}")["name"]: shown for shown in shop.post("/flow_runs/filter", **asked)
    }
    assert by_flow["adjudicate"]["id"] == run
    assert set(by_flow) <= {"adjudicate", "settle"}
    (shown,) = command("claims", "show", claim_id)
    assert shown["flow_run"] == f"{shop.stack.settings.prefect_pages}/runs/flow-run/{run}"


def test_2_seconds_of_stages_are_in_graph_page_and_log_and_shown_by_command(
    shop: Shop, claim: tuple[str, str], command: Command
) -> None:
    claim_id, run = claim
    names = [task.options.name for task in adjudicate.tasks]
    wait_until(lambda: len(shop.get(f"/flow_runs/{run}/graph-v2")["nodes"]) == len(names), pause_seconds=0.3)
    nodes = {node["label"]: node for _, node in shop.get(f"/flow_runs/{run}/graph-v2")["nodes"]}
    assert set(nodes) == set(names)
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "type": {"any_": ["markdown"]}}}
    (page,) = shop.post("/artifacts/filter", **asked)
    told = re.search(r"\| photos \| done \| ([\d.]+) \| ([\d.]+) \|", page["data"])
    assert told is not None
    assert any(line.startswith("photos: Completed") for line in shop.logs(run))
    (shown,) = command("claims", "show", claim_id)
    assert set(shown["stages"]) == set(names) - {"decide", "record"}
    assert 0 < shown["stages"]["photos"]["wall"] <= float(told[1]) + 0.001


def test_3_a_trace_id_leads_from_prefects_log_to_ours_and_back(
    shop: Shop, claim: tuple[str, str], command: Command
) -> None:
    claim_id, run = claim
    (trace,) = {match[1] for line in shop.logs(run) if (match := re.search(r"trace_id=([0-9a-f]{32})", line))}
    lines = [json.loads(line) for line in _log(shop, "worker") if trace in line]
    (shown,) = [line for line in lines if line["event"] == "a run is shown"]
    assert shown["run_id"] == run
    assert any(line["event"] == "claim" and line.get("claim") == claim_id for line in lines), lines
    (told,) = command("claims", "show", claim_id)
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "type": {"any_": ["markdown"]}}}
    assert told["trace_id"] in shop.post("/artifacts/filter", **asked)[0]["data"], "of the claim's intake"


def _log(shop: Shop, name: str) -> Sequence[str]:
    return (shop.stack.logs / f"{name}.log").read_text(encoding="utf-8").splitlines()


def test_4_payouts_are_held_by_a_click_and_go_on_by_command_and_the_other_way_round(
    shop: Shop, claim: tuple[str, str], command: Command
) -> None:
    assert claim
    queue = "/work_pools/miaopei/queues/settle"
    wait_until(lambda: shop.prefect.get(queue).is_success, pause_seconds=0.3)
    shop.patch(queue, is_paused=True)
    wait_until(lambda: [held["name"] for held in command("flows", "held")] == ["settle"], pause_seconds=0.3)
    waiting = shop.send("rocket.jpg")
    shop.approved(waiting)
    (held,) = command("flows", "held")
    assert (held["held"], held["waiting"]) == (True, {"payouts": 1})
    assert command("flows", "resume", "bank")[0]["changed"]
    shop.paid(waiting)
    wait_until(lambda: not shop.get(queue)["is_paused"], pause_seconds=0.3)

    command("flows", "limit", "ocr", "1")
    command("flows", "pause", "insurer:anshun")
    for name, limit in (("ocr", 1), ("insurer:anshun", 0)):
        wait_until(lambda: shop.get(f"/v2/concurrency_limits/{name}")["limit"] == limit, pause_seconds=0.3)  # noqa: B023
        shop.patch(f"/v2/concurrency_limits/{name}", limit=1_000_000)
    wait_until(lambda: command("flows", "held") == [], pause_seconds=0.3)


def test_5_claims_are_decided_now(shop: Shop, claim: tuple[str, str], command: Command) -> None:
    claim_id, _ = claim
    clicked = shop.ended(shop.run("adjudicate", claim_ids=[claim_id]))
    assert clicked == ("COMPLETED", "Completed", "1 already_decided")
    (told,) = command("flows", "run", "adjudicate", "--param", f"claim_ids={claim_id}")
    assert (told["state"], told["message"]) == ("Completed", clicked[2])


def test_6_a_folder_of_pictures_is_imported_once(shop: Shop, tmp_path: Path, command: Command) -> None:
    (tmp_path / "coffee.jpg").write_bytes(demo_world.sample_photo("coffee.png"))
    first = shop.ended(shop.run("library-import", path=str(tmp_path), source="stock"))
    assert first[0] == "COMPLETED"
    assert first[2].startswith("1 added, 0 known")
    (again,) = command("flows", "run", "library-import", "--param", f"path={tmp_path}", "--param", "source=stock")
    assert again["result"]["known"] == 1
    assert again["run"], "through Prefect, too"


def test_9_automations_are_in_prefect_as_the_command_lists_them(shop: Shop, command: Command) -> None:
    wait_until(lambda: len(shop.post("/automations/filter")) > 0, pause_seconds=0.3)
    command("flows", "automations", "apply")
    shown = {each["name"]: each["enabled"] for each in shop.post("/automations/filter", limit=200)}
    assert {each["name"]: each["enabled"] for each in command("flows", "automations", "list")} == shown
    assert {"Miaopei: payout.unclear", "Miaopei: run crashed"} <= set(shown)
    assert command("flows", "alerts") == []


def test_10_old_runs_leave_and_the_server_asks_for_its_password_and_has_every_deployment(
    shop: Shop, claim: tuple[str, str], command: Command
) -> None:
    clicked = shop.ended(shop.run("prefect-retention", runs_days=30))
    assert clicked == ("COMPLETED", "Completed", "0 runs and 0 artifacts deleted")
    (told,) = command("flows", "run", "prefect-retention", "--param", "runs_days=30")
    assert told["message"] == clicked[2]
    assert shop.get(f"/flow_runs/{claim[1]}")["id"] == claim[1]
    assert httpx.get(f"{shop.stack.settings.prefect_api_url}/admin/version", trust_env=False).status_code == 401
    (done,) = command("flows", "deploy")
    known = jobs(jobs_config(shop.stack.settings))
    assert set(done["unchanged"]) == set(known)
    assert done["removed"] == [], "what is there to be paused is left alone"
    assert set(shop.deployments()) == {*known, *brakes.FLOWS}


def test_7_a_worker_is_let_end(shop: Shop, claim: tuple[str, str], command: Command) -> None:
    """No worker is left for what follows."""
    assert claim
    with httpx.Client(base_url=shop.sandbox.api_url, trust_env=False) as api:
        token = shop.sandbox.token(Role.OPERATOR, "ops")
        shown = api.get("/v1/operations", headers={"Authorization": f"Bearer {token}"}).json()
    assert shown["prefect_ui_url"] == shop.stack.settings.prefect_pages
    (worker,) = [process["name"] for process in shown["processes"] if process["kind"] == "worker"]
    clicked = shop.ended(shop.run("drain-worker", worker=worker))
    assert clicked == ("COMPLETED", "Completed", "ended")
    process = shop.stack.processes["worker"]
    wait_until(lambda: not process.alive())
    (told,) = command("flows", "run", "drain-worker", "--param", f"worker={worker}", code=2)
    assert told["state"] == "Refused"
    assert shop.stack.dead() == "worker", "`miaopei up` starts another in its place"


def test_the_pages_links_land_on_the_claims_run(shop: Shop, claim: tuple[str, str], browser: Browser) -> None:
    """The last of this file: while a browser is driven, no command can run in this process."""
    claim_id, run = claim
    context = browser.new_context(
        locale="en-GB", viewport={"width": 1280, "height": 900}, base_url=shop.sandbox.api_url
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    try:
        page.goto("/sign-in")
        page.fill("#token", shop.sandbox.token(Role.OPERATOR, "ops"))
        page.click("button.primary")
        page.locator(f"tr:has-text('{claim_id}') a").click()
        sign_in(page, shop)
        expect(page.get_by_text(f"claim {claim_id}").first).to_be_visible()
        assert run in page.url
    finally:
        context.close()


def sign_in(page: Page, shop: Shop) -> None:
    """Types what Prefect's pages ask for."""
    asked = page.locator("input[type=password]")
    asked.fill(shop.stack.prefect_auth.read_text(encoding="utf-8").strip())
    asked.press("Enter")

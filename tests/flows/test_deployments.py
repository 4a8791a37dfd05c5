"""Jobs as deployments of a real Prefect server, run by a real runner process: from Prefect's pages and by command, with
bad parameters, cancelled, missed, retried, by two runners at once, and with a server that fails or was emptied."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from api.cli import app
from api.environments import environment
from api.postgres import Postgres
from api.processes import jobs_config
from api.settings import BankSettings, Settings
from claims.claim import Status
from claims.credit import Scorecard
from claims.store import heartbeats, queue
from claims.store.blobs import BlobStore
from claims.store.brakes import FLOWS
from claims.store.tables import audit as audit_rows
from claims.store.tables import decisions, jobs, payouts, referrals
from fixtures import demo_world
from flows.adjudicate import Adjudication
from flows.config import PrefectConfig, RunnerConfig, RunnerLimits
from flows.drain import Drain
from flows.operations import deployments, runner
from flows.operations.following import prefect_client
from flows.operations.jobs import jobs as all_jobs
from flows.process import live
from flows.queues import ClaimQueue, utc_now
from flows.settle import run as settle
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.trouble import ResourceTrouble
from flows.vision_pool import vision_pool
from models.registry import weights_path
from tests.conftest import COPIED
from tests.flows.conftest import Server, World, photo
from tests.flows.prefect_pages import FINAL, Pages
from tests.forked import Forked
from tests.prefect_front import Front
from tests.prefect_server import prefect_api_url
from tests.waiting import until, wait_until

__all__ = ["prefect_api_url"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("process")]
_claims = itertools.count(1)


@pytest.fixture(scope="module")
def pages(prefect_api_url: str) -> Pages:
    return Pages(prefect_api_url)


@pytest.fixture(scope="module")
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """Yields one store for the whole module: its runner process works on it."""
    postgres.execute(f"CREATE DATABASE deployed TEMPLATE {migrated_template} {COPIED}")
    try:
        yield postgres.dsn("deployed")
    finally:
        postgres.execute("DROP DATABASE deployed WITH (FORCE)")


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("fixtures.sandbox_bank", tmp_path_factory.mktemp("bank"), (), {"SANDBOX_BANK_TOKEN": "bank-token"})
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def told(database_url: str, prefect_api_url: str, rail: Server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        database_url=database_url,
        prefect_api_url=prefect_api_url,
        bank=BankSettings(url=rail.url, token=SecretStr("bank-token"), reply_timeout_seconds=2),
    )


@pytest.fixture(scope="module")
def process(told: Settings, pages: Pages) -> Iterator[Forked]:
    """Runs the runner process, which registers everything by itself."""
    started = Forked(["api.cli", "runner"], variables=environment(told))
    wait_until(lambda: len(pages.deployments()) >= len(all_jobs(jobs_config(told))), pause_seconds=0.5)
    yield started
    started.terminate()
    assert started.wait(60) == 0


@pytest.fixture
def shop(engine: AsyncEngine, database_url: str, told: Settings) -> World:
    return World(engine, database_url, BlobStore(told.evidence_url), numbers=_claims)


@asynccontextmanager
async def deciding(shop: World) -> AsyncIterator[None]:
    """Runs a worker's drain."""
    config, stop, wake = shop.worker_config(), asyncio.Event(), asyncio.Event()
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    with vision_pool(config) as vision:
        async with tracking(PrefectConfig()) as tracker:
            context = StageContext(shop.engine, vision, scorecard)
            work = Adjudication(context, tracker, config.lease, config.claims_at_once).work
            waiting = ClaimQueue(shop.engine, config.name, config.lease.lease_seconds)
            drain = Drain("test", waiting, work, config.lease, stop, wake)
            task = asyncio.create_task(
                live(shop.engine, config.name, "worker", [drain], stop, lambda: {"in_flight": drain.in_flight}, 0.5)
            )
            try:
                yield
            finally:
                stop.set()
                await task


async def _put_off(shop: World, claim_id: str) -> None:
    async with shop.engine.begin() as conn:
        later = utc_now() + timedelta(hours=1)
        await conn.execute(update(jobs).where(jobs.c.claim_id == claim_id).values(due_at=later, failures=1))


def _command(told: Settings, monkeypatch: pytest.MonkeyPatch, *argv: str, code: int = 0) -> dict[str, Any]:
    for name, value in environment(told).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["flows", *argv, "--json"])
    assert done.exit_code == code, done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    printed: dict[str, Any] = json.loads(lines[-1])
    return printed


def test_every_job_has_a_form_and_a_schedule(pages: Pages, told: Settings) -> None:
    there, known = pages.deployments(), all_jobs(jobs_config(told))
    assert set(there) == set(known)
    for name, job in known.items():
        deployment = there[name]
        assert deployment["tags"] == ["miaopei", *job.tags]
        assert deployment["description"] == job.description
        assert deployment["enforce_parameter_schema"]
        form = deployment["parameter_openapi_schema"]["properties"]
        assert sorted(form, key=lambda field: int(form[field]["position"])) == list(job.parameters.model_fields)
        assert all(field["title"] and field["description"] for field in form.values()), name
    limits = {name: (each["global_concurrency_limit"] or {}).get("limit") for name, each in there.items()}
    assert (limits["reconcile"], limits["adjudicate"]) == (1, None)
    active = {name: [schedule["active"] for schedule in each["schedules"]] for name, each in there.items()}
    assert {name: on for name, on in active.items() if on} == {
        "reconcile": [True], "audit-verify": [True], "audit-checkpoint": [True], "retention-sweep": [False],
    }  # fmt: skip
    assert there["reconcile"]["schedules"][0]["parameters"] == {"only_if_older_minutes": 60}


def test_registering_again_changes_what_differs_and_keeps_an_operators_word(
    pages: Pages, told: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _command(told, monkeypatch, "deploy")["created"] == []
    before = pages.deployments()
    sweep = before["retention-sweep"]
    pages.api.patch(f"/deployments/{before['erase']['id']}", json={"paused": True})
    schedule = f"/deployments/{sweep['id']}/schedules/{sweep['schedules'][0]['id']}"
    assert pages.api.patch(schedule, json={"active": True}).is_success
    old = pages.post("/deployments/", name="gone", flow_id=sweep["flow_id"], tags=["miaopei"])["id"]
    pages.post("/deployments/", name="somebody else's", flow_id=sweep["flow_id"], tags=["theirs"])
    for brake in FLOWS:  # as `flows.operations.controls` makes them: paused, they hold work
        if brake not in before:
            pages.post("/deployments/", name=brake, flow_id=sweep["flow_id"], tags=["miaopei", "brake"], paused=True)
    known = dict(all_jobs(jobs_config(told)))
    known["erase"] = replace(known["erase"], description="**Other words.**")
    known["retention-sweep"] = replace(known["retention-sweep"], at_once_max=2)

    async def again() -> deployments.Registered:
        async with prefect_client(PrefectConfig(told.prefect_api_url)) as client:
            assert client is not None
            return await deployments.register(client, known)

    done = asyncio.run(again())
    assert (done.created, done.removed) == ([], ["gone"])
    assert done.updated == ["retention-sweep", "erase"]
    after = pages.deployments()
    assert (after["erase"]["description"], after["erase"]["paused"]) == ("**Other words.**", True)
    assert after["retention-sweep"]["schedules"][0]["active"]
    assert after["retention-sweep"]["global_concurrency_limit"]["limit"] == 2
    assert pages.api.get(f"/deployments/{old}").status_code == 404
    assert "somebody else's" in after
    assert all(after[brake]["paused"] for brake in FLOWS if brake not in before)
    printed = _command(told, monkeypatch, "deploy")
    assert (printed["updated"], printed["removed"]) == (["retention-sweep", "erase"], [])
    restored = pages.deployments()
    assert restored["erase"]["description"] == before["erase"]["description"]
    assert (restored["erase"]["paused"], restored["retention-sweep"]["schedules"][0]["active"]) == (True, True)
    pages.api.patch(f"/deployments/{before['erase']['id']}", json={"paused": False})


async def test_every_job_runs_from_the_pages(pages: Pages, shop: World, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "rocket.jpg").write_bytes(demo_world.sample_photo("rocket.jpg"))
    (pictures / "broken.jpg").write_bytes(b"<html>")
    paid, _ = await shop.approve("erika")
    withdrawn = await shop.claim(await shop.policy("emil"), {})
    async with shop.engine.begin() as conn:
        from claims.store import intake

        await intake.withdraw(conn, withdrawn, "emil", utc_now(), actor="claimant:emil")
        await conn.execute(update(jobs).where(jobs.c.claim_id == withdrawn).values(state="done"))
    asked: dict[str, dict[str, Any]] = {
        "reconcile": {},
        "audit-verify": {},
        "audit-checkpoint": {},
        "retention-sweep": {},
        "prefect-retention": {"runs_days": 30},
        "redeliver-notices": {},
        "replay-decisions": {"claim_ids": ["clm_none"]},
        "recheck": {},
        "library-import": {"path": str(pictures), "source": "stock"},
        "library-refingerprint": {},
        "erase": {"claim_id": withdrawn, "reason": "asked for"},
        "retrain": {"recipe": "credit", "arguments": ["--help"]},
    }
    runs = {name: pages.run(name, parameters) for name, parameters in asked.items()}
    ends = dict(zip(runs, await asyncio.to_thread(pages.ended, *runs.values()), strict=True))
    assert {name: end[0] for name, end in ends.items()} == dict.fromkeys(asked, "COMPLETED"), ends
    assert ends["library-import"][2] == "1 added, 0 known, 1 refused, 0 failed"
    assert ends["reconcile"][2] == "1 payouts, 0 payments, 1 still open, 0 differences"
    assert ends["retrain"][2] == "recipe credit ended with exit code 0"
    for name, run_id in runs.items():
        assert pages.tasks(run_id) == [(name, "COMPLETED")]
        assert len(pages.logs(run_id)) >= 2, name
        shown = pages.artifacts(run_id)
        assert ends[name][2] in shown["markdown"], name
        assert isinstance(shown["result"], dict)
    assert "progress" in pages.artifacts(runs["library-import"])
    assert any("broken.jpg" in line for line in pages.logs(runs["library-import"])) is False, "no names of files"
    assert await shop.status(withdrawn) is Status.ERASED
    async with shop.engine.connect() as conn:
        by = await conn.execute(select(audit_rows.c.actor).where(audit_rows.c.action == "claim.erased"))
        assert by.scalars().all() == ["operator:prefect"]
    assert await shop.status(paid) is Status.APPROVED


def test_a_command_takes_the_same_path(pages: Pages, told: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = _command(told, monkeypatch, "run", "reconcile", "--param", "only_if_older_minutes=600")
    assert (printed["state"], printed["result"]) == ("Completed", {"compared": False})
    run = pages.read(printed["run"])
    assert run["deployment_id"] == pages.deployments()["reconcile"]["id"]
    assert any(tag.startswith("by:") for tag in run["tags"])
    here = _command(told, monkeypatch, "run", "reconcile", "--here")
    assert (here["run"], here["state"], here["result"]["compared"]) == ("", "Completed", True)
    away = told.model_copy(update={"prefect_api_url": "http://127.0.0.1:9/api"})
    alone = _command(away, monkeypatch, "run", "audit-verify")
    assert (alone["run"], alone["state"], alone["result"]["whole"]) == ("", "Completed", True)
    listed = _command(told, monkeypatch, "list")
    assert listed["registered"]
    for argv in (
        ("run", "reconcile", "--param", "only_if_older_minutes=-1"),
        ("run", "reconcile", "--param", "often=1"),
        ("run", "retrain", "--param", "recipe=../../bin/sh"),
        ("run", "nothing"),
    ):
        refused = _command(told, monkeypatch, *argv, code=2)
        assert refused["code"] in ("bad_parameters", "no_such_job"), refused
    monkeypatch.setenv("PREFECT_API_URL", away.prefect_api_url)
    assert CliRunner().invoke(app, ["flows", "deploy"]).exit_code == 1


def test_bad_parameters_are_refused_in_words(pages: Pages) -> None:
    form = pages.ask("erase", {"claim_id": "clm_1"})
    assert form.status_code == 409
    assert "reason" in form.text
    bad: dict[str, tuple[str, dict[str, Any]]] = {
        "erase": ("bad_parameters", {"claim_id": "张伟 的", "reason": ""}),
        "adjudicate": ("bad_parameters", {"claim_ids": []}),
        "reconcile": ("bad_parameters", {"only_if_older_minutes": "soon", "more": 1}),
        "retrain": ("bad_parameters", {"recipe": "__init__"}),
        "library-import": ("no_such_path", {"path": "/no/such/place"}),
        "drain-worker": ("no_such_worker", {"worker": "worker@nowhere:1-abc"}),
    }
    runs = [pages.run(name, parameters, enforce_parameter_schema=False) for name, (_, parameters) in bad.items()]
    for (code, _), (kind, name, message) in zip(bad.values(), pages.ended(*runs), strict=True):
        assert (kind, name) == ("FAILED", "Refused")
        assert message.startswith(f"{code}: "), message
        assert "张伟" not in message


async def test_claims_that_may_not_be_decided_again_are_refused_with_a_code(pages: Pages, shop: World) -> None:
    erased, _ = await shop.approve("frieda")
    async with shop.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE claims DISABLE TRIGGER USER"))
        await conn.execute(text("UPDATE claims SET status = 'erased' WHERE id = :id"), {"id": erased})
        await conn.execute(text("ALTER TABLE claims ENABLE TRIGGER USER"))
    decided, _ = await shop.approve("fritz")
    held, referral_id = await shop.refer("franz", "photo_from_web")
    plain, _ = await shop.refer("ferdi", "photo_from_web")
    async with shop.engine.begin() as conn:
        until_later = utc_now() + timedelta(hours=1)
        await conn.execute(
            update(referrals)
            .where(referrals.c.id == referral_id)
            .values(assigned_to="zhang", assigned_until=until_later)
        )
    codes = {
        "clm_none": "no_such_claim", erased: "erased", held: "with_a_person", plain: "before_a_person",
    }  # fmt: skip
    runs = {claim_id: pages.run("adjudicate", {"claim_ids": [claim_id]}) for claim_id in codes}
    done = pages.run("adjudicate", {"claim_ids": [decided]})
    ends = await asyncio.to_thread(pages.ended, *runs.values(), done)
    for (claim_id, code), end in zip(codes.items(), ends, strict=False):
        assert end[:2] == ("FAILED", "Refused")
        assert end[2].startswith(f"{code}: "), end
        assert claim_id in end[2]
    assert ends[-1] == ("COMPLETED", "Completed", "1 already_decided")
    assert await shop.status(held) is Status.REFERRED


async def test_a_claim_that_was_put_off_is_decided_now_once_however_often_retry_is_pressed(
    pages: Pages, shop: World, rail: Server
) -> None:
    claim_id = await shop.photo_claim("gerda", photo(1))
    await _put_off(shop, claim_id)
    alone = pages.run("adjudicate", {"claim_ids": [claim_id], "wait_seconds": 0})
    (end,) = await asyncio.to_thread(pages.ended, alone)
    assert end == ("COMPLETED", "Completed", "1 still waiting")
    assert any("no worker is alive" in line for line in pages.logs(alone))
    await _put_off(shop, claim_id)
    run_id = pages.run("adjudicate", {"claim_ids": [claim_id]})
    same = [pages.run("adjudicate", {"claim_ids": [claim_id, claim_id]}) for _ in range(4)]

    async def pressed() -> None:
        # Five presses, some while it runs (which Prefect refuses), some after.
        for _ in range(5):
            await asyncio.to_thread(pages.ended, run_id)
            pages.retry(run_id)
            pages.api.post(f"/flow_runs/{run_id}/set_state", json={"state": {"type": "SCHEDULED"}})
        await asyncio.to_thread(pages.ended, run_id, *same)

    async with deciding(shop):
        await asyncio.wait_for(pressed(), 300)
        worker = shop.worker_config().name
        assert (await asyncio.to_thread(pages.ended, pages.run("drain-worker", {"worker": worker})))[0][2] == "ended"
    assert pages.state(run_id)[1:] == ("Completed", "1 already_decided")
    assert pages.read(run_id)["run_count"] == 6
    assert {pages.state(other)[0] for other in same} == {"COMPLETED"}
    async with shop.engine.connect() as conn:
        made = await conn.execute(select(func.count()).where(decisions.c.claim_id == claim_id))
        promised = (await conn.execute(select(payouts.c.id).where(payouts.c.claim_id == claim_id))).scalars().all()
        hurried = await conn.execute(
            select(func.count()).where(audit_rows.c.subject == claim_id, audit_rows.c.action == "claim.asked_again")
        )
        drained = await conn.execute(select(func.count()).where(audit_rows.c.action == "worker.drain_asked"))
    assert (made.scalar_one(), len(promised), hurried.scalar_one(), drained.scalar_one()) == (1, 1, 2, 1)
    stop = asyncio.Event()
    paying = asyncio.create_task(settle(shop.settle_config(rail.url), stop))

    async def paid() -> bool:
        return await shop.status(claim_id) is Status.PAID

    await until(paid)
    stop.set()
    await paying
    assert rail.tally()[promised[0]] == {"asked": 1, "made": 1}


async def test_what_could_not_be_checked_is_sent_back(pages: Pages, shop: World) -> None:
    from claims import decide
    from claims.catalogue import product_of
    from claims.decide import UncheckedInputs
    from claims.rules import RULES
    from claims.store import adjudication, recording
    from claims.wire import canonical

    unchecked = []
    for name in ("hanna", "hugo"):
        claim_id = await shop.claim(await shop.policy(name), {})
        async with shop.engine.begin() as conn:
            (lease,) = await queue.lease(conn, "test", 1, 30, utc_now())
            file = await adjudication.load(conn, claim_id)
            inputs = UncheckedInputs(
                claim=file.claim, policy=file.policy, product=product_of(file.claim.product), stage="photos",
                error=ResourceTrouble("memory").stored, attempts=3, rules=RULES, now=utc_now(),
            )  # fmt: skip
            new = recording.NewDecision(
                lease, file, decide.could_not_check(inputs), canonical(inputs), utc_now(), "test", "anshun"
            )
            await recording.record_decision(conn, new)
        unchecked.append(claim_id)
    first, second = unchecked
    run = pages.run("adjudicate", {"claim_ids": [first], "wait_seconds": 0})
    (end,) = await asyncio.to_thread(pages.ended, run)
    assert end == ("COMPLETED", "Completed", "1 still waiting")
    assert pages.artifacts(run)["result"]["claims"][0]["answer"] == "sent_back"
    await asyncio.to_thread(pages.ended, pages.run("recheck"))
    assert {await shop.status(claim_id) for claim_id in unchecked} == {Status.SUBMITTED}
    async with shop.engine.begin() as conn:
        await conn.execute(update(jobs).where(jobs.c.claim_id.in_(unchecked)).values(state="done"))
        by = await conn.execute(
            select(audit_rows.c.subject, audit_rows.c.actor).where(audit_rows.c.action == "claim.rechecked")
        )
        assert {tuple(row) for row in by} == {(first, "operator:prefect"), (second, "operator:prefect")}


async def test_a_cancelled_run_stops_and_a_killed_runners_run_is_shown_as_crashed(
    pages: Pages, shop: World, told: Settings
) -> None:
    claim_id = await shop.claim(await shop.policy("ida"), {})
    try:
        long = {"claim_ids": [claim_id], "wait_seconds": 3_000}
        run_id = pages.run("adjudicate", long)
        await asyncio.to_thread(wait_until, lambda: pages.state(run_id)[0] == "RUNNING", pause_seconds=0.5)
        pages.set_state(run_id, "CANCELLING")
        (end,) = await asyncio.to_thread(pages.ended, run_id)
        assert end[:2] == ("CANCELLED", "Cancelled")
        assert pages.tasks(run_id) == [("adjudicate", "CANCELLED")]
        other = _impatient(told, "killed")
        task = asyncio.create_task(runner.run(other))
        # Taken by whichever looks first; killed is the one in this process, without a word.
        taken = [pages.run("adjudicate", long) for _ in range(4)]

        def owners() -> dict[str, str]:
            return {run: pages.read(run)["infrastructure_pid"] or "" for run in taken}

        await until(lambda: asyncio.to_thread(lambda: all(owners().values())), pause_seconds=0.5)
        mine = [run for run, owner in owners().items() if owner == other.name]
        theirs = [run for run in taken if run not in mine]
        assert mine, "the impatient one looks ten times as often"
        task.cancel()
        await asyncio.wait([task])
        async with shop.engine.begin() as conn:
            await heartbeats.forget(conn, other.name)
        for run in theirs:
            pages.set_state(run, "CANCELLING")
        ends = await asyncio.to_thread(pages.ended, *mine)
        assert {end[:2] for end in ends} == {("CRASHED", "Crashed")}
        assert all(other.name in end[2] for end in ends)
        await asyncio.to_thread(pages.ended, *theirs)
    finally:
        async with shop.engine.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.claim_id == claim_id).values(state="done"))


def _impatient(told: Settings, name: str, **changes: Any) -> RunnerConfig:
    limits = RunnerLimits(
        poll_seconds=0.2, register_seconds=0.5, retry_seconds_max=0.5, report_seconds=0.2, shutdown_seconds=5,
        lost_seconds=6.0, **changes,
    )  # fmt: skip
    return RunnerConfig(f"runner@test:{name}", jobs_config(told), PrefectConfig(told.prefect_api_url), limits, 1.0)


async def test_two_runners_never_run_one_run_twice_and_missed_schedules_run_once(pages: Pages, told: Settings) -> None:
    config = _impatient(told, "second")
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(config, stop))
    try:
        runs = [pages.run("redeliver-notices") for _ in range(12)]
        ends = await asyncio.to_thread(pages.ended, *runs)
        assert {end[0] for end in ends} == {"COMPLETED"}
        assert [len(pages.tasks(run)) for run in runs] == [1] * 12
        assert [sum("begins on" in line for line in pages.logs(run)) for run in runs] == [1] * 12
        # Twenty hours in which nobody took a run of the hourly schedule.
        deployment = pages.deployments()["reconcile"]["id"]
        now = datetime.now(UTC)
        began = (now - timedelta(hours=20)).isoformat()
        window = {"start_time": began, "end_time": now.isoformat(), "min_time": 72_000.0, "min_runs": 20}
        pages.post(f"/deployments/{deployment}/schedule", **window)

        def missed() -> list[dict[str, Any]]:
            rows = pages.post(
                "/flow_runs/filter",
                flow_runs={
                    "deployment_id": {"any_": [deployment]},
                    "expected_start_time": {"after_": began, "before_": now.isoformat()},
                    "operator": "and_",
                },
                sort="EXPECTED_START_TIME_DESC",
            )
            return [run for run in rows if run["auto_scheduled"]]

        await until(
            lambda: asyncio.to_thread(lambda: {run["state_type"] for run in missed()} <= FINAL), pause_seconds=0.5
        )
        states = [run["state_type"] for run in missed()]
        assert len(states) >= 19
        assert states == ["COMPLETED"] + ["CANCELLED"] * (len(states) - 1)
        assert "missed" in missed()[-1]["state"]["message"]
    finally:
        stop.set()
        await task


async def test_only_the_servers_clock_says_what_is_due(
    pages: Pages, told: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of tomorrow stays one, although our own clock is two days ahead."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ahead = {"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}}
    later = pages.run("redeliver-notices", state=ahead)
    monkeypatch.setattr(runner, "utc_now", lambda: datetime.now(UTC) + timedelta(days=2))
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(_impatient(told, "ahead"), stop))
    await asyncio.to_thread(pages.ended, pages.run("redeliver-notices"))
    stop.set()
    await task
    assert pages.state(later)[0] == "SCHEDULED"
    pages.set_state(later, "CANCELLED")


async def test_an_emptied_server_that_fails_at_half_is_served_all_the_same(pages: Pages, told: Settings) -> None:
    for deployment in pages.deployments().values():
        pages.api.delete(f"/deployments/{deployment['id']}")
    with Front(told.prefect_api_url).serving() as front:
        front.failing, front.dice = 0.5, random.Random(15)
        config = replace(_impatient(told, "patient"), prefect=PrefectConfig(front.url))
        stop = asyncio.Event()
        task = asyncio.create_task(runner.run(config, stop))
        try:
            known = set(all_jobs(jobs_config(told)))
            await until(lambda: asyncio.to_thread(lambda: known <= set(pages.deployments())), pause_seconds=0.3)
            run_id = pages.run("audit-verify")
            (end,) = await asyncio.to_thread(pages.ended, run_id)
            assert end[0] == "COMPLETED"
            assert front.failed > 5
        finally:
            stop.set()
            await task
    versions = {name: each["version"] for name, each in pages.deployments().items()}
    assert all(re.fullmatch("[0-9a-f]{12}", version) for version in versions.values())

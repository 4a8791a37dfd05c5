"""Secrecy of a running stack: canaries in every field of people's data and every error path provoked leave no trace in
logs or in Prefect; files are readable by their owner alone; each process has its own secrets and no other's.
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from api.http.tokens import Role
from api.postgres import run_apart
from api.sandbox import Sandbox
from api.settings import Settings, WorkSettings
from api.stack import PREFECT_AUTH
from fixtures import demo_world
from tests import prefect_server
from tests.api.http.world import key
from tests.scratch import server_folder
from tests.waiting import PATIENCE_SECONDS, wait_until

WORD = "KANARI"  # every canary begins with it, and goes on with the field it stands in
SETTLED = ("paid", "declined", "referred", "awaiting_information", "payout_failed", "approved")
SHOWN_TRIES_MAX = 100  # claims, each decided while Prefect answered
BOOM = "boom"  # what the planted constraints refuse
# One for each table that holds people's data: as a fault of ours would meet it, with the row in hand.
PLANTED = {
    "claimants": f"name NOT LIKE '%-{BOOM}%'",
    "policies": f"number NOT LIKE '%-{BOOM}%'",
    "pets": f"name NOT LIKE '%-{BOOM}%'",
    "claims": f"description NOT LIKE '%-{BOOM}%'",
    "evidence": f"name NOT LIKE '%-{BOOM}%'",
    "claim_history": f"note NOT LIKE '%-{BOOM}%'",
    "audit_contents": f"position('{BOOM}-audit'::bytea IN content) = 0",
    "stage_results": f"result::text NOT LIKE '%stage{BOOM}%'",
    "decisions": f"position('decision{BOOM}'::bytea IN inputs) = 0 OR position('could_not'::bytea IN decision) > 0",
}


class Stage:
    """The stack after all the provocations."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        assert sandbox.stack is not None
        assert sandbox.stack.postgres is not None
        self.stack, self.postgres = sandbox.stack, sandbox.stack.postgres
        self.statuses: list[int] = []
        self.kept: set[str] = set()  # errors that rows told of while work went on

    def client(self, role: Role, subject: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.sandbox.token(role, subject)}"}
        return httpx.Client(base_url=self.sandbox.api_url, headers=headers, timeout=60, trust_env=False)

    def ask(self, client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
        headers = key() | options.pop("headers", {})
        answer = client.request(method, path, headers=headers, **options)
        self.statuses.append(answer.status_code)
        return answer

    def rows(self, query: str, database: str = "miaopei") -> list[Any]:
        async def ask() -> list[Any]:
            conn = await asyncpg.connect(self.postgres.dsn(database).replace("+asyncpg", ""))
            try:
                return list(await conn.fetch(query))
            finally:
                await conn.close()

        return run_apart(ask())

    def wait(self, client: httpx.Client, claim: str, *, states: tuple[str, ...], seconds: float = 90) -> str:
        deadline = time.monotonic() + seconds
        while True:
            status = str(client.get(f"/v1/claims/{claim}").json().get("status"))
            if status in states:
                return status
            assert time.monotonic() < deadline, f"{claim} is {status}"
            self.note_errors()
            time.sleep(0.2)

    def note_errors(self) -> None:
        """Collects errors from rows now, as they leave once the work is done."""
        with suppress(asyncpg.PostgresError, OSError):  # the database may be what has failed
            for table in ("jobs", "outbox", "payouts"):
                self.kept |= {row["last_error"] for row in self.rows(f"SELECT last_error FROM {table}")}


def _prepared(home: Path) -> Path:
    """Returns the home with Prefect's tables in its database: the server is there in seconds."""
    prefect_server.prepare(home)
    return home


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with (
        server_folder() as above,  # root's PostgreSQL runs as another user, in the home
        Sandbox(Settings(work=WorkSettings(lease_seconds=3.0)), _prepared(above / "home")) as sandbox,
    ):
        playing = Stage(sandbox)
        play(playing)
        yield playing


def policy(person: str, **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    terms = {
        "id": f"pol-{person}",
        "number": f"{WORD}-policy-number-{person}",
        "product": "fresh_food_rot",
        "claimant": {
            "id": person,
            "name": f"{WORD}-claimant-name-{person}",
            "credit_attributes": {f"{WORD}-credit": f"{WORD}-credit-value", "duration_months": 12},
        },
        "insured_name": f"{WORD}-insured-name",
        "starts_at": (now - timedelta(days=100)).isoformat(),
        "ends_at": (now + timedelta(days=200)).isoformat(),
        "currency": "CNY",
        "sum_insured_minor": 500_000,
        "insured_value_minor": 5_980,
    }
    return terms | changed


def statement(person: str, **changed: Any) -> dict[str, Any]:
    stated = {
        "policy_id": f"pol-{person}",
        "peril": "rot",
        "amount_minor": 4_000,
        "currency": "CNY",
        "occurred_at": (datetime.now(UTC) - timedelta(hours=5)).isoformat(),
        "description": f"{WORD}-description",
        "payee_account": f"{WORD}-account-{person}",
        "device_id": f"{WORD}-device-{person}",
        "address": f"{WORD}-address-{person}",
        "merchant_id": f"{WORD}-merchant-{person}",
        "order_number": f"{WORD}-order-{person}",
    }
    return stated | changed


def form(stated: dict[str, Any], *files: tuple[str, str, bytes]) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = [("claim", (None, json.dumps(stated), "application/json"))]
    return parts + [(part, (f"{WORD}-{name}", data, "application/octet-stream")) for part, name, data in files]


def broken_files() -> list[tuple[str, str, bytes]]:
    """Returns files that a decoder gives up on, with the canary where its error message may quote it."""
    whole = demo_world.sample_photo("rocket.jpg")
    chunk = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text(WORD, WORD * 50)
    Image.new("RGB", (64, 64)).save(chunk, "PNG", pnginfo=info)
    damaged = bytearray(chunk.getvalue())
    damaged[60:70] = f"{WORD}-png".encode()
    blank = io.BytesIO()
    Image.fromarray(np.full((900, 700, 3), 255, np.uint8)).save(blank, "JPEG")
    return [
        ("photo", "cut.jpg", whole[: len(whole) // 3] + WORD.encode() * 20),
        ("photo", "junk.jpg", b"\xff\xd8\xff\xe0" + WORD.encode() * 200),
        ("photo", "chunk.png", bytes(damaged)),
        ("paper", "broken.pdf", b"%PDF-1.7\n" + f"1 0 obj << /{WORD} ({WORD}) >> {WORD}".encode() * 30),
        ("paper", "blank.jpg", blank.getvalue()),
    ]


def play(stage: Stage) -> None:
    for table, condition in PLANTED.items():
        statement_ = f"ALTER TABLE {table} ADD CONSTRAINT planted_{table} CHECK ({condition}) NOT VALID"
        stage.postgres.execute(statement_, database="miaopei")
    platform = stage.client(Role.PLATFORM, "shop")
    for person in ("ann", "bob", "cas", "dan", "eve", "fay", "gus"):
        assert stage.ask(platform, "POST", "/v1/policies", json=policy(person)).status_code == 201
    refuse_what_comes_in(stage, platform)
    break_the_database_under_requests(stage, platform)
    work_on_what_breaks(stage)
    show_a_run(stage)
    kill_the_database(stage)


def show_a_run(stage: Stage) -> None:
    """Sends claims until one is shown in Prefect. A process whose probe just missed an answer, on a busy machine, shows
    no run for some seconds; each claim that is decided without a run is followed by another."""
    shop, number = stage.client(Role.PLATFORM, "shop"), 0
    pictures = ("astronaut.png", "camera.png", "coins.png", "moon.png", "brick.png", "grass.png", "gravel.png")
    while not stage.rows("SELECT 1 FROM claims WHERE flow_run_id <> ''"):
        assert number < SHOWN_TRIES_MAX, "Prefect shows no run although it answers"
        wait_until(lambda: _prefect_answers(stage), pause_seconds=0.2)
        person = f"shown{number}"
        stage.ask(shop, "POST", "/v1/policies", json=policy(person))
        client = stage.client(Role.CLAIMANT, person)
        photo = demo_world.sample_photo(pictures[number % len(pictures)])
        sent = stage.ask(client, "POST", "/v1/claims", files=form(statement(person), ("photo", "shown.jpg", photo)))
        stage.wait(client, sent.json()["id"], states=SETTLED, seconds=PATIENCE_SECONDS)
        number += 1


def _prefect_answers(stage: Stage) -> bool:
    with suppress(httpx.HTTPError):
        url = f"{stage.stack.settings.prefect_api_url}/health"
        return httpx.get(url, trust_env=False, timeout=5).is_success
    return False


def refuse_what_comes_in(stage: Stage, platform: httpx.Client) -> None:
    """Provokes refusals: validation, duplicates, wrong tokens, strange dates."""
    ann = stage.client(Role.CLAIMANT, "ann")
    dates = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", f"{WORD}-date", "20261129", "")
    for date in dates:
        stage.ask(ann, "POST", "/v1/claims", json=statement("ann", occurred_at=date))
        stage.ask(platform, "POST", "/v1/policies", json=policy("ann", id="pol-date", number="d", starts_at=date))
        stage.ask(platform, "POST", "/v1/policies", json=policy("ann", id="pol-date", number="d", ends_at=date))
        stage.ask(ann, "GET", "/v1/claims", params={"before": date})
    for wrong in ({"amount_minor": f"{WORD}-amount"}, {"currency": WORD}, {"peril": f"{WORD}-peril"}, {WORD: WORD}):
        stage.ask(ann, "POST", "/v1/claims", json=statement("ann") | wrong)
    stage.ask(ann, "POST", "/v1/claims", json=statement("ann", description=f"{WORD}\x00nul"))
    stage.ask(ann, "POST", "/v1/claims", content=f'{{"{WORD}": '.encode(), headers={"content-type": "application/json"})
    stage.ask(platform, "POST", "/v1/policies", json=policy("bob", id="pol-x", number=f"{WORD}-policy-number-ann"))
    stage.ask(platform, "POST", "/v1/policies", json=policy("ann", product="parcel_damage"))
    same = {"Idempotency-Key": f"{WORD}-key"}
    stage.ask(ann, "POST", "/v1/claims", json=statement("ann"), headers=same)
    stage.ask(ann, "POST", "/v1/claims", json=statement("ann", amount_minor=7), headers=same)
    for path in (f"/v1/claims/{WORD}-id", f"/v1/claims/{WORD}/evidence/{WORD}.jpg", f"/{WORD}", f"/claims/{WORD}"):
        stage.ask(ann, "GET", path)
    with httpx.Client(base_url=stage.sandbox.api_url, trust_env=False) as nobody:
        stage.ask(nobody, "GET", "/v1/claims", headers={"Authorization": f"Bearer {WORD}.{WORD}.{WORD}"})
        stage.ask(nobody, "POST", "/sign-in", data={"token": WORD, "csrf": WORD})
    with socket.create_connection(("127.0.0.1", stage.stack.settings.http_port)) as raw:
        raw.sendall(f"{WORD} /{WORD} HTTP/7\r\n{WORD}\r\n\r\n".encode())
        raw.recv(1024)


def break_the_database_under_requests(stage: Stage, platform: httpx.Client) -> None:
    """Makes every table with people's data refuse a row, as a bug would: the API answers 500."""
    ann = stage.client(Role.CLAIMANT, "ann")
    before = len(stage.statuses)
    broken = policy("hal")
    broken["claimant"]["name"] = f"{WORD}-name-{BOOM}"
    stage.ask(platform, "POST", "/v1/policies", json=broken)
    stage.ask(platform, "POST", "/v1/policies", json=policy("ann", id="pol-b", number=f"{WORD}-{BOOM}"))
    pet = {"id": "pet-1", "claimant": policy("ann")["claimant"], "name": f"{WORD}-pet-{BOOM}", "species": "dog"}
    stage.ask(platform, "POST", "/v1/pets", json=pet)
    stage.ask(ann, "POST", "/v1/claims", json=statement("ann", description=f"{WORD}-{BOOM}"))
    stage.ask(platform, "POST", "/v1/policies", json=policy("ann", insured_name=f"{WORD}-{BOOM}-audit"))
    draft = ann.post("/v1/claims", json=statement("ann"), headers=key()).json()["id"]
    photo = demo_world.sample_photo("rocket.jpg")
    stage.ask(ann, "PUT", f"/v1/claims/{draft}/evidence/{WORD}-{BOOM}.jpg", params={"kind": "photo"}, content=photo)
    stage.ask(ann, "POST", f"/v1/claims/{draft}/withdraw", json={"note": f"{WORD}-note-{BOOM}"})
    assert stage.statuses[before:].count(500) == 7, stage.statuses[before:]
    pet["name"] = f"{WORD}-pet-name"
    assert stage.ask(platform, "POST", "/v1/pets", json=pet).status_code == 201


def work_on_what_breaks(stage: Stage) -> None:
    """Provokes unreadable files, failing stages, refusals by bank and partner, and people's free text."""
    photo = demo_world.sample_photo("rocket.jpg")
    made: dict[str, str] = {}
    sample = demo_world.sample_photo
    sent = {
        "ann": (statement("ann"), [("photo", "rot.jpg", photo)]),
        "bob": (statement("bob"), broken_files()),
        "cas": (statement("cas"), [("photo", f"stage{BOOM}.jpg", sample("retina.jpg"))]),
        "dan": (
            statement("dan", merchant_id=f"{WORD}-decision{BOOM}"),
            [("photo", "x.jpg", sample("hubble_deep_field.jpg"))],
        ),
        "eve": (
            statement("eve", payee_account=f"closed-{WORD}-account"),
            [("paper", "bill.jpg", paper_jpeg()), ("photo", "y.jpg", sample("coffee.png"))],
        ),
        "fay": (statement("fay"), [("photo", "gone.jpg", sample("motorcycle_left.png"))]),
    }
    httpx.post(f"{stage.sandbox.bank_url}/faults", json={"error_rate": 0.5}, trust_env=False).raise_for_status()
    for url in stage.sandbox.insurer_urls.values():
        httpx.post(f"{url}/faults", json={"refuse_next": 3}, trust_env=False).raise_for_status()
    os.kill(stage.stack.processes["worker"].pid, signal.SIGSTOP)
    for person, (stated, files) in sent.items():
        client = stage.client(Role.CLAIMANT, person)
        answer = stage.ask(client, "POST", "/v1/claims", files=form(stated, *files))
        assert answer.status_code == 202, answer.text
        made[person] = answer.json()["id"]
    for (sha256,) in stage.rows(f"SELECT sha256 FROM evidence WHERE claim_id = '{made['fay']}'"):
        next((stage.sandbox.home / "evidence").rglob(sha256)).write_bytes(WORD.encode() * 10)
    os.kill(stage.stack.processes["worker"].pid, signal.SIGCONT)
    for person, claim in made.items():
        stage.wait(stage.client(Role.CLAIMANT, person), claim, states=SETTLED)
    httpx.post(f"{stage.sandbox.bank_url}/faults", json={}, trust_env=False).raise_for_status()
    ann = stage.client(Role.CLAIMANT, "ann")
    stage.wait(ann, made["ann"], states=("paid", "referred", "declined", "awaiting_information"))
    stage.ask(ann, "POST", f"/v1/claims/{made['ann']}/appeal", json={"note": f"{WORD}-appeal"})
    adjuster = stage.client(Role.ADJUSTER, "wang")
    stage.ask(adjuster, "POST", f"/v1/claims/{made['bob']}/review", json={"verdict": "ask", "note": f"{WORD}-question"})
    stage.ask(adjuster, "POST", f"/v1/claims/{made['cas']}/review", json={"verdict": "refuse", "note": f"{WORD}-no"})
    answer = {"files": [("photo", (f"{WORD}-more.jpg", photo, "image/jpeg"))], "data": {"note": f"{WORD}-answer"}}
    stage.ask(stage.client(Role.CLAIMANT, "bob"), "POST", f"/v1/claims/{made['bob']}/evidence", **answer)


def paper_jpeg() -> bytes:
    """Returns a paper of no known kind, with the canary in large print."""
    page, out = Image.new("RGB", (900, 600), "white"), io.BytesIO()
    ImageDraw.Draw(page).text((60, 200), f"{WORD} 40.00", fill="black", font_size=90)
    page.save(out, "JPEG")
    return out.getvalue()


def kill_the_database(stage: Stage) -> None:
    """Kills and restarts the database while requests and a claim are under way."""
    gus, platform = stage.client(Role.CLAIMANT, "gus"), stage.client(Role.PLATFORM, "shop")
    photo = demo_world.sample_photo("chelsea.png")
    terms = {name: value for name, value in policy("ann").items() if name != "id"}
    claim = stage.ask(gus, "POST", "/v1/claims", files=form(statement("gus"), ("photo", "z.jpg", photo))).json()["id"]
    for _ in range(2):
        assert stage.postgres.process is not None
        stage.postgres.process.kill()
        stage.postgres.process.wait()
        for number in range(6):
            if number == 3:
                stage.postgres.start()
            stage.ask(platform, "PUT", "/v1/policies/pol-ann", json=terms)
            stage.ask(gus, "POST", "/v1/claims", json=statement("gus"))
            stage.ask(gus, "GET", "/v1/claims")
    for child in psutil.Process(stage.postgres.process.pid).children():
        if "miaopei" in " ".join(child.cmdline()):
            child.kill()
            break
    for _ in range(5):
        stage.ask(gus, "POST", "/v1/claims", json=statement("gus"))
    stage.wait(gus, claim, states=("paid", "referred", "declined", "awaiting_information", "approved"), seconds=120)


def test_everything_that_was_to_go_wrong_went_wrong(stage: Stage) -> None:
    assert {409, 422, 404, 401, 500, 503} <= set(stage.statuses)
    (unchecked,) = stage.rows(
        "SELECT count(*) AS n FROM decisions WHERE position('could_not_check'::bytea IN decision) > 0"
    )
    assert unchecked["n"] >= 2
    (failed,) = stage.rows("SELECT count(*) AS n FROM jobs WHERE attempts > 1")
    assert failed["n"] >= 2
    logs = {path.name: path.read_text() for path in stage.sandbox.logs.iterdir()}
    assert {"api.log", "worker.log", "settle.log", "refer.log", "postgres.log", "prefect.log", "bank.log"} <= set(logs)
    assert "internal_error" in logs["api.log"]
    assert "store_unavailable" in logs["api.log"]
    assert "23514" in logs["api.log"]  # the constraint's kind is told
    assert "a claim could not be checked" in logs["worker.log"]
    assert "the store is away" in logs["worker.log"] + logs["settle.log"]


def salts(stage: Stage) -> list[bytes]:
    """Returns each salt of the audit's commitments as logs might show it."""
    told: list[bytes] = []
    for row in stage.rows("SELECT salt FROM audit_contents"):
        salt = bytes(row["salt"])
        told += [salt, salt.hex().encode(), repr(salt)[2:-1].encode(), base64.b64encode(salt)]
    assert len(told) > 40
    return told


def lines_with(data: bytes, needles: list[bytes]) -> list[bytes]:
    return [line[:400] for line in data.splitlines() if any(needle in line for needle in needles)]


def test_nothing_of_anybody_and_no_salt_is_in_a_log(stage: Stage) -> None:
    needles = [WORD.encode(), WORD.encode("utf-16-le"), WORD.encode().hex().encode(), *salts(stage)]
    read, leaks = 0, []
    for folder, _, names in os.walk(stage.sandbox.home):
        for name in names:
            path = Path(folder, name)
            if path.suffix == ".log" or "logs" in path.parts:
                read += path.stat().st_size
                leaks += [(path.name, line) for line in lines_with(path.read_bytes(), needles)]
    assert read > 2_000
    assert leaks == []


def test_what_is_kept_about_a_failure_tells_kind_and_place(stage: Stage) -> None:
    stage.note_errors()
    told = {words for words in stage.kept if words}
    assert any(words.startswith("photos: ") and " at claims/store/" in words for words in told), told
    assert any("CheckViolationError 23514 planted_" in words for words in told), told
    assert [words for words in told if WORD in words] == []


def test_nothing_of_anybody_is_in_prefect(stage: Stage) -> None:
    whole = []
    tables = stage.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "prefect")
    for table in tables:
        for row in stage.rows(f'SELECT t::text AS row FROM "{table["tablename"]}" t', "prefect"):
            whole.append(row["row"].encode())
    text = b"\n".join(whole)
    assert b"claim:" in text, "no run was shown"
    assert lines_with(text, [WORD.encode(), *salts(stage)]) == []


def test_everything_under_the_home_is_its_owners_alone(stage: Stage) -> None:
    home = stage.sandbox.home
    checked, open_ = 0, []
    for folder, folders, names in os.walk(home):
        for name in [*folders, *names]:
            path = Path(folder, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # PostgreSQL's own, come and gone
            checked += 1
            if not path.is_symlink() and mode & 0o077:
                open_.append((str(path.relative_to(home)), oct(mode)))
    assert checked > 100
    assert (home / "evidence").is_dir()
    assert any(path.is_file() for path in (home / "evidence").rglob("*"))
    assert open_ == []
    assert home.stat().st_mode & 0o066 == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_each_process_holds_its_own_secrets_and_no_other(stage: Stage) -> None:
    sandbox, stack = stage.sandbox, stage.stack

    def held_in(name: str) -> str:
        return (sandbox.home / name).read_text().strip()

    secrets = {
        "superuser": held_in("postgres.password"),
        "app": held_in("app.password"),
        "prefect": held_in("prefect.password"),
        "prefect's pages": held_in(PREFECT_AUTH).partition(":")[2],
        "token key": held_in("token.key"),
        "bank": sandbox.settings.bank.token.get_secret_value(),
        **{f"partner {name}": partner.secret.get_secret_value() for name, partner in sandbox.settings.partners.items()},
    }
    assert len(set(secrets.values())) == len(secrets)
    partners = {"partner anshun", "partner heyuan"}
    allowed = {
        "api": {"app"},
        "worker": {"app", "prefect's pages"},
        "settle": {"app", "bank", "prefect's pages"},
        "refer": {"app", "prefect's pages"} | partners,
        "runner": {"app", "bank", "prefect's pages"},
        "prefect": {"prefect", "prefect's pages"},
        "bank": {"bank"},
        "insurer-anshun": {"partner anshun"},
        "insurer-heyuan": {"partner heyuan"},
        "postgres": set[str](),
    }
    pids = {name: process.pid for name, process in (stack.processes | sandbox._processes).items()}
    assert stage.postgres.process is not None
    pids["postgres"] = stage.postgres.process.pid
    assert set(pids) == set(allowed)
    wrong, looked_at = [], 0
    for name, pid in pids.items():
        own = True
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            try:
                environment = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
                arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode(errors="replace")
            except FileNotFoundError:
                continue  # a child that has ended
            looked_at += 1
            held = {secret for secret, value in secrets.items() if value in environment}
            # A child of a process may hold what that process holds, decoders and readers not even that.
            if held - allowed[name] or (own and held != allowed[name]):
                wrong.append((name, process.pid, held))
            if [secret for secret, value in secrets.items() if value in arguments] or "eyJ" in arguments:
                wrong.append((name, process.pid, {"argv"}))
            own = False
    assert wrong == []
    assert looked_at > len(pids)


def test_the_stack_works_as_a_role_that_cannot_rewrite_the_ledger(stage: Stage) -> None:
    with httpx.Client(base_url=stage.sandbox.api_url, trust_env=False) as client:
        assert client.get("/readyz").json()["checks"] == {"database": "ok", "evidence": "ok", "role": "ok"}
    sessions = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE '{}'"
    assert [row["usename"] for row in stage.rows(sessions.format("miaopei", "miaopei%"))] == ["miaopei_app"]
    settings = stage.stack.settings
    user, _, password = settings.prefect_auth_string.get_secret_value().partition(":")
    url = f"{settings.prefect_api_url}/flow_runs/count"
    assert httpx.post(url, json={}, trust_env=False, timeout=60).status_code == 401
    counted = httpx.post(url, json={}, auth=(user, password), trust_env=False, timeout=60)
    assert int(counted.text) > 0
    assert {row["usename"] for row in stage.rows(sessions.format("prefect", "%"), "postgres")} == {"miaopei_prefect"}

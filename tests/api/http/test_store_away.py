"""While the store is unreachable every route answers 503 with Retry-After and logs one line, never a 500."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.postgres import Postgres, run_apart
from api.settings import Settings
from api.stack import upgrade
from claims.store.away import is_away, retry_seconds
from tests.api.http.test_kill import SERVE
from tests.api.http.world import Api, jpeg, key, parts, register, statement
from tests.scratch import server_folder
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
THREADS = 6
ANSWERS_MIN, TAKEN_IN_MIN = 200, 5


class Server:
    """The API as a process of its own over a PostgreSQL of its own, which a test may kill."""

    def __init__(self, home: Path, log: Path) -> None:
        self.postgres = Postgres(home, durable=False)
        self.postgres.start()
        dsn = self.postgres.ensure_database("miaopei")
        upgrade(dsn)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.log = log
        settings = Settings(home=log.parent / "api", database_url=dsn, evidence_url=f"file://{log.parent}/evidence")
        self.api = Api(f"http://127.0.0.1:{port}", settings)
        variables = {
            "MIAOPEI_HOME": str(settings.home),
            "MIAOPEI_DATABASE_URL": dsn,
            "MIAOPEI_EVIDENCE_URL": settings.evidence_url,
            "MIAOPEI_HTTP_PORT": str(port),
        }
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE], cwd=ROOT, env=os.environ | variables, stdout=file, stderr=file
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.api.url}/readyz", trust_env=False, timeout=15).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError("the API did not become ready")

    def kill_postgres(self, number: signal.Signals) -> None:
        assert self.postgres.process is not None
        self.postgres.process.send_signal(number)
        self.postgres.process.wait()

    def crash_a_session(self) -> None:
        """Crashes a session: PostgreSQL ends all sessions and recovers, and is starting up for a while."""
        assert self.postgres.process is not None
        for child in psutil.Process(self.postgres.process.pid).children():
            if "miaopei" in " ".join(child.cmdline()):
                child.kill()
                return

    def close(self) -> None:
        for client in self.api.clients:
            client.close()
        self.process.terminate()
        self.process.wait(30)
        self.postgres.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_folder() as folder:
        started = Server(folder, tmp_path_factory.mktemp("away") / "api.log")
        try:
            yield started
        finally:
            started.close()


def _answers(server: Server, until: threading.Event, kept: list[httpx.Response]) -> None:
    clients = {role: server.api.as_(role, who) for role, who in (("claimant", "clm-a"), ("adjuster", "wang"))}
    files = parts(statement(), jpeg(1))
    number = 0
    while not until.is_set():
        number += 1
        match number % 4:
            case 0:
                answer = clients["claimant"].post("/v1/claims", files=files, headers=key())
            case 1:
                answer = clients["claimant"].get("/v1/claims")
            case 2:
                answer = clients["adjuster"].get("/v1/queue")
            case _:
                answer = clients["claimant"].get("/claims", follow_redirects=True)
        kept.append(answer)


def test_no_answer_is_a_500_while_the_database_is_killed_restarted_and_recovers(server: Server) -> None:
    register(server.api)
    over, kept = threading.Event(), []  # type: tuple[threading.Event, list[httpx.Response]]
    threads = [threading.Thread(target=_answers, args=(server, over, kept)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for number in (signal.SIGKILL, signal.SIGINT, signal.SIGQUIT):
            time.sleep(0.8)
            server.kill_postgres(number)
            time.sleep(0.4)  # connection refused
            server.postgres.start()
        for _ in range(4):
            time.sleep(0.5)
            server.crash_a_session()
        server.wait_ready()
        wait_until(
            lambda: len(kept) >= ANSWERS_MIN and sum(answer.status_code == 202 for answer in kept) >= TAKEN_IN_MIN
        )
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    statuses = Counter(answer.status_code for answer in kept)
    assert statuses[503] >= 20, statuses
    assert statuses[202] >= TAKEN_IN_MIN, statuses
    assert len(kept) >= ANSWERS_MIN, statuses
    wrong = [
        (answer.request.url.path, answer.status_code, answer.text[:300]) for answer in kept if answer.status_code >= 500
    ]
    assert [answer for answer in wrong if answer[1] != 503] == []
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in kept if answer.status_code == 503)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["event"] for line in lines} >= {"store_unavailable"}
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    assert not any("places" in line for line in lines)


def test_a_server_without_a_free_connection_is_not_now(server: Server) -> None:
    """The API's own pool is emptied first: it has to ask for new ones."""
    server.crash_a_session()
    server.wait_ready()
    server.crash_a_session()
    plain = server.api.settings.database_url.replace("+asyncpg", "")

    async def crowd() -> httpx.Response:
        taken: list[asyncpg.Connection] = []
        try:
            while True:
                try:
                    taken.append(await asyncpg.connect(plain))
                except asyncpg.TooManyConnectionsError:
                    break
                except (asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, ConnectionError):
                    continue
            async with httpx.AsyncClient(base_url=server.api.url, timeout=60, trust_env=False) as client:
                token = server.api.token("claimant", "clm-a")
                return await client.get("/v1/claims", headers={"Authorization": f"Bearer {token}"})
        finally:
            for connection in taken:
                connection.terminate()

    answer = run_apart(crowd())
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]


def _met(server: Server, *statements: str) -> BaseException:
    """Returns the error that SQLAlchemy raises for the last of these statements."""
    from sqlalchemy import text

    from claims.store.engine import connect

    async def meet() -> BaseException:
        engine = connect(server.api.settings.database_url, pool_size=1, statement_seconds_max=0.3)
        try:
            async with engine.begin() as conn:
                for statement_ in statements:
                    await conn.execute(text(statement_))
        except DBAPIError as error:
            return error
        finally:
            await engine.dispose()
        raise AssertionError("nothing was raised")

    return run_apart(meet())


def test_what_is_not_now_is_told_from_what_is_wrong(server: Server) -> None:
    server.wait_ready()
    raised = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{}'; END $$"
    assert retry_seconds(_met(server, "SELECT pg_sleep(5)")) == 5
    for state, seconds in {"40001": 1, "40P01": 1, "53300": 5, "53100": 5, "57P03": 5, "25006": 5, "58030": 5}.items():
        assert retry_seconds(_met(server, raised.format(state))) == seconds, state
    wrong = ["SELECT nothing FROM claims", "SELECT 1/0", "SELECT '\\x'::int", "INSERT INTO pets (id) VALUES ('p')"]
    for broken in [*wrong, raised.format("23505"), raised.format("22008")]:
        error = _met(server, broken)
        assert not is_away(error), broken
    assert is_away(PoolTimeout())
    assert is_away(ConnectionRefusedError())
    assert not is_away(KeyError("x"))

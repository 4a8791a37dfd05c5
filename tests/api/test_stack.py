"""PostgreSQL and processes as the stack starts them. The whole stack at once is what the demo starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from pydantic import SecretStr

from api.postgres import Postgres, free_port, run_apart
from api.process import ChildCommand, ChildProcess, StackFailed, answers
from api.settings import BankSettings, PartnerSettings, Settings
from api.stack import environment, open_database
from tests.waiting import PATIENCE_SECONDS, wait_until


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Yields a home that other users may enter, with one durable server's data for the whole module."""
    with tempfile.TemporaryDirectory(prefix="miaopei-home-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _shown(server: Postgres, setting: str) -> str:
    async def show() -> str:
        conn = await asyncpg.connect(server.dsn("postgres").replace("+asyncpg", ""))
        try:
            return str(await conn.fetchval(f"SHOW {setting}"))
        finally:
            await conn.close()

    return run_apart(show())


def test_postgres_runs_durably_as_an_ordinary_user_and_keeps_port_and_data(home: Path) -> None:
    with Postgres(home) as server:
        port = server.port
        server.execute("CREATE TABLE kept ()")
        assert {name: _shown(server, name) for name in ("fsync", "synchronous_commit", "listen_addresses")} == {
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "127.0.0.1",
        }
        assert server.process is not None
        assert psutil.Process(server.process.pid).uids().effective != 0
        with Postgres(home) as second:  # attaches, and leaves it running
            assert (second.port, second.process) == (port, None)
        assert server.alive()
        told = {"log_error_verbosity": "terse", "log_min_error_statement": "panic", "log_min_messages": "log"}
        told |= {"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0", "log_statement": "none"}
        assert {name: _shown(server, name) for name in told} == told
    with Postgres(home) as server:
        assert server.port == port
        server.execute("DROP TABLE kept")


def test_postgres_starts_again_after_kill_9_and_with_a_pid_file_of_something_else(home: Path) -> None:
    server = Postgres(home)
    server.start()
    server.execute("CREATE TABLE survived ()")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    pid_file = home / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")  # now the pid of this very test

    def gone() -> bool:  # its children notice that it is gone, and go
        return not any(
            "postgres" in (process.info["name"] or "") and str(home) in process.info["cwd"] for process in _cwds()
        )

    wait_until(gone)
    with Postgres(home) as again:
        again.execute("DROP TABLE survived")


def _cwds() -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cwd", "name"]) if process.info["cwd"]]


def test_the_password_is_asked_for(home: Path) -> None:
    with Postgres(home) as server:
        assert (home / "postgres.password").stat().st_mode & 0o077 == 0
        wrong = asyncpg.connect(host="127.0.0.1", port=server.port, user="miaopei", password="x", database="postgres")
        with pytest.raises(asyncpg.InvalidPasswordError):
            run_apart(wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a home that others cannot enter but must")
def test_a_home_that_the_server_user_cannot_enter_works_too(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed, durable=False)
    try:
        with server:
            server.execute("SELECT 1")
            assert not (closed / "postgres").exists()
    finally:
        subprocess.run(["rm", "-rf", str(server._data)], check=True)


def test_open_database_starts_and_migrates_for_the_while(home: Path) -> None:
    with open_database(Settings(home=home, database_url="")) as dsn:
        assert dsn.startswith("postgresql+asyncpg://miaopei_app:")
        assert (home / "postgres" / "postmaster.pid").exists()
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_settings_reach_another_process_whole(tmp_path: Path) -> None:
    told = Settings(
        home=tmp_path,
        database_url="postgresql://u:p@h/x",
        prefect_api_url="http://127.0.0.1:4200/api",
        http_port=9,
        bank=BankSettings(url="http://bank", token=SecretStr("t")),
        partners={"anshun": PartnerSettings(webhook_url="http://a", secret=SecretStr("whsec_YQ=="))},
    )
    code = "from api.settings import Settings; from api.stack import environment; import json; "
    code += "print(json.dumps(environment(Settings())))"
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment(told)},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(there.stdout.splitlines()[-1]) == environment(told)
    assert "whsec_YQ==" not in repr(told)
    assert "u:p@h" not in repr(told)


def test_another_database_driver_is_refused() -> None:
    with pytest.raises(ValueError, match="must start with"):
        Settings(database_url="sqlite:///x")


def _process(tmp_path: Path, code: str, ready: object = None, seconds: float = 600.0) -> ChildProcess:
    command = ChildCommand(
        "child", [sys.executable, "-c", code], ready=ready or (lambda: True), ready_seconds_max=seconds
    )  # type: ignore[arg-type]
    return ChildProcess(command, dict(os.environ), tmp_path / "logs" / "child.log", tmp_path)


def test_a_process_that_ends_before_it_is_ready_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = _process(tmp_path, "print('no such bank'); raise SystemExit(3)", ready=lambda: False)
    process.start()
    with pytest.raises(StackFailed, match=r"exit 3(.|\n)*no such bank"):
        process.wait_ready()


def test_a_process_that_never_gets_ready_is_reported_in_time(tmp_path: Path) -> None:
    process = _process(tmp_path, "import time; time.sleep(100_000)", ready=lambda: False, seconds=0.3)
    process.start()
    with pytest.raises(StackFailed, match="not ready"):
        process.wait_ready()
    process.stop(5)
    assert not process.alive()


def test_a_server_is_ready_when_it_answers_and_one_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    port = free_port()
    code = f"""
import http.server, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
    process = _process(tmp_path, code, ready=answers(f"http://127.0.0.1:{port}/"))
    process.start()
    process.wait_ready()
    process.stop(0.5)
    assert not psutil.pid_exists(process.pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux")
def test_processes_go_when_their_starter_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from api.process import ChildCommand, ChildProcess
command = ChildCommand("c", [sys.executable, "-c", "import time; time.sleep(9999)"], lambda: True)
child = ChildProcess(command, dict(os.environ), Path({str(tmp_path)!r}) / "c.log", Path("."))
child.start()
print(child.pid, flush=True)
time.sleep(100_000)
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert starter.stdout is not None
    child = psutil.Process(int(starter.stdout.readline()))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    child.wait(PATIENCE_SECONDS)
    starter.stdout.close()

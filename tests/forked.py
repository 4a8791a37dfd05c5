"""Processes that tests start and kill, forked from one that has the modules loaded: a sandbox bank spends 0.6 s of CPU
on loading them, a settling process 1.5, a worker 3, each time. This module itself imports nothing heavy, for every one
of those processes imports it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["fixtures.sandbox_bank", "fixtures.sandbox_insurer", "flows.settle", "flows.worker", __name__]
)


class Forked:
    """A running process with the interface of `subprocess.Popen`."""

    def __init__(self, argv: Sequence[str], *, code: str = "", variables: Mapping[str, str] | None = None) -> None:
        """argv: a module and its arguments, as `python -m` takes them; or, with `code`, what `python -c` has there."""
        self._process = _CONTEXT.Process(target=_run, args=(tuple(argv), code, dict(variables or {})))
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


def _run(argv: tuple[str, ...], code: str, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    if code:
        sys.argv[:] = ["-c", *argv]
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
    else:
        sys.argv[:] = list(argv)
        importlib.import_module(argv[0]).main()

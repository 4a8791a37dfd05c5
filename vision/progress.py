"""Tells whether a process makes progress, by the CPU it uses and whether it waits for a CPU or a disk, not by the
clock.

On a busy machine the clock runs whether a process may run or not. A process that is runnable, or waits for its pages,
is held up by others and is given time; one that sleeps and uses no CPU, check after check, is stuck. Reads /proc; on
systems without it (no Linux), every process counts as making progress.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOOK_SECONDS: Final = 1.0  # between two checks that count
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_HELD_UP: Final = frozenset("RD")  # running or runnable; waiting for a disk or a page
_STOPPED: Final = frozenset("Tt")  # by a signal; by a debugger


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """Activity of some processes. cpu_seconds: CPU time used so far, user and system, all threads. held_up: some thread
    is runnable or waits for a disk. stopped: every thread was stopped by a signal or a debugger, which no work does to
    itself."""

    cpu_seconds: float
    held_up: bool
    stopped: bool = False


def sign_of(process_ids: Iterable[int]) -> SignOfLife:
    """Return the combined activity of these processes; one that has ended adds nothing."""
    cpu_ticks = 0
    held_up = not os.path.isdir("/proc/self/task")
    states: set[str] = set()
    for process_id in process_ids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            cpu_ticks += _cpu_ticks(f"/proc/{process_id}/stat")
            for thread in os.listdir(f"/proc/{process_id}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    states.add(_stat(f"/proc/{process_id}/task/{thread}/stat")[0])
    held_up |= not states.isdisjoint(_HELD_UP)
    return SignOfLife(cpu_ticks / _TICKS, held_up, stopped=bool(states) and states <= _STOPPED)


class ProcessProgress:
    """Counts consecutive checks without progress. A pause of the whole machine counts as one check, however long."""

    def __init__(self, looks_max: int) -> None:
        self._looks_max = looks_max
        self._cpu_seconds = -1.0
        self._still = 0

    def stalled(self, sign: SignOfLife) -> bool:
        """Record one more check, LOOK_SECONDS after the last. True once `looks_max` in a row showed no progress."""
        if sign.held_up or sign.cpu_seconds != self._cpu_seconds:
            self._still = 0
        else:
            self._still += 1
        self._cpu_seconds = sign.cpu_seconds
        return self._still >= self._looks_max


def _stat(path: str) -> list[str]:
    """Return the fields of a stat file after the process name (which may hold anything), beginning with the state."""
    with open(path) as file:
        return file.read().rpartition(")")[2].split()


def _cpu_ticks(path: str) -> int:
    fields = _stat(path)
    return int(fields[11]) + int(fields[12])

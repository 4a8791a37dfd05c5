"""Does a process get on? Told by the CPU it uses and by whether it waits for a CPU or a disk, not by the clock.

On a busy machine the clock runs whether a process may run or not. A process that is runnable, or waits for its pages,
is held up by others and is given its time; one that sleeps, look after look, and uses no CPU is stuck. Reads /proc;
where there is none (no Linux), every process is taken to get on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOOK_SECONDS: Final = 1.0  # between two looks that count
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_HELD_UP: Final = frozenset("RD")  # running or runnable; waiting for a disk or a page


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """cpu_seconds: used so far, user and system, all threads; held_up: some thread wants to run and may not."""

    cpu_seconds: float
    held_up: bool


def sign_of(process_ids: Iterable[int]) -> SignOfLife:
    """What these processes show together; one that is gone shows nothing."""
    cpu_ticks = 0
    held_up = not os.path.isdir("/proc/self/task")
    for process_id in process_ids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            cpu_ticks += _cpu_ticks(f"/proc/{process_id}/stat")
            for thread in os.listdir(f"/proc/{process_id}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    held_up |= _stat(f"/proc/{process_id}/task/{thread}/stat")[0] in _HELD_UP
    return SignOfLife(cpu_ticks / _TICKS, held_up)


class ProcessProgress:
    """Counts looks in a row at which nothing moved. A pause of the whole machine is one look, however long it was."""

    def __init__(self, looks_max: int) -> None:
        self._looks_max = looks_max
        self._cpu_seconds = -1.0
        self._still = 0

    def stalled(self, sign: SignOfLife) -> bool:
        """Take one more look, LOOK_SECONDS after the last: True once `looks_max` in a row showed nothing."""
        if sign.held_up or sign.cpu_seconds != self._cpu_seconds:
            self._still = 0
        else:
            self._still += 1
        self._cpu_seconds = sign.cpu_seconds
        return self._still >= self._looks_max


def _stat(path: str) -> list[str]:
    """The fields of a stat file after the name, which may hold anything: state first."""
    with open(path) as file:
        return file.read().rpartition(")")[2].split()


def _cpu_ticks(path: str) -> int:
    fields = _stat(path)
    return int(fields[11]) + int(fields[12])

"""Runs a claim's own computing in threads, limited by the CPU that it uses and not by the clock: on a busy machine a
thread waits long for its turn, and no file is to blame."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from flows.errors import ComputedTooLong

T = TypeVar("T")

_LOOK_SECONDS: Final = 2.0  # between looks at the CPU of a call that has not ended


async def computed(pool: ThreadPoolExecutor, cpu_seconds_max: float, function: Callable[[], T]) -> tuple[T, float]:
    """Run a blocking function in the pool. Returns its result and the CPU seconds that its thread used.

    Raises ComputedTooLong once these are more than `cpu_seconds_max`; the thread itself cannot be ended.
    """
    meter = _ThreadMeter()

    def timed() -> tuple[T, float]:
        meter.begin()
        result = function()
        return result, meter.end()

    running = asyncio.get_running_loop().run_in_executor(pool, timed)
    try:
        while not (await asyncio.wait([running], timeout=_LOOK_SECONDS))[0]:
            if meter.cpu_seconds() > cpu_seconds_max:
                raise ComputedTooLong(f"one file took {meter.cpu_seconds():.0f} s of CPU of this process")
    except BaseException:
        running.cancel()  # what has not begun yet never does
        running.add_done_callback(_forget)
        raise
    return running.result()


class _ThreadMeter:
    """Reads from another thread how much CPU a call has used in its own."""

    def __init__(self) -> None:
        self._clock: int | None = None
        self._began = 0.0
        self._used = 0.0

    def begin(self) -> None:
        """Start counting, in the thread of the call."""
        clock = time.pthread_getcpuclockid(threading.get_ident())
        self._began = time.clock_gettime(clock)
        self._clock = clock

    def end(self) -> float:
        """Stop counting, in the thread of the call; returns the CPU seconds used."""
        self._used = self.cpu_seconds()
        self._clock = None
        return self._used

    def cpu_seconds(self) -> float:
        """Returns the CPU seconds used so far: 0 before the call has begun."""
        clock = self._clock
        return self._used if clock is None else time.clock_gettime(clock) - self._began


def _forget(running: asyncio.Future[Any]) -> None:
    """Take notice of a result that nobody waits for any more, so that its error is not reported as unseen."""
    if not running.cancelled():
        running.exception()

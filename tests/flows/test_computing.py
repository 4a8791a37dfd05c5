"""A call is limited by the CPU of its thread, and by nothing that the clock says."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows import computing
from flows.computing import computed
from flows.errors import ComputedTooLong

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "_LOOK_SECONDS", 0.02)


def busy(cpu_seconds: float) -> str:
    began = time.thread_time()
    while time.thread_time() - began < cpu_seconds:
        continue
    return "done"


async def test_a_call_that_waits_is_not_ended_and_one_that_computes_without_end_is() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert (await computed(pool, 0.1, lambda: time.sleep(0.3) or "slept"))[0] == "slept"
        result, cpu = await computed(pool, 10.0, lambda: busy(0.05))
        assert result == "done"
        assert 0.05 <= cpu < 1
        with pytest.raises(ComputedTooLong, match="of CPU"):
            await computed(pool, 0.1, lambda: busy(0.5))


async def test_time_in_the_queue_behind_others_counts_for_nothing() -> None:
    with ThreadPoolExecutor(1) as pool:
        results = await asyncio.gather(*(computed(pool, 0.2, lambda: busy(0.1)) for _ in range(5)))
    assert [result for result, _ in results] == ["done"] * 5


async def test_errors_pass_and_what_was_given_up_in_the_queue_never_begins() -> None:
    begun, release = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            await computed(pool, 1.0, lambda: 1 / 0)
        first = asyncio.create_task(computed(pool, 1.0, release.wait))
        second = asyncio.create_task(computed(pool, 1.0, begun.set))
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
    assert not begun.is_set()

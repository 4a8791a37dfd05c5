"""Runs one process of the flows: starts its drains, reports their state, and stops at SIGTERM with no work left in
hand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import heartbeats
from flows.drain import STORE_AWAY, Drain
from flows.queues import utc_now

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def stopping(stop: asyncio.Event, wake: Sequence[asyncio.Event]) -> AsyncIterator[None]:
    """Set `stop` (and wake every drain) at SIGTERM or SIGINT, for as long as the context lasts."""
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        stop.set()
        for event in wake:
            event.set()

    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, ask_to_stop)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `seconds`, or until `stop` if that comes first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def live(
    engine: AsyncEngine,
    name: str,
    kind: str,
    drains: Sequence[Drain[Any]],
    stop: asyncio.Event,
    report: Callable[[], dict[str, object]],
    report_seconds: float,
    *,
    beside: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Run the drains, and the tasks beside them, until they end; meanwhile write `report()` to the store for the
    operator page. An operator who asks the process to drain stops it as SIGTERM does."""
    reporter = asyncio.create_task(_report(engine, name, kind, report, report_seconds, stop))
    try:
        async with asyncio.TaskGroup() as group:
            for drain in drains:
                group.create_task(drain.run())
            for work in beside:
                group.create_task(work)
    finally:
        stop.set()
        reporter.cancel()
        with contextlib.suppress(*STORE_AWAY):
            async with engine.begin() as conn:
                await heartbeats.forget(conn, name)
    log.info("stopped", process=name, kind=kind)


async def _report(
    engine: AsyncEngine,
    name: str,
    kind: str,
    report: Callable[[], dict[str, object]],
    seconds: float,
    stop: asyncio.Event,
) -> None:
    while True:
        try:
            async with engine.begin() as conn:
                asked = await heartbeats.beat(conn, name, kind, report(), utc_now())
            if asked and not stop.is_set():
                log.info("asked to end: nothing more is taken", process=name, kind=kind)
                stop.set()
        except STORE_AWAY as error:
            log.warning("no report: the store is away", error=error)
        await asyncio.sleep(seconds)

"""The loop of every process that takes work from a queue of the store: lease, work, keep the lease alive, stop cleanly.

Leases are the store's (FOR UPDATE SKIP LOCKED, a fencing token each); losing one costs nothing but the work: every
write checks the token. A process may be killed at any instruction; what it held is leased again when the lease runs
out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from claims.store.away import STORE_ERRORS, is_away
from flows.config import LeaseLimits

log = structlog.get_logger(__name__)

# What a store that is away, restarting or overloaded raises, and what a statement of ours that is wrong raises, too: a
# loop goes on after both, but says which it was.
STORE_AWAY = STORE_ERRORS

L = TypeVar("L")


class LeaseQueue(Protocol[L]):
    """A queue of the store. Every method is its own transaction."""

    async def lease(self, limit: int) -> Sequence[L]: ...

    async def lease_alone(self) -> Sequence[L]:
        """Lease one item that must be worked on alone; [] where none waits."""
        ...

    async def alone_due(self) -> bool:
        """True if an item is due for `lease_alone`."""
        ...

    async def keep(self, leases: Sequence[L]) -> Sequence[L]:
        """Prolong the leases. Returns those that still stand (the same objects); the others were taken over."""
        ...

    async def release(self, leases: Sequence[L]) -> None:
        """Give back unfinished work at once; leases no longer held are left alone."""
        ...

    async def backlog(self) -> int:
        """Returns the number of items that are due and not leased."""
        ...


class LeasedBatch(Generic[L]):
    """Leases taken together; the work closes each as soon as it is finished, failed or lost."""

    def __init__(self, leases: Sequence[L]) -> None:
        self.leases = tuple(leases)
        self._open = {id(lease): lease for lease in leases}  # by identity: a message's payload has no hash

    @property
    def open(self) -> tuple[L, ...]:
        return tuple(self._open.values())

    def close(self, lease: L) -> None:
        self._open.pop(id(lease), None)


def next_batch_size(previous: int, backlog: int, batch_max: int) -> int:
    """Returns 1 while nothing waits, doubles while at least as much waits again, and never exceeds half of what waits.

    Half, because other workers drain the same queue, and a claim in a batch waits for its turn in it.
    """
    if backlog <= 1:
        return 1
    return max(1, min(batch_max, 2 * previous, (backlog + 1) // 2))


def backoff_seconds(attempts: int, limits: LeaseLimits) -> float:
    """Returns the pause in seconds: `limits.backoff_seconds`, doubled at each attempt up to the limit. `attempts`
    counts from 1."""
    doublings = min(max(0, attempts - 1), 30)
    return float(min(limits.backoff_seconds * 2**doublings, limits.backoff_seconds_max))


class Drain(Generic[L]):
    """Drains one queue until told to stop. `work` handles a whole batch and closes its leases; it must not raise."""

    def __init__(
        self,
        name: str,
        queue: LeaseQueue[L],
        work: Callable[[LeasedBatch[L]], Awaitable[None]],
        limits: LeaseLimits,
        stop: asyncio.Event,
        wake: asyncio.Event,
    ) -> None:
        self._name = name
        self._queue = queue
        self._work = work
        self._limits = limits
        self._stop = stop
        self._wake = wake
        self._running: dict[asyncio.Task[None], LeasedBatch[L]] = {}
        self._alone = False  # True while an item runs that must be worked on alone
        self.batch_size = 1
        self.backlog = 0
        self.batches = 0

    @property
    def in_flight(self) -> int:
        """Number of items being worked on now."""
        return sum(len(batch.open) for batch in self._running.values())

    async def run(self) -> None:
        """Drain the queue. Returns after `stop` is set and work under way has finished or was given back.

        Items that must be worked on alone take turns with the rest, so that neither waits for all of the other.
        """
        alone = False
        while not self._stop.is_set():
            if self._running and (alone or self._alone or len(self._running) >= self._limits.batches_in_flight_max):
                await self._wait_for_one()
                continue
            try:
                turn, alone = alone, False
                if turn:
                    if leased := await self._queue.lease_alone():
                        self._start(LeasedBatch(leased))
                        self._alone = True
                    else:
                        # Due, and not to be had: a process that stands still in the middle of a transaction holds it.
                        await self._pause(self._limits.poll_seconds)
                    continue
                leased = await self._queue.lease(self.batch_size)
                if leased:
                    self._start(LeasedBatch(leased))
                    self.backlog = await self._queue.backlog()
                    self.batch_size = next_batch_size(self.batch_size, self.backlog, self._limits.batch_max)
                alone = await self._queue.alone_due()
                if leased or alone:
                    continue
                self.backlog, self.batch_size = 0, 1
                await self._pause(self._limits.poll_seconds)
            except STORE_AWAY as error:
                if is_away(error):
                    log.warning("the store is away", drain=self._name, error=error)
                else:
                    log.error("the store refuses a statement of the loop", drain=self._name, exc_info=error)
                await self._pause(max(1.0, self._limits.poll_seconds))
        await self._finish()

    def _start(self, batch: LeasedBatch[L]) -> None:
        self.batches += 1
        task = asyncio.create_task(self._process(batch), name=f"{self._name} batch {self.batches}")
        self._running[task] = batch
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not self._running:
            self._alone = False
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of the loop itself, not of a claim. The leases run out and others take the work.
            log.error("a batch broke", drain=self._name, exc_info=error)

    async def _process(self, batch: LeasedBatch[L]) -> None:
        beat = asyncio.create_task(self._heartbeat(batch))
        try:
            await self._work(batch)
        finally:
            beat.cancel()

    async def _heartbeat(self, batch: LeasedBatch[L]) -> None:
        while batch.open:
            await asyncio.sleep(self._limits.heartbeat_seconds)
            held = batch.open
            try:
                kept = await self._queue.keep(held)
            except STORE_AWAY as error:
                log.warning("no heartbeat: the store is away", drain=self._name, error=error)
                continue
            standing = {id(lease) for lease in kept}
            for lease in batch.open:
                # A lease closed meanwhile is not lost. The work on a lost one stops at its next write, by its fence.
                if id(lease) not in standing and any(lease is lost for lost in held):
                    log.warning("a lease was lost", drain=self._name, lease=str(lease))
                    batch.close(lease)

    async def _pause(self, seconds: float) -> None:
        """Wait until somebody wakes the drain, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _wait_for_one(self) -> None:
        # With a limit, so that a stop is noticed while long batches run.
        await asyncio.wait(self._running, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)

    async def _finish(self) -> None:
        """Let work under way finish for a while, then cancel it and give back what is left."""
        deadline = time.monotonic() + self._limits.shutdown_seconds
        running = dict(self._running)
        if running:
            await asyncio.wait(running, timeout=max(0.0, deadline - time.monotonic()))
        left = [lease for batch in running.values() for lease in batch.open]
        late = [task for task in running if not task.done()]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
        if left:
            try:
                await self._queue.release(left)
            except STORE_AWAY as error:
                log.warning("leases run out by themselves: the store is away", error=error)
            else:
                log.info("released", drain=self._name, leases=len(left))

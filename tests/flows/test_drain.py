"""The draining loop: batch sizes, heartbeats, shutdown, a store that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.config import LeaseLimits
from flows.drain import Drain, LeasedBatch, backoff_seconds, next_batch_size
from tests.waiting import until

LIMITS = LeaseLimits(heartbeat_seconds=0.05, poll_seconds=0.01, shutdown_seconds=0.3)


@dataclass(frozen=True)
class Item:
    number: int


@dataclass
class ListQueue:
    """A queue in memory with the guarantees of the store's."""

    due: list[Item]
    held: list[Item] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    released: list[Item] = field(default_factory=list)
    alone: list[Item] = field(default_factory=list)
    beats: int = 0
    away: int = 0

    async def lease(self, limit: int) -> Sequence[Item]:
        if self.away:
            self.away -= 1
            raise OSError("connection refused")
        taken, self.due = self.due[:limit], self.due[limit:]
        self.held += taken
        return taken

    async def lease_alone(self) -> Sequence[Item]:
        taken, self.alone = self.alone[:1], self.alone[1:]
        self.held += taken
        return taken

    async def alone_due(self) -> bool:
        return bool(self.alone)

    async def keep(self, leases: Sequence[Item]) -> Sequence[Item]:
        self.beats += 1
        return [item for item in leases if item.number not in self.lost]

    async def release(self, leases: Sequence[Item]) -> None:
        self.released += leases

    async def backlog(self) -> int:
        return len(self.due)


def test_one_claim_at_a_time_while_nothing_waits() -> None:
    assert next_batch_size(previous=64, backlog=0, batch_max=64) == 1
    assert next_batch_size(previous=1, backlog=1, batch_max=64) == 1


def test_the_batch_doubles_up_to_its_limit_while_claims_wait() -> None:
    sizes = [1]
    while len(sizes) < 9:
        sizes.append(next_batch_size(sizes[-1], backlog=1_000, batch_max=64))
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 64, 64]


@given(st.integers(1, 64), st.integers(0, 10_000))
def test_a_batch_is_never_more_than_half_of_what_waits_rounded_up(previous: int, backlog: int) -> None:
    size = next_batch_size(previous, backlog, 64)
    assert 1 <= size <= max(1, min(64, (backlog + 1) // 2))


def test_the_pause_doubles_and_has_an_end() -> None:
    limits = replace(LIMITS, backoff_seconds=2, backoff_seconds_max=30)
    assert [backoff_seconds(n, limits) for n in (1, 2, 3, 4, 5, 60)] == [2, 4, 8, 16, 30, 30]


async def drained(queue: ListQueue, work: object, enough: Callable[[], bool]) -> None:
    """Drains until `enough` holds, then stops."""
    stop, wake = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(Drain("test", queue, work, LIMITS, stop, wake).run())  # type: ignore[arg-type]

    async def reached() -> bool:
        return enough()

    await until(reached, pause_seconds=0.005)
    stop.set()
    await running


@pytest.mark.anyio
async def test_everything_is_worked_on_once_in_growing_batches() -> None:
    sizes: list[int] = []
    done: list[int] = []

    async def work(batch: LeasedBatch[Item]) -> None:
        sizes.append(len(batch.leases))
        await asyncio.sleep(0.001)
        for item in batch.leases:
            done.append(item.number)
            batch.close(item)

    await drained(ListQueue([Item(n) for n in range(200)]), work, lambda: len(done) == 200)
    assert sorted(done) == list(range(200))
    assert sizes[0] == 1
    assert max(sizes) > 10


@pytest.mark.anyio
async def test_a_store_that_is_away_costs_time_and_no_work() -> None:
    done: list[int] = []

    async def work(batch: LeasedBatch[Item]) -> None:
        done.extend(item.number for item in batch.leases)
        for item in batch.leases:
            batch.close(item)

    await drained(ListQueue([Item(1), Item(2)], away=1), work, lambda: len(done) == 2)
    assert sorted(done) == [1, 2]


@pytest.mark.anyio
async def test_a_lost_lease_is_dropped_and_the_rest_of_its_batch_kept_alive() -> None:
    queue = ListQueue([Item(1)], lost={1})
    beats: list[int] = []

    async def work(batch: LeasedBatch[Item]) -> None:
        async def dropped() -> bool:
            return not batch.open

        await until(dropped)
        beats.append(queue.beats)

    await drained(queue, work, lambda: bool(beats))
    assert beats[0] >= 1


@pytest.mark.anyio
async def test_at_the_stop_work_that_does_not_end_in_time_is_given_back() -> None:
    queue = ListQueue([Item(1), Item(2), Item(3)])
    ended: list[int] = []

    async def work(batch: LeasedBatch[Item]) -> None:
        for item in batch.leases:
            if item.number == 1:
                batch.close(item)
                ended.append(item.number)
            else:
                await asyncio.sleep(100_000)

    await drained(queue, work, lambda: bool(ended) and len(queue.held) > 1)
    assert ended == [1]
    assert 1 not in [item.number for item in queue.released]
    assert queue.released
    assert {item.number for item in queue.released} == {item.number for item in queue.held} - {1}


@pytest.mark.anyio
async def test_what_must_be_worked_on_alone_has_nothing_beside_it_and_holds_up_nothing_for_long() -> None:
    queue = ListQueue([Item(n) for n in range(12)], alone=[Item(n) for n in range(100, 104)])
    under_way: set[int] = set()
    order: list[int] = []
    company: dict[int, set[int]] = {}

    async def work(batch: LeasedBatch[Item]) -> None:
        numbers = {item.number for item in batch.leases}
        under_way.update(numbers)
        for number in numbers:
            company.setdefault(number, set()).update(under_way - {number})
            order.append(number)
        for other in under_way - numbers:
            company[other] |= numbers
        await asyncio.sleep(0.01)
        under_way.difference_update(numbers)
        for item in batch.leases:
            batch.close(item)

    stop, wake = asyncio.Event(), asyncio.Event()
    drain = Drain("test", queue, work, replace(LIMITS, batch_max=2), stop, wake)
    running = asyncio.create_task(drain.run())

    async def all_done() -> bool:
        return len(order) == 16 and not under_way

    await until(all_done)
    stop.set()
    await running
    assert sorted(order) == [*range(12), *range(100, 104)]
    assert all(company[number] == set() for number in range(100, 104))
    alone_at = [place for place, number in enumerate(order) if number >= 100]
    assert all(later - earlier > 1 for earlier, later in pairwise(alone_at)), "they take turns with the others"


class LockedQueue(ListQueue):
    """A queue whose only item is due, and locked by a process that stands still."""

    asked = 0

    async def lease_alone(self) -> Sequence[Item]:
        self.asked += 1
        return []

    async def alone_due(self) -> bool:
        return True


@pytest.mark.anyio
async def test_what_is_due_and_not_to_be_had_is_asked_for_at_every_poll_and_not_all_the_time() -> None:
    queue = LockedQueue([])

    async def work(batch: LeasedBatch[Item]) -> None:
        raise AssertionError(f"nothing can be leased: {batch}")

    stop, wake = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(Drain("test", queue, work, replace(LIMITS, poll_seconds=3_600), stop, wake).run())

    async def asked() -> bool:
        return queue.asked > 0

    await until(asked)
    for _ in range(200):
        await asyncio.sleep(0)
    assert queue.asked == 1
    stop.set()
    wake.set()
    await running

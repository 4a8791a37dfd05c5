from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.errors import LeaseLost
from claims.store import outbox, queue

pytestmark = pytest.mark.anyio


async def test_many_leasers_at_once_share_the_jobs_without_overlap_or_loss(world: Any) -> None:
    wanted = {await world.submitted(f"c{number:02}") for number in range(40)}

    async def drain(owner: str) -> list[str]:
        got: list[str] = []
        while batch := await world.lease(owner, limit=3):
            got += [lease.claim_id for lease in batch]
        return got

    shares = await asyncio.gather(*(drain(f"w{number}") for number in range(8)))
    taken = [claim_id for share in shares for claim_id in share]
    assert len(taken) == len(set(taken))
    assert set(taken) == wanted


async def test_the_longest_waiting_claim_is_leased_first(world: Any) -> None:
    await world.submitted("younger")
    world.now = world.later(-60)
    await world.submitted("older")
    world.now = world.later(120)
    assert [lease.claim_id for lease in await world.lease(limit=2)] == ["older", "younger"]


async def test_an_expired_lease_goes_to_another_and_the_old_holder_can_no_longer_write(
    world: Any, engine: AsyncEngine
) -> None:
    await world.submitted("c")
    (old,) = await world.lease("w1")
    assert await world.lease("w2", seconds=29) == []
    (new,) = await world.lease("w2", seconds=31)
    assert (new.fence, new.attempts) == (old.fence + 1, 2)
    writes: list[Callable[[AsyncConnection], Awaitable[None]]] = [
        lambda conn: queue.hold(conn, old),
        lambda conn: queue.finish(conn, old, world.now),
        lambda conn: queue.fail(conn, old, "late", world.now, dead=False),
    ]
    for write in writes:
        async with engine.begin() as conn:
            with pytest.raises(LeaseLost):
                await write(conn)
    async with engine.begin() as conn:
        await queue.finish(conn, new, world.now)


async def test_an_expired_lease_that_nobody_took_still_stands(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    (lease,) = await world.lease()
    async with engine.begin() as conn:
        assert await queue.renew(conn, [lease], 30, world.later(100)) == (lease,)
    assert await world.lease("w2", seconds=110) == []


async def test_renewing_keeps_the_leases_that_stand_and_leaves_out_the_lost(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("a")
    leases = await world.lease("w1")
    world.now = world.later(31)
    stolen = await world.lease("w2", limit=1)
    assert stolen[0].claim_id == "a"
    await world.submitted("b")
    leases += await world.lease("w1")
    async with engine.begin() as conn:
        assert [lease.claim_id for lease in await queue.renew(conn, leases, 30, world.now)] == ["b"]


async def test_a_released_job_is_due_at_once_and_the_attempt_does_not_count(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    leases = await world.lease()
    async with engine.begin() as conn:
        await queue.release(conn, leases)
    (again,) = await world.lease("w2")
    assert again.attempts == 1
    async with engine.begin() as conn:
        await queue.release(conn, leases)  # the old holder's release changes nothing
        await queue.hold(conn, again)


async def test_a_failed_job_waits_and_a_dead_one_is_never_leased_again(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    (lease,) = await world.lease()
    async with engine.begin() as conn:
        await queue.fail(conn, lease, "the reader crashed", world.later(60), dead=False)
    assert await world.lease(seconds=59) == []
    (lease,) = await world.lease(seconds=61)
    async with engine.begin() as conn:
        await queue.fail(conn, lease, "again", world.later(60), dead=True)
        assert (await queue.backlog(conn, world.later(1000))).dead == 1
    assert await world.lease(seconds=100_000) == []


async def test_backlog_counts_due_leased_and_the_age_of_the_oldest(world: Any, engine: AsyncEngine) -> None:
    for name in ("a", "b", "c"):
        await world.submitted(name)
    await world.lease(limit=1)
    async with engine.begin() as conn:
        backlog = await queue.backlog(conn, world.later(12))
        assert (backlog.due, backlog.leased, backlog.later, backlog.dead) == (2, 1, 0, 0)
        assert backlog.oldest_seconds == 12.0
        assert (await queue.backlog(conn, world.later(40))).due == 3  # the lease has run out


async def test_a_message_is_put_once_and_leased_by_topic(engine: AsyncEngine, world: Any) -> None:
    async with engine.begin() as conn:
        await outbox.put(conn, "settle", "p1", {"claim_id": "c"}, world.now)
        await outbox.put(conn, "settle", "p1", {"claim_id": "other"}, world.now)
        assert await outbox.lease(conn, "refer", "r", 5, 30, world.now) == []
        (message,) = await outbox.lease(conn, "settle", "s", 5, 30, world.now)
    assert (message.key, message.payload, message.attempts) == ("p1", {"claim_id": "c"}, 1)
    async with engine.begin() as conn:
        await outbox.finish(conn, message, world.now)
        with pytest.raises(LeaseLost):
            await outbox.finish(conn, message, world.now)
    async with engine.begin() as conn:
        assert (await outbox.backlog(conn, "settle", world.now)).due == 0

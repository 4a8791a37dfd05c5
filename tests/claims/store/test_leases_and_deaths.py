"""Expired leases and checks put off for want of resources, and which of them count against a claim."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import heartbeats, queue, stage_results
from claims.store.queue import Lease
from claims.store.tables import jobs

pytestmark = pytest.mark.anyio
LEASE_SECONDS = 30.0


async def shared(world: Any, owner: str, limit: int = 10) -> list[Lease]:
    async with world.engine.begin() as conn:
        return await queue.lease(conn, owner, limit, LEASE_SECONDS, world.now)


async def alone(world: Any, owner: str) -> list[Lease]:
    async with world.engine.begin() as conn:
        return await queue.lease_alone(conn, owner, LEASE_SECONDS, world.now)


async def job(world: Any, claim_id: str) -> Any:
    async with world.engine.connect() as conn:
        return (await conn.execute(select(jobs).where(jobs.c.claim_id == claim_id))).one()


async def test_claims_of_a_process_that_died_are_worked_on_one_by_one_from_then_on(world: Any) -> None:
    for name in ("a", "b", "c"):
        await world.submitted(name)
    assert len(await shared(world, "dies")) == 3
    await world.submitted("fresh")
    world.now = world.later(31)
    assert [lease.claim_id for lease in await shared(world, "w2")] == ["fresh"]
    assert [(lease.claim_id, lease.deaths) for lease in await alone(world, "w2")] == [("a", 0)]
    async with world.engine.connect() as conn:
        assert await queue.alone_due(conn, world.now) == 2
    # Handed back whole at a stop: still to be worked on alone.
    (second,) = await alone(world, "w2")
    async with world.engine.begin() as conn:
        await queue.release(conn, [second])
    assert await shared(world, "w3") == []


async def test_only_deaths_with_nothing_else_in_hand_count_and_a_step_further_clears_them(
    world: Any, engine: AsyncEngine
) -> None:
    await world.submitted("suspect")
    (lease,) = await shared(world, "w0")
    deaths = []
    for number in range(1, 4):
        world.now = world.later(31)
        (lease,) = await alone(world, f"w{number}")
        deaths.append(lease.deaths)
    assert deaths == [0, 1, 2], "the first process may have died of another claim"
    async with engine.begin() as conn:
        await stage_results.save(conn, lease, "cover", {}, {}, world.now)
    world.now = world.later(31)
    (lease,) = await alone(world, "w9")
    assert lease.deaths == 1
    assert lease.failures == 0
    assert lease.attempts == 5


async def test_a_holder_that_comes_back_takes_its_death_back_once_and_nobody_elses(
    world: Any, engine: AsyncEngine
) -> None:
    await world.submitted("c")
    (first,) = await shared(world, "w0")
    world.now = world.later(31)
    (stopped,) = await alone(world, "stopped")
    async with engine.begin() as conn:
        assert not await queue.outlived(conn, first), "none was counted for it"
    world.now = world.later(31)
    (third,) = await alone(world, "w2")
    assert third.deaths == 1
    async with engine.begin() as conn:
        assert await queue.outlived(conn, stopped)
        assert not await queue.outlived(conn, stopped)
    assert (await job(world, "c")).deaths == 0
    world.now = world.later(31)
    (fourth,) = await alone(world, "w3")
    world.now = world.later(31)
    await alone(world, "w4")
    async with engine.begin() as conn:
        assert not await queue.outlived(conn, third), "others have lost it since: theirs may be deaths"
    assert fourth.deaths == 1
    assert (await job(world, "c")).deaths == 2


async def test_a_holder_that_lives_is_no_death(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    await shared(world, "w0")
    world.now = world.later(31)
    await alone(world, "slow")
    world.now = world.later(31)
    async with engine.begin() as conn:  # it could not reach the store for a while, and reports again
        await heartbeats.beat(conn, "slow", "worker", {}, world.now)
    (lease,) = await alone(world, "w2")
    assert lease.deaths == 0
    world.now = world.later(31)
    (lease,) = await alone(world, "w2")
    assert lease.deaths == 0, "who takes its own lease again has not died"


async def test_what_the_machine_lacks_is_no_failure_of_the_claim(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    for number in range(5):
        (lease,) = await shared(world, "w1")
        assert (lease.failures, lease.postponed) == (0, number)
        async with engine.begin() as conn:
            await queue.postpone(conn, lease, "disk", "no space left on device", world.now)
            assert await queue.waiting_for_resources(conn) == {"disk": 1}
    (lease,) = await shared(world, "w1")
    async with engine.begin() as conn:
        await queue.fail(conn, lease, "a fault of its own", world.now, dead=False)
        assert await queue.waiting_for_resources(conn) == {}
    kept = await job(world, "c")
    assert (kept.failures, kept.postponed, kept.waits_for) == (1, 0, "")


async def test_kills_from_outside_are_spread_over_the_claims_and_make_none_a_suspect_for_long(world: Any) -> None:
    for name in ("a", "b", "c", "d"):
        await world.submitted(name)
    await shared(world, "w")
    most = 0
    for number in range(12):  # every process dies of something else
        world.now = world.later(31)
        (lease,) = await alone(world, f"w{number}")
        most = max(most, lease.deaths)
    assert most == 2
    leases = [(await job(world, name)).attempts for name in ("a", "b", "c", "d")]
    assert sum(leases) == 16

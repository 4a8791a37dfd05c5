"""Brakes on real queues, drains, payouts and stages, without Prefect: nothing begins while it is held, whatever is
pulled and let go when, each claim is decided once and each payout made once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import Status
from claims.decision import Decision, Outcome
from claims.money import Money
from claims.reasons import reason
from claims.store import adjudication, brakes, outbox, payouts, recording
from claims.store.brakes import Brake, NotedControl
from claims.store.tables import jobs
from claims.store.tables import outbox as messages
from flows import settle
from flows.drain import Drain, LeasedBatch
from flows.operations.brakes import newest_change
from flows.operations.controls import PrefectControl, ShownControl
from flows.queues import ClaimQueue, OutboxQueue, utc_now
from flows.reconcile import reconcile

pytestmark = pytest.mark.anyio


async def pull(engine: AsyncEngine, name: str, at_once_max: int | None = 0) -> None:
    async with engine.begin() as conn:
        await brakes.put(conn, name, at_once_max, utc_now(), source="command", actor="operator:eve")


async def settled(world: Any) -> bool:
    return set((await world.statuses()).values()) == {Status.PAID}


async def test_a_held_payout_waits_and_goes_on_by_itself(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    await pull(world.engine, "bank")
    _, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await asyncio.sleep(2)
        assert bank.tally() == {}
        async with world.engine.connect() as conn:
            row = (await conn.execute(select(messages).where(messages.c.key == payout_id))).one()
        assert (row.state, row.attempts, row.last_error) == ("due", 0, "")
        await pull(world.engine, "settle", None)
        await wait_until(lambda: settled(world))
    assert bank.tally() == {payout_id: {"asked": 1, "made": 1}}


async def test_a_payout_that_was_sent_is_asked_about_while_held_and_what_never_arrived_is_not_sent_again(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    _, arrived = await world.approve("anna")
    _, lost = await world.approve("bob")
    config = world.settle_config(bank.url)
    bank.faults(lose_reply_rate=1.0)
    async with config.rail.open() as rail:
        instruction = settle.Instruction(arrived, Money(3_000, "CNY"), "6222anna", "claim")
        await rail.send(instruction)
    async with world.engine.begin() as conn:
        await payouts.mark_sent(conn, arrived, utc_now())
        await payouts.mark_sent(conn, lost, utc_now())  # the process died before the request left
    await pull(world.engine, "insurer:anshun")

    async def one_is_paid() -> bool:
        return list((await world.statuses()).values()).count(Status.PAID) == 1

    async def asked_again() -> bool:
        async with world.engine.connect() as conn:
            row = (await conn.execute(select(messages).where(messages.c.key == lost))).one()
        return row.fence >= 2 and row.attempts <= 1

    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(one_is_paid)
        await wait_until(asked_again)
        assert set(bank.tally()) == {arrived}
        await pull(world.engine, "insurer:anshun", None)
        await wait_until(lambda: settled(world))
    assert {payout["made"] for payout in bank.tally().values()} == {1}
    assert (await reconcile(config)).agrees


async def test_a_payout_leased_before_its_brake_was_pulled_does_not_leave_and_keeps_its_place(
    world: Any, bank: Any
) -> None:
    _, payout_id = await world.approve("anna")
    queue = OutboxQueue(world.engine, "settle", "settle-1", 30)
    (message,) = await queue.lease(1)
    await pull(world.engine, "product:fresh_food_rot")
    config = world.settle_config(bank.url)
    async with config.rail.open() as rail:
        settlement = settle.Settlement(world.engine, rail)
        with pytest.raises(settle.Held, match="product:fresh_food_rot"):
            await settlement.settle(message)
        async with world.engine.begin() as conn:
            assert (await payouts.get(conn, payout_id)).state == "reserved"
            await outbox.release(conn, [message])
        assert await queue.lease(1) == []
        await pull(world.engine, "product:fresh_food_rot", None)
        (again,) = await queue.lease(1)
        assert again.attempts == 1
        assert (await settlement.settle(again))[0] == "paid"
    assert bank.tally() == {payout_id: {"asked": 1, "made": 1}}


@dataclass
class Deciding:
    """A worker whose checking takes no time: it records a decision for every claim of a batch, and when it began."""

    engine: AsyncEngine
    name: str
    begun: list[tuple[float, str]] = field(default_factory=list)
    at_once: list[str] = field(default_factory=list)
    most: int = 0

    async def work(self, batch: LeasedBatch[Any]) -> None:
        for lease in batch.leases:
            self.at_once.append(lease.claim_id)
            self.most = max(self.most, len(self.at_once))
            self.begun.append((time.monotonic(), lease.claim_id))
        for lease in batch.leases:
            await asyncio.sleep(0.01)
            pay = Decision(
                Outcome.PAY,
                Money(3_000, "CNY"),
                (),
                (reason("within_auto_pay"),),
                "test",
                (),
                datetime.now(UTC),
                "rules",
            )
            async with self.engine.begin() as conn:
                file = await adjudication.load(conn, lease.claim_id)
                await recording.record_decision(
                    conn, recording.NewDecision(lease, file, pay, b"{}", utc_now(), self.name, partner="anshun")
                )
            batch.close(lease)
            self.at_once.remove(lease.claim_id)

    async def run(self, stop: asyncio.Event, limits: Any) -> None:
        queue = ClaimQueue(self.engine, self.name, 30)
        await Drain(self.name, queue, self.work, limits, stop, asyncio.Event()).run()


HOLDING = ("adjudicate", "product:fresh_food_rot", "insurer:anshun")


async def test_whatever_is_pulled_and_let_go_nothing_begins_while_it_is_held_and_each_claim_is_paid_once(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    chance = random.Random(2)
    workers = [Deciding(world.engine, f"worker-{number}") for number in (1, 2)]
    limits = world.worker_config().lease
    settling = [replace(world.settle_config(bank.url), name=f"settle-{number}") for number in (1, 2)]
    held: list[tuple[float, float]] = []  # from its commit to its release
    names = [f"claimant-{number}" for number in range(40)]

    async def steer() -> None:
        for name in chance.sample((*HOLDING, "bank"), 4):
            await pull(world.engine, name)
            began = time.monotonic()
            await asyncio.sleep(chance.uniform(1.5, 2.5))
            if name != "bank":
                held.append((began, time.monotonic()))
            await pull(world.engine, name, None)
            await asyncio.sleep(chance.uniform(0.0, 0.2))

    async def file() -> None:
        for name in names:
            await world.claim(await world.policy(name), {})
            await asyncio.sleep(0.2)

    async with (
        run_process(lambda stop: workers[0].run(stop, limits)),
        run_process(lambda stop: workers[1].run(stop, limits)),
        run_process(lambda stop: settle.run(settling[0], stop)),
        run_process(lambda stop: settle.run(settling[1], stop)),
    ):
        await asyncio.gather(steer(), file())
        await wait_until(lambda: settled(world))
    begun = [start for worker in workers for start in worker.begun]
    assert sorted(claim for _, claim in begun) == sorted(await world.statuses()), "each is begun once"
    # A lease that had read the brakes just before one was pulled may still come through: a moment, and never 10 s.
    late = [at - start for at, _ in begun for start, end in held if start + 1 < at < end]
    assert late == []
    assert {payout["made"] for payout in bank.tally().values()} == {1}
    assert len(bank.tally()) == len(names)
    async with world.engine.connect() as conn:
        counted = (await conn.execute(select(jobs.c.attempts, jobs.c.deaths, jobs.c.failures))).all()
    assert set(counted) == {(1, 0, 0)}
    assert (await reconcile(settling[0])).agrees


async def test_a_limit_of_one_holds_over_two_processes(world: Any, run_process: Any, wait_until: Any) -> None:
    await pull(world.engine, "product:fresh_food_rot", 1)
    at_once: list[str] = []
    workers = [Deciding(world.engine, f"worker-{number}", at_once=at_once) for number in (1, 2)]
    for number in range(12):
        await world.claim(await world.policy(f"claimant-{number}"), {})
    limits = world.worker_config().lease

    async def decided() -> bool:
        return Status.SUBMITTED not in (await world.statuses()).values()

    async with (
        run_process(lambda stop: workers[0].run(stop, limits)),
        run_process(lambda stop: workers[1].run(stop, limits)),
    ):
        await wait_until(decided)
    assert max(worker.most for worker in workers) == 1
    assert sum(len(worker.begun) for worker in workers) == 12


EARLY = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
QUEUE = PrefectControl("queue", "settle", "settle")
LIMIT = PrefectControl("limit", "bank", "settle")
values = st.sampled_from([None, 0, 1, 5])
times = st.integers(-3_600, 3_600).map(lambda seconds: EARLY + timedelta(seconds=seconds))


def brake(at_once_max: int | None, at: datetime = EARLY) -> Brake:
    return Brake("settle", at_once_max, "command", "operator:eve", "", at)


@given(stands=values, value=values, noted_at=times, shown_at=times)
def test_a_change_in_prefect_is_followed_unless_it_is_older_and_lets_go(
    stands: int | None, value: int | None, noted_at: datetime, shown_at: datetime
) -> None:
    """Whichever way Prefect's clock has jumped."""
    noted = {QUEUE: NotedControl("q", stands, noted_at)}
    change = newest_change(brake(stands), noted, {QUEUE: ShownControl("q", value, shown_at)})
    room = {None: 9, 0: 0, 1: 1, 5: 5}
    assert (change is not None) == (value != stands and (shown_at > noted_at or room[value] < room[stands]))


@given(stands=values, value=values, at=times, shown_at=times)
def test_of_a_server_never_met_only_what_holds_and_is_newer_is_followed(
    stands: int | None, value: int | None, at: datetime, shown_at: datetime
) -> None:
    shown = {QUEUE: ShownControl("another", value, shown_at)}
    change = newest_change(brake(stands, at), {QUEUE: NotedControl("q", stands, EARLY)}, shown)
    assert (change is not None) == (value is not None and value != stands and shown_at > at)
    unheard_of = newest_change(None, {}, shown)
    assert (unheard_of is not None) == (value is not None)


@given(first=times, second=times)
def test_of_two_changes_the_newer_is_followed_and_the_one_that_holds_more_where_they_are_one(
    first: datetime, second: datetime
) -> None:
    long_ago = EARLY - timedelta(days=1)
    noted = {QUEUE: NotedControl("q", 3, long_ago), LIMIT: NotedControl("l", 3, long_ago)}
    shown = {QUEUE: ShownControl("q", 7, first), LIMIT: ShownControl("l", 0, second)}
    change = newest_change(brake(3), noted, shown)
    assert change is not None
    assert change.control == (QUEUE if first > second else LIMIT)


def test_what_was_told_and_has_not_reached_prefect_yet_is_no_change_there() -> None:
    noted: dict[PrefectControl, NotedControl] = {QUEUE: NotedControl("q", None, EARLY)}
    assert newest_change(brake(0), noted, {QUEUE: ShownControl("q", None, EARLY)}) is None
    told: Sequence[tuple[int, bool]] = [(-1, False), (1, True)]
    for seconds, followed in told:
        shown = {QUEUE: ShownControl("q", 4, EARLY + timedelta(seconds=seconds))}
        assert (newest_change(brake(0), noted, shown) is not None) == followed

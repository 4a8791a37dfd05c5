"""Payouts between a real store and a real bank that fails, stalls, loses replies and dies: each leaves exactly once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from claims.claim import Status
from claims.money import Money
from claims.store import payouts
from flows import settle
from flows.reconcile import reconcile
from tests.claims.store.reads import open_referral
from tests.forked import Forked

pytestmark = pytest.mark.anyio
COUNT = 30


async def settled(world: Any) -> bool:
    return all(status in (Status.PAID, Status.PAYOUT_FAILED) for status in (await world.statuses()).values())


async def paid_at_least(world: Any, count: int) -> bool:
    return list((await world.statuses()).values()).count(Status.PAID) >= count


async def test_an_approved_claim_is_paid_and_bank_and_books_agree(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    claim_id, payout_id = await world.approve("anna", 2_950)
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(lambda: settled(world))
    assert await world.status(claim_id) is Status.PAID
    assert bank.tally() == {payout_id: {"asked": 1, "made": 1}}
    report = await reconcile(config)
    assert (report.differences, report.payouts, report.payments, report.open_payouts) == ((), 1, 1, 0)


async def test_paid_with_the_reply_lost_is_found_by_asking_and_paid_once(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(lose_reply_rate=1.0)
    claim_id, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(lambda: settled(world))
    assert await world.status(claim_id) is Status.PAID
    assert bank.tally() == {payout_id: {"asked": 1, "made": 1}}
    assert (await reconcile(config)).agrees


async def test_forty_payouts_through_a_bank_with_every_fault_are_each_paid_once(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(error_rate=0.2, lose_reply_rate=0.2, stall_rate=0.1, stall_s=2, seed=7)
    for number in range(40):
        await world.approve(f"claimant-{number}", 1_000 + number)
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(lambda: settled(world))
    assert set((await world.statuses()).values()) == {"paid"}
    assert {payout["made"] for payout in bank.tally().values()} == {1}
    report = await reconcile(config)
    assert (report.differences, report.payments, report.open_payouts) == ((), 40, 0)


async def test_a_closed_account_fails_the_payout_and_asks_a_person(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    claim_id, payout_id = await world.approve("anna", account="closed-77")
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(lambda: settled(world))
    async with world.engine.connect() as conn:
        payout = await payouts.get(conn, payout_id)
        referral = await open_referral(conn, claim_id)
    assert (payout.state, referral.cause) == ("failed", "payout_failed")
    assert "account_closed" in payout.last_error
    assert (await reconcile(config)).agrees


async def test_a_dead_bank_delays_a_payout_and_loses_nothing(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.kill()
    claim_id, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):

        async def tried() -> bool:
            async with world.engine.connect() as conn:
                return bool((await payouts.get(conn, payout_id)).last_error)

        await wait_until(tried)
        assert await world.status(claim_id) is Status.APPROVED
        bank.start()
        await wait_until(lambda: settled(world))
    assert await world.status(claim_id) is Status.PAID
    assert bank.tally()[payout_id]["made"] == 1


async def test_two_settling_processes_killed_again_and_again_pay_each_claim_once(
    world: Any, bank: Any, wait_until: Any
) -> None:
    bank.faults(lose_reply_rate=0.2, error_rate=0.1, stall_rate=0.2, stall_s=0.3, seed=3)
    for number in range(COUNT):
        await world.approve(f"claimant-{number}", 1_000 + number)
    config = world.settle_config(bank.url)
    rail = {
        "url": bank.url, "token": "bank-token", "connect_timeout_seconds": 1, "reply_timeout_seconds": 1
    }  # fmt: skip
    code = (
        "import asyncio, dataclasses, os, sys\n"
        "from flows import settle\n"
        "from flows.config import *\n"
        "from flows.rails.registry import chosen\n"
        "lease = LeaseLimits(4, 1, lease_seconds=1, heartbeat_seconds=0.3, backoff_seconds=0.1)\n"
        f"config = SettleConfig('settle', StoreConfig({config.store.dsn!r}, {config.store.evidence_url!r}),"
        f" chosen('http', {rail!r}), lease=lease)\n"
        "config = dataclasses.replace(config, name=f'settle-{os.getpid()}')\n"
        "asyncio.run(settle.run(config))\n"
    )
    processes = [Forked([], code=code) for _ in range(2)]
    try:
        for turn in range(2):
            # Mid-way: each kill comes after some more were paid, and before the rest.
            await wait_until(lambda enough=4 * (turn + 1): paid_at_least(world, enough))
            victim = processes[turn % 2]
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            processes[turn % 2] = Forked([], code=code)
        await wait_until(lambda: settled(world))
    finally:
        for process in processes:
            process.terminate()
        assert [process.wait() for process in processes] == [0, 0]
    assert set((await world.statuses()).values()) == {"paid"}
    assert {payout["made"] for payout in bank.tally().values()} == {1}
    report = await reconcile(config)
    assert (report.differences, report.payments) == ((), COUNT)


async def test_reconciliation_names_what_differs(world: Any, bank: Any, run_process: Any, wait_until: Any) -> None:
    await world.approve("anna", 1_000)
    config = world.settle_config(bank.url)
    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(lambda: settled(world))
    _, open_id = await world.approve("bert", 2_000)
    from flows.rails.rail import Instruction

    async with config.rail.open() as rail:
        await rail.send(Instruction("po_nobody", Money(5, "CNY"), "6222", ""))
        await rail.send(Instruction(open_id, Money(1_999, "CNY"), "6222bert", ""))
    report = await reconcile(config)
    assert sorted(difference.code for difference in report.differences) == ["amount_differs", "unknown_payment"]
    assert report.open_payouts == 1

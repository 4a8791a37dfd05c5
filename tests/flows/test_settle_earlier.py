"""The bank's answer about earlier payouts, before a claim's second: awaited until final, then the books follow it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from claims.claim import Status
from claims.decision import Decision, Outcome
from claims.errors import ClaimStopped
from claims.ledger import Account
from claims.money import Money
from claims.reasons import reason
from claims.store import findings, payouts, referrals
from claims.store.corrections import PAID_AFTER_ALL
from claims.store.findings import Difference
from claims.store.tables import audit as audit_rows
from flows import settle
from flows.errors import RailError
from flows.queues import OutboxQueue
from flows.reconcile import Reconciler, reconcile, reconcile_and_keep
from tests.claims.store.reads import balances, open_referral
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio


async def decide(world: Any, claim_id: str, minor: int, outcome: Outcome = Outcome.PAY, **options: Any) -> Any:
    """Records a person's decision on a claim that is referred to them."""
    now = datetime.now(UTC)
    code = {Outcome.PAY: "person_approved", Outcome.DECLINE: "person_refused", Outcome.ASK: "person_asked"}[outcome]
    decision = Decision(outcome, Money(minor, "CNY"), (), (reason(code, "x"),), "test", (), now, "li")
    async with world.engine.begin() as conn:
        referral = await open_referral(conn, claim_id)
        return await record_verdict(conn, claim_id, referral.id, decision, now, note="n", **options)


async def state(world: Any, payout_id: str) -> str:
    async with world.engine.connect() as conn:
        return (await payouts.get(conn, payout_id)).state


async def settle_until(world: Any, config: Any, run_process: Any, wait_until: Any, payout_id: str, *ends: str) -> None:
    async def done() -> bool:
        return await state(world, payout_id) in ends

    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(done)


@pytest.mark.parametrize(
    "fault", ["in_progress_paid", "conflict_bare_paid", "refused_unnamed_paid", "refused_paid", "refused_another_paid"]
)
async def test_a_payout_that_was_made_under_a_refusal_is_never_recorded_as_failed(
    world: Any, bank: Any, run_process: Any, wait_until: Any, fault: str
) -> None:
    bank.faults(send={fault: 1.0})
    claim_id, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)
    await settle_until(world, config, run_process, wait_until, payout_id, "paid", "failed")
    assert await world.status(claim_id) is Status.PAID
    assert (await reconcile(config)).agrees


async def test_a_payout_in_progress_is_asked_about_until_the_bank_gives_a_final_answer(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(send={"in_progress": 1.0}, ask={"in_progress": 0.5, "too_early": 0.3})
    claim_id, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)

    async def asked() -> bool:
        return bool(bank.tally().get(payout_id, {}).get("asked", 0) >= 3)

    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(asked)
        assert await world.status(claim_id) is Status.APPROVED
        bank.faults()

        async def paid() -> bool:
            return await state(world, payout_id) == "paid"

        await wait_until(paid)
    assert bank.tally()[payout_id]["made"] == 1


async def test_success_after_a_confirmed_refusal_corrects_the_books_and_nothing_is_paid_twice(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(send={"refused_paid_later": 1.0}, later_s=1.5)
    claim_id, first = await world.approve("anna", 3_000)
    config = replace(world.settle_config(bank.url), reconcile_seconds=3_600)
    await settle_until(world, config, run_process, wait_until, first, "failed")
    assert await world.status(claim_id) is Status.PAYOUT_FAILED
    bank.faults()

    async def made() -> bool:
        return bool(bank.tally()[first]["made"] == 1)

    await wait_until(made)
    second = (await decide(world, claim_id, 3_000)).payout_id
    await settle_until(world, config, run_process, wait_until, second, "failed")
    assert await state(world, first) == "paid"
    assert second not in bank.tally()
    async with world.engine.connect() as conn:
        assert (await payouts.get(conn, second)).last_error.startswith("not_sent")
        referral = await open_referral(conn, claim_id)
        assert await findings.stopping(conn, claim_id) == (PAID_AFTER_ALL,)
        books = await balances(conn)
        actions = (await conn.execute(select(audit_rows.c.action).where(audit_rows.c.subject == claim_id))).scalars()
        assert {"payout.failed", "payout.paid_after_all", "payout.finding_opened"} <= set(actions)
    assert referral.cause == "stopped"
    assert await world.status(claim_id) is Status.REFERRED
    assert (books[Account.BANK, "CNY"], books[Account.CLAIMS_RESERVED, "CNY"]) == (-3_000, 0)
    # The person sees that it was paid; a clean reconciliation lets the claim go on.
    assert (await reconcile_and_keep(config)).agrees
    async with world.engine.connect() as conn:
        assert await findings.stopping(conn, claim_id) == ()
    assert (await decide(world, claim_id, 3_000)).payout_id == ""
    assert await world.status(claim_id) is Status.PAID


async def test_reconciliation_notices_success_after_refusal_and_shows_it_to_a_person(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(send={"refused_paid_later": 1.0}, later_s=1.0)
    claim_id, payout_id = await world.approve("anna")
    config = replace(world.settle_config(bank.url), reconcile_seconds=0.4)
    async with run_process(lambda stop: settle.run(config, stop)):

        async def corrected() -> bool:
            return await state(world, payout_id) == "paid"

        await wait_until(corrected)
    async with world.engine.connect() as conn:
        assert (await open_referral(conn, claim_id)).cause == "stopped"
    assert await world.status(claim_id) is Status.REFERRED
    assert (await reconcile(config)).agrees


async def test_an_earlier_payout_that_the_bank_leaves_open_holds_the_next_one_back(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    claim_id, first = await world.approve("anna", account="closed-1")
    config = world.settle_config(bank.url)
    await settle_until(world, config, run_process, wait_until, first, "failed")
    second = (await decide(world, claim_id, 3_000)).payout_id
    bank.faults(ask={"forgotten": 0.5, "accepted": 0.5})

    async def waits() -> bool:
        async with world.engine.connect() as conn:
            return "earlier payout" in (await payouts.get(conn, second)).last_error

    async with run_process(lambda stop: settle.run(config, stop)):
        await wait_until(waits)
        assert second not in bank.tally()
        bank.faults()

        async def settled() -> bool:
            return await state(world, second) == "failed"  # the account is closed for this one, too

        await wait_until(settled)


async def test_a_stopped_claim_gets_no_further_payout_until_a_person_lifts_it(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    bank.faults(send={"refused_paid_later": 1.0}, later_s=0.0)
    claim_id, payout_id = await world.approve("anna", 3_000)
    config = replace(world.settle_config(bank.url), reconcile_seconds=3_600)
    await settle_until(world, config, run_process, wait_until, payout_id, "paid")
    async with world.engine.begin() as conn:
        difference = Difference(payout_id, claim_id, "amount_differs", "books 1, bank 2")
        assert await findings.record(conn, difference, datetime.now(UTC), actor="test")
        assert not await findings.record(conn, difference, datetime.now(UTC), actor="test")
        await conn.execute(text("UPDATE claims SET status = 'referred' WHERE id = :id"), {"id": claim_id})
        decided = (await payouts.get(conn, payout_id)).decision_id
        await referrals.open_referral(conn, claim_id, decided, "anshun", "appeal", datetime.now(UTC))
    with pytest.raises(ClaimStopped):
        await decide(world, claim_id, 3_500)
    async with world.engine.begin() as conn:
        (finding,) = await findings.listed(conn, claim_id=claim_id)
        await findings.lift(conn, finding.id, "looked", datetime.now(UTC), actor="operator:o")
        assert not await findings.record(conn, difference, datetime.now(UTC), actor="test")  # lifted, and nothing new
    more = (await decide(world, claim_id, 3_500)).payout_id
    bank.faults()
    await settle_until(world, config, run_process, wait_until, more, "paid")


async def test_a_finding_opened_after_the_approval_stops_the_payout_on_its_way_to_the_bank(
    world: Any, bank: Any, run_process: Any, wait_until: Any
) -> None:
    claim_id, payout_id = await world.approve("anna")
    async with world.engine.begin() as conn:
        difference = Difference("po_other", claim_id, "account_differs", "x")
        await findings.record(conn, difference, datetime.now(UTC), actor="test")
    config = replace(world.settle_config(bank.url), reconcile_seconds=3_600)
    queue = OutboxQueue(world.engine, "settle", "test", 30)
    (message,) = await queue.lease(1)
    async with config.rail.open() as rail:
        with pytest.raises(settle.Postponed, match="account_differs"):
            await settle.Settlement(world.engine, rail).settle(message)
    assert bank.tally() == {}
    assert await state(world, payout_id) == "reserved"
    await queue.release([message])
    # A clean reconciliation, by the timer, lets it go on.
    config = replace(config, reconcile_seconds=0.2)
    await settle_until(world, config, run_process, wait_until, payout_id, "paid")


async def test_a_payment_in_another_amount_stops_the_claim_and_is_never_called_paid(world: Any, bank: Any) -> None:
    claim_id, payout_id = await world.approve("anna", 3_000)
    config = world.settle_config(bank.url)
    async with config.rail.open() as rail:
        await rail.send(settle.Instruction(payout_id, Money(2_999, "CNY"), "6222anna", ""))
        (message,) = await OutboxQueue(world.engine, "settle", "test", 30).lease(1)
        with pytest.raises(settle.Postponed, match="amount_differs"):
            await settle.Settlement(world.engine, rail).settle(message)
    assert await state(world, payout_id) == "sent"
    async with world.engine.connect() as conn:
        assert await findings.stopping(conn, claim_id) == ("amount_differs",)


async def test_a_list_that_cannot_be_read_finds_nothing_and_ends_nothing(world: Any, bank: Any) -> None:
    claim_id, payout_id = await world.approve("anna")
    config = world.settle_config(bank.url)
    async with world.engine.begin() as conn:
        difference = Difference(payout_id, claim_id, "account_differs", "x")
        await findings.record(conn, difference, datetime.now(UTC), actor="test")
    bank.faults(list={"half_body": 1.0})
    async with config.rail.open() as rail:
        with pytest.raises(RailError, match="in full"):
            await Reconciler(world.engine, rail).reconcile()
    async with world.engine.connect() as conn:
        assert await findings.stopping(conn, claim_id) == ("account_differs",)
        run = await findings.last_run(conn)
        assert run is not None
        assert "in full" in run.error
        assert await findings.last_run(conn, whole=True) is None


async def test_one_process_reconciles_at_a_time_and_not_again_within_the_interval(world: Any, bank: Any) -> None:
    config = world.settle_config(bank.url)
    async with config.rail.open() as rail, world.engine.connect() as conn:
        reconciler = Reconciler(world.engine, rail)
        async with conn.begin():
            assert await findings.alone(conn)
            assert await reconciler.reconcile() is None
        assert await reconciler.reconcile(not_within_seconds=60) is not None
        assert await reconciler.reconcile(not_within_seconds=60) is None
        assert await reconciler.reconcile() is not None


async def test_a_429_of_the_bank_postpones_the_message_for_as_long_as_it_says(world: Any, bank: Any) -> None:
    bank.faults(send={"too_many": 1.0}, retry_after_s=77)
    await world.approve("anna")
    config = world.settle_config(bank.url)
    (message,) = await OutboxQueue(world.engine, "settle", "test", 30).lease(1)
    async with config.rail.open() as rail:
        with pytest.raises(settle.Postponed) as postponed:
            await settle.Settlement(world.engine, rail).settle(message)
    assert postponed.value.wait_seconds == 77

"""Decisions after payment are never silent and always in the ledger."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import Status
from claims.decision import Outcome
from claims.errors import Conflict, CoverSpent, NothingToRecover, RecoveryNeeded
from claims.ledger import Account
from claims.store import (
    adjudication,
    counts,
    erasure,
    intake,
    payouts,
    queue,
    recording,
    recoveries,
    referrals,
    views,
)
from claims.store.tables import audit as audit_rows
from claims.wire import canonical
from flows.rails.rail import Paid
from flows.reconcile import _books, compare
from tests.claims.store.reads import balances, open_referral
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio


async def paid(world: Any, claim_id: str, minor: int, **changes: object) -> str:
    """Makes a paid claim; its amount less offsets has left the bank."""
    recorded = await world.decided(claim_id, Outcome.PAY, minor, **changes)
    if recorded.payout_id:
        async with world.engine.begin() as conn:
            await payouts.mark_paid(conn, recorded.payout_id, f"B-{claim_id}", world.now)
    return str(recorded.payout_id)


async def appeal(world: Any, claim_id: str) -> str:
    async with world.engine.begin() as conn:
        return str(
            await intake.appeal(conn, claim_id, "ann", "再看", world.now, actor="claimant:ann", partner="anshun")
        )


async def judge(world: Any, referral_id: str, claim_id: str, outcome: Outcome, minor: int = 0, **options: Any) -> Any:
    async with world.engine.begin() as conn:
        decision = world.decision(outcome, minor, by="li")
        return await record_verdict(conn, claim_id, referral_id, decision, world.now, note="words", **options)


async def balance(world: Any, account: Account) -> int:
    async with world.engine.connect() as conn:
        return (await balances(conn)).get((account, "CNY"), 0)


async def differences(world: Any) -> list[str]:
    """Returns a reconciliation's differences when the bank has made exactly the payments in the books."""
    async with world.engine.connect() as conn:
        books = await _books(conn)
    made = [
        Paid(payout.id, payout.bank_reference, payout.amount, payout.payee_account)
        for payout in books.payouts
        if payout.state == "paid" and not payout.recovery_id
    ]
    report = compare(books, made, frozenset(payout.id for payout in books.payouts))
    return [str(difference) for difference in report.differences]


async def lowered(world: Any, claim_id: str = "c", by: int = 10_000) -> str:
    """Pays a claim 200.00, then lowers it by `by`; returns the recovery's id."""
    await paid(world, claim_id, 20_000)
    referral_id = await appeal(world, claim_id)
    return str((await judge(world, referral_id, claim_id, Outcome.PAY, 20_000 - by, recover=True)).recovery_id)


@pytest.mark.parametrize(("outcome", "minor"), [(Outcome.PAY, 10_000), (Outcome.DECLINE, 0)])
async def test_less_than_was_paid_is_refused_until_it_is_said_what_becomes_of_the_rest(
    world: Any, outcome: Outcome, minor: int
) -> None:
    await paid(world, "c", 20_000)
    referral_id = await appeal(world, "c")
    with pytest.raises(RecoveryNeeded) as told:
        await judge(world, referral_id, "c", outcome, minor)
    assert (told.value.paid_minor, told.value.due_minor) == (20_000, minor)
    async with world.engine.connect() as conn:
        assert (await referrals.get(conn, referral_id)).state == "open"
        assert len((await views.claim_view(conn, "c")).decisions) == 1
    recorded = await judge(world, referral_id, "c", outcome, minor, recover=True)
    assert recorded.status is (Status.PAID if outcome is Outcome.PAY else Status.DECLINED)
    assert await balance(world, Account.CLAIMANT_RECEIVABLE) == 20_000 - minor
    assert await balance(world, Account.CLAIMS_EXPENSE) == minor
    async with world.engine.connect() as conn:
        recovery = await recoveries.get(conn, recorded.recovery_id)
        view = await views.claim_view(conn, "c")
        actions = list((await conn.execute(select(audit_rows.c.action).where(audit_rows.c.subject == "c"))).scalars())
    assert (recovery.owed.minor, recovery.state, view.promised.minor) == (20_000 - minor, "open", minor)
    assert "recovery.opened" in actions
    assert await differences(world) == []


async def test_nothing_is_recovered_where_no_more_was_paid_than_is_due(world: Any) -> None:
    await paid(world, "c", 20_000)
    referral_id = await appeal(world, "c")
    for outcome, minor in ((Outcome.PAY, 20_000), (Outcome.PAY, 25_000), (Outcome.ASK, 0)):
        with pytest.raises(NothingToRecover):
            await judge(world, referral_id, "c", outcome, minor, recover=True)


async def test_a_claim_that_was_refused_after_it_was_paid_stays_refused_when_its_appeal_is_withdrawn(
    world: Any,
) -> None:
    await paid(world, "c", 20_000)
    await judge(world, await appeal(world, "c"), "c", Outcome.DECLINE, recover=True)
    await appeal(world, "c")
    async with world.engine.begin() as conn:
        assert (await views.claim_view(conn, "c")).stands is Status.DECLINED
        await intake.withdraw(conn, "c", "ann", world.now, actor="claimant:ann")
        assert (await views.claim_view(conn, "c")).claim.status is Status.DECLINED


async def test_a_later_payout_of_the_same_claimant_is_reduced_by_what_they_owe(world: Any) -> None:
    recovery_id = await lowered(world, by=10_000)
    later = await world.decided("d", Outcome.PAY, 15_000)
    async with world.engine.connect() as conn:
        parts = await payouts.of_claim(conn, "d")
        recovery = await recoveries.get(conn, recovery_id)
    assert sorted((part.amount.minor, part.state, bool(part.recovery_id)) for part in parts) == [
        (5_000, "reserved", False),
        (10_000, "paid", True),
    ]
    assert later.payout_id in {part.id for part in parts if not part.recovery_id}
    assert (recovery.state, recovery.owed.minor, recovery.offset_minor) == ("offset", 0, 10_000)
    assert await balance(world, Account.CLAIMANT_RECEIVABLE) == 0
    assert await differences(world) == []


async def test_a_later_claim_that_is_wholly_offset_is_paid_with_nothing_sent(world: Any) -> None:
    recovery_id = await lowered(world, by=10_000)
    later = await world.decided("d", Outcome.PAY, 4_000)
    assert (later.status, later.payout_id) == (Status.PAID, "")
    async with world.engine.connect() as conn:
        assert (await recoveries.get(conn, recovery_id)).owed.minor == 6_000
        outbox = await conn.exec_driver_sql("SELECT count(*) FROM outbox WHERE topic = 'settle'")
        assert outbox.scalar_one() == 1  # the first claim's alone
    assert await balance(world, Account.CLAIMS_RESERVED) == 0
    assert await differences(world) == []


async def test_somebody_elses_payout_is_not_touched(world: Any) -> None:
    await lowered(world)
    await world.decided("e", Outcome.PAY, 5_000, owner="bob", payee_account="62220999")
    async with world.engine.connect() as conn:
        (payout,) = await payouts.of_claim(conn, "e")
    assert (payout.amount.minor, payout.recovery_id) == (5_000, "")


async def test_an_offset_stands_when_the_rest_fails_and_is_approved_again(world: Any) -> None:
    await lowered(world, by=10_000)
    later = await world.decided("d", Outcome.PAY, 15_000)
    async with world.engine.begin() as conn:
        await payouts.mark_failed(conn, later.payout_id, "account_closed", world.now, partner="anshun")
        referral = await open_referral(conn, "d")
    again = await judge(world, referral.id, "d", Outcome.PAY, 15_000)
    async with world.engine.connect() as conn:
        assert (await payouts.get(conn, again.payout_id)).amount.minor == 5_000
    assert await differences(world) == []


async def test_raising_a_lowered_claim_takes_the_recovery_back_before_money_moves(world: Any) -> None:
    recovery_id = await lowered(world, by=10_000)
    referral_id = await appeal(world, "c")
    async with world.engine.connect() as conn:
        assert (await recoveries.get(conn, recovery_id)).owed.minor == 10_000
    raised = await judge(world, referral_id, "c", Outcome.PAY, 15_000)
    assert (raised.status, raised.payout_id) == (Status.PAID, "")
    async with world.engine.connect() as conn:
        assert (await recoveries.get(conn, recovery_id)).owed.minor == 5_000
        assert await recoveries.held_minor(conn, "c") == 15_000
    assert await differences(world) == []


async def test_repaid_once_by_reference_and_written_off_once_with_a_note(world: Any) -> None:
    first = await lowered(world, "c", by=5_000)
    async with world.engine.begin() as conn:
        done = await recoveries.mark_repaid(conn, first, "IN-7", world.now, actor="operator:o")
        assert (done.state, done.repaid_minor, done.owed.minor) == ("repaid", 5_000, 0)
    async with world.engine.begin() as conn:
        assert await recoveries.mark_repaid(conn, first, "IN-7", world.now, actor="operator:o") == done
        with pytest.raises(Conflict):
            await recoveries.mark_repaid(conn, first, "IN-8", world.now, actor="operator:o")
        with pytest.raises(Conflict):
            await recoveries.write_off(conn, first, "no", world.now, actor="operator:o")
    second = await lowered(world, "d", by=3_000)
    async with world.engine.begin() as conn:
        gone = await recoveries.write_off(conn, second, "cannot be found", world.now, actor="adjuster:li")
        assert (gone.state, gone.written_off_minor, gone.note) == ("written_off", 3_000, "cannot be found")
        assert await recoveries.held_minor(conn, "d") == 20_000
    assert await balance(world, Account.CLAIMANT_RECEIVABLE) == 0
    assert await balance(world, Account.RECOVERIES_WRITTEN_OFF) == 3_000
    assert await differences(world) == []
    async with world.engine.connect() as conn:
        actions = (await conn.execute(select(audit_rows.c.action))).scalars()
        assert {"recovery.repaid", "recovery.written_off"} <= set(actions)


async def test_what_came_back_is_left_of_the_cover_again(world: Any) -> None:
    recovery_id = await lowered(world, "c", by=10_000)
    await world.submitted("d")
    async with world.engine.begin() as conn:
        assert (await counts.cover(conn, "d")).paid_to_date_minor == 20_000
        await recoveries.mark_repaid(conn, recovery_id, "IN-1", world.now, actor="operator:o")
        assert (await counts.cover(conn, "d")).paid_to_date_minor == 10_000


async def test_a_ledger_that_does_not_fit_its_recovery_is_a_difference(world: Any) -> None:
    recovery_id = await lowered(world)
    async with world.engine.begin() as conn:
        await conn.exec_driver_sql("SET LOCAL session_replication_role = replica")  # past the guard of the audit
        await conn.exec_driver_sql(
            "UPDATE recoveries SET repaid_minor = amount_minor, state = 'repaid' WHERE id = $1", (recovery_id,)
        )
    assert [words.split(": ")[1] for words in await differences(world)] == ["recovery_differs"]


async def test_asked_for_more_after_payment_the_rules_pay_the_rest_or_bring_it_before_a_person(world: Any) -> None:
    await paid(world, "c", 3_000)
    await judge(world, await appeal(world, "c"), "c", Outcome.ASK)
    async with world.engine.begin() as conn:
        await intake.submit(conn, "c", "ann", world.now, actor="claimant:ann")
        cover = await counts.cover(conn, "c")
    assert (cover.held_on_claim_minor, cover.stopped_by) == (3_000, "")
    (lease,) = await world.lease()
    # Facts of before the payment are taken again, and a decision of the rules never lowers what was paid.
    stale = canonical({"facts": {"cover": {"held_on_claim_minor": 0}}})
    with pytest.raises(CoverSpent):
        await record(world, lease, Outcome.PAY, 3_000, stale)
    with pytest.raises(RecoveryNeeded):
        await record(world, lease, Outcome.DECLINE, 0, b"{}")
    recorded = await record(world, lease, Outcome.PAY, 3_000, b"{}")
    assert (recorded.status, recorded.payout_id) == (Status.PAID, "")


async def record(world: Any, lease: queue.Lease, outcome: Outcome, minor: int, inputs: bytes) -> Any:
    async with world.engine.begin() as conn:
        file = await adjudication.load(conn, lease.claim_id)
        return await recording.record_decision(
            conn,
            recording.NewDecision(
                lease, file, world.decision(outcome, minor), inputs, world.now, "flow:adjudicate", partner="anshun"
            ),
        )


async def test_erasure_keeps_what_is_owed_and_forgets_what_was_written_about_it(
    world: Any, engine: AsyncEngine
) -> None:
    recovery_id = await lowered(world)
    async with engine.begin() as conn:
        await erasure.erase(conn, "c", world.now, actor="operator:o", reason="")
        recovery = await recoveries.get(conn, recovery_id)
    assert (recovery.owed.minor, recovery.note) == (10_000, "")
    assert await differences(world) == []

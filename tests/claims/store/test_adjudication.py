from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import Status
from claims.decision import Outcome
from claims.errors import Conflict, CoverSpent, CurrencyMismatch, InvalidTransition, LeaseLost, NotFound, RecoveryNeeded
from claims.ledger import Account
from claims.money import Money
from claims.store import (
    adjudication,
    audit,
    intake,
    outbox,
    payouts,
    recording,
    referrals,
    stage_results,
    views,
    waiting,
)
from claims.store.waiting import Wanted
from tests.claims.store.reads import audit_count, audit_of, balances
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio


async def _rows(engine: AsyncEngine) -> dict[str, int]:
    """Returns the row counts of the tables that a decision writes to."""
    tables = ("decisions", "payouts", "ledger_transactions", "ledger_entries", "outbox", "referrals", "audit")
    async with engine.connect() as conn:
        counts = {table: (await conn.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in tables}
        done = await conn.execute(text("SELECT count(*) FROM jobs WHERE state = 'done'"))
        return {**counts, "finished jobs": done.scalar_one()}


async def test_paying_reserves_the_amount_and_tells_the_settle_process(world: Any, engine: AsyncEngine) -> None:
    recorded = await world.decided("c", Outcome.PAY, 4980)
    assert recorded.status is Status.APPROVED
    async with engine.begin() as conn:
        view = await views.claim_view(conn, "c", claimant_id="ann")
        (message,) = await outbox.lease(conn, "settle", "s", 5, 30, world.now)
        books = await balances(conn)
    assert [entry.status for entry in view.timeline] == [Status.DRAFT, Status.SUBMITTED, Status.APPROVED]
    assert message.key == recorded.payout_id == view.payouts[0].id
    assert view.payouts[0].amount == view.promised == Money(4980, "CNY")
    assert view.decision is not None
    assert view.decision.decision == world.decision(Outcome.PAY, 4980)
    assert books == {(Account.CLAIMS_EXPENSE, "CNY"): 4980, (Account.CLAIMS_RESERVED, "CNY"): -4980}
    assert not view.claim.touched
    assert view.claim.closed_at is None


@pytest.mark.parametrize(
    ("outcome", "status", "referred"),
    [
        (Outcome.REFER, Status.REFERRED, 1),
        (Outcome.ASK, Status.AWAITING_INFORMATION, 0),
        (Outcome.DECLINE, Status.DECLINED, 0),
    ],
)
async def test_other_outcomes_move_the_claim_and_no_money(
    world: Any, engine: AsyncEngine, outcome: Outcome, status: Status, referred: int
) -> None:
    recorded = await world.decided("c", outcome)
    rows = await _rows(engine)
    assert (recorded.status, recorded.payout_id) == (status, "")
    assert (rows["referrals"], rows["outbox"], rows["payouts"], rows["ledger_entries"]) == (referred, referred, 0, 0)
    assert rows["finished jobs"] == 1


async def test_a_decision_is_recorded_whole_or_not_at_all(world: Any, engine: AsyncEngine) -> None:
    """Breaks the transaction at each of its writes in turn by a refusing trigger, and compares every table."""
    await world.submitted("c")
    (lease,) = await world.lease()
    before = await _rows(engine)
    refuse = "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$"
    async with engine.begin() as conn:
        await conn.execute(text(refuse))
    for table in ("decisions", "claim_history", "payouts", "ledger_entries", "outbox", "jobs", "audit_contents"):
        async with engine.begin() as conn:
            event = "UPDATE" if table == "jobs" else "INSERT"
            await conn.execute(
                text(f"CREATE TRIGGER broken BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION broken()")
            )
        with pytest.raises(DBAPIError, match="broken"):
            await world.decide(lease, world.decision(Outcome.PAY, 4980))
        async with engine.begin() as conn:
            await conn.execute(text(f"DROP TRIGGER broken ON {table}"))
            assert (await views.claim_row(conn, "c")).status is Status.SUBMITTED
        assert await _rows(engine) == before, table
    await world.decide(lease, world.decision(Outcome.PAY, 4980))


async def test_a_worker_whose_lease_was_taken_records_nothing(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    (old,) = await world.lease("w1")
    (new,) = await world.lease("w2", seconds=31)
    before = await _rows(engine)
    with pytest.raises(LeaseLost):
        await world.decide(old, world.decision(Outcome.PAY, 4980))
    assert await _rows(engine) == before
    await world.decide(new, world.decision(Outcome.PAY, 4980))


async def test_of_two_workers_deciding_at_the_same_moment_one_pays(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    (lease,) = await world.lease()
    results = await asyncio.gather(
        *(world.decide(lease, world.decision(Outcome.PAY, 4980)) for _ in range(4)), return_exceptions=True
    )
    lost = [result for result in results if isinstance(result, LeaseLost)]
    assert len(lost) == 3
    assert (await _rows(engine))["payouts"] == 1


async def test_a_claim_withdrawn_while_a_worker_has_it_is_not_decided(world: Any, engine: AsyncEngine) -> None:
    await world.submitted("c")
    (lease,) = await world.lease()
    async with engine.begin() as conn:
        await intake.withdraw(conn, "c", "ann", world.now, actor="claimant:ann")
    with pytest.raises(LeaseLost):
        await world.decide(lease, world.decision(Outcome.PAY, 4980))


async def test_stage_results_are_kept_for_the_next_holder_and_refused_from_an_old_one(
    world: Any, engine: AsyncEngine
) -> None:
    await world.submitted("c")
    (old,) = await world.lease("w1")
    async with engine.begin() as conn:
        await stage_results.save(conn, old, "photos", [{"fact": "photo"}], {"wall": 0.4}, world.now)
        await stage_results.save(conn, old, "cover", {"x": 1}, {"wall": 0.1}, world.now)
    (new,) = await world.lease("w2", seconds=31)
    async with engine.begin() as conn:
        with pytest.raises(LeaseLost):
            await stage_results.save(conn, old, "photos", [], {}, world.now)
        kept = await stage_results.of_round(conn, "c", new.round)
        assert kept["photos"].result == [{"fact": "photo"}]


async def test_a_payout_in_another_currency_is_refused(world: Any) -> None:
    await world.submitted("c")
    (lease,) = await world.lease()
    decision = world.decision(Outcome.PAY, 4980)
    with pytest.raises(CurrencyMismatch):
        await world.decide(lease, type(decision)(**{**_fields(decision), "payout": Money(4980, "USD")}))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


async def test_two_claims_decided_at_once_cannot_both_use_up_the_same_sum_insured(
    world: Any, engine: AsyncEngine
) -> None:
    leases = []
    for name in ("a", "b"):
        await world.submitted(name, amount=Money(90_000, "CNY"))
        leases += await world.lease()
    results = await asyncio.gather(
        *(world.decide(lease, world.decision(Outcome.PAY, 60_000)) for lease in leases), return_exceptions=True
    )
    assert sum(isinstance(result, CoverSpent) for result in results) == 1
    async with engine.connect() as conn:
        total = await conn.execute(text("SELECT sum(amount_minor) FROM payouts"))
        assert total.scalar_one() == 60_000


async def test_an_appeal_reaches_a_person_who_pays_only_the_difference(world: Any, engine: AsyncEngine) -> None:
    first = await world.decided("c", Outcome.PAY, 3000)
    async with engine.begin() as conn:
        await payouts.mark_sent(conn, first.payout_id, world.now)
        await payouts.mark_paid(conn, first.payout_id, "B-1", world.now)
        referral_id = await intake.appeal(
            conn, "c", "ann", "不止这些", world.now, actor="claimant:ann", partner="anshun"
        )
    second = await _judge(world, engine, referral_id, "c", Outcome.PAY, 5000)
    async with engine.connect() as conn:
        view = await views.claim_view(conn, "c", partner="anshun")
    assert second.status is view.claim.status is Status.APPROVED
    assert [payout.amount.minor for payout in view.payouts] == [3000, 2000]
    assert view.claim.touched
    assert view.referrals[0].cause == "appeal"


async def test_an_appeal_that_changes_nothing_leaves_a_paid_claim_paid(world: Any, engine: AsyncEngine) -> None:
    first = await world.decided("c", Outcome.PAY, 3000)
    async with engine.begin() as conn:
        await payouts.mark_paid(conn, first.payout_id, "B-1", world.now)
        referral_id = await intake.appeal(conn, "c", "ann", "再看", world.now, actor="claimant:ann", partner="anshun")
    with pytest.raises(RecoveryNeeded):
        await _judge(world, engine, referral_id, "c", Outcome.DECLINE)
    recorded = await _judge(world, engine, referral_id, "c", Outcome.PAY, 3000)
    assert (recorded.status, recorded.payout_id, recorded.recovery_id) == (Status.PAID, "", "")


async def _judge(
    world: Any,
    engine: AsyncEngine,
    referral_id: str,
    claim_id: str,
    outcome: Outcome,
    minor: int = 0,
    subject: str = "li",
    partner: str | None = None,
) -> recording.DecisionRecorded:
    async with engine.begin() as conn:
        return await record_verdict(
            conn,
            claim_id,
            referral_id,
            world.decision(outcome, minor, by=subject),
            world.now,
            who=subject,
            note="看过了",
            partner=partner,
        )


async def test_of_two_adjusters_who_decide_at_once_one_wins(world: Any, engine: AsyncEngine) -> None:
    recorded = await world.decided("c", Outcome.REFER)
    results = await asyncio.gather(
        _judge(world, engine, recorded.referral_id, "c", Outcome.PAY, 5000, subject="li"),
        _judge(world, engine, recorded.referral_id, "c", Outcome.DECLINE, subject="wang"),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert sum(isinstance(result, recording.DecisionRecorded) for result in results) == 1
    assert (await _rows(engine))["decisions"] == 2


async def test_a_referral_is_taken_by_one_person_and_free_again_after_their_time(
    world: Any, engine: AsyncEngine
) -> None:
    recorded = await world.decided("c", Outcome.REFER)

    async def take(subject: str, seconds: float = 0) -> referrals.Referral:
        async with engine.begin() as conn:
            return await referrals.take(conn, recorded.referral_id, subject, world.later(seconds), lock_seconds=600)

    results = await asyncio.gather(*(take(subject) for subject in ("li", "wang", "zhao")), return_exceptions=True)
    (winner,) = [result for result in results if isinstance(result, referrals.Referral)]
    loser = "li" if winner.assigned_to != "li" else "wang"
    with pytest.raises(Conflict, match="somebody else"):
        await _judge(world, engine, recorded.referral_id, "c", Outcome.PAY, 5000, subject=loser)
    assert (await take(loser, seconds=601)).assigned_to == loser


async def test_another_partners_referral_is_not_there(world: Any, engine: AsyncEngine) -> None:
    recorded = await world.decided("c", Outcome.REFER)
    async with engine.begin() as conn:
        assert await waiting.ids(conn, Wanted("heyuan"), world.now, limit=9) == []
        assert await views.queue_rows(conn, Wanted("heyuan"), world.now) == []
        assert [row.claim.id for row in await views.queue_rows(conn, Wanted("anshun"), world.now)] == ["c"]
        with pytest.raises(NotFound):
            await referrals.get(conn, recorded.referral_id, "heyuan")
        with pytest.raises(NotFound):
            await referrals.take(conn, recorded.referral_id, "li", world.now, partner="heyuan")
        with pytest.raises(NotFound):
            await views.claim_view(conn, "c", partner="heyuan")
    with pytest.raises(NotFound):
        await _judge(world, engine, recorded.referral_id, "c", Outcome.PAY, 5000, partner="heyuan")


async def test_a_person_asks_and_the_claim_comes_back_for_another_round(world: Any, engine: AsyncEngine) -> None:
    recorded = await world.decided("c", Outcome.REFER)
    asked = await _judge(world, engine, recorded.referral_id, "c", Outcome.ASK)
    assert asked.status is Status.AWAITING_INFORMATION
    async with engine.begin() as conn:
        await world.file(conn, "c", "bill.jpg", sha="b")
        assert await intake.submit(conn, "c", "ann", world.now, actor="claimant:ann") == 2
        file = await adjudication.load(conn, "c")
    assert [(row.name, row.round) for row in file.evidence] == [("bill.jpg", 2), ("photo.jpg", 1)]
    (lease,) = await world.lease()
    again = await world.decide(lease, world.decision(Outcome.REFER))
    assert again.referral_id != recorded.referral_id


async def test_a_decided_claim_cannot_be_decided_again_by_a_worker(world: Any, engine: AsyncEngine) -> None:
    await world.decided("c", Outcome.DECLINE)
    async with engine.connect() as conn:  # not committed
        file = await adjudication.load(conn, "c")
        with pytest.raises(InvalidTransition):
            await recording.record_decision(
                conn,
                recording.NewDecision(None, file, world.decision(Outcome.PAY, 100), b"", world.now, "adjuster:li"),
            )


async def test_every_decision_is_in_the_audit_chain(world: Any, engine: AsyncEngine) -> None:
    await world.decided("c", Outcome.PAY, 4980)
    async with engine.connect() as conn:
        actions = [record.action for record in await audit_of(conn, "c")]
        tip = (await audit.check(conn)).tip
        assert actions == ["claim.created", "claim.submitted", "claim.decided"]
        assert tip.seq == await audit_count(conn)

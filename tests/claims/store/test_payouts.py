from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import Status
from claims.decision import Outcome
from claims.errors import Conflict
from claims.ledger import Account
from claims.money import Money
from claims.store import payouts, views
from tests.claims.store.reads import balances, open_referral

pytestmark = pytest.mark.anyio


async def test_a_paid_payout_closes_the_claim_and_leaves_nothing_reserved(world: Any, engine: AsyncEngine) -> None:
    payout_id = (await world.decided("c", Outcome.PAY, 4980)).payout_id
    async with engine.begin() as conn:
        sent = await payouts.mark_sent(conn, payout_id, world.now)
        assert (sent.state, sent.attempts) == ("sent", 1)
    async with engine.begin() as conn:
        assert await payouts.mark_paid(conn, payout_id, "B-77", world.now)
    async with engine.begin() as conn:
        claim = await views.claim_row(conn, "c")
        assert (claim.status, claim.closed_at) == (Status.PAID, world.now)
        books = await balances(conn)
    assert books[Account.CLAIMS_RESERVED, "CNY"] == 0
    assert books[Account.BANK, "CNY"] == -4980


async def test_a_payment_confirmed_twice_at_once_is_posted_once(world: Any, engine: AsyncEngine) -> None:
    payout_id = (await world.decided("c", Outcome.PAY, 4980)).payout_id

    async def confirm() -> bool:
        async with engine.begin() as conn:
            return await payouts.mark_paid(conn, payout_id, "B-77", world.now)

    assert sorted(await asyncio.gather(*(confirm() for _ in range(4)))) == [False, False, False, True]
    async with engine.connect() as conn:
        assert (await balances(conn))[Account.BANK, "CNY"] == -4980


async def test_a_refused_payout_is_voided_and_put_before_a_person(world: Any, engine: AsyncEngine) -> None:
    payout_id = (await world.decided("c", Outcome.PAY, 4980)).payout_id
    async with engine.begin() as conn:
        assert await payouts.mark_failed(conn, payout_id, "account closed", world.now, partner="anshun")
        assert not await payouts.mark_failed(conn, payout_id, "account closed", world.now, partner="anshun")
    async with engine.begin() as conn:
        assert (await views.claim_row(conn, "c")).status is Status.PAYOUT_FAILED
        assert (await open_referral(conn, "c")).cause == "payout_failed"
        assert set((await balances(conn)).values()) == {0}
        with pytest.raises(Conflict):
            await payouts.mark_paid(conn, payout_id, "B-1", world.now)
        with pytest.raises(Conflict):
            await payouts.mark_sent(conn, payout_id, world.now)


async def test_what_a_bank_says_of_an_account_is_kept_without_it(world: Any, engine: AsyncEngine) -> None:
    payout_id = (await world.decided("c", Outcome.PAY, 4980)).payout_id
    async with engine.begin() as conn:
        account = (await payouts.get(conn, payout_id)).payee_account
        await payouts.mark_failed(conn, payout_id, f"account_closed: {account} is closed", world.now, partner="anshun")
        assert account
        assert (await payouts.get(conn, payout_id)).last_error == "account_closed: (account) is closed"
        view = await views.claim_view(conn, "c")
        assert not any(account in told.note for told in (*view.timeline, *view.referrals))


async def test_one_payout_for_one_decision(world: Any, engine: AsyncEngine) -> None:
    recorded = await world.decided("c", Outcome.PAY, 4980)
    async with engine.begin() as conn:
        with pytest.raises(IntegrityError):
            await payouts.reserve(conn, "c", recorded.decision_id, Money(4980, "CNY"), "x", world.now)


async def test_a_backend_killed_in_the_middle_of_a_decision_leaves_the_claim_due(
    world: Any, engine: AsyncEngine
) -> None:
    await world.submitted("c")
    (lease,) = await world.lease("w1")
    gate = (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$"
    )
    async with engine.begin() as conn:
        await conn.execute(text(gate))
        await conn.execute(text("CREATE TRIGGER slow BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION slow()"))
    deciding = asyncio.create_task(world.decide(lease, world.decision(Outcome.PAY, 4980)))
    sleeping = "wait_event = 'PgSleep' AND datname = current_database()"
    killed = False
    while not killed:
        async with engine.begin() as conn:  # a new transaction each time: one sees only one state of pg_stat_activity
            rows = await conn.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {sleeping}"))
            killed = rows.first() is not None
        assert killed or not deciding.done()
        await asyncio.sleep(0.02)
    with pytest.raises(DBAPIError):
        await deciding
    async with engine.begin() as conn:
        await conn.execute(text("DROP TRIGGER slow ON outbox"))
        assert (await payouts.of_claim(conn, "c")) == []
    (again,) = await world.lease("w2", seconds=31)
    recorded = await world.decide(again, world.decision(Outcome.PAY, 4980))
    async with engine.connect() as conn:
        assert [payout.id for payout in await payouts.of_claim(conn, "c")] == [recorded.payout_id]

"""Claims that are with a person only because they could not be checked return to the queue by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from claims import decide as judging
from claims.catalogue import product_of
from claims.claim import Status
from claims.decide import UncheckedInputs
from claims.rules import RULES
from claims.store import adjudication, queue, rechecks, recording, referrals, waiting
from claims.store.tables import claim_history, claims
from claims.store.tables import referrals as referral_rows
from claims.wire import canonical
from tests.claims.store.reads import audit_of

pytestmark = pytest.mark.anyio


async def could_not_check(world: Any, claim_id: str, error: str = "ReaderUnavailable", **changes: Any) -> str:
    """Refers the claim as a worker does that could not check it; returns the referral's id."""
    await world.submitted(claim_id, **changes)
    (lease,) = await world.lease()
    async with world.engine.begin() as conn:
        file = await adjudication.load(conn, claim_id)
        product = product_of(file.claim.product)
        inputs = UncheckedInputs(file.claim, file.policy, product, "papers", error, 3, RULES, world.now)
        decision = judging.could_not_check(inputs)
        recorded = await recording.record_decision(
            conn,
            recording.NewDecision(
                lease, file, decision, canonical(inputs), world.now, "flow:adjudicate", partner="anshun"
            ),
        )
    return recorded.referral_id


async def unchecked(engine: AsyncEngine, *errors: str) -> list[rechecks.Unchecked]:
    wanted = errors or ("ReaderUnavailable",)
    async with engine.connect() as conn:
        return await rechecks.unchecked(conn, lambda error: error in wanted)


async def test_a_claim_is_due_again_and_leaves_the_persons_queue(world: Any, engine: AsyncEngine) -> None:
    referral_id = await could_not_check(world, "c")
    (taken,) = await unchecked(engine)
    assert (taken.claim_id, taken.referral_id, taken.rechecks) == ("c", referral_id, 0)
    async with engine.begin() as conn:
        assert await rechecks.send_back(conn, taken, world.later(60))
    async with engine.connect() as conn:
        file = await adjudication.load(conn, "c")
        assert (file.status, file.round) == (Status.SUBMITTED, 2)
        assert await waiting.ids(conn, waiting.Wanted(), world.now, limit=10) == []
        closed = await referrals.get(conn, referral_id)
        assert (closed.state, closed.note) == ("closed", rechecks.OVERTAKEN)
        assert not (await conn.execute(select(claims.c.touched))).scalar_one(), "no person took part"
        history = (await conn.execute(select(claim_history.c.status, claim_history.c.actor))).all()
        assert tuple(history[-1]) == ("submitted", rechecks.ACTOR)
        records = await audit_of(conn, "c")
    assert "claim.rechecked" in [record.action for record in records]
    (lease,) = await world.lease(seconds=61)
    assert (lease.claim_id, lease.round, lease.failures) == ("c", 2, 0)
    async with engine.begin() as conn:
        assert not await rechecks.send_back(conn, taken, world.later(61)), "once"
        await queue.hold(conn, lease)


async def test_how_often_it_was_sent_back_is_known_and_each_time_it_waits_longer(
    world: Any, engine: AsyncEngine
) -> None:
    await could_not_check(world, "c")
    (first,) = await unchecked(engine)
    assert rechecks.due(first, 60, 1000) == world.later(60)
    async with engine.begin() as conn:
        await rechecks.send_back(conn, first, world.now)
    (lease,) = await world.lease()
    async with engine.begin() as conn:
        file = await adjudication.load(conn, "c")
        product = product_of(file.claim.product)
        inputs = UncheckedInputs(file.claim, file.policy, product, "papers", "ReaderUnavailable", 1, RULES, world.now)
        decision = judging.could_not_check(inputs)
        await recording.record_decision(
            conn,
            recording.NewDecision(
                lease, file, decision, canonical(inputs), world.now, "flow:adjudicate", partner="anshun"
            ),
        )
    (second,) = await unchecked(engine)
    assert second.rechecks == 1
    assert rechecks.due(second, 60, 1000) == world.later(120)
    assert rechecks.due(replace(second, rechecks=40), 60, 1000) == world.later(1000)


async def test_what_a_person_has_in_hand_or_has_touched_stays_theirs(world: Any, engine: AsyncEngine) -> None:
    taken = await could_not_check(world, "taken")
    await could_not_check(world, "touched", owner="bob")
    (before, other) = await unchecked(engine)
    async with engine.begin() as conn:
        await referrals.take(conn, taken, "zhang", world.now)
        await conn.execute(update(claims).where(claims.c.id == "touched").values(touched=True))
    assert await unchecked(engine) == []
    for stale in (before, other):
        async with engine.begin() as conn:
            assert not await rechecks.send_back(conn, stale, world.now), "nor when a person was faster"
    async with engine.begin() as conn:
        await referrals.give_back(conn, taken, "zhang")
        states = (await conn.execute(select(referral_rows.c.state))).scalars().all()
    assert states == ["open", "open"]
    assert [recheck.claim_id for recheck in await unchecked(engine)] == ["taken"]


async def test_faults_of_the_claims_own_stay_with_the_person(world: Any, engine: AsyncEngine) -> None:
    await could_not_check(world, "c", error="KeyError")
    assert await unchecked(engine) == []
    assert len(await unchecked(engine, "KeyError")) == 1

"""An order and an event are paid once, however many claims are made, at once or one after another."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims import decide
from claims.catalogue import product_of
from claims.claim import Status
from claims.decision import Outcome
from claims.errors import Conflict, InvalidTransition, LeaseLost, OrderSpent, RepeatPaid
from claims.orders import order_key
from claims.rules import RULES
from claims.store import (
    adjudication,
    audit,
    erasure,
    intake,
    papers,
    payouts,
    recording,
    referrals,
    repeats,
    rulings,
    statuses,
)
from claims.store.tables import audit as audit_rows
from claims.store.tables import claim_orders, document_numbers
from fixtures.cases import in_order
from tests.claims.store.reads import open_referral
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio
ORDER = "3206118244019255"
FOOD = product_of("fresh_food_rot")


async def settle(world: Any, payout_id: str) -> None:
    async with world.engine.begin() as conn:
        await payouts.mark_sent(conn, payout_id, world.now)
        await payouts.mark_paid(conn, payout_id, f"bank-{payout_id}", world.now)


async def appealed(world: Any, claim_id: str) -> str:
    async with world.engine.begin() as conn:
        return await intake.appeal(conn, claim_id, "ann", "more", world.now, actor="claimant:ann", partner="anshun")


async def withdraw(world: Any, claim_id: str, owner: str = "ann") -> Status:
    async with world.engine.begin() as conn:
        await intake.withdraw(conn, claim_id, owner, world.now, actor=f"claimant:{owner}")
        return (await statuses.lock(conn, claim_id))[0]


async def actions(world: Any, claim_id: str) -> list[str]:
    async with world.engine.connect() as conn:
        rows = await conn.execute(
            select(audit_rows.c.action).where(audit_rows.c.subject == claim_id).order_by(audit_rows.c.seq)
        )
        return list(rows.scalars())


async def fact(world: Any, claim_id: str) -> Any:
    async with world.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
        return await repeats.of_claim(conn, file.claim, FOOD, RULES)


async def promised(world: Any, *claim_ids: str) -> list[int]:
    async with world.engine.connect() as conn:
        return [await payouts.promised_minor(conn, claim_id) for claim_id in claim_ids]


async def automatic(world: Any, lease: Any) -> str:
    """Takes the facts, decides and records, as a worker does last; tries again when the facts changed meanwhile."""
    for _ in range(3):
        repeat = await fact(world, lease.claim_id)
        case = in_order("fresh_food_rot", claimed_minor=5_980).with_facts(repeats=repeat)
        judged = (case.insured, case.facts, RULES, case.now)
        decision = decide.decide(*judged)
        try:
            async with world.engine.begin() as conn:
                file = await adjudication.load(conn, lease.claim_id)
                await recording.record_decision(
                    conn,
                    recording.NewDecision(
                        lease, file, decision, decide.inputs(*judged), world.now, "flow:adjudicate", partner="anshun"
                    ),
                )
        except (RepeatPaid, OrderSpent):
            continue
        return str(decision.outcome)
    return "again"


# Appeals


async def test_withdrawing_the_appeal_of_a_paid_claim_leaves_it_paid(world: Any) -> None:
    recorded = await world.decided("c-1", Outcome.PAY, 3_000)
    await settle(world, recorded.payout_id)
    referral = await appealed(world, "c-1")
    assert await withdraw(world, "c-1") is Status.PAID
    assert (await actions(world, "c-1"))[-1] == "claim.appeal_withdrawn"
    async with world.engine.connect() as conn:
        assert (await referrals.get(conn, referral)).state == "closed"
    with pytest.raises(InvalidTransition):
        await withdraw(world, "c-1")  # there is nothing to withdraw any more
    await appealed(world, "c-1")  # and it may be appealed again


async def test_a_decision_is_appealed_again_after_its_appeal_was_withdrawn(world: Any) -> None:
    recorded = await world.decided("c-1", Outcome.PAY, 10_000)
    async with world.engine.begin() as conn:
        await payouts.mark_paid(conn, recorded.payout_id, "B-1", world.now)
    opened = []
    for _ in range(3):
        async with world.engine.begin() as conn:
            opened.append(
                await intake.appeal(conn, "c-1", "ann", "再看", world.now, actor="claimant:ann", partner="anshun")
            )
            assert (await open_referral(conn, "c-1")).id == opened[-1]
        assert await withdraw(world, "c-1") is Status.PAID
    assert len(set(opened)) == 3


async def test_a_referral_that_is_over_is_not_taken_for_an_open_one(world: Any) -> None:
    recorded = await world.decided("c-1", Outcome.REFER)
    async with world.engine.begin() as conn:
        known = (await referrals.get(conn, recorded.referral_id), "refer")
        words = ("c-1", known[0].decision_id, "anshun", "refer", world.now)
        assert await referrals.open_referral(conn, *words) == recorded.referral_id, "a retry opens nothing twice"
    await withdraw(world, "c-1")
    async with world.engine.begin() as conn:
        with pytest.raises(Conflict):
            await referrals.open_referral(conn, *words)


async def test_withdrawing_the_appeal_of_a_declined_claim_leaves_it_declined(world: Any) -> None:
    await world.decided("c-1", Outcome.DECLINE)
    await appealed(world, "c-1")
    assert await withdraw(world, "c-1") is Status.DECLINED


@pytest.mark.parametrize(("first", "stands"), [(Outcome.PAY, Status.PAID), (Outcome.DECLINE, Status.DECLINED)])
async def test_an_appeal_is_withdrawn_while_more_is_asked_for_and_while_a_worker_has_it(
    world: Any, first: Outcome, stands: Status
) -> None:
    recorded = await world.decided("c-1", first, 3_000 if first is Outcome.PAY else 0)
    if recorded.payout_id:
        await settle(world, recorded.payout_id)

    async def ask(referral: str) -> None:
        async with world.engine.begin() as conn:
            await record_verdict(conn, "c-1", referral, world.decision(Outcome.ASK, by="li"), world.now, note="more")

    await ask(await appealed(world, "c-1"))
    assert await withdraw(world, "c-1") is stands
    await ask(await appealed(world, "c-1"))
    async with world.engine.begin() as conn:
        await intake.submit(conn, "c-1", "ann", world.now, actor="claimant:ann")
    (lease,) = await world.lease()
    assert await withdraw(world, "c-1") is stands
    with pytest.raises(LeaseLost):
        await world.decide(lease, world.decision(Outcome.PAY, 5_000))


async def test_a_round_of_an_appeal_that_changes_nothing_leaves_the_claim_paid(world: Any) -> None:
    """Guards against a claim that stays submitted for good, with no job."""
    recorded = await world.decided("c-1", Outcome.PAY, 3_000)
    await settle(world, recorded.payout_id)
    referral = await appealed(world, "c-1")
    async with world.engine.begin() as conn:
        await record_verdict(conn, "c-1", referral, world.decision(Outcome.ASK, by="li"), world.now, note="more")
        await intake.submit(conn, "c-1", "ann", world.now, actor="claimant:ann")
    (lease,) = await world.lease()
    assert (await world.decide(lease, world.decision(Outcome.PAY, 3_000))).status is Status.PAID
    assert await promised(world, "c-1") == [3_000]


async def test_whether_a_claim_was_paid_is_asked_of_its_payouts(world: Any) -> None:
    recorded = await world.decided("c-1", Outcome.PAY, 3_000)
    await settle(world, recorded.payout_id)
    await world.submitted("c-2")
    async with world.engine.begin() as conn:
        await papers.publish_numbers(conn, "c-1", [("bill:1", "e")], world.now)
        # As claims were before appeals could be withdrawn.
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("UPDATE claims SET status = 'withdrawn' WHERE id = 'c-1'"))
    async with world.engine.connect() as conn:
        assert await papers.claims_with_number(conn, ["bill:1"], exclude_claim="c-2") == {"bill:1": ("c-1",)}
        known = await rulings.other_claims(conn, ["c-1", "c-2"])
        assert (known["c-1"].paid, known["c-1"].status, known["c-2"].paid) == (True, Status.WITHDRAWN, False)
        assert await payouts.paid_claims(conn, ["c-1", "c-2", "c-3"]) == {"c-1"}


# Orders and events


async def test_one_order_is_not_paid_again_for_another_photo_or_another_claimant(world: Any) -> None:
    for claim_id, owner in (("c-1", "ann"), ("c-2", "ann"), ("c-3", "bob")):
        await world.submitted(claim_id, owner, order_number=ORDER if owner == "ann" else "3206 1182-4401 9255")
        world.now += timedelta(seconds=1)
    outcomes = [await automatic(world, lease) for lease in await world.lease(limit=3)]
    assert outcomes == ["pay", "refer", "refer"]
    shared = (await fact(world, "c-3")).claims
    assert {(claim.claim_id, claim.order, claim.event, claim.same_claimant) for claim in shared} == {
        ("c-1", True, False, False),
        ("c-2", True, False, False),
    }
    assert (await fact(world, "c-3")).order_paid_minor == 5_980


async def test_one_event_is_not_paid_again_for_another_order(world: Any) -> None:
    at = world.now - timedelta(hours=9)
    await world.submitted("c-1", occurred_at=at)
    world.now += timedelta(seconds=1)
    await world.submitted("c-2", occurred_at=at + timedelta(seconds=30))
    await world.submitted("c-3", "bob", occurred_at=at)  # another policy: another event
    assert [await automatic(world, lease) for lease in await world.lease(limit=3)] == ["pay", "refer", "pay"]


async def test_of_claims_that_were_submitted_at_one_instant_each_meets_a_person(world: Any) -> None:
    for claim_id in ("c-1", "c-2"):
        await world.submitted(claim_id, order_number=ORDER)
    assert [await automatic(world, lease) for lease in await world.lease(limit=2)] == ["refer", "refer"]


async def test_the_first_claim_is_not_paid_either_once_the_later_one_was(world: Any) -> None:
    await world.submitted("c-1", order_number=ORDER)
    (first,) = await world.lease()
    world.now += timedelta(seconds=1)
    later = await world.decided("c-2", Outcome.PAY, 1_000, order_number=ORDER)
    assert later.payout_id
    assert await automatic(world, first) == "refer"


async def test_a_withdrawn_claim_that_was_paid_nothing_does_not_count(world: Any) -> None:
    await world.submitted("c-1", order_number=ORDER)
    assert await withdraw(world, "c-1") is Status.WITHDRAWN
    await world.submitted("c-2", order_number=ORDER)
    assert (await fact(world, "c-2")).claims == ()
    (lease,) = await world.lease()
    assert await automatic(world, lease) == "pay"


async def test_a_draft_is_no_claim_yet(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await intake.create_claim(conn, world.claim("c-0", order_number=ORDER), world.now, actor="claimant:ann")
    await world.submitted("c-1", order_number=ORDER)
    assert (await fact(world, "c-1")).claims == ()


@pytest.mark.parametrize("shared", ["order", "event"])
async def test_of_claims_decided_at_the_same_moment_at_most_one_is_paid(world: Any, shared: str) -> None:
    """All claims are submitted at the same instant; none sees another paid when it takes its facts."""
    same = {"order_number": ORDER} if shared == "order" else {"occurred_at": world.now - timedelta(hours=7)}
    ids = [f"c-{place}" for place in range(6)]
    for place, claim_id in enumerate(ids):
        await world.submitted(claim_id, ("ann", "bob")[place % 2] if shared == "order" else "ann", **same)
    leases = await world.lease(limit=6)

    async def blind(lease: Any) -> None:
        async with world.engine.begin() as conn:
            file = await adjudication.load(conn, lease.claim_id)
            decision = world.decision(Outcome.PAY, 1_000)
            await recording.record_decision(
                conn,
                recording.NewDecision(lease, file, decision, b"{}", world.now, "flow:adjudicate", partner="anshun"),
            )

    done = await asyncio.gather(*(blind(lease) for lease in leases), return_exceptions=True)
    assert [type(outcome) for outcome in done if outcome is not None] == [RepeatPaid] * 5
    assert sorted(await promised(world, *ids)) == [0, 0, 0, 0, 0, 1_000]


async def test_two_people_who_approve_two_claims_for_one_order_at_once_pay_it_once(world: Any) -> None:
    referred = {}
    for claim_id, owner in (("c-1", "ann"), ("c-2", "bob")):
        await world.submitted(claim_id, owner, order_number=ORDER)
        (lease,) = await world.lease()
        referred[claim_id] = (await world.decide(lease, world.decision(Outcome.REFER))).referral_id

    async def approve(claim_id: str, minor: int, **options: Any) -> None:
        async with world.engine.begin() as conn:
            decision = world.decision(Outcome.PAY, minor, by="li")
            await record_verdict(conn, claim_id, referred[claim_id], decision, world.now, **options)

    done = await asyncio.gather(*(approve(claim_id, 4_000) for claim_id in referred), return_exceptions=True)
    (refused,) = [outcome for outcome in done if outcome is not None]
    assert isinstance(refused, RepeatPaid)
    (paid,) = refused.claim_ids
    left = "c-1" if paid == "c-2" else "c-2"
    # Who knows may pay what is left of the order's value (59.80), and no more.
    with pytest.raises(OrderSpent):
        await approve(left, 1_981, although_copy_paid=True)
    await approve(left, 1_980, although_copy_paid=True)
    assert sum(await promised(world, "c-1", "c-2")) == 5_980
    async with world.engine.connect() as conn:
        await audit.check(conn)


async def test_the_price_that_a_paper_shows_is_the_orders_value_for_every_claim(world: Any) -> None:
    await world.submitted("c-1", order_number=ORDER)
    await world.submitted("c-2", "bob", order_number=ORDER)
    async with world.engine.begin() as conn:
        key = order_key(ORDER)
        await repeats.publish_orders(conn, "c-1", [(key, 0), (key, 3_000)], world.now)
        await repeats.publish_orders(conn, "c-1", [(key, 4_000)], world.now)
        await repeats.publish_orders(conn, "c-1", [(key, 0), ("", 9)], world.now)
    assert (await fact(world, "c-1")).order_price_minor == 3_000
    assert (await fact(world, "c-2")).order_price_minor == 3_000


async def test_a_claim_that_shows_an_order_meets_the_one_that_states_it(world: Any) -> None:
    await world.submitted("c-1", order_number=ORDER)
    await world.submitted("c-2", "bob", order_number="")
    assert (await fact(world, "c-2")).claims == ()
    async with world.engine.begin() as conn:
        await repeats.publish_orders(conn, "c-2", [(order_key(ORDER), 5_000)], world.now)
    assert [claim.claim_id for claim in (await fact(world, "c-2")).claims] == ["c-1"]


async def test_a_paid_order_stays_known_when_its_claim_is_erased_and_its_number_does_not(world: Any) -> None:
    recorded = await world.decided("c-1", Outcome.PAY, 3_000, order_number=ORDER)
    await settle(world, recorded.payout_id)
    await world.decided("c-2", Outcome.DECLINE, order_number="3206118244019256")
    async with world.engine.begin() as conn:
        for claim_id in ("c-1", "c-2"):
            await erasure.erase(conn, claim_id, world.now, actor="operator:o", reason="")
        kept = (await conn.execute(select(claim_orders.c.claim_id, claim_orders.c.order_key))).all()
        numbers = (await conn.execute(select(document_numbers))).all()
    assert [(row.claim_id, row.order_key) for row in kept] == [("c-1", order_key(ORDER))]
    assert numbers == []
    await world.submitted("c-3", "bob", order_number=ORDER)
    (lease,) = await world.lease()
    assert await automatic(world, lease) == "refer"


# Two ids


async def other_ids(world: Any, claim_id: str) -> list[tuple[str, tuple[str, ...], int]]:
    return [
        (identity.claimant_id, identity.shares, identity.claims)
        for identity in (await fact(world, claim_id)).identities
    ]


async def renamed(world: Any, claimant_id: str, name: str) -> None:
    async with world.engine.begin() as conn:
        await intake.ensure_claimant(conn, claimant_id, name, world.now)


async def test_the_same_name_with_the_same_account_or_telephone_is_the_same_person(world: Any) -> None:
    await renamed(world, "bob", "ＡＮＮ")
    await world.submitted("c-1", payee_account="one", device_id="phone")
    await world.submitted("c-2", "bob", payee_account="one", device_id="phone")
    assert await other_ids(world, "c-2") == [("ann", ("device", "payee"), 1)]
    await world.submitted("c-3", "bob", payee_account="two", device_id="phone")
    assert await other_ids(world, "c-3") == [("ann", ("device",), 1)]
    await world.submitted("c-4", "bob", payee_account="one", device_id="")
    assert await other_ids(world, "c-4") == [("ann", ("payee",), 1)]


async def test_a_couple_a_namesake_and_an_account_of_long_ago_are_nobodys_second_id(world: Any) -> None:
    await world.submitted("c-1", payee_account="one", device_id="phone", address="here")
    await world.submitted("c-2", "bob", payee_account="one", device_id="phone", address="here")  # a couple
    assert await other_ids(world, "c-2") == []
    await renamed(world, "bob", "Ann")
    await world.submitted("c-3", "bob", payee_account="two", device_id="tablet", address="here")  # a namesake
    assert await other_ids(world, "c-3") == []
    world.now += timedelta(days=RULES.same_person_window_days + 1)
    await world.submitted("c-4", "bob", payee_account="one", device_id="phone")
    assert await other_ids(world, "c-4") == []


# Covers


async def test_when_a_cover_was_recorded_and_widened_is_kept(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        policy = await adjudication.policy_of(conn, "pol-ann")
        assert (policy.recorded_at, policy.terms_changed_at) == (policy.starts_at, None)
        later = world.later(60)
        await intake.upsert_policy(conn, policy, later)  # the same again
        await intake.upsert_policy(conn, replace(policy, ends_at=policy.ends_at - timedelta(days=1)), later)
        assert (await adjudication.policy_of(conn, "pol-ann")).terms_changed_at is None
        await intake.upsert_policy(conn, policy, later)  # longer than it was
        widened = await adjudication.policy_of(conn, "pol-ann")
        assert (widened.recorded_at, widened.terms_changed_at) == (policy.recorded_at, later)
        await intake.upsert_policy(conn, policy, world.later(120))
        assert (await adjudication.policy_of(conn, "pol-ann")).terms_changed_at == later


# The claims there were


async def test_orders_of_claims_there_were_get_the_same_keys(world: Any, engine: AsyncEngine) -> None:
    migration = importlib.import_module("claims.store.migrations.versions.0005_orders_and_changed_terms")
    await world.submitted("c-1", order_number="３２０６-1182 x", merchant_id="shop-1")
    await world.submitted("c-2", order_number="No. 17", merchant_id="shop-1")
    await world.submitted("c-3", order_number=" - ")
    async with engine.begin() as conn:  # and one shows an order that it does not state
        await papers.publish_numbers(conn, "c-3", [(f"order:{ORDER}", "e"), ("order:17", "e")], world.now)
        await repeats.publish_orders(conn, "c-3", [(order_key(ORDER), 0)], world.now)

    def publish(sync: Any) -> None:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        with Operations.context(MigrationContext.configure(sync)):
            migration._publish()

    async with engine.begin() as conn:
        before = set((await conn.execute(select(claim_orders.c.order_key, claim_orders.c.claim_id))).all())
        assert len(before) == 3
        await conn.execute(claim_orders.delete())
        await conn.run_sync(publish)
        assert set((await conn.execute(select(claim_orders.c.order_key, claim_orders.c.claim_id))).all()) == before

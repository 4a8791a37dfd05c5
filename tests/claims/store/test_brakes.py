"""Brakes: what is held is not leased and nothing is counted against it, limits hold over everybody who leases, and the
audit chain says who pulled them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from claims.claim import EvidenceKind
from claims.decision import Outcome
from claims.errors import Held, InvalidBrake, UnknownBrake
from claims.store import adjudication, audit, brakes, gates, intake, outbox, payouts, queue, stage_results
from claims.store.intake import NewEvidence
from claims.store.tables import audit as audit_rows
from claims.store.tables import jobs
from claims.store.tables import outbox as messages
from tests.claims.store.conftest import World

pytestmark = pytest.mark.anyio


async def of_product(world: World, claim_id: str, product: str) -> None:
    """Submits a claim under a policy of that product."""
    async with world.engine.begin() as conn:
        policy = await adjudication.policy_of(conn, "pol-ann")
        other = replace(policy, id=f"pol-{product}", number=f"N-{product}", product=product)
        await intake.upsert_policy(conn, other, other.starts_at)
    await world.submitted(claim_id, policy_id=f"pol-{product}", product=product)


async def pull(world: World, name: str, at_once_max: int | None = 0, actor: str = "operator:eve", **told: Any) -> bool:
    async with world.engine.begin() as conn:
        return await brakes.put(conn, name, at_once_max, world.now, source="command", actor=actor, **told)


async def leased(world: World, limit: int = 50, seconds: float = 0.0) -> list[str]:
    return [lease.claim_id for lease in await world.lease(limit=limit, seconds=seconds)]


async def sending(world: World, topic: outbox.Topic, seconds: float = 0.0) -> list[str]:
    async with world.engine.begin() as conn:
        return [message.key for message in await outbox.lease(conn, topic, "s", 50, 30, world.later(seconds))]


async def with_paper(world: World, claim_id: str) -> None:
    async with world.engine.begin() as conn:
        await intake.create_claim(conn, world.claim(claim_id), world.now, actor="claimant:ann")
        bill = NewEvidence(f"{claim_id}-bill", "bill.jpg", EvidenceKind.PAPER, "image/jpeg", 9, "b" * 64)
        await intake.add_evidence(conn, claim_id, "ann", bill, world.now)
        await intake.submit(conn, claim_id, "ann", world.now, actor="claimant:ann")


async def test_held_claims_are_not_leased_nothing_is_counted_and_they_go_on_in_their_order(world: World) -> None:
    await pull(world, "adjudicate", reason="new_rules")
    names = [f"c{number}" for number in range(5)]
    for name in names:
        await world.submitted(name)
        world.now = world.later(1)
    assert await leased(world) == []
    async with world.engine.connect() as conn:
        counted = await conn.execute(select(jobs.c.attempts, jobs.c.deaths, jobs.c.postponed, jobs.c.failures))
        assert set(counted.all()) == {(0, 0, 0, 0)}
        (brake,) = await brakes.pulled(conn)
        behind = await brakes.waiting(conn, [brake], world.now)
    assert (brake.name, brake.at_once_max, brake.actor, brake.reason) == ("adjudicate", 0, "operator:eve", "new_rules")
    assert behind["adjudicate"].by_queue == {"claims": 5}
    await pull(world, "adjudicate", None)
    assert await leased(world) == names


async def test_a_product_or_an_insurer_is_held_and_the_others_go_on(world: World) -> None:
    await world.submitted("food")
    await of_product(world, "parcel", "parcel_damage")
    await of_product(world, "pet", "pet_medical")
    await pull(world, "product:parcel_damage")
    await pull(world, "insurer:heyuan")
    assert await leased(world) == ["food"]
    async with world.engine.connect() as conn:
        behind = await brakes.waiting(conn, await brakes.pulled(conn), world.now)
        assert {name: counted.total for name, counted in behind.items()} == {
            "product:parcel_damage": 1,
            "insurer:heyuan": 1,
        }
        with pytest.raises(Held, match="insurer:heyuan"):
            await gates.pass_claim(conn, "pet")
        await gates.pass_claim(conn, "food")
    await pull(world, "insurer:heyuan", None)
    assert await leased(world) == ["pet"]
    await pull(world, "product:parcel_damage", None)
    assert await leased(world) == ["parcel"]


async def test_while_reading_is_held_claims_with_an_unread_paper_wait_and_the_others_do_not(world: World) -> None:
    await with_paper(world, "unread")
    await with_paper(world, "read")
    await world.submitted("photo only")
    (first, second) = await world.lease(limit=2)
    async with world.engine.begin() as conn:
        await stage_results.save(conn, second, "papers", [], {}, world.now)
        await queue.release(conn, [first, second])
    await pull(world, "ocr")
    async with world.engine.connect() as conn:
        with pytest.raises(Held, match="ocr"):
            await gates.pass_papers(conn, "unread", 1)
        await gates.pass_papers(conn, "read", 1)
    assert await leased(world) == ["read", "photo only"]
    await pull(world, "ocr", None)
    assert await leased(world) == ["unread"]


async def test_a_claim_whose_process_died_waits_held_too_and_no_death_is_counted_meanwhile(world: World) -> None:
    await world.submitted("c")
    assert await leased(world) == ["c"]
    await pull(world, "insurer:anshun")
    for seconds in (31, 62, 93):
        async with world.engine.connect() as conn:
            assert await queue.alone_due(conn, world.later(seconds)) == 0
        assert await leased(world, seconds=seconds) == []
    await pull(world, "insurer:anshun", None)
    async with world.engine.connect() as conn:
        assert await queue.alone_due(conn, world.later(94)) == 1
    (lease,) = await world.lease("w2", seconds=94)
    assert (lease.claim_id, lease.attempts, lease.deaths) == ("c", 2, 0)


@pytest.mark.parametrize("name", ["adjudicate", "product:fresh_food_rot", "insurer:anshun"])
async def test_a_limit_holds_over_everybody_who_leases_at_the_same_moment(world: World, name: str) -> None:
    for number in range(12):
        await world.submitted(f"c{number:02}")
    await pull(world, name, 2)
    shares = await asyncio.gather(*(leased(world) for _ in range(8)))
    taken = [claim_id for share in shares for claim_id in share]
    assert sorted(taken) == ["c00", "c01"]
    assert await leased(world) == []
    async with world.engine.begin() as conn:
        row = (await conn.execute(select(jobs.c.id, jobs.c.fence).where(jobs.c.claim_id == "c00"))).one()
        await queue.finish(conn, queue.Lease(row.id, "c00", 1, row.fence, 1), world.now)
    assert await leased(world) == ["c02"]


async def test_a_limit_of_one_product_does_not_slow_the_others(world: World) -> None:
    for number in range(3):
        await of_product(world, f"parcel-{number}", "parcel_damage")
        await world.submitted(f"food-{number}")
    await pull(world, "product:parcel_damage", 1)
    taken: list[str] = []
    while batch := await leased(world):
        taken += batch
    assert sorted(taken) == ["food-0", "food-1", "food-2", "parcel-0"]


async def test_held_payouts_are_not_sent_and_those_that_were_are_asked_about(world: World) -> None:
    sent = (await world.decided("sent", Outcome.PAY, 1_000)).payout_id
    kept = (await world.decided("kept", Outcome.PAY, 1_100)).payout_id
    async with world.engine.begin() as conn:
        await payouts.mark_sent(conn, sent, world.now)
    for name in ("bank", "product:fresh_food_rot", "insurer:anshun"):
        await pull(world, name)
        assert await sending(world, "settle") == [sent], name
        async with world.engine.begin() as conn:
            with pytest.raises(Held):
                await gates.pass_payout(conn, "kept")
            await conn.execute(update(messages).values(state="due"))
        await pull(world, name, None)
    async with world.engine.connect() as conn:
        await gates.pass_payout(conn, "kept")
    assert await sending(world, "settle") == [sent, kept]


async def test_what_is_held_is_not_overdue_and_what_is_let_go_is_from_then_on(world: World) -> None:
    sent = (await world.decided("sent", Outcome.PAY, 1_000)).payout_id
    await world.decided("kept", Outcome.PAY, 1_100)
    await of_product(world, "parcel", "parcel_damage")
    await world.submitted("food")
    async with world.engine.begin() as conn:
        await payouts.mark_sent(conn, sent, world.now)

    async def overdue(seconds: float) -> tuple[int, float, int, float]:
        async with world.engine.connect() as conn:
            claims = await queue.overdue(conn, world.later(seconds))
            settle = await outbox.overdue(conn, "settle", world.later(seconds))
        return claims.due, claims.oldest_seconds, settle.due, settle.oldest_seconds

    assert await overdue(60) == (2, 60.0, 2, 60.0)
    await pull(world, "product:fresh_food_rot")
    assert await overdue(60) == (1, 60.0, 1, 60.0), "the bank is still asked about what it has"
    await pull(world, "adjudicate")
    assert await overdue(60) == (0, 0.0, 1, 60.0)
    await pull(world, "adjudicate", 1)
    assert (await overdue(60))[:2] == (1, 60.0), "a limit only takes time"
    world.now = world.later(600)
    await pull(world, "product:fresh_food_rot", None)
    await pull(world, "adjudicate", None)
    assert await overdue(20) == (2, 20.0, 2, 20.0)


async def test_notices_are_held_by_their_name_and_by_their_insurer(world: World) -> None:
    await world.decided("c", Outcome.REFER)
    for name in ("refer", "insurer:anshun"):
        await pull(world, name)
        assert await sending(world, "refer") == []
        await pull(world, name, None)
    for name in ("settle", "insurer:heyuan", "product:fresh_food_rot", "learn", "enrol"):
        await pull(world, name)
    assert len(await sending(world, "refer")) == 1


async def test_enrolments_and_lessons_are_held_each_by_its_own_name(world: World) -> None:
    async with world.engine.begin() as conn:
        await outbox.put(conn, "enrol", "e", {"pet_id": "p"}, world.now)
        await outbox.put(conn, "learn", "t", {"kind": "pair"}, world.now)
    await pull(world, "enrol")
    assert (await sending(world, "enrol"), await sending(world, "learn")) == ([], ["t"])
    await pull(world, "enrol", None)
    assert await sending(world, "enrol") == ["e"]


async def test_bad_brakes_are_refused_in_words(world: World) -> None:
    with pytest.raises(
        UnknownBrake, match=r"no work is called 'ocr2': adjudicate, ocr, settle, .*insurer:anshun.*bank"
    ):
        await pull(world, "ocr2")
    with pytest.raises(InvalidBrake, match="0 holds the work"):
        await pull(world, "ocr", -1)
    with pytest.raises(InvalidBrake, match="at most 200 characters"):
        await pull(world, "ocr", reason="x" * 201)
    async with world.engine.connect() as conn:
        assert await brakes.by_name(conn) == {}
        assert (await audit.newest(conn)).seq == 4  # the world's claimants and policies


async def test_two_pull_one_brake_at_once_and_the_chain_says_both(world: World) -> None:
    done = await asyncio.gather(
        *(pull(world, "bank", limit, actor=f"operator:{limit}") for limit in (0, 3, 0, 3, None, 0))
    )
    async with world.engine.connect() as conn:
        brake = await brakes.get(conn, "settle")
        rows = (
            await conn.execute(select(audit_rows).where(audit_rows.c.subject == "settle").order_by(audit_rows.c.seq))
        ).all()
        assert (await audit.check(conn)).whole
    assert brake is not None
    assert len(rows) == sum(done)
    last = rows[-1]
    assert (last.action, last.actor) == ("brake.released" if brake.at_once_max is None else "brake.set", brake.actor)
    assert not await pull(world, "settle", brake.at_once_max, actor="operator:late"), "it is so already"


async def test_a_brake_cannot_be_pulled_behind_the_chains_back(world: World) -> None:
    statement = "INSERT INTO brakes (name, at_once_max, source, actor, at) VALUES ('ocr', 0, 'command', 'me', now())"
    with pytest.raises(IntegrityError, match="no audit record"):
        async with world.engine.begin() as conn:
            await conn.execute(text(statement))
    await pull(world, "ocr")
    for statement in ("UPDATE brakes SET at_once_max = NULL", "UPDATE brakes SET actor = 'x'", "DELETE FROM brakes"):
        with pytest.raises(IntegrityError, match="no audit record"):
            async with world.engine.begin() as conn:
                await conn.execute(text(statement))

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import EvidenceKind, Status
from claims.decision import Outcome
from claims.errors import Conflict, CurrencyMismatch, InvalidTransition, NotFound, TooManyFiles
from claims.money import Money
from claims.store import counts, intake, noses, papers, views
from claims.store.adjudication import policy_of
from claims.store.intake import NewEvidence
from claims.store.noses import StoredTemplate
from claims.store.waiting import Wanted

pytestmark = pytest.mark.anyio


async def _draft(world: Any, claim_id: str = "c", owner: str = "ann") -> None:
    async with world.engine.begin() as conn:
        await intake.create_claim(conn, world.claim(claim_id, owner), world.now, actor=f"claimant:{owner}")


async def test_a_claim_on_somebody_elses_policy_is_refused_as_not_there(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        with pytest.raises(NotFound):
            await intake.create_claim(
                conn, world.claim("c", "ann", policy_id="pol-bob"), world.now, actor="claimant:ann"
            )


async def test_everything_of_somebody_elses_claim_is_not_there(world: Any, engine: AsyncEngine) -> None:
    await _draft(world)
    file = NewEvidence("e", "x.jpg", EvidenceKind.PHOTO, "image/jpeg", 10, "a" * 64)
    for attempt in (
        lambda conn: intake.add_evidence(conn, "c", "bob", file, world.now),
        lambda conn: intake.submit(conn, "c", "bob", world.now, actor="claimant:bob"),
        lambda conn: intake.withdraw(conn, "c", "bob", world.now, actor="claimant:bob"),
        lambda conn: intake.appeal(conn, "c", "bob", "", world.now, actor="claimant:bob", partner="anshun"),
        lambda conn: views.claim_view(conn, "c", claimant_id="bob"),
        lambda conn: views.evidence_file(conn, "c", "photo.jpg", claimant_id="bob"),
    ):
        async with engine.begin() as conn:
            with pytest.raises(NotFound):
                await attempt(conn)
    async with engine.begin() as conn:
        assert await views.list_claims(conn, claimant_id="bob") == []


async def test_a_claim_in_another_currency_or_for_another_product_is_refused(world: Any, engine: AsyncEngine) -> None:
    for wrong, error in (
        (world.claim("c", amount=Money(100, "USD")), CurrencyMismatch),
        (world.claim("c", product="parcel_damage"), Conflict),
    ):
        async with engine.begin() as conn:
            with pytest.raises(error):
                await intake.create_claim(conn, wrong, world.now, actor="claimant:ann")


async def test_the_thirteenth_file_is_refused_even_when_two_arrive_at_once(world: Any, engine: AsyncEngine) -> None:
    await _draft(world)

    async def add(number: int) -> None:
        async with engine.begin() as conn:
            await world.file(conn, "c", f"photo-{number}.jpg")

    for number in range(11):
        await add(number)
    results = await asyncio.gather(*(add(number) for number in range(11, 15)), return_exceptions=True)
    assert sum(isinstance(result, TooManyFiles) for result in results) == 3


async def test_a_file_of_a_draft_is_replaced_and_a_judged_one_is_not(world: Any, engine: AsyncEngine) -> None:
    await _draft(world)
    async with engine.begin() as conn:
        first = await world.file(conn, "c", "photo.jpg", sha="a")
        assert await world.file(conn, "c", "photo.jpg", sha="a") == first
        await world.file(conn, "c", "photo.jpg", sha="b")
        assert (await views.evidence_file(conn, "c", "photo.jpg", claimant_id="ann")).sha256 == "b" * 64
        await intake.submit(conn, "c", "ann", world.now, actor="claimant:ann")
    async with engine.begin() as conn:
        with pytest.raises(InvalidTransition):
            await world.file(conn, "c", "late.jpg")
    (lease,) = await world.lease()
    await world.decide(lease, world.decision(Outcome.ASK))
    async with engine.begin() as conn:
        with pytest.raises(Conflict):
            await world.file(conn, "c", "photo.jpg", sha="d")
        await world.file(conn, "c", "second.jpg", sha="d")


async def test_a_claim_is_submitted_once(world: Any, engine: AsyncEngine) -> None:
    await _draft(world)

    async def submit() -> int:
        async with engine.begin() as conn:
            return await intake.submit(conn, "c", "ann", world.now, actor="claimant:ann")

    results = await asyncio.gather(*(submit() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, InvalidTransition) for result in results) == 3
    async with engine.connect() as conn:
        assert (await conn.execute(text("SELECT count(*) FROM jobs"))).scalar_one() == 1


async def test_what_is_paid_or_withdrawn_cannot_be_withdrawn_and_a_draft_not_appealed(
    world: Any, engine: AsyncEngine
) -> None:
    await world.decided("paid", Outcome.PAY, 100)
    await _draft(world, "draft")
    async with engine.begin() as conn:
        with pytest.raises(InvalidTransition):
            await intake.withdraw(conn, "paid", "ann", world.now, actor="claimant:ann")
        with pytest.raises(InvalidTransition):
            await intake.appeal(conn, "draft", "ann", "", world.now, actor="claimant:ann", partner="anshun")
        await intake.withdraw(conn, "draft", "ann", world.now, actor="claimant:ann")
        with pytest.raises(InvalidTransition):
            await intake.submit(conn, "draft", "ann", world.now, actor="claimant:ann")


async def test_withdrawing_a_referred_claim_takes_it_out_of_the_queue(world: Any, engine: AsyncEngine) -> None:
    await world.decided("c", Outcome.REFER)
    async with engine.begin() as conn:
        await intake.withdraw(conn, "c", "ann", world.now, actor="claimant:ann")
        assert await views.queue_rows(conn, Wanted(), world.now) == []
        assert (await views.claim_row(conn, "c")).status is Status.WITHDRAWN


async def test_a_policy_keeps_its_claimant_product_number_and_currency(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        policy = await policy_of(conn, "pol-ann")
        await intake.upsert_policy(conn, replace(policy, ends_at=policy.ends_at + timedelta(days=1)), world.now)
        for changed in (
            replace(policy, product="parcel_damage"),
            replace(policy, claimant_id="bob"),
            replace(policy, number="N-bob"),
            replace(policy, sum_insured=Money(1, "USD"), insured_value=Money(1, "USD")),
        ):
            with pytest.raises(Conflict):
                await intake.upsert_policy(conn, changed, world.now)
        assert (await policy_of(conn, "pol-ann")).ends_at == policy.ends_at + timedelta(days=1)


async def test_a_policy_cannot_insure_somebody_elses_pet(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await intake.upsert_pet(conn, "doudou", "bob", "豆豆", "dog", world.now)
        policy = await policy_of(conn, "pol-ann")
        with pytest.raises(NotFound):
            await intake.upsert_policy(conn, replace(policy, pet_id="doudou"), world.now)
        with pytest.raises(Conflict):
            await intake.upsert_pet(conn, "doudou", "ann", "豆豆", "dog", world.now)


async def test_a_new_enrolment_takes_the_place_of_the_old_one(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await intake.upsert_pet(conn, "doudou", "ann", "豆豆", "dog", world.now)
        for sha in ("a", "b"):
            templates = [StoredTemplate(sha * 63 + str(number), b"t", "nose-1") for number in range(3)]
            await noses.replace_templates(conn, "doudou", templates, world.now, actor="flow:enrol")
        assert await noses.list_templates(conn, "doudou") == templates
        assert (await noses.pet(conn, "doudou", "ann")).templates == 3
        with pytest.raises(NotFound):
            await noses.pet(conn, "doudou", "bob")


async def test_window_counts_are_those_of_claims_before_this_one(world: Any, engine: AsyncEngine) -> None:
    start = world.now
    for days, name, owner, device in (
        (40, "a", "ann", "d1"),
        (20, "b", "bob", "d1"),
        (6, "c", "ann", "d1"),
        (3, "d", "ann", "d2"),
        (-1, "later", "bob", "d1"),
    ):
        world.now = start - timedelta(days=days)
        await world.submitted(name, owner, device_id=device, payee_account=f"acc-{owner}", merchant_id="")
    world.now = start
    await world.submitted("me", device_id="d1", payee_account="acc-ann", merchant_id="")
    await _draft(world, "draft")
    async with engine.connect() as conn:
        found_counts = {
            (count.key, count.window_days): (count.claims, count.claimants)
            for count in await counts.window_counts(conn, "me")
            if count.key in ("device", "payee", "address", "merchant", "claimant")
        }
    assert found_counts == {
        ("device", 7): (1, 1),
        ("device", 30): (2, 2),
        ("payee", 7): (2, 1),
        ("payee", 30): (2, 1),
        ("claimant", 7): (2, 1),
        ("claimant", 30): (2, 1),
    }


async def test_cover_counts_what_other_claims_of_the_policy_were_promised(world: Any, engine: AsyncEngine) -> None:
    await world.decided("a", Outcome.PAY, 3000)
    await world.decided("b", Outcome.DECLINE)
    await world.submitted("c")
    async with engine.connect() as conn:
        fact = await counts.cover(conn, "c")
    assert (fact.paid_to_date_minor, fact.earlier_claims, fact.currency) == (3000, 2, "CNY")


async def test_of_two_claims_with_one_paper_number_at_once_at_least_one_sees_the_other(
    world: Any, engine: AsyncEngine
) -> None:
    for name in ("a", "b"):
        await world.submitted(name)

    async def publish_then_search(claim_id: str) -> dict[str, tuple[str, ...]]:
        async with engine.begin() as conn:
            await papers.publish_numbers(conn, claim_id, [("outpatient_invoice:123", "e")], world.now)
        async with engine.begin() as conn:
            return await papers.claims_with_number(conn, ["outpatient_invoice:123"], exclude_claim=claim_id)

    results = await asyncio.gather(publish_then_search("a"), publish_then_search("b"))
    assert {} not in results or results[0] != results[1]
    async with engine.begin() as conn:
        await intake.withdraw(conn, "a", "ann", world.now, actor="claimant:ann")
        assert await papers.claims_with_number(conn, ["outpatient_invoice:123"], exclude_claim="b") == {}

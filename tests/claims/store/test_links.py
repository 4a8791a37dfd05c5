"""Claims that share a photo: no second one is paid without a person who knows of the first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from claims.decision import Outcome
from claims.errors import CopyPaid
from claims.store import adjudication, audit, links, payouts, recording, referrals
from claims.wire import canonical
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio


def facts(*others: str, **match: Any) -> bytes:
    """Returns recorded inputs of a claim whose photo is a copy of photos of those claims."""
    matches = [{"claim_id": other, "verdict": "same_bytes", "preview_sha256": "", **match} for other in others]
    return canonical({"facts": {"photos": [{"sha256": "c" * 64, "matches": matches}]}})


async def referred(world: Any, claim_id: str, owner: str, inputs: bytes) -> str:
    """Refers a claim to a person and returns its referral's id."""
    await world.submitted(claim_id, owner)
    (lease,) = await world.lease()
    async with world.engine.begin() as conn:
        file = await adjudication.load(conn, claim_id)
        recorded = await recording.record_decision(
            conn,
            recording.NewDecision(
                lease, file, world.decision(Outcome.REFER), inputs, world.now, "flow:adjudicate", partner="anshun"
            ),
        )
    return recorded.referral_id


async def approve(world: Any, claim_id: str, referral_id: str, who: str = "zhang", **options: Any) -> None:
    async with world.engine.begin() as conn:
        decision = world.decision(Outcome.PAY, 1_000, by=who)
        await record_verdict(conn, claim_id, referral_id, decision, world.now, who=who, **options)


async def promised(world: Any, *claim_ids: str) -> list[int]:
    async with world.engine.connect() as conn:
        return [await payouts.promised_minor(conn, claim_id) for claim_id in claim_ids]


async def test_a_person_is_told_before_the_second_payment_for_one_photo_and_may_make_it_knowingly(world: Any) -> None:
    first = await referred(world, "c-1", "ann", facts("c-2"))
    second = await referred(world, "c-2", "bob", facts("c-1"))
    await approve(world, "c-1", first)
    with pytest.raises(CopyPaid) as refused:
        await approve(world, "c-2", second)
    assert refused.value.claim_ids == ("c-1",)
    assert await promised(world, "c-1", "c-2") == [1_000, 0]
    async with world.engine.connect() as conn:
        assert (await referrals.get(conn, second)).state == "open"
    await approve(world, "c-2", second, although_copy_paid=True)
    assert await promised(world, "c-1", "c-2") == [1_000, 1_000]
    async with world.engine.connect() as conn:
        await audit.check(conn)


async def test_of_three_people_who_approve_three_copies_at_the_same_moment_two_are_told(world: Any) -> None:
    first = await referred(world, "c-1", "ann", facts())
    second = await referred(world, "c-2", "bob", facts("c-1"))
    third = await referred(world, "c-3", "bob", facts("c-2"))  # knows of the first through the second only
    done = await asyncio.gather(
        approve(world, "c-1", first, "zhang"),
        approve(world, "c-2", second, "li"),
        approve(world, "c-3", third, "wang"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in done if outcome is not None] == [CopyPaid, CopyPaid]
    assert sorted(await promised(world, "c-1", "c-2", "c-3")) == [0, 0, 1_000]


async def test_a_machine_does_not_pay_on_photos_that_it_looked_at_before_the_copy_was_paid(world: Any) -> None:
    """The first claim is examined and waits for another try; meanwhile its copy comes, is referred and approved."""
    await world.submitted("c-1")
    (lease,) = await world.lease()
    copy = await referred(world, "c-2", "bob", facts("c-1"))
    await approve(world, "c-2", copy)

    async def decide(known: tuple[str, ...]) -> None:
        async with world.engine.begin() as conn:
            file = await adjudication.load(conn, "c-1")
            pay = world.decision(Outcome.PAY, 1_000)
            new = recording.NewDecision(
                lease, file, pay, facts(), world.now, "flow:adjudicate", partner="anshun", paid_elsewhere=known
            )
            await recording.record_decision(conn, new)

    with pytest.raises(CopyPaid) as refused:
        await decide(())
    assert refused.value.claim_ids == ("c-2",)
    assert await promised(world, "c-1") == [0]
    await decide(("c-2",))  # looked at again since, and found to be no copy
    assert await promised(world, "c-1") == [1_000]


@pytest.mark.parametrize(
    "explained", [{"common": "a-label"}, {"ruling": "reject"}, {"verdict": "similar"}, {"verdict": "same_scene"}]
)
async def test_what_a_person_or_the_bank_has_explained_is_no_link(world: Any, explained: dict[str, str]) -> None:
    first = await referred(world, "c-1", "ann", facts())
    second = await referred(world, "c-2", "bob", facts("c-1", **explained))
    await approve(world, "c-1", first)
    await approve(world, "c-2", second)
    assert await promised(world, "c-1", "c-2") == [1_000, 1_000]
    async with world.engine.connect() as conn:
        assert await links.naming(conn, "c-1") == ("c-2",)

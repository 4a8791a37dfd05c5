"""Papers claimed before under any claim, and the used-up part of a cover's terms."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from claims import decide
from claims.decision import BenefitLine, Decision, Outcome, Reason
from claims.errors import CopyPaid, CoverSpent
from claims.paper_keys import identities
from claims.paper_kind import load_paper_kinds
from claims.reasons import reason
from claims.rules import RULES
from claims.store import adjudication, counts, papers, payouts, recording
from claims.wire import canonical
from fixtures.cases import in_order, invoice, stay

pytestmark = pytest.mark.anyio

ROUNDS, CLAIMS = 5, 6


async def examine(world: Any, lease: Any, number: str, *, inpatient: bool) -> None:
    """Takes a claim's bill through stage and decision: publish, commit, search, decide, record. On the error that a
    copy was paid meanwhile the claim is left for another try.
    """
    bill = (stay if inpatient else invoice)(number=number)
    keys = identities(load_paper_kinds(), bill.kind, bill.value)
    async with world.engine.begin() as conn:
        await papers.publish_numbers(conn, lease.claim_id, [(key, "e") for key in keys], world.now)
    async with world.engine.connect() as conn:
        before = await papers.claims_with_number(conn, keys, exclude_claim=lease.claim_id)
        file = await adjudication.load(conn, lease.claim_id)
    known = tuple(claim for key in keys for claim in before.get(key, ()))
    # Both are judged as bills in order of the outpatient product; only the number is of interest here.
    case = in_order("outpatient_medical").with_facts(
        papers=(replace(invoice(number=number), number_claimed_before=known),)
    )
    judged = (case.insured, case.facts, RULES, case.now)
    decision = decide.decide(*judged)
    small = replace(decision.payout, minor=decision.payout.minor // 100)  # the world's policies are small
    try:
        async with world.engine.begin() as conn:
            new = recording.NewDecision(
                lease,
                file,
                replace(decision, payout=small),
                decide.inputs(*judged),
                world.now,
                "flow:adjudicate",
                partner="heyuan",
            )
            await recording.record_decision(conn, new)
    except CopyPaid:
        return


async def test_of_claims_at_once_with_one_bill_shown_as_different_kinds_at_most_one_is_paid(world: Any) -> None:
    paid_in_all = 0
    for number in range(ROUNDS):
        ids = [f"c-{number}-{place}" for place in range(CLAIMS)]
        for place, claim_id in enumerate(ids):
            await world.submitted(claim_id, ("ann", "bob")[place % 2])
        leases = await world.lease(limit=CLAIMS)
        assert len(leases) == CLAIMS
        await asyncio.gather(
            *(
                examine(world, lease, f"33012677{number:02d}", inpatient=place % 2 == 1)
                for place, lease in enumerate(leases)
            )
        )
        async with world.engine.connect() as conn:
            promised = [await payouts.promised_minor(conn, claim_id) for claim_id in ids]
        assert sum(minor > 0 for minor in promised) <= 1, promised
        paid_in_all += sum(minor > 0 for minor in promised)
        async with world.engine.connect() as conn:
            numbers = await papers.claims_with_number(conn, [f"bill:33012677{number:02d}"], exclude_claim=ids[0])
        assert set(numbers[f"bill:33012677{number:02d}"]) == set(ids[1:])
    assert paid_in_all <= ROUNDS


async def test_a_number_alone_in_the_house_is_paid(world: Any) -> None:
    await world.submitted("c-1")
    (lease,) = await world.lease()
    await examine(world, lease, "3301267788", inpatient=False)
    async with world.engine.connect() as conn:
        assert await payouts.promised_minor(conn, "c-1") == 400


async def test_numbers_of_before_are_found_under_the_key_of_their_family(world: Any) -> None:
    """Runs the migration's statements on rows as they were before it."""
    await world.submitted("c-1")
    migration = importlib.import_module("claims.store.migrations.versions.0004_keys_of_papers_and_other_insurance")
    old = ["outpatient_invoice:3301267788", "parcel_slip:SF1", "receipt:SHOP|20261101|100"]
    async with world.engine.begin() as conn:
        await papers.publish_numbers(conn, "c-1", [(key, "e") for key in old], world.now)

    def rename(sync: Any) -> None:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        with Operations.context(MigrationContext.configure(sync)):
            for kind, family in migration._FAMILIES:
                migration._rename(kind, family)

    async with world.engine.begin() as conn:
        await conn.run_sync(rename)
        keys = set((await conn.execute(text("SELECT number_key FROM document_numbers"))).scalars())
    assert keys == {"bill:3301267788", "parcel:SF1", "receipt:SHOP|20261101|100"}


async def test_what_another_insurer_paid_is_kept_and_never_negative(world: Any) -> None:
    await world.submitted("c-1", other_insurance_minor=1_234)
    async with world.engine.connect() as conn:
        assert (await adjudication.load(conn, "c-1")).claim.other_insurance_minor == 1_234
    with pytest.raises(DBAPIError, match="other_insurance_not_negative"):
        await world.submitted("c-2", other_insurance_minor=-1)


def decided(world: Any, outcome: Outcome, why: Reason, minor: int = 0, *, borne: int, days: int) -> Decision:
    lines = (
        BenefitLine("days_counted", replace(world.decision(outcome).payout, minor=0), str(days)),
        BenefitLine("deductible_cover", replace(world.decision(outcome).payout, minor=-borne), ""),
    )
    return replace(world.decision(outcome, minor), benefit=lines, reasons=(why,))


def cover_facts(borne: int, days: int) -> bytes:
    return canonical({"facts": {"cover": {"deductible_borne_minor": borne, "days_paid": days}}})


async def record(world: Any, claim_id: str, decision: Decision, inputs: bytes = b"{}") -> None:
    (lease,) = [lease for lease in await world.lease(limit=9) if lease.claim_id == claim_id]
    async with world.engine.begin() as conn:
        file = await adjudication.load(conn, claim_id)
        await recording.record_decision(
            conn,
            recording.NewDecision(lease, file, decision, inputs, world.now, "flow:adjudicate", partner="heyuan"),
        )


async def test_deductible_and_days_of_a_cover_are_used_up_by_its_other_claims(world: Any) -> None:
    clear, below = reason("cover_in_force"), reason("below_deductible", clause="4.2")
    await world.submitted("c-1")
    await record(world, "c-1", decided(world, Outcome.PAY, clear, 500, borne=700, days=3))
    await world.submitted("c-2")
    await record(world, "c-2", decided(world, Outcome.DECLINE, below, borne=200, days=4))
    await world.submitted("c-3")
    await record(world, "c-3", decided(world, Outcome.REFER, reason("above_auto_pay"), borne=90, days=9))
    await world.submitted("c-4", "bob")
    await world.submitted("c-5")
    async with world.engine.connect() as conn:
        assert await counts.used_of_cover(conn, "c-5") == (900, 3)
        assert (await counts.cover(conn, "c-5")).deductible_borne_minor == 900
        assert await counts.used_of_cover(conn, "c-4") == (0, 0)  # another policy
        assert await counts.used_of_cover(conn, "c-1") == (200, 0)  # never its own


async def test_two_claims_do_not_use_the_same_rest_of_the_deductible(world: Any) -> None:
    clear = reason("cover_in_force")
    await world.submitted("c-1")
    await world.submitted("c-2")
    leases = {lease.claim_id: lease for lease in await world.lease(limit=2)}

    async def pay(claim_id: str, inputs: bytes) -> None:
        async with world.engine.begin() as conn:
            file = await adjudication.load(conn, claim_id)
            decision = decided(world, Outcome.PAY, clear, 500, borne=700, days=3)
            await recording.record_decision(
                conn,
                recording.NewDecision(
                    leases[claim_id], file, decision, inputs, world.now, "flow:adjudicate", partner="heyuan"
                ),
            )

    await pay("c-1", cover_facts(0, 0))
    with pytest.raises(CoverSpent, match="700, 3"):
        await pay("c-2", cover_facts(0, 0))
    await pay("c-2", cover_facts(700, 3))

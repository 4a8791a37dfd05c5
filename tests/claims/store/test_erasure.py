"""An erased claim's contents are gone from every table; its decisions and payments stay."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims import decide
from claims.catalogue import product_of
from claims.claim import EvidenceKind, Status
from claims.decision import Outcome
from claims.errors import InFlight, InputsErased, InvalidTransition, NotFound
from claims.evidence import (
    Box,
    CoverFact,
    Facts,
    FraudFact,
    MatchOwner,
    PaperFact,
    PaperField,
    PhotoFact,
    PhotoMatch,
    PhotoVerdict,
    UnmeasuredFact,
)
from claims.rules import RULES
from claims.store import adjudication, audit, counts, erasure, intake, papers, payouts, recording, stage_results, views
from claims.store.intake import NewEvidence
from claims.store.tables import stage_results as stage_rows
from claims.wire import to_plain
from tests.claims.store.reads import audit_of

pytestmark = pytest.mark.anyio

NOTHING = UnmeasuredFact("not told", retryable=False)
# Words that only the claim to be erased brings in; none may be left anywhere.
SECRETS = ("霉变的车厘子", "6222020200112233", "ios-secret", "长安街一号", "shop-secret", "order-secret", "李秘密",
           "HOSPITAL-77", "请再看一次", "secret.jpg")  # fmt: skip
OWN, PREVIEW, OVERLAY, SHARED = "1" * 64, "2" * 64, "3" * 64, "9" * 64


def photo(evidence_id: str, sha256: str, *matches: PhotoMatch) -> PhotoFact:
    verdict = matches[0].verdict if matches else PhotoVerdict.UNSEEN
    return PhotoFact(evidence_id, "secret.jpg", sha256, 9, 9, verdict, matches, NOTHING, NOTHING, NOTHING)


def copy_of(claim_id: str, preview: str, overlay: str = "") -> PhotoMatch:
    return PhotoMatch(f"{claim_id}-photo", MatchOwner.OTHER_CLAIMANT, claim_id, PhotoVerdict.SAME_BYTES, 1.0, 9, "", (),
                      preview, overlay_sha256=overlay)  # fmt: skip


def paper() -> PaperFact:
    box = Box(0, 0, 1, 1)
    fields = (PaperField("hospital", "李秘密医院", 0.9, box), PaperField("number", "HOSPITAL-77", 0.9, box))
    return PaperFact("e", "secret.jpg", OWN, "outpatient_invoice", fields, (), (), 0.9, (), ())


class Case:
    """A claim decided by the real rules on given facts, through the store's own steps."""

    def __init__(self, world: Any, claim_id: str, owner: str = "ann") -> None:
        self.world, self.id, self.owner = world, claim_id, owner

    async def made(self, files: dict[str, str], *photos: PhotoFact, papers_: tuple[PaperFact, ...] = ()) -> Case:
        world = self.world
        claim = world.claim(
            self.id, self.owner, description="霉变的车厘子", payee_account="6222020200112233", device_id="ios-secret",
            address="长安街一号", merchant_id="shop-secret", order_number="order-secret",
        )  # fmt: skip
        async with world.engine.begin() as conn:
            await intake.create_claim(conn, claim, world.now, actor=f"claimant:{self.owner}")
            for name, sha256 in files.items():
                new = NewEvidence(f"{self.id}-{name}", name, EvidenceKind.PHOTO, "image/jpeg", 9, sha256)
                await intake.add_evidence(conn, self.id, self.owner, new, world.now)
                await adjudication.set_preview(conn, f"{self.id}-{name}", PREVIEW)
            await intake.submit(conn, self.id, self.owner, world.now, actor=f"claimant:{self.owner}")
        (lease,) = await world.lease()
        async with world.engine.begin() as conn:
            await stage_results.save(conn, lease, "photos", [to_plain(fact) for fact in photos], {}, world.now)
            await stage_results.save(conn, lease, "papers", [to_plain(fact) for fact in papers_], {}, world.now)
            await papers.publish_numbers(conn, self.id, [("outpatient_invoice:HOSPITAL77", "e")], world.now)
            file = await adjudication.load(conn, self.id)
            cover = CoverFact(0, "CNY", 0, claim.occurred_at.date())
            fraud = FraudFact(await counts.window_counts(conn, self.id))
            facts = Facts(cover, photos, papers_, (), NOTHING, fraud)
            terms = (file.under(product_of("fresh_food_rot")), facts, RULES, world.now)
            decision = decide.decide(*terms)
            await recording.record_decision(
                conn,
                recording.NewDecision(
                    lease, file, decision, decide.inputs(*terms), world.now, "flow:adjudicate", partner="anshun"
                ),
            )
        return self

    async def paid(self) -> Case:
        async with self.world.engine.begin() as conn:
            for payout in await payouts.of_claim(conn, self.id):
                await payouts.mark_sent(conn, payout.id, self.world.now)
                await payouts.mark_paid(conn, payout.id, "BANK-1", self.world.now)
        return self

    async def erased(self) -> erasure.Erased:
        async with self.world.engine.begin() as conn:
            return await erasure.erase(
                conn, self.id, self.world.later(60), actor="operator:eve", reason="the claimant asked"
            )


async def dump(engine: AsyncEngine) -> str:
    """Returns every row of every table as text."""
    async with engine.connect() as conn:
        tables = (await conn.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).scalars()
        whole = []
        for table in tables.all():
            for row in await conn.execute(text(f'SELECT * FROM "{table}"')):
                values = [cell.decode(errors="replace") if isinstance(cell, bytes) else cell for cell in row]
                whole.append(table + repr(values))
    return "\n".join(whole)


async def test_of_an_erased_claim_no_table_holds_a_word_and_the_books_and_the_chain_stand(world: Any) -> None:
    case = await Case(world, "c-1").made({"secret.jpg": OWN}, photo("c-1-secret.jpg", OWN), papers_=(paper(),))
    await case.paid()
    before = await dump(world.engine)
    assert [secret for secret in SECRETS if secret not in before and secret != "请再看一次"] == []
    erased = await case.erased()
    assert erased.first
    assert set(erased.files) == {OWN, PREVIEW}
    after = await dump(world.engine)
    assert [secret for secret in SECRETS if secret in after] == []
    left = [line for line in after.splitlines() if OWN in line or PREVIEW in line]
    assert {line.split("[")[0] for line in left} == {"blob_deletions"}
    async with world.engine.connect() as conn:
        await audit.check(conn)
        view = await views.claim_view(conn, "c-1")
        (payout,) = view.payouts
        (record,) = [record for record in await audit_of(conn, "c-1") if record.action == erasure.ACTION]
    assert (view.claim.status, view.evidence, view.claim.description) == (Status.ERASED, (), "")
    assert [entry.status for entry in view.timeline][-2:] == [Status.PAID, Status.ERASED]
    assert (payout.state, payout.bank_reference, payout.payee_account) == ("paid", "BANK-1", "")
    assert view.decision is not None
    assert view.decision.decision.outcome is Outcome.PAY
    assert view.decision.decision.payout.minor == payout.amount.minor
    assert {reason.code for reason in view.decision.decision.reasons} >= {"photo_unseen", "within_auto_pay"}
    assert record.actor == "operator:eve"


async def test_a_replay_of_an_erased_claim_says_that_its_inputs_are_gone(world: Any) -> None:
    case = await Case(world, "c-1").made({"secret.jpg": OWN}, photo("c-1-secret.jpg", OWN))
    await case.paid()
    await case.erased()
    async with world.engine.connect() as conn:
        (row,) = (await views.claim_view(conn, "c-1")).decisions
    with pytest.raises(InputsErased, match="erased on 2026-11-20"):
        decide.replay(row.inputs)


async def test_erasing_again_changes_nothing_and_finds_the_files_that_are_left(world: Any) -> None:
    case = await (await Case(world, "c-1").made({"secret.jpg": OWN}, photo("c-1-secret.jpg", OWN))).paid()
    first = await case.erased()
    before = await dump(world.engine)
    again = await case.erased()
    assert (again.first, again.at, set(again.files)) == (False, first.at, {OWN, PREVIEW})
    assert await dump(world.engine) == before
    async with world.engine.begin() as conn:
        for sha256 in again.files:
            await erasure.file_done(conn, sha256)
    assert (await case.erased()).files == ()


async def test_a_claim_at_work_is_refused_with_the_reason_and_stays_as_it_is(world: Any) -> None:
    await world.submitted("c-1")
    case = Case(world, "c-1")

    async def refusal() -> str:
        before = await dump(world.engine)
        with pytest.raises(InFlight) as refused:
            await case.erased()
        assert await dump(world.engine) == before
        return refused.value.code

    assert await refusal() == "queued"
    (lease,) = await world.lease()
    assert await refusal() == "leased"
    await world.decide(lease, world.decision(Outcome.PAY, 1_000))
    assert await refusal() == "paying"
    await case.paid()
    async with world.engine.begin() as conn:
        await intake.appeal(conn, "c-1", "ann", "请再看一次", world.now, actor="claimant:ann", partner="anshun")
    assert await refusal() == "before_a_person"


async def test_a_withdrawn_claim_a_draft_and_one_that_waits_for_more_can_be_erased_and_never_come_back(
    world: Any,
) -> None:
    await world.submitted("withdrawn")
    async with world.engine.begin() as conn:
        await intake.withdraw(conn, "withdrawn", "ann", world.now, actor="claimant:ann", note="请再看一次")
        await intake.create_claim(conn, world.claim("draft"), world.now, actor="claimant:ann")
    await world.decided("asked", Outcome.ASK)
    for claim_id in ("withdrawn", "draft", "asked"):
        await Case(world, claim_id).erased()
        async with world.engine.connect() as conn:
            assert (await views.claim_row(conn, claim_id, claimant_id="ann")).status is Status.ERASED
        with pytest.raises(InvalidTransition):
            async with world.engine.begin() as conn:
                await world.file(conn, claim_id, "late.jpg")
        with pytest.raises(InvalidTransition):
            async with world.engine.begin() as conn:
                await intake.submit(conn, claim_id, "ann", world.now, actor="claimant:ann")
    assert "请再看一次" not in await dump(world.engine)
    with pytest.raises(NotFound):
        await Case(world, "nobody").erased()


async def test_the_erased_picture_is_taken_out_of_the_records_of_claims_that_matched_it(world: Any) -> None:
    case = await (await Case(world, "c-1").made({"secret.jpg": OWN}, photo("c-1-secret.jpg", OWN))).paid()
    other = Case(world, "c-2", "bob")
    await other.made({"mine.jpg": SHARED}, photo("c-2-mine.jpg", SHARED, copy_of("c-1", PREVIEW, OVERLAY)))
    assert OVERLAY in await dump(world.engine)
    erased = await case.erased()
    assert set(erased.files) == {OWN, PREVIEW, OVERLAY}
    left = {line.split("[")[0] for line in (await dump(world.engine)).splitlines() if OVERLAY in line or OWN in line}
    assert left == {"blob_deletions"}
    async with world.engine.connect() as conn:
        (row,) = (await views.claim_view(conn, "c-2")).decisions
        stage = (
            await conn.execute(
                select(stage_rows.c.result).where(stage_rows.c.claim_id == "c-2", stage_rows.c.stage == "photos")
            )
        ).scalar_one()
    assert decide.replay(row.inputs) == row.stored
    assert stage[0]["matches"][0]["preview_sha256"] == ""


async def test_a_decision_made_while_the_picture_it_matched_is_erased_does_not_name_it(world: Any) -> None:
    await (await Case(world, "c-1").made({"secret.jpg": OWN}, photo("c-1-secret.jpg", OWN))).paid()
    await Case(world, "c-1").erased()
    # The facts of the other claim were taken before.
    other = Case(world, "c-2", "bob")
    await other.made({"mine.jpg": SHARED}, photo("c-2-mine.jpg", SHARED, copy_of("c-1", "4" * 64, OVERLAY)))
    lines = [line for line in (await dump(world.engine)).splitlines() if "4" * 64 in line or OVERLAY in line]
    assert lines == []


async def test_what_was_found_in_a_claim_after_it_was_erased_is_not_written(world: Any) -> None:
    await world.submitted("c-1")
    async with world.engine.begin() as conn:
        await erasure.at_work(conn, "c-1")
        await intake.withdraw(conn, "c-1", "ann", world.now, actor="claimant:ann")
    await Case(world, "c-1").erased()
    with pytest.raises(InFlight, match="was erased"):
        async with world.engine.begin() as conn:
            await erasure.at_work(conn, "c-1")

"""Owners of matches, floods and rulings through real vision and a real store: decided, held and released claims."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures
from sqlalchemy import select

from api.commands import measuring
from api.settings import Settings
from claims.claim import EvidenceKind, Status
from claims.credit import Scorecard
from claims.decide import replay
from claims.errors import NotFound
from claims.evidence import MatchOwner, MatchRuling, PhotoFact, PhotoVerdict, Placement
from claims.floods import FloodLimits
from claims.rules import RULES
from claims.store import floods, intake, links, payouts, rulings
from claims.store.tables import decisions, evidence, flood_claims, outbox, stage_results
from claims.wire import from_plain
from fixtures import edits, harder_edits
from flows.adjudicate import Adjudication
from flows.config import PrefectConfig
from flows.drain import Drain
from flows.learn import RulingLearner
from flows.queues import ClaimQueue, OutboxQueue
from flows.sending import Sending
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.vision_pool import VisionPool, vision_pool
from models.registry import weights_path
from vision.library import known_pictures

pytestmark = pytest.mark.anyio
LIMITS = FloodLimits(claims_max=2, window_hours=24)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        loaded.warm_photos()
        yield loaded, url


@pytest.fixture
def shop(world: Any, eyes: tuple[VisionPool, str]) -> Any:
    from claims.store.blobs import BlobStore

    return replace(world, blobs=BlobStore(eyes[1]))


@asynccontextmanager
async def working(shop: Any, eyes: VisionPool) -> AsyncIterator[None]:
    """Runs a worker's loops: adjudicating claims and learning from rulings."""
    config = shop.worker_config()
    stop, wakes = asyncio.Event(), (asyncio.Event(), asyncio.Event())
    async with tracking(PrefectConfig()) as tracker:
        scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
        context = StageContext(shop.engine, eyes, scorecard, floods=LIMITS)
        adjudication = Adjudication(context, tracker, config.lease, config.claims_at_once)
        learning = Sending("learn", shop.engine, tracker, RulingLearner(shop.engine).learn, config.lease)
        seconds = config.lease.lease_seconds
        drains: list[Drain[Any]] = [
            Drain("a", ClaimQueue(shop.engine, "w", seconds), adjudication.work, config.lease, stop, wakes[0]),
            Drain("t", OutboxQueue(shop.engine, "learn", "w", seconds), learning.work, config.lease, stop, wakes[1]),
        ]
        tasks = [asyncio.create_task(drain.run()) for drain in drains]
        try:
            yield
        finally:
            stop.set()
            for wake in wakes:
                wake.set()
            await asyncio.gather(*tasks)


async def settled(shop: Any) -> bool:
    """True if nothing is due: every claim is decided, every ruling learnt from."""
    async with shop.engine.connect() as conn:
        learning = await conn.execute(
            select(outbox.c.id).where(outbox.c.topic == "learn", outbox.c.state.in_(("due", "leased")))
        )
        if learning.first() is not None:
            return False
    return Status.SUBMITTED not in (await shop.statuses()).values()


async def reasons(shop: Any, claim_id: str) -> list[str]:
    async with shop.engine.connect() as conn:
        rows = await conn.execute(select(decisions).where(decisions.c.claim_id == claim_id).order_by(decisions.c.seq))
        row = rows.all()[-1]
    assert replay(row.inputs) == row.decision
    return [reason["code"] for reason in json.loads(row.decision)["reasons"]]


async def facts(shop: Any, claim_id: str) -> PhotoFact:
    """Returns the newest fact of the claim's only photo."""
    async with shop.engine.connect() as conn:
        rows = await conn.execute(
            select(stage_results.c.result)
            .where(stage_results.c.claim_id == claim_id, stage_results.c.stage == "photos")
            .order_by(stage_results.c.round)
        )
        return from_plain(PhotoFact, rows.scalars().all()[-1][0])


async def photo_id(shop: Any, claim_id: str) -> str:
    async with shop.engine.connect() as conn:
        return str((await conn.execute(select(evidence.c.id).where(evidence.c.claim_id == claim_id))).scalar_one())


async def word(shop: Any, claim_id: str, match_claim: str, ruling: MatchRuling) -> None:
    mine, other = await photo_id(shop, claim_id), await photo_id(shop, match_claim)
    async with shop.engine.begin() as conn:
        now = datetime.now(UTC)
        await rulings.rule(conn, claim_id, mine, other, match_claim, ruling, "", {}, now, actor="adjuster:mei")


def edited(data: bytes, *, mirror: bool = True) -> bytes:
    """Returns the photo cut on two sides, mirrored, scaled and compressed again."""
    picture = Image.open(io.BytesIO(data))
    pixels = np.asarray(picture)[20:, 30:]
    shown = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]) if mirror else pixels)
    out = io.BytesIO()
    shown.resize((shown.width * 4 // 5, shown.height * 4 // 5)).save(out, "JPEG", quality=70)
    return out.getvalue()


async def test_the_same_damage_is_not_paid_twice_but_may_be_claimed_anew_after_a_withdrawal(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    policy = await shop.policy("anna")
    files = {"damage.jpg": (EvidenceKind.PHOTO, photograph(0))}
    dear = 19_000  # above what is paid with no person looking
    async with working(shop, eyes[0]):
        first = await shop.claim(policy, files, dear)
        await wait_until(lambda: settled(shop))
        assert (await reasons(shop, first))[0] == "above_auto_pay"
        beside = await shop.claim(policy, files, 3_000)
        await wait_until(lambda: settled(shop))
        assert (await reasons(shop, beside))[0] == "same_event_claimed_before"
        async with shop.engine.begin() as conn:
            for claim_id in (first, beside):
                await intake.withdraw(conn, claim_id, "anna", datetime.now(UTC), actor="claimant:anna")
        again = await shop.claim(policy, files, 3_000)
        await wait_until(lambda: settled(shop))
        assert await shop.status(again) is Status.APPROVED
        assert "photo_of_withdrawn_claim" in await reasons(shop, again)
        once_more = await shop.claim(policy, files, 3_000)
        await wait_until(lambda: settled(shop))
    assert await shop.status(once_more) is Status.REFERRED
    fact = await facts(shop, once_more)
    assert {match.owner for match in fact.matches} == {MatchOwner.SAME_EVENT}
    assert {match.claim_status for match in fact.matches} == {"withdrawn", "approved"}


async def test_a_photo_of_a_paid_claim_whose_appeal_was_withdrawn_is_not_paid_again(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    policy = await shop.policy("anna")
    files = {"damage.jpg": (EvidenceKind.PHOTO, photograph(0))}
    async with working(shop, eyes[0]):
        first = await shop.claim(policy, files, 3_000)
        await wait_until(lambda: settled(shop))
        async with shop.engine.begin() as conn:
            (payout,) = await payouts.of_claim(conn, first)
            await payouts.mark_sent(conn, payout.id, datetime.now(UTC))
            await payouts.mark_paid(conn, payout.id, "bank-1", datetime.now(UTC))
            now = datetime.now(UTC)
            await intake.appeal(conn, first, "anna", "more", now, actor="claimant:anna", partner="anshun")
            await intake.withdraw(conn, first, "anna", now, actor="claimant:anna")
        again = await shop.claim(policy, files, 3_000)
        await wait_until(lambda: settled(shop))
    assert await shop.status(first) is Status.PAID
    assert await shop.status(again) is Status.REFERRED
    assert (await facts(shop, again)).matches[0].claim_paid


async def test_one_order_and_one_event_with_three_photos_are_paid_once(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    policy = await shop.policy("anna")
    at = datetime.now(UTC) - timedelta(hours=5)
    sent = []
    async with working(shop, eyes[0]):
        for number, order in ((0, "3206118244019255"), (7, "3206118244019255"), (8, "")):
            files = {"damage.jpg": (EvidenceKind.PHOTO, photograph(number))}
            sent.append(await shop.claim(policy, files, 3_000, order_number=order, occurred_at=at))
        await wait_until(lambda: settled(shop))
    assert [await shop.status(claim_id) for claim_id in sent] == [Status.APPROVED, Status.REFERRED, Status.REFERRED]
    assert (await reasons(shop, sent[1]))[:2] == ["order_claimed_before", "same_event_claimed_before"]
    assert (await reasons(shop, sent[2]))[0] == "same_event_claimed_before"


async def test_an_edited_copy_carries_its_transform_in_numbers_and_a_picture_that_proves_it(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(0))
        await wait_until(lambda: settled(shop))
        second = await shop.photo_claim("bert", edited(photograph(0)))
        await wait_until(lambda: settled(shop))
    assert (await reasons(shop, second))[0] == "photo_of_another_claim"
    match = (await facts(shop, second)).matches[0]
    assert (match.claim_id, match.claim_status, match.owner) == (first, "approved", MatchOwner.OTHER_CLAIMANT)
    assert isinstance(match.placement, Placement)
    assert match.placement.mirrored
    assert match.placement.scale == pytest.approx(0.8, abs=0.03)
    assert match.placement.shown_ratio == pytest.approx(0.9, abs=0.05)
    with Image.open(io.BytesIO(shop.blobs.read(match.overlay_sha256))) as proof:
        assert (proof.format, proof.width > proof.height) == ("JPEG", True)


async def test_what_is_maybe_a_copy_is_not_paid_and_shown_to_a_person_with_its_points(
    shop: Any, eyes: Any, wait_until: Any
) -> None:
    """A part of the photo, pasted onto another, is a match, but not sure enough for an accusation."""
    cup, others = pictures.coffee(), [pictures.rocket(), pictures.immunohistochemistry(), pictures.cat()]
    doubtful = edits.jpeg_bytes(harder_edits.apply("new_background", cup, np.random.default_rng(0), others), 50)
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", edits.jpeg_bytes(cup))
        await wait_until(lambda: settled(shop))
        second = await shop.photo_claim("bert", doubtful)
        await wait_until(lambda: settled(shop))
        await word(shop, second, first, MatchRuling.REJECT)
        await wait_until(lambda: settled(shop))
        third = await shop.photo_claim("carl", doubtful)
        await wait_until(lambda: settled(shop))
    assert await shop.status(first) is Status.APPROVED
    assert await shop.status(second) is Status.REFERRED
    assert (await reasons(shop, second))[0] == "photo_maybe_copied"
    (match,) = (await facts(shop, second)).matches
    assert (match.verdict, match.claim_id, match.owner) == (PhotoVerdict.SIMILAR, first, MatchOwner.OTHER_CLAIMANT)
    assert RULES.photo_maybe_copied_min <= match.probability < RULES.photo_copied_min
    assert isinstance(match.placement, Placement)
    assert match.transform
    with Image.open(io.BytesIO(shop.blobs.read(match.overlay_sha256))) as shown:
        assert shown.format == "JPEG"
    ruled = {match.claim_id: match.ruling for match in (await facts(shop, third)).matches}
    assert ruled == {first: MatchRuling.REJECT, second: ""}


async def test_a_rejected_match_is_not_raised_again_and_a_further_copy_is(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(0))
        await wait_until(lambda: settled(shop))
        second = await shop.photo_claim("bert", edited(photograph(0)))
        await wait_until(lambda: settled(shop))
        await word(shop, second, first, MatchRuling.REJECT)
        await wait_until(lambda: settled(shop))
        # The same file from somebody else: no copy of Anna's any more, but of Bert's.
        third = await shop.photo_claim("carl", edited(photograph(0)))
        await wait_until(lambda: settled(shop))
    ruled = {match.claim_id: match.ruling for match in (await facts(shop, third)).matches}
    assert ruled == {first: MatchRuling.REJECT, second: ""}
    assert await shop.status(third) is Status.REFERRED


async def test_a_picture_in_many_claims_is_ruled_on_once_and_its_claims_are_decided_anew(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    icon = photograph(1)
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("claimant-0", icon)
        await wait_until(lambda: settled(shop))
        copies = [await shop.photo_claim(f"claimant-{n}", icon) for n in range(1, 6)]
        await wait_until(lambda: settled(shop))
        async with shop.engine.connect() as conn:
            (flood,) = await floods.list_floods(conn)
            held = set((await conn.execute(select(flood_claims.c.claim_id))).scalars())
        assert await shop.status(first) is Status.APPROVED
        assert {await shop.status(copy) for copy in copies} == {Status.REFERRED}
        assert (flood.claims_seen, flood.claims_held, len(held)) == (5, 3, 3)
        for claim_id in copies:
            expected = "photo_in_flood" if claim_id in held else "photo_of_another_claim"
            assert (await reasons(shop, claim_id))[0] == expected
        async with shop.engine.begin() as conn:
            await floods.rule(conn, flood.id, "common", "an icon", datetime.now(UTC), actor="adjuster:mei")
        await wait_until(lambda: settled(shop))
        # Everybody has it, so it proves no damage: the claimants are asked for photos of their own.
        assert {await shop.status(claim) for claim in held} == {Status.AWAITING_INFORMATION}
        for claim_id in held:
            codes = await reasons(shop, claim_id)
            assert codes[0] == "photos_missing"
            assert {"photo_is_common", "photo_shows_common"} <= set(codes)
        late = await shop.photo_claim("claimant-9", icon)
        await wait_until(lambda: settled(shop))
    assert await shop.status(late) is Status.AWAITING_INFORMATION
    assert {await shop.status(copy) for copy in copies if copy not in held} == {Status.REFERRED}
    async with shop.engine.connect() as conn:
        (learnt,) = await known_pictures.every(conn)
        assert (learnt.common_id, learnt.whole) == (flood.id, True)


async def test_calling_whole_copies_common_excuses_none_of_them(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    """Each claim sends the photo edited differently: only the copied picture itself is shared."""
    async with working(shop, eyes[0]):
        await shop.photo_claim("claimant-0", photograph(2))
        await wait_until(lambda: settled(shop))
        copies = [await shop.photo_claim(f"claimant-{n}", photograph(2, quality=60 + 5 * n)) for n in range(1, 6)]
        await wait_until(lambda: settled(shop))
        async with shop.engine.begin() as conn:
            (flood,) = await floods.list_floods(conn)
            await floods.rule(conn, flood.id, "common", "a slip", datetime.now(UTC), actor="adjuster:mei")
        await wait_until(lambda: settled(shop))
    assert {await shop.status(copy) for copy in copies} == {Status.REFERRED}
    assert {(await reasons(shop, copy))[0] for copy in copies} == {"photo_of_another_claim"}


async def take_back(shop: Any, claim_id: str) -> rulings.Ruling:
    """Takes back the only ruling made in this claim."""
    async with shop.engine.begin() as conn:
        (kept,) = (await rulings.of_claim(conn, claim_id)).values()
        return await rulings.take_back(conn, claim_id, kept.id, "", datetime.now(UTC), actor="adjuster:lin")


async def test_a_picture_called_common_by_mistake_is_unlearnt_and_its_next_copy_is_referred(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(1))
        await wait_until(lambda: settled(shop))
        second = await shop.photo_claim("bert", photograph(1))
        await wait_until(lambda: settled(shop))
        await word(shop, second, first, MatchRuling.COMMON)
        await wait_until(lambda: settled(shop))
        async with shop.engine.connect() as conn:
            (learnt,) = await known_pictures.every(conn)
        excused = await shop.photo_claim("carl", photograph(1))
        await wait_until(lambda: settled(shop))
        assert "photo_is_common" in await reasons(shop, excused)
        gone = await take_back(shop, second)
        assert gone.id == learnt.common_id
        await wait_until(lambda: settled(shop))
        async with shop.engine.connect() as conn:
            assert await known_pictures.every(conn) == []
        # What was decided on the word stays as it was; the next one is looked at without it.
        assert await shop.status(excused) is Status.AWAITING_INFORMATION
        late = await shop.photo_claim("dora", photograph(1))
        await wait_until(lambda: settled(shop))
    assert await shop.status(late) is Status.REFERRED
    assert (await reasons(shop, late))[0] in ("photo_of_another_claim", "photo_in_flood")


async def test_a_match_that_was_rejected_by_mistake_is_raised_again(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(0))
        await wait_until(lambda: settled(shop))
        second = await shop.photo_claim("bert", edited(photograph(0)))
        await wait_until(lambda: settled(shop))
        await word(shop, second, first, MatchRuling.REJECT)
        await wait_until(lambda: settled(shop))
        await take_back(shop, second)
        await wait_until(lambda: settled(shop))
        third = await shop.photo_claim("carl", edited(photograph(0)))
        await wait_until(lambda: settled(shop))
    assert {match.claim_id: match.ruling for match in (await facts(shop, third)).matches} == {first: "", second: ""}
    assert await shop.status(third) is Status.REFERRED


async def test_a_word_taken_back_before_it_was_learnt_from_teaches_nothing(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(1))
        second = await shop.photo_claim("bert", photograph(1))
        await wait_until(lambda: settled(shop))
    await word(shop, second, first, MatchRuling.COMMON)
    ruling = await take_back(shop, second)
    async with shop.engine.connect() as conn:
        known = await known_pictures.known(conn, [ruling.match_photo_id, ruling.photo_id])
    # A worker that read the word just before it was taken back is about to learn from it.
    with pytest.raises(NotFound):
        await RulingLearner(shop.engine)._learn_common(
            ruling.id, known[ruling.match_photo_id], [known[ruling.photo_id]], ruling_id=ruling.id
        )
    async with working(shop, eyes[0]):
        await wait_until(lambda: settled(shop))
    async with shop.engine.connect() as conn:
        assert await known_pictures.every(conn) == []
        left = await conn.execute(select(outbox.c.state).where(outbox.c.topic == "learn"))
        assert set(left.scalars()) == {"done"}


def view(degrees: float) -> bytes:
    """Returns a photo of one scene by a camera that is turned about its upright axis."""
    scene = pictures.coffee()
    height, width = scene.shape[:2]
    angle = np.radians(degrees)
    wide, narrow = (
        np.array([[focal * width, 0, width / 2], [0, focal * width, height / 2], [0, 0, 1]]) for focal in (1.0, 1.9)
    )
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    photo = cv2.warpPerspective(scene, narrow @ turn @ np.linalg.inv(wide), (width, height), flags=cv2.INTER_CUBIC)
    return edits.jpeg_bytes(np.asarray(photo, dtype=np.uint8))


async def test_two_people_who_photograph_one_scene_are_both_paid_and_nothing_links_them(
    shop: Any, eyes: Any, wait_until: Any, tmp_path: Path
) -> None:
    (tmp_path / "third.jpg").write_bytes(view(8))
    config = Settings(database_url=shop.dsn, evidence_url=eyes[1])
    async with working(shop, eyes[0]):
        first = await shop.photo_claim("anna", view(-8))
        await wait_until(lambda: settled(shop))
        (line,) = await measuring._check(shop.dsn, config, [tmp_path / "third.jpg"], None)
        second = await shop.photo_claim("bert", view(8))
        await wait_until(lambda: settled(shop))
    assert {await shop.status(claim) for claim in (first, second)} == {Status.APPROVED}
    assert "photo_of_same_scene" in await reasons(shop, second)
    fact = await facts(shop, second)
    (match,) = fact.matches
    assert (fact.verdict, match.verdict) == (PhotoVerdict.SAME_SCENE, PhotoVerdict.SAME_SCENE)
    assert (match.owner, match.claim_id, match.claim_status) == (MatchOwner.OTHER_CLAIMANT, first, "approved")
    assert match.pairs  # to show both pictures with the points that agree
    assert match.tight_inliers >= RULES.photo_maybe_copied_inliers_min
    assert match.contained_ratio == pytest.approx(0.45, abs=0.05)
    assert (match.transform, match.overlay_sha256) == ("", "")
    (told,) = line["matches"]
    assert (line["verdict"], told["verdict"], told["inliers"]) == ("same_scene", "same_scene", match.inliers)
    async with shop.engine.connect() as conn:
        assert await links.sharing(conn, second) == ()
        assert (await conn.execute(select(flood_claims))).all() == []


async def test_one_scene_in_two_orders_of_one_day_comes_before_a_person_and_under_another_cover_is_noted(
    shop: Any, eyes: Any, wait_until: Any
) -> None:
    now = datetime.now(UTC)
    policy = await shop.policy("anna")
    first, second = ({"damage.jpg": (EvidenceKind.PHOTO, view(degrees))} for degrees in (-8, 8))
    async with working(shop, eyes[0]):
        paid = await shop.claim(policy, first, order_number="order-1", occurred_at=now - timedelta(hours=20))
        await wait_until(lambda: settled(shop))
        again = await shop.claim(policy, second, order_number="order-2", occurred_at=now - timedelta(hours=5))
        await wait_until(lambda: settled(shop))
        apart = await shop.claim(await shop.policy("anna"), second, order_number="order-3")
        await wait_until(lambda: settled(shop))
    assert await shop.status(paid) is Status.APPROVED
    assert (await shop.status(again), (await reasons(shop, again))[0]) == (Status.REFERRED, "same_scene_claimed_before")
    # The same file as in the claim before, so a copy of that; of the first, only the scene.
    verdicts = {match.claim_id: (match.verdict, match.owner) for match in (await facts(shop, apart)).matches}
    assert verdicts == {
        again: (PhotoVerdict.SAME_BYTES, MatchOwner.OWN_EARLIER_CLAIM),
        paid: (PhotoVerdict.SAME_SCENE, MatchOwner.OWN_EARLIER_CLAIM),
    }
    assert (await reasons(shop, apart))[0] == "photo_of_own_earlier_claim"
    assert "photo_of_same_scene" in await reasons(shop, apart)

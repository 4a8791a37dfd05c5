"""Claims with real photos through real vision and a real store: decided, published, and never lost or paid twice."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select, update

from claims import decide
from claims.claim import EvidenceKind, Status
from claims.credit import Scorecard
from claims.store import audit, brakes, intake, waiting
from claims.store.figures import operator_figures
from claims.store.tables import claimants, decisions, evidence, jobs, stage_results
from flows.adjudicate import Adjudication
from flows.config import PrefectConfig, RecheckLimits
from flows.drain import Drain, LeasedBatch
from flows.queues import ClaimQueue, utc_now
from flows.recheck import recheck
from flows.reconcile import reconcile
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.vision_pool import VisionPool, vision_pool
from models.registry import weights_path
from tests.forked import Forked

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    """Yields vision, loaded once for all tests here, over one evidence store."""
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        loaded.warm_photos()
        yield loaded, url


@pytest.fixture
def shop(world: Any, eyes: tuple[VisionPool, str]) -> Any:
    """Returns the world over the evidence store that the loaded vision reads."""
    from claims.store.blobs import BlobStore

    return replace(world, blobs=BlobStore(eyes[1]))


@asynccontextmanager
async def adjudicating(
    shop: Any, eyes: VisionPool, prefect: PrefectConfig | None = None, **changes: Any
) -> AsyncIterator[Any]:
    """Runs the worker's drain without loading vision again; stops it as SIGTERM does."""
    config = shop.worker_config(**changes)
    stop, wake = asyncio.Event(), asyncio.Event()
    async with tracking(prefect or PrefectConfig()) as tracker:
        scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
        context = StageContext(shop.engine, eyes, scorecard)
        adjudication = Adjudication(context, tracker, config.lease, config.claims_at_once)
        queue = ClaimQueue(shop.engine, config.name, config.lease.lease_seconds)
        task = asyncio.create_task(Drain("test", queue, adjudication.work, config.lease, stop, wake).run())
        try:
            yield tracker
        finally:
            stop.set()
            wake.set()
            await task


async def decided(world: Any) -> bool:
    return Status.SUBMITTED not in (await world.statuses()).values()


async def reasons(world: Any, claim_id: str) -> list[str]:
    """Returns the codes of the newest decision, those that carried the outcome first. Checks that the decision
    replays.
    """
    async with world.engine.connect() as conn:
        row = (
            await conn.execute(
                select(decisions).where(decisions.c.claim_id == claim_id).order_by(decisions.c.seq.desc()).limit(1)
            )
        ).one()
    assert decide.replay(row.inputs) == row.decision
    return [reason["code"] for reason in json.loads(row.decision)["reasons"]]


async def test_an_unseen_photo_is_paid_and_another_claimants_copy_is_not(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    async with adjudicating(shop, eyes[0]):
        first = await shop.photo_claim("anna", photograph(0))
        await wait_until(lambda: decided(shop))
        second = await shop.photo_claim("bert", photograph(0, quality=60))
        await wait_until(lambda: decided(shop))
    assert await shop.status(first) is Status.APPROVED
    assert await shop.status(second) is Status.REFERRED
    assert (await reasons(shop, second))[0] == "photo_of_another_claim"
    async with shop.engine.connect() as conn:
        previews = (await conn.execute(select(evidence.c.preview_sha256))).scalars().all()
        stages = set((await conn.execute(select(stage_results.c.stage))).scalars())
    assert all(shop.blobs.exists(sha256) for sha256 in previews)
    assert stages == {"cover", "photos", "papers", "nose", "credit", "fraud", "repeats"}


async def test_of_two_claims_with_one_photo_in_one_batch_never_both_are_paid(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    # All due before anybody looks, so that they are worked on at once.
    twins = [await shop.photo_claim(name, photograph(1)) for name in ("anna", "bert", "carl", "dora")]
    async with adjudicating(shop, eyes[0]):
        await wait_until(lambda: decided(shop))
    statuses = [await shop.status(claim_id) for claim_id in twins]
    assert statuses.count(Status.APPROVED) <= 1
    assert set(statuses) <= {Status.APPROVED, Status.REFERRED}


async def test_a_file_that_is_no_photo_is_asked_for_again(shop: Any, eyes: Any, wait_until: Any) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
    white = io.BytesIO()
    Image.new("RGB", (640, 480), "white").save(white, "JPEG")
    claims = [await shop.photo_claim("anna", svg), await shop.photo_claim("bert", white.getvalue())]
    async with adjudicating(shop, eyes[0]):
        await wait_until(lambda: decided(shop))
    for claim_id in claims:
        assert await shop.status(claim_id) is Status.AWAITING_INFORMATION
        assert (await reasons(shop, claim_id))[0] == "photo_unreadable"


async def test_a_claim_that_breaks_a_stage_goes_to_a_person_and_its_batch_is_unaffected(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    broken = await shop.photo_claim("anna", photograph(2))
    sound = [await shop.photo_claim(f"claimant-{n}", photograph(5 + n)) for n in range(3)]
    async with shop.engine.begin() as conn:
        lost = (await conn.execute(select(evidence.c.sha256).where(evidence.c.claim_id == broken))).scalar_one()
    shop.blobs.delete(lost)
    async with adjudicating(shop, eyes[0]):
        await wait_until(lambda: decided(shop))
    assert await shop.status(broken) is Status.REFERRED
    assert await reasons(shop, broken) == ["could_not_check"]
    assert {await shop.status(claim_id) for claim_id in sound} == {Status.APPROVED}
    async with shop.engine.connect() as conn:
        job = (await conn.execute(select(jobs).where(jobs.c.claim_id == broken))).one()
    assert (job.attempts, job.failures, job.state) == (3, 2, "done")


async def the_job(shop: Any, claim_id: str) -> Any:
    async with shop.engine.connect() as conn:
        return (await conn.execute(select(jobs).where(jobs.c.claim_id == claim_id).order_by(jobs.c.id.desc()))).first()


async def test_an_evidence_store_that_is_away_is_no_failure_of_the_claim(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    claim_id = await shop.photo_claim("anna", photograph(14))
    evidence_folder = Path(eyes[1].removeprefix("file://"))
    away = evidence_folder.with_name("away")
    evidence_folder.rename(away)

    async def put_off_often() -> bool:
        return int((await the_job(shop, claim_id)).postponed) > shop.worker_config().lease.attempts_max

    async with adjudicating(shop, eyes[0]):
        await wait_until(put_off_often)
        job = await the_job(shop, claim_id)
        assert (job.failures, job.waits_for) == (0, "evidence")
        async with shop.engine.connect() as conn:
            figures = await operator_figures(conn, utc_now())
        assert figures.waiting_for_resources == {"evidence": 1}
        away.rename(evidence_folder)
        await wait_until(lambda: decided(shop))
    assert await shop.status(claim_id) is Status.APPROVED
    assert (await the_job(shop, claim_id)).failures == 0


async def test_what_a_person_was_asked_for_want_of_a_resource_is_checked_again_when_it_is_back(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    claim_id = await shop.photo_claim("anna", photograph(15))
    evidence_folder = Path(eyes[1].removeprefix("file://"))
    away = evidence_folder.with_name("away")
    evidence_folder.rename(away)
    soon = RecheckLimits(pause_seconds=0.0)
    async with adjudicating(shop, eyes[0], lease=replace(shop.worker_config().lease, postponed_max=2)):
        await wait_until(lambda: decided(shop))
        assert await shop.status(claim_id) is Status.REFERRED
        assert await reasons(shop, claim_id) == ["could_not_check"]
        (evidence_folder.parent / "evidence").write_text("in the way")  # nothing can be written yet
        assert await recheck(shop.engine, eyes[0], soon) == []
        (evidence_folder.parent / "evidence").unlink()
        away.rename(evidence_folder)
        assert await recheck(shop.engine, eyes[0], RecheckLimits()) == [], "not yet: a pause comes first"
        assert await recheck(shop.engine, eyes[0], soon) == [claim_id]
        await wait_until(lambda: decided(shop))
    assert await shop.status(claim_id) is Status.APPROVED
    async with shop.engine.connect() as conn:
        assert await waiting.ids(conn, waiting.Wanted(), utc_now(), limit=10) == []


async def test_a_finished_stage_is_not_repeated_when_the_claim_is_leased_again(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    claim_id = await shop.photo_claim("anna", photograph(3))
    # A scorecard attribute that is no number at all breaks a later stage; mended before the second attempt.
    async with shop.engine.begin() as conn:
        sha256 = (await conn.execute(select(evidence.c.sha256).where(evidence.c.claim_id == claim_id))).scalar_one()
        await conn.execute(update(claimants).values(credit_attributes=["not", "a", "mapping"]))
        known_as = (await conn.execute(select(claimants.c.pseudonym))).scalar_one()
        await audit.append(conn, "platform", "claimant.recorded", known_as, {}, utc_now())
    async with adjudicating(shop, eyes[0], lease=replace(shop.worker_config().lease, backoff_seconds=1.0)):

        async def failed_once() -> bool:
            async with shop.engine.connect() as conn:
                return "credit" in (await conn.execute(select(jobs.c.last_error))).scalar_one()

        await wait_until(failed_once)
        shop.blobs.delete(sha256)  # so that looking at the photo again would fail
        async with shop.engine.begin() as conn:
            await conn.execute(update(claimants).values(credit_attributes={}))
            await audit.append(conn, "platform", "claimant.recorded", known_as, {}, utc_now())
        await wait_until(lambda: decided(shop))
    assert await shop.status(claim_id) is Status.APPROVED


async def test_a_claim_that_is_withdrawn_while_it_waits_is_left_alone(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    gone = await shop.photo_claim("anna", photograph(4))
    async with shop.engine.begin() as conn:
        await intake.withdraw(conn, gone, "anna", utc_now(), actor="claimant:anna")
    kept = await shop.photo_claim("bert", photograph(12))
    async with adjudicating(shop, eyes[0]):
        await wait_until(lambda: decided(shop))
    assert (await shop.status(gone), await shop.status(kept)) == (Status.WITHDRAWN, Status.APPROVED)


async def test_with_the_prefect_server_down_claims_are_decided_all_the_same(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any, closed_port: int
) -> None:
    claim_id = await shop.photo_claim("anna", photograph(13))
    async with adjudicating(shop, eyes[0], PrefectConfig(api_url=f"http://127.0.0.1:{closed_port}/api")) as tracker:
        await wait_until(lambda: decided(shop))
    assert await shop.status(claim_id) is Status.APPROVED
    assert (tracker.tally.tracked, tracker.tally.untracked) == (0, 1)


async def test_a_worker_killed_in_the_middle_of_a_batch_loses_no_claim_and_pays_none_twice(
    world: Any, bank: Any, photograph: Any, wait_until: Any
) -> None:
    claims = [await world.photo_claim(f"claimant-{n}", photograph(20 + n)) for n in range(12)]
    settling = world.settle_config(bank.url)
    code = _WORKER.format(config=world.worker_config(), bank_url=bank.url, store=settling.store, lease=settling.lease)

    async def some() -> bool:
        return sum(status != "submitted" for status in (await world.statuses()).values()) >= 2

    first = Forked([], code=code)
    try:
        await wait_until(some)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert not await decided(world), "the kill came too late to be in the middle"
    second = Forked([], code=code)

    async def settled() -> bool:
        # Some of these photographs resemble one another enough to be referred; that is not what is tested here.
        return set((await world.statuses()).values()) <= {"paid", "referred"}

    try:
        await wait_until(settled)
    finally:
        second.terminate()
        ended = second.wait()
    assert ended == 0
    async with world.engine.connect() as conn:
        made = (await conn.execute(select(decisions.c.claim_id))).scalars().all()
    assert sorted(made) == sorted(claims)
    paid = [claim_id for claim_id, status in (await world.statuses()).items() if status == "paid"]
    assert [payout["made"] for payout in bank.tally().values()] == [1] * len(paid)
    assert len(paid) >= 2
    assert (await reconcile(world.settle_config(bank.url))).agrees


# A worker and a settling process in one, so that one kill takes both.
_WORKER = """
import asyncio, dataclasses, os
from pathlib import Path, PosixPath
from flows import settle, worker
from flows.config import *
from flows.rails.registry import chosen

rail = chosen("http", {{"url": {bank_url!r}, "token": "bank-token", "reply_timeout_seconds": 1}})
bank = SettleConfig("settle-1", {store!r}, rail, lease={lease!r})
config = dataclasses.replace({config!r}, name=f"worker-{{os.getpid()}}")

async def both():
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(settle.run(bank, stop))
        group.create_task(worker.run(config, stop))

asyncio.run(both())
"""


async def pull(world: Any, name: str, at_once_max: int | None) -> None:
    async with world.engine.begin() as conn:
        await brakes.put(conn, name, at_once_max, utc_now(), source="command", actor="operator:eve")


async def counted(world: Any, claim_id: str) -> tuple[str, int, int, set[str]]:
    """Returns state, attempts and failures of a claim's job, and the stages that are stored."""
    async with world.engine.connect() as conn:
        job = (await conn.execute(select(jobs).where(jobs.c.claim_id == claim_id))).one()
        rows = await conn.execute(select(stage_results.c.stage).where(stage_results.c.claim_id == claim_id))
        return job.state, job.attempts, job.failures, set(rows.scalars())


async def test_while_reading_is_held_photo_claims_are_decided_and_one_with_a_paper_waits(
    shop: Any, eyes: Any, photograph: Any, wait_until: Any
) -> None:
    await pull(shop, "ocr", 0)
    files = {"damage.jpg": (EvidenceKind.PHOTO, photograph(0)), "bill.jpg": (EvidenceKind.PAPER, photograph(7))}
    with_paper = await shop.claim(await shop.policy("anna"), files)
    photo_only = await shop.photo_claim("bert", photograph(2))

    async def photo_decided() -> bool:
        return await shop.status(photo_only) is Status.APPROVED

    async with adjudicating(shop, eyes[0]):
        await wait_until(photo_decided)
        await asyncio.sleep(0.5)
    assert await counted(shop, with_paper) == ("due", 0, 0, set())


async def test_claims_leased_before_the_brake_stop_before_their_turn_or_their_next_held_stage(
    shop: Any, eyes: Any, photograph: Any
) -> None:
    files = {"damage.jpg": (EvidenceKind.PHOTO, photograph(3)), "bill.jpg": (EvidenceKind.PAPER, photograph(8))}
    claim_id = await shop.claim(await shop.policy("anna"), files)
    config = shop.worker_config()
    queue = ClaimQueue(shop.engine, config.name, 30)
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    async with tracking(PrefectConfig()) as tracker:
        context = StageContext(shop.engine, eyes[0], scorecard)
        adjudication = Adjudication(context, tracker, config.lease, config.claims_at_once)
        for name, stages in (("insurer:anshun", set()), ("ocr", {"cover", "photos"})):
            batch = LeasedBatch(await queue.lease(1))
            assert len(batch.open) == 1
            await pull(shop, name, 0)
            await adjudication.work(batch)
            assert batch.open == ()
            assert await counted(shop, claim_id) == ("due", 0, 0, stages)
            assert await queue.lease(1) == []
            await pull(shop, name, None)

"""Erasure removes rows first, then files: shared files stay, a killed erasure is finished, a late worker brings nothing
back. The sweep removes expired data."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from api.processes import worker_config
from api.settings import Settings
from claims.claim import EvidenceKind, Status
from claims.credit import Scorecard
from claims.errors import InFlight
from claims.store import adjudication, erasure, holding, idempotency, intake
from claims.store.blobs import BlobStore
from claims.store.idempotency import Response, Standing
from claims.store.tables import blob_deletions, claims, evidence, idempotency_keys
from flows.config import RetentionLimits
from flows.erasure import Swept, delete_files, erase, sweep, tend
from flows.queues import utc_now
from flows.stage_context import StageContext
from flows.stages import photos
from flows.vision_pool import Stopwatch, VisionPool, vision_pool
from models.registry import weights_path
from tests.forked import Forked
from tests.waiting import until

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]
WHY: dict[str, Any] = {"actor": "operator:eve", "reason": "asked for"}


async def withdrawn(world: Any, who: str, data: bytes, preview: bytes) -> str:
    """Makes a withdrawn claim with one photo and its preview; returns its id."""
    claim_id: str = await world.claim(await world.policy(who), {"rot.jpg": (EvidenceKind.PHOTO, data)})
    sha256 = world.blobs.put(preview)
    async with world.engine.begin() as conn:
        (evidence_id,) = (await conn.execute(select(evidence.c.id).where(evidence.c.claim_id == claim_id))).scalars()
        await adjudication.set_preview(conn, evidence_id, sha256)
        await intake.withdraw(conn, claim_id, who, utc_now(), actor=f"claimant:{who}")
    return claim_id


def stored(world: Any) -> list[Path]:
    folder = Path(world.blobs.url.removeprefix("file://"))
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_file_that_two_claims_sent_stays_until_both_are_erased(world: Any) -> None:
    first = await withdrawn(world, "anna", b"the same photo", b"the same preview")
    second = await withdrawn(world, "bert", b"the same photo", b"the same preview")
    done = await erase(world.engine, world.blobs, first, **WHY)
    assert (done.first, done.files_deleted, done.files_kept) == (True, 0, 2)
    assert len(stored(world)) == 2
    done = await erase(world.engine, world.blobs, second, **WHY)
    assert (done.files_deleted, done.files_kept) == (2, 0)
    assert stored(world) == []
    again = await erase(world.engine, world.blobs, second, **WHY)
    assert (again.first, again.erased_at, again.files_deleted) == (False, done.erased_at, 0)


@pytest.mark.parametrize("at", ["first file", "second file"])
async def test_an_erasure_killed_between_its_rows_and_its_files_is_finished_by_the_next(world: Any, at: str) -> None:
    claim_id = await withdrawn(world, "anna", b"a photo", b"a preview")
    code = _KILLED.format(dsn=world.dsn, url=world.blobs.url, claim=claim_id, survive=int(at == "second file"))
    assert await asyncio.to_thread(Forked([], code=code).wait) == -signal.SIGKILL
    async with world.engine.connect() as conn:
        assert (await conn.execute(select(claims.c.status))).scalar_one() == Status.ERASED
        left = (await conn.execute(select(blob_deletions.c.sha256))).scalars().all()
    assert len(left) == 2 - (at == "second file")
    assert len(stored(world)) == len(left)
    done = await erase(world.engine, world.blobs, claim_id, **WHY)
    assert (done.first, done.files_deleted) == (False, len(left))
    assert stored(world) == []
    async with world.engine.connect() as conn:
        assert await erasure.files_left(conn) == ()


async def test_the_next_sweep_finishes_a_killed_erasure_and_deletes_what_belongs_to_nobody(world: Any) -> None:
    kept = await withdrawn(world, "anna", b"a photo", b"a preview")
    gone = await withdrawn(world, "bert", b"another photo", b"another preview")
    async with world.engine.begin() as conn:
        await erasure.erase(conn, gone, utc_now(), **WHY)  # killed right after
    orphan = world.blobs.put(b"of a request that was refused after all")
    fresh = world.blobs.put(b"of a request that is under way")
    folder = Path(world.blobs.url.removeprefix("file://"))
    for name in ("died", "under-way"):
        (folder / "incoming").mkdir(exist_ok=True)
        (folder / "incoming" / name).write_bytes(b"half a file")
    long_ago = time.time() - 3 * 86_400
    for path in (folder / "incoming" / "died", *(path for path in stored(world) if path.name != fresh)):
        if path.name != "under-way":
            os.utime(path, (long_ago, long_ago))
    limits = RetentionLimits(incoming_hours=24, orphan_hours=24)
    assert await sweep(world.engine, world.blobs, limits, datetime.now(UTC)) == Swept(2, 1, 1, 0)
    assert await sweep(world.engine, world.blobs, limits, datetime.now(UTC)) == Swept(0, 0, 0, 0)
    async with world.engine.connect() as conn:
        row = (await conn.execute(select(evidence).where(evidence.c.claim_id == kept))).one()
    assert {path.name for path in stored(world)} == {row.sha256, row.preview_sha256, fresh, "under-way"}
    assert orphan not in {path.name for path in stored(world)}


async def test_answers_are_forgotten_when_their_time_is_up_and_a_request_under_way_keeps_its_key(world: Any) -> None:
    now = utc_now()
    answer = Response(201, {"Location": "/v1/claims/clm_1"}, b"{}")
    for key, made, lock_seconds in (
        ("old", now - timedelta(hours=25), 120.0),
        ("died", now - timedelta(hours=25), 120.0),
        ("young", now - timedelta(hours=23), 120.0),
        ("slow", now - timedelta(hours=25), 2 * 86_400.0),  # old, and locked by whoever works on it
    ):
        async with world.engine.begin() as conn:
            await idempotency.begin(conn, "claimant:ann", key, "a" * 64, made, lock_seconds=lock_seconds)
            if key in ("old", "young"):
                await idempotency.finish(conn, "claimant:ann", key, answer)
    limits = RetentionLimits(idempotency_hours=24)
    assert await sweep(world.engine, world.blobs, limits, now) == Swept(0, 0, 0, 2)
    assert await sweep(world.engine, world.blobs, limits, now) == Swept(0, 0, 0, 0)
    standing = {}
    for key in ("old", "died", "young", "slow"):
        async with world.engine.begin() as conn:
            standing[key] = (await idempotency.begin(conn, "claimant:ann", key, "a" * 64, now)).standing
    assert standing == {
        "old": Standing.FRESH,
        "died": Standing.FRESH,
        "young": Standing.REPLAY,
        "slow": Standing.IN_FLIGHT,
    }


async def test_old_answers_are_forgotten_again_and_again_even_while_the_evidence_store_is_away(
    world: Any, tmp_path: Path
) -> None:
    (tmp_path / "away").write_bytes(b"no folder")
    away = BlobStore((tmp_path / "away").as_uri())
    with pytest.raises(NotADirectoryError):
        away.sweep_incoming(utc_now())
    stop = asyncio.Event()
    tending = asyncio.create_task(tend(world.engine, away, RetentionLimits(every_seconds=0.05), stop))
    try:
        for key in ("first", "second"):
            async with world.engine.begin() as conn:
                await idempotency.begin(conn, "claimant:ann", key, "a" * 64, utc_now() - timedelta(hours=25))

            async def forgotten() -> bool:
                return await keys_left(world) == 0

            await until(forgotten)
    finally:
        stop.set()
        await tending


async def keys_left(world: Any) -> int:
    async with world.engine.connect() as conn:
        return int((await conn.execute(select(func.count()).select_from(idempotency_keys))).scalar_one())


async def test_a_file_that_somebody_sends_again_at_this_moment_is_not_deleted(world: Any) -> None:
    sha256 = world.blobs.put(b"sent by one, sent by another")
    policy = await world.policy("anna")
    claim_id = await world.claim(policy, {"rot.jpg": (EvidenceKind.PHOTO, b"something else")})
    async with world.engine.begin() as conn:
        await conn.execute(
            text("UPDATE evidence SET sha256 = :sha WHERE claim_id = :id"), {"sha": sha256, "id": claim_id}
        )
        await holding.hold(conn, [sha256])
        deleting = asyncio.create_task(delete_files(world.engine, world.blobs, [sha256]))
        await asyncio.sleep(0.5)
        assert not deleting.done()
    assert await deleting == (0, 1)
    assert world.blobs.exists(sha256)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        yield loaded, url


async def test_a_worker_that_is_still_looking_at_an_erased_claim_puts_nothing_back(
    world: Any, eyes: tuple[VisionPool, str], photograph: Any
) -> None:
    shop = replace(world, blobs=BlobStore(eyes[1]))
    claim_id = await shop.claim(await shop.policy("anna"), {"rot.jpg": (EvidenceKind.PHOTO, photograph(0))})
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    context = StageContext(shop.engine, eyes[0], scorecard)
    async with shop.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
    await photos(context, file, Stopwatch())  # looked at once, then the worker loses the claim and does not notice
    async with shop.engine.begin() as conn:
        await intake.withdraw(conn, claim_id, "anna", utc_now(), actor="claimant:anna")
        published = (await conn.execute(text("SELECT count(*) FROM library_photos"))).scalar_one()
    late = asyncio.create_task(photos(context, file, Stopwatch()))
    done = await erase(shop.engine, shop.blobs, claim_id, **WHY)
    assert (published, done.library_photos) == (1, 1)
    # It had read the photo before it went, or it has not and finds it missing; it writes nothing either way.
    with pytest.raises(Exception, match=r"erased|no file"):
        await late
    async with shop.engine.connect() as conn:
        assert (await conn.execute(text("SELECT count(*) FROM library_photos"))).scalar_one() == 0
        left = await erasure.files_left(conn)
    await delete_files(shop.engine, shop.blobs, left)
    assert stored(shop) == []


async def test_a_worker_that_has_read_the_photo_before_it_was_erased_leaves_no_preview(
    world: Any, eyes: tuple[VisionPool, str], photograph: Any
) -> None:
    shop = replace(world, blobs=BlobStore(eyes[1]))
    claim_id = await shop.claim(await shop.policy("anna"), {"rot.jpg": (EvidenceKind.PHOTO, photograph(1))})
    context = StageContext(shop.engine, eyes[0], Scorecard.from_json(weights_path("credit_scorecard").read_bytes()))
    async with shop.engine.begin() as conn:
        file = await adjudication.load(conn, claim_id)
        await intake.withdraw(conn, claim_id, "anna", utc_now(), actor="claimant:anna")
    async with shop.engine.begin() as conn:
        # The erasure has its rows and not yet its files: the worker can still read the photo.
        await erasure.erase(conn, claim_id, utc_now(), **WHY)
    with pytest.raises(InFlight, match="erased"):
        await photos(context, file, Stopwatch())
    assert len(stored(shop)) == 2
    await sweep(shop.engine, shop.blobs, RetentionLimits(), utc_now() + timedelta(seconds=1))
    assert stored(shop) == []


def test_how_long_answers_are_kept_is_a_setting_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "postgresql+asyncpg://nobody@127.0.0.1:9/none"
    monkeypatch.delenv("MIAOPEI_IDEMPOTENCY_HOURS", raising=False)
    assert worker_config(Settings(database_url=nowhere)).retention.idempotency_hours == 24
    monkeypatch.setenv("MIAOPEI_IDEMPOTENCY_HOURS", "6")
    assert worker_config(Settings(database_url=nowhere)).retention.idempotency_hours == 6


_KILLED = """
import asyncio, os, signal
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.erasure import erase

class Dying(BlobStore):
    survive = {survive}

    def delete(self, sha256):
        if not self.survive:
            os.kill(os.getpid(), signal.SIGKILL)
        self.survive -= 1
        super().delete(sha256)

asyncio.run(erase(connect({dsn!r}), Dying({url!r}), {claim!r}, actor="operator:eve", reason=""))
"""

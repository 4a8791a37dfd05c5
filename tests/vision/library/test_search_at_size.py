"""Search among hundreds of rows: the indices answer, own photos are made up for, a new row is seen at once."""

from __future__ import annotations

import hashlib
import importlib

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vision.fingerprint import Fingerprint
from vision.geometry import Keypoints
from vision.library import LibraryPhoto, publish, search

pytestmark = pytest.mark.anyio
ROWS = 800


def random_fingerprint(seed: int) -> Fingerprint:
    """A fingerprint of no picture: its numbers are drawn, so that distances are known to be far."""
    rng = np.random.default_rng(seed)
    descriptor = rng.normal(size=256).astype(np.float32)
    pdq = rng.integers(0, 256, 32, dtype=np.uint8).tobytes()
    nothing = Keypoints(8, 8, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
    return Fingerprint(
        sha256=hashlib.sha256(str(seed).encode()).hexdigest(),
        pixel_sha256=hashlib.sha256(f"pixels {seed}".encode()).hexdigest(),
        phash=seed,
        dhash=seed,
        whash=(1 << 64) - 1 - seed,
        pdq=pdq,
        pdq_quality=100,
        pdq_usable=True,
        descriptor=descriptor / np.linalg.norm(descriptor),
        crowd=0.2,
        descriptor_model="drawn@0",
        keypoints=nothing,
        thumbnail=np.zeros((8, 8), np.uint8),
        width_px=8,
        height_px=8,
        pdq_turned=(pdq,) * 8,
        views=(),
        featureless="",
    )


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """Every third photo belongs to the claim `mine`."""
    photos = [
        LibraryPhoto(str(seed), "claim", random_fingerprint(seed), owner_claim="mine" if seed % 3 == 0 else f"c{seed}")
        for seed in range(ROWS)
    ]
    async with engine.begin() as conn:
        await publish(conn, photos)
    async with engine.begin() as conn:
        await conn.execute(text("ANALYZE library_photos"))
    return engine


async def test_the_nearest_is_found_by_descriptor_and_by_pdq_alone(full: AsyncEngine) -> None:
    async with full.connect() as conn:
        for seed in (1, 500, 799):
            known = random_fingerprint(seed)
            other = random_fingerprint(10_000 + seed)
            noisy = known.descriptor + 0.5 * other.descriptor
            by_descriptor = _with(other, descriptor=(noisy / np.linalg.norm(noisy)).astype(np.float32))
            found = await search(conn, by_descriptor, exclude_claim="")
            assert found[0].photo_id == str(seed)
            assert found[0].cosine == pytest.approx(0.9, abs=0.05)
            assert found[0].cosine_excess == pytest.approx(found[0].cosine - 0.2, abs=1e-6)
            flipped = bytes([known.pdq[0] ^ 0b111]) + known.pdq[1:]
            found = await search(conn, _with(other, pdq_turned=(bytes(32),) * 7 + (flipped,)), exclude_claim="")
            assert (found[0].photo_id, found[0].pdq_bits) == (str(seed), 3)


async def test_leaving_out_the_claims_own_photos_still_brings_as_many_others(full: AsyncEngine) -> None:
    async with full.connect() as conn:
        found = await search(conn, random_fingerprint(3), exclude_claim="mine")
    assert len(found) >= 5
    assert all(int(candidate.photo_id) % 3 for candidate in found)


async def test_a_photo_published_an_instant_ago_is_found_by_the_index(full: AsyncEngine) -> None:
    fresh = random_fingerprint(77_777)
    async with full.begin() as conn:
        await publish(conn, [LibraryPhoto("fresh", "web", fresh)])
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        found = await search(conn, _with(fresh, sha256="0" * 64, pixel_sha256="0" * 64), exclude_claim="mine")
    assert (found[0].photo_id, found[0].pdq_bits) == ("fresh", 0)
    assert found[0].cosine == pytest.approx(1, abs=1e-3)


async def test_descriptors_of_another_model_are_not_compared(full: AsyncEngine) -> None:
    query = _with(
        random_fingerprint(5), descriptor_model="other@1", pdq_usable=False, sha256="0" * 64, pixel_sha256="1"
    )
    async with full.connect() as conn:
        assert await search(conn, query, exclude_claim="") == []


async def test_the_searches_can_use_the_hnsw_indices(full: AsyncEngine) -> None:
    """`vision.library.search` the module: the package exports its function under the same name."""
    module = importlib.import_module("vision.library.search")
    query = random_fingerprint(9)
    values = {"claim": "mine", "model": query.descriptor_model, "k": 5}
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))  # at this size a scan would do as well
        for statement, more, index in (
            (
                module._BY_DESCRIPTOR,
                {"vectors": [module.vector_text(query.descriptor)]},
                "ix_library_photos_descriptor",
            ),
            (module._BY_PDQ, {"hashes": [module.bits_text(query.pdq)]}, "ix_library_photos_pdq"),
        ):
            wanted = {name: value for name, value in (values | more).items() if f":{name}" in statement.text}
            plan = await conn.execute(text(f"EXPLAIN {statement.text}"), wanted)
            assert index in "\n".join(str(row[0]) for row in plan)


def _with(fingerprint: Fingerprint, **changes: object) -> Fingerprint:
    values = {name: getattr(fingerprint, name) for name in Fingerprint.__slots__}
    return Fingerprint(**(values | changes))

"""Search among hundreds of rows: indexes answer, own photos do not crowd out others, a new row is found at once, and a
search that takes too long reports it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fixtures.drawn_photos import changed, near, random_fingerprint
from vision.errors import SearchTimedOut
from vision.library import LibraryPhoto, SearchLimits, publish, search

pytestmark = pytest.mark.anyio
ROWS = 800


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """Fills the library; every third photo belongs to the claim `mine`."""
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
            by_descriptor = changed(other, descriptor=(noisy / np.linalg.norm(noisy)).astype(np.float32))
            candidates = await search(conn, by_descriptor, exclude_claim="")
            assert candidates[0].photo_id == str(seed)
            assert candidates[0].cosine == pytest.approx(0.9, abs=0.05)
            assert candidates[0].cosine_excess == pytest.approx(candidates[0].cosine - 0.2, abs=1e-6)
            flipped = bytes([known.pdq[0] ^ 0b111]) + known.pdq[1:]
            candidates = await search(conn, changed(other, pdq_turned=(bytes(32),) * 7 + (flipped,)), exclude_claim="")
            assert (candidates[0].photo_id, candidates[0].pdq_bits) == (str(seed), 3)


async def test_leaving_out_the_claims_own_photos_still_brings_as_many_others(full: AsyncEngine) -> None:
    async with full.connect() as conn:
        candidates = await search(conn, random_fingerprint(3), exclude_claim="mine")
    assert len(candidates) >= 5
    assert all(int(candidate.photo_id) % 3 for candidate in candidates)


async def test_a_photo_published_an_instant_ago_is_found_by_the_index(full: AsyncEngine) -> None:
    fresh = random_fingerprint(77_777)
    async with full.begin() as conn:
        await publish(conn, [LibraryPhoto("fresh", "web", fresh)])
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        candidates = await search(conn, changed(fresh, sha256="0" * 64, pixel_sha256="0" * 64), exclude_claim="mine")
    assert (candidates[0].photo_id, candidates[0].pdq_bits) == ("fresh", 0)
    assert candidates[0].cosine == pytest.approx(1, abs=1e-3)


async def test_descriptors_of_another_model_are_not_compared(full: AsyncEngine) -> None:
    query = changed(
        random_fingerprint(5), descriptor_model="other@1", pdq_usable=False, sha256="0" * 64, pixel_sha256="1"
    )
    async with full.connect() as conn:
        assert await search(conn, query, exclude_claim="") == []


async def test_a_claim_with_more_look_alikes_than_the_search_is_wide_does_not_hide_anothers_photo(
    full: AsyncEngine,
) -> None:
    """The claim's own photos, twice as many as the index first returns, lie nearer than the other claim's photo."""
    query = random_fingerprint(50_000)
    limits = SearchLimits(hnsw_ef_search=40, hnsw_ef_search_pdq=40)
    own = [
        LibraryPhoto(f"own-{seed}", "claim", near(query, seed, 0.2, bits=2), owner_claim="many")
        for seed in range(60_000, 60_080)
    ]
    other = LibraryPhoto("other", "claim", near(query, 70_000, 0.6, bits=20), owner_claim="another")
    async with full.begin() as conn:
        await publish(conn, [*own, other])
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        candidates = await search(conn, query, exclude_claim="many", limits=limits)
    assert candidates[0].photo_id == "other"
    assert candidates[0].pdq_bits == 20
    assert all(not candidate.photo_id.startswith("own") for candidate in candidates)


async def test_the_index_finds_what_comparing_every_row_finds(full: AsyncEngine) -> None:
    rows = np.stack([random_fingerprint(seed).descriptor for seed in range(ROWS)])
    limits = SearchLimits(by_descriptor=10, by_pdq=0, candidates_max=10)
    hits, queries = 0, [near(random_fingerprint(seed), 90_000 + seed, 1.5, bits=0) for seed in range(40)]
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        for query in queries:
            query = changed(query, sha256="0" * 64, pixel_sha256="1" * 64, pdq_usable=False)
            photo_ids = {candidate.photo_id for candidate in await search(conn, query, exclude_claim="", limits=limits)}
            best = np.argsort(-(rows @ query.descriptor))[:10]
            hits += len(photo_ids & {str(number) for number in best.tolist()})
    assert hits / (10 * len(queries)) >= 0.99


async def test_the_newest_rows_are_found_whether_or_not_the_index_has_a_way_to_them(full: AsyncEngine) -> None:
    """Looking at only one neighbour simulates a graph without a path to a row."""
    blind = SearchLimits(hnsw_ef_search=1, hnsw_ef_search_pdq=1, hnsw_scan_tuples_max=1, newest=0)
    missed = {0: 0, ROWS: 0}
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        for newest in missed:
            for seed in range(0, ROWS, 20):
                query = near(random_fingerprint(seed), 90_000 + seed, 1.0, bits=30)
                by_descriptor, by_pdq = changed(query, pdq_usable=False), changed(query, descriptor=-query.descriptor)
                for only in (by_descriptor, by_pdq):
                    candidates = await search(conn, only, exclude_claim="", limits=replace(blind, newest=newest))
                    missed[newest] += str(seed) not in {candidate.photo_id for candidate in candidates}
    assert missed[0] > 10
    assert missed[ROWS] == 0


async def test_one_statement_uses_both_hnsw_indices_each_look_with_its_own_breadth(full: AsyncEngine) -> None:
    """Imports the module `vision.library.search`, as the package exports its function under the same name."""
    async with full.connect() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))  # at this size a scan would do as well
        both = json.dumps(await _plan(conn, ["40"]))
        assert "ix_library_photos_descriptor" in both
        assert "ix_library_photos_pdq" in both
        narrow, wide = await _touched(conn, ["4", "4"]), await _touched(conn, ["400", "400"])
        mixed = await _touched(conn, ["4", "400"])
    assert narrow * 2 < wide
    assert abs(mixed - (narrow + wide) / 2) < 0.2 * wide


async def test_a_search_that_waits_too_long_says_so_and_the_next_one_answers(full: AsyncEngine) -> None:
    query = random_fingerprint(3)
    async with full.connect() as other:
        await other.execute(text("LOCK TABLE library_photos IN ACCESS EXCLUSIVE MODE"))
        async with full.connect() as conn:
            with pytest.raises(SearchTimedOut, match=r"longer than 0\.2 s"):
                await search(conn, query, exclude_claim="", limits=SearchLimits(seconds_max=0.2))
    async with full.connect() as conn:
        assert (await search(conn, query, exclude_claim=""))[0].photo_id == "3"
    async with full.connect() as conn:  # the connection's own timeout is back for whoever uses it next
        assert (await conn.execute(text("SHOW statement_timeout"))).scalar_one() == "1min"


async def _plan(conn: AsyncConnection, breadths: list[str]) -> Any:
    module = importlib.import_module("vision.library.search")
    query = random_fingerprint(9)
    values = {
        "claim": "mine",
        "sha256": query.sha256,
        "pixel_sha256": query.pixel_sha256,
        "model": query.descriptor_model,
        "vectors": [module.vector_text(query.descriptor)] * len(breadths),
        "breadths": breadths,
        "hashes": [module.bits_text(query.pdq)] if len(breadths) == 1 else [],
        "pdq_breadth": "40",
    }
    statement = module._statement(20, 5, 2, 0).text
    explained = await conn.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"), values)
    return explained.scalar_one()


async def _touched(conn: AsyncConnection, breadths: list[str]) -> int:
    """Returns the number of database pages that a search with these breadths touches."""
    (plan,) = await _plan(conn, breadths)
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

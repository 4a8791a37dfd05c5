"""The library in memory over a real PostgreSQL: it has committed photos, drops deleted ones, and leaves searches
that it cannot answer to the database.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from fixtures.drawn_photos import changed, near, random_fingerprint
from fixtures.photo_library import Vectors
from tests.waiting import PATIENCE_SECONDS
from vision.copies.fingerprint import Fingerprint, FingerprintLimits, PartView
from vision.copies.parts import PartBox
from vision.errors import SearchTimedOut
from vision.library import Candidate, LibraryPhoto, SearchLimits, publish, remove_claim, search
from vision.library.memory import Memory, MemoryLimits, memory
from vision.library.outdated import describe_anew
from vision.library.scan import ScanLimits

pytestmark = pytest.mark.anyio
ROWS = 800
MODEL = "drawn@0"
EVERY = MemoryLimits()
LIMITS = SearchLimits()


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """Fills the library; every third photo belongs to the claim `mine`. Drops the database's own nearest-neighbour
    indexes, so that only memory, or reading the whole table, can answer."""
    photos = [
        LibraryPhoto(str(seed), "claim", random_fingerprint(seed), owner_claim="mine" if seed % 3 == 0 else f"c{seed}")
        for seed in range(ROWS)
    ]
    async with engine.begin() as conn:
        await conn.execute(text("DROP INDEX ix_library_photos_descriptor, ix_library_photos_pdq"))
        await publish(conn, photos)
    return engine


@asynccontextmanager
async def loaded(dsn: str, limits: MemoryLimits = EVERY) -> AsyncIterator[Memory]:
    async with memory(dsn, MODEL, limits) as made:
        await made.look_after()
        yield made


async def found_by(
    engine: AsyncEngine, held: Memory, query: Fingerprint, claim: str = "", limits: SearchLimits = LIMITS
) -> list[Candidate]:
    """Searches memory alone."""
    before = held.answered
    async with engine.connect() as conn:
        candidates = await search(conn, query, exclude_claim=claim, limits=limits, memory=held)
    assert held.answered > before
    return candidates


def unlike_bytes(fingerprint: Fingerprint) -> Fingerprint:
    return changed(fingerprint, sha256="0" * 64, pixel_sha256="1" * 64)


def with_views(fingerprint: Fingerprint, seeds: list[int]) -> Fingerprint:
    grey, corners = np.zeros((8, 8), np.uint8), PartBox(0, 0, 8, 8).corners
    views = tuple(
        PartView(corners, random_fingerprint(seed).descriptor, 0.1, grey, FingerprintLimits()) for seed in seeds
    )
    return changed(fingerprint, views=views)


async def test_it_finds_what_comparing_every_row_finds(full: AsyncEngine, database_url: str) -> None:
    """Compares candidates in their order, with cosine, excess, view and bits, over whole pictures and parts."""
    few = SearchLimits(by_descriptor=5, candidates_max=10)  # farther neighbours differ by less than half precision
    known = [random_fingerprint(seed) for seed in range(ROWS)]
    oracle = Vectors(
        np.stack([fingerprint.descriptor for fingerprint in known]),
        np.stack([np.frombuffer(fingerprint.pdq, np.uint8) for fingerprint in known]),
        np.ones(ROWS, np.bool_),
    )
    coded = MemoryLimits(scan=ScanLimits(exact_rows_max=64, block_rows_max=300), load_rows=100)
    async with loaded(database_url, EVERY) as exact, loaded(database_url, coded) as by_codes:
        for number in range(25):
            query = unlike_bytes(near(known[number * 30], 90_000 + number, 1.0, bits=number * 4))
            query = with_views(query, [number, 90_500 + number])
            expected = [(str(index), nearness.view) for index, nearness in oracle.search(query, few)]
            for held in (exact, by_codes):
                candidates = await found_by(full, held, query, limits=few)
                assert [(candidate.photo_id, candidate.view) for candidate in candidates] == expected
                for candidate, (index, nearness) in zip(candidates, oracle.search(query, few), strict=True):
                    assert (candidate.cosine, candidate.cosine_excess) == pytest.approx(
                        (nearness.cosine, nearness.excess), abs=2e-3
                    ), index


async def test_a_photo_is_found_as_soon_as_its_commit_has_returned(full: AsyncEngine, database_url: str) -> None:
    async with loaded(database_url) as one_process, loaded(database_url) as another:
        for seed in range(5_000, 5_020):
            fresh = random_fingerprint(seed)
            async with full.begin() as conn:
                await publish(conn, [LibraryPhoto(f"fresh-{seed}", "web", fresh)])
            for held in (one_process, another):
                candidates = await found_by(full, held, unlike_bytes(fresh), claim="mine")
                assert (candidates[0].photo_id, candidates[0].pdq_bits) == (f"fresh-{seed}", 0)
                assert candidates[0].cosine == pytest.approx(1, abs=1e-3)
        assert one_process.rows == another.rows == ROWS + 20


async def test_photos_committed_out_of_order_are_all_found(full: AsyncEngine, database_url: str) -> None:
    """A transaction begins first and ends last; others are published, and searched for, in between."""
    early, late = random_fingerprint(6_000), random_fingerprint(6_001)
    async with loaded(database_url) as held, full.connect() as slow:
        await publish(slow, [LibraryPhoto("early", "web", early)])
        async with full.begin() as quick:
            await publish(quick, [LibraryPhoto("late", "web", late)])
        assert (await found_by(full, held, unlike_bytes(late)))[0].photo_id == "late"
        assert "early" not in {candidate.photo_id for candidate in await found_by(full, held, unlike_bytes(early))}
        await slow.commit()
        assert (await found_by(full, held, unlike_bytes(early)))[0].photo_id == "early"
        assert held.rows == ROWS + 2  # neither was fetched twice


async def test_what_was_being_written_while_it_loaded_is_found_once_it_is_committed(
    full: AsyncEngine, database_url: str
) -> None:
    fresh = random_fingerprint(6_100)
    async with full.connect() as slow:
        await publish(slow, [LibraryPhoto("fresh", "web", fresh)])
        async with loaded(database_url) as held:
            assert held.rows == ROWS
            await slow.commit()
            assert (await found_by(full, held, unlike_bytes(fresh)))[0].photo_id == "fresh"


async def test_what_was_rolled_back_is_never_found(full: AsyncEngine, database_url: str) -> None:
    fresh = random_fingerprint(6_200)
    async with loaded(database_url) as held:
        async with full.connect() as conn:
            await publish(conn, [LibraryPhoto("fresh", "web", fresh)])
            await conn.rollback()
        assert "fresh" not in {candidate.photo_id for candidate in await found_by(full, held, unlike_bytes(fresh))}
        assert held.rows == ROWS


async def test_erased_photos_are_gone_at_once_and_hide_nobody(full: AsyncEngine, database_url: str) -> None:
    """Erased photos, twice as many as a lookup keeps, lie nearer by descriptor and by PDQ than the remaining one."""
    query = random_fingerprint(50_000)
    gone = [
        LibraryPhoto(f"gone-{seed}", "claim", near(query, seed, 0.2, bits=2), owner_claim="erased")
        for seed in range(60_000, 60_100)
    ]
    async with full.begin() as conn:
        await publish(conn, [*gone, LibraryPhoto("left", "web", near(query, 70_000, 0.6, bits=20))])
    async with loaded(database_url) as held:
        assert (await found_by(full, held, query))[0].photo_id.startswith("gone-")
        async with full.begin() as conn:
            assert await remove_claim(conn, "erased") == 100
        candidates = await found_by(full, held, query)
        assert (candidates[0].photo_id, candidates[0].pdq_bits) == ("left", 20)
        assert not [candidate for candidate in candidates if candidate.photo_id.startswith("gone-")]
        await held.look_after()
        assert held.rows == ROWS + 101  # a hundred buried rows are not yet worth moving the others
    few = MemoryLimits(buried_max=10)
    async with loaded(database_url, few) as held:
        async with full.begin() as conn:
            assert await remove_claim(conn, "mine") == 267
        for seed in range(0, ROWS, 3):
            assert (await found_by(full, held, unlike_bytes(random_fingerprint(seed))))[0].photo_id != str(seed)
        await held.look_after()
        assert held.rows <= ROWS + 1 - 267 + 10  # and these are out of memory, too


async def test_a_photo_described_anew_is_found_where_it_now_lies_and_no_longer_where_it_lay(
    full: AsyncEngine, database_url: str
) -> None:
    before, after = random_fingerprint(7), random_fingerprint(7_000)
    by_descriptor = changed(unlike_bytes(after), pdq_usable=False)
    where_it_lay = changed(unlike_bytes(before), pdq_usable=False)
    async with loaded(database_url) as held:
        assert (await found_by(full, held, where_it_lay))[0].photo_id == "7"
        async with full.begin() as conn:
            assert await describe_anew(conn, MODEL, ["7"], after.descriptor[None]) == 1
        candidates = await found_by(full, held, where_it_lay)
        assert all(candidate.photo_id != "7" or abs(candidate.cosine) < 0.5 for candidate in candidates)
        candidates = await found_by(full, held, by_descriptor)
        assert candidates[0].photo_id == "7"
        assert candidates[0].cosine == pytest.approx(1, abs=1e-3)
        async with full.begin() as conn:  # now another model's: found by PDQ, not by likeness
            assert await describe_anew(conn, "other@1", ["7"], after.descriptor[None]) == 1
        assert "7" not in {candidate.photo_id for candidate in await found_by(full, held, by_descriptor)}
        assert (await found_by(full, held, unlike_bytes(before)))[0].photo_id == "7"


async def test_a_claim_with_more_look_alikes_than_a_look_keeps_does_not_hide_anothers_photo(
    full: AsyncEngine, database_url: str
) -> None:
    query = random_fingerprint(50_000)
    own = [
        LibraryPhoto(f"own-{seed}", "claim", near(query, seed, 0.2, bits=2), owner_claim="many")
        for seed in range(60_000, 60_080)
    ]
    async with full.begin() as conn:
        await publish(conn, [*own, LibraryPhoto("other", "claim", near(query, 70_000, 0.6, bits=20), "another")])
    narrow = MemoryLimits(scan=ScanLimits(kept=20, kept_view=20, exact_rows_max=64))
    async with loaded(database_url) as exact, loaded(database_url, narrow) as by_codes:
        for held in (exact, by_codes):
            candidates = await found_by(full, held, query, claim="many")
            assert (candidates[0].photo_id, candidates[0].pdq_bits) == ("other", 20)
            assert all(not candidate.photo_id.startswith("own") for candidate in candidates)


async def test_an_exact_match_comes_first_and_is_read_from_the_database(full: AsyncEngine, database_url: str) -> None:
    query = changed(random_fingerprint(40_000), pixel_sha256=random_fingerprint(11).pixel_sha256)
    async with loaded(database_url) as held:
        first = (await found_by(full, held, query))[0]
    assert (first.photo_id, first.same_pixels, first.same_bytes) == ("11", True, False)


async def test_the_database_answers_while_there_is_no_copy(full: AsyncEngine, database_url: str) -> None:
    """Cases: not loaded yet, switched off, copy too large, another descriptor."""
    query = unlike_bytes(random_fingerprint(77))
    for limits in (MemoryLimits(bytes_max=0), MemoryLimits(bytes_max=ROWS * 200)):
        async with loaded(database_url, limits) as held, full.connect() as conn:
            assert not held.answers(query)
            assert held.rows == held.bytes == 0
            assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "77"
    async with memory(database_url, MODEL, EVERY) as held, full.connect() as conn:
        assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "77"
    async with loaded(database_url) as held, full.connect() as conn:
        other = changed(query, descriptor_model="other@1", pdq_usable=False)
        assert not held.answers(other)
        assert await search(conn, other, exclude_claim="", memory=held) == []


async def test_a_copy_that_grows_beyond_its_limit_is_given_up_and_the_database_answers(
    full: AsyncEngine, database_url: str
) -> None:
    async with loaded(database_url) as held:
        limits = MemoryLimits(bytes_max=held.bytes + 50 * 600)
    async with loaded(database_url, limits) as held:
        assert held.rows == ROWS
        photos = [LibraryPhoto(f"more-{seed}", "web", random_fingerprint(seed)) for seed in range(8_000, 8_100)]
        async with full.begin() as conn:
            await publish(conn, photos)
        query = unlike_bytes(random_fingerprint(8_050))
        async with full.connect() as conn:
            assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "more-8050"
            assert held.rows == 0
            await held.look_after()  # tries to read it again, and it does not fit
            assert not held.answers(query)
            assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "more-8050"


async def test_a_lost_connection_costs_one_search_in_the_database(full: AsyncEngine, database_url: str) -> None:
    query = unlike_bytes(random_fingerprint(78))
    end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'miaopei-library'")
    async with loaded(database_url) as held, full.connect() as conn:
        assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "78"
        assert len((await conn.execute(end)).all()) == 1
        assert await held.recall(query, "", SearchLimits()) is None
        assert (await search(conn, query, exclude_claim="", memory=held))[0].photo_id == "78"
        assert await held.recall(query, "", SearchLimits()) is not None


async def test_a_search_that_waits_too_long_says_so_and_the_next_one_answers(
    full: AsyncEngine, database_url: str
) -> None:
    query = random_fingerprint(3)
    async with loaded(database_url) as held:
        async with full.connect() as other:
            await other.execute(text("LOCK TABLE library_photos IN ACCESS EXCLUSIVE MODE"))
            async with full.connect() as conn:
                with pytest.raises(SearchTimedOut, match=r"longer than 0\.2 s"):
                    await search(conn, query, exclude_claim="", limits=SearchLimits(seconds_max=0.2), memory=held)
        assert (await found_by(full, held, query))[0].photo_id == "3"


async def test_many_search_and_publish_at_once_and_each_finds_its_own(full: AsyncEngine, database_url: str) -> None:
    """Twelve threads publish, with connections and loops of their own; each photo is searched for when its commit has
    returned, during constant searches and merges of blocks."""
    fresh: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    limits = MemoryLimits(scan=ScanLimits(exact_rows_max=64), look_seconds=0.01)

    def publishes(first: int) -> None:
        async def one_by_one() -> None:
            async with memory(database_url, MODEL) as other:  # for its engine of its own
                engine = other._engine
                for seed in range(first, first + 10):
                    async with engine.connect() as conn:
                        await publish(conn, [LibraryPhoto(f"fresh-{seed}", "web", random_fingerprint(seed))])
                        await conn.commit()
                    loop.call_soon_threadsafe(fresh.put_nowait, seed)

        asyncio.run(one_by_one())

    async with loaded(database_url, limits) as held:
        stop, missing, finds = asyncio.Event(), [], 0
        keeping = asyncio.create_task(held.keep(stop))

        async def searches() -> None:
            nonlocal finds
            while finds + len(missing) < 120:
                try:
                    seed = fresh.get_nowait()
                except asyncio.QueueEmpty:
                    await found_by(full, held, random_fingerprint(finds))
                    continue
                candidates = await found_by(full, held, unlike_bytes(random_fingerprint(seed)))
                if candidates[0].photo_id == f"fresh-{seed}":
                    finds += 1
                else:
                    missing.append(seed)

        threads = [threading.Thread(target=publishes, args=(10_000 + 100 * number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(searches() for _ in range(6)))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        stop.set()
        await keeping
        assert missing == []
        assert held.rows == ROWS + 120


async def test_of_near_copies_that_arrive_at_once_at_most_one_finds_no_other(
    full: AsyncEngine, database_url: str
) -> None:
    """If two photos publish and then search, at least one sees the other; so among any number at most one sees none."""
    async with loaded(database_url) as one_process, loaded(database_url) as another:

        async def send(burst: int, number: int) -> bool:
            photo = near(random_fingerprint(20_000 + burst), 21_000 + 100 * burst + number, 0.1, bits=2)
            async with full.begin() as conn:
                await publish(conn, [LibraryPhoto(f"{burst}-{number}", "claim", photo, f"claim-{burst}-{number}")])
            held = another if number % 2 else one_process
            candidates = await found_by(full, held, unlike_bytes(photo), claim=f"claim-{burst}-{number}")
            return any(candidate.photo_id.startswith(f"{burst}-") for candidate in candidates)

        for burst in range(4):
            saw_another = await asyncio.gather(*(send(burst, number) for number in range(30)))
            assert sum(saw_another) >= 29, burst


async def test_small_blocks_become_few(full: AsyncEngine, database_url: str) -> None:
    async with loaded(database_url) as held:
        for seed in range(9_000, 9_030):
            async with full.begin() as conn:
                await publish(conn, [LibraryPhoto(f"fresh-{seed}", "web", random_fingerprint(seed))])
            await found_by(full, held, random_fingerprint(seed))
        assert held.blocks == 31
        await held.look_after()
        assert held.blocks <= 4
        assert held.rows == ROWS + 30
        for seed in range(9_000, 9_030):
            candidates = await found_by(full, held, unlike_bytes(random_fingerprint(seed)))
            assert candidates[0].photo_id == f"fresh-{seed}"


async def test_a_worker_that_stops_does_not_wait_for_a_loading(full: AsyncEngine, database_url: str) -> None:
    stop = asyncio.Event()
    async with memory(database_url, MODEL, MemoryLimits(load_rows=1)) as held:
        async with full.connect() as other:
            await other.execute(text("LOCK TABLE library_photos IN ACCESS EXCLUSIVE MODE"))
            keeping = asyncio.create_task(held.keep(stop))
            await asyncio.sleep(0.2)
            stop.set()
            await asyncio.sleep(0.1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await keeping
        assert held.rows == 0

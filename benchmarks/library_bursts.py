"""Bursts of near-copies for `benchmarks.library`: one picture sent in many claims at once, each a little changed.

A graph of neighbours (HNSW) is built for points that lie apart. Near-copies that arrive together link only to each
other, and the search then cannot reach them. Counted are the photos that found none of their burst although one had
been committed before they searched. In a race for money each of them would be paid.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from api.databases import upgrade_library
from fixtures.drawn_photos import changed, near, random_fingerprint
from vision.library import LibraryPhoto, SearchLimits, publish, search
from vision.library.memory import Memory, memory

PHOTOS: Final = 50
CHANGED_BY: Final = 0.1  # of length 1: cosine .995 with the burst's picture, as a crop of a tenth with new compression
AT_ONCE: Final = 8
MODEL: Final = "drawn@0"
WAYS: Final = ("graph", "graph_and_newest", "memory")


def bursts(dsns: dict[str, str], count: int, seed: int) -> dict[str, Any]:
    """Returns the figures of each of WAYS. dsns: an empty database for each: PostgreSQL's indexes alone, with the
    newest rows compared as well, and the copy in memory.
    """
    figures: dict[str, Any] = {"bursts": count, "photos_each": PHOTOS, "at_once": AT_ONCE, "changed_by": CHANGED_BY}
    for way, dsn in dsns.items():
        upgrade_library(dsn)
        figures[way] = asyncio.run(_way(way, dsn, count, seed))
    return figures


async def _way(way: str, dsn: str, count: int, seed: int) -> dict[str, Any]:
    # As in a larger library: of a few thousand rows the planner may read every one instead.
    settings = {"server_settings": {"enable_seqscan": "off"}}
    engine = create_async_engine(dsn, hide_parameters=True, pool_size=AT_ONCE, max_overflow=0, connect_args=settings)
    limits = SearchLimits(newest=0) if way == "graph" else SearchLimits()
    try:
        if way != "memory":
            return await _race(engine, None, limits, count, seed)
        async with memory(dsn, MODEL) as held:
            stop = asyncio.Event()
            keeping = asyncio.create_task(held.keep(stop))
            await held.settled.wait()
            try:
                return await _race(engine, held, limits, count, seed)
            finally:
                stop.set()
                await keeping
    finally:
        await engine.dispose()


async def _race(
    engine: AsyncEngine, held: Memory | None, limits: SearchLimits, count: int, seed: int
) -> dict[str, Any]:
    waiting = _photos(count, seed)
    committed = [0] * count
    blind = [0] * count
    itself = 0

    async def one_after_another() -> None:
        nonlocal itself
        async with engine.connect() as conn:
            for burst, photo in waiting:
                await publish(conn, [photo])
                await conn.commit()
                before, committed[burst] = committed[burst], committed[burst] + 1
                # Other bytes, so that only likeness can find anything.
                query = changed(photo.fingerprint, sha256="0" * 64, pixel_sha256="1" * 64)
                near = await search(conn, query, exclude_claim="", limits=limits, memory=held)
                await conn.rollback()
                names = {candidate.photo_id for candidate in near if candidate.photo_id.startswith(f"{burst}-")}
                itself += photo.photo_id not in names
                blind[burst] += bool(before and not names - {photo.photo_id})

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return {
        "photos_that_found_no_other": sum(blind),
        "bursts_with_such": sum(number > 0 for number in blind),
        "photos_that_found_not_even_themselves": itself,
    }


def _photos(count: int, seed: int) -> Iterator[tuple[int, LibraryPhoto]]:
    """Yields (burst's number, photo), burst after burst."""
    numbers = itertools.count(seed)
    for burst in range(count):
        picture = random_fingerprint(next(numbers))
        for number in range(PHOTOS):
            photo = changed(near(picture, next(numbers), CHANGED_BY, bits=0), pdq_usable=False)
            name = f"{burst}-{number}"
            yield burst, LibraryPhoto(name, "claim", photo, f"claim-{name}")

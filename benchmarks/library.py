"""Measures speed, recall and size of the photo library's search with many rows: `miaopei bench library`.

The rows are drawn (`benchmarks.library_world`: like the descriptors and PDQ hashes of real photos, with the
resemblance printed), the database is a real PostgreSQL with the product's own table, indexes, search and publishing,
with fsync on. Half of the queries are edited copies of rows, half are new photos. Recall is against comparing every
row in numpy. The product's search is measured with PostgreSQL's indexes alone and with the copy in memory that a worker
keeps of it (`vision.library.memory`). Peers, in this process's memory: usearch's HNSW and faiss' comparison with every
row.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from threadpoolctl import threadpool_limits

from api.databases import upgrade_library
from api.postgres import Postgres
from benchmarks import library_store as store
from benchmarks.library_bursts import WAYS, bursts
from benchmarks.library_world import (
    Bits,
    Floats,
    LibraryWorld,
    RealPhotos,
    drawn_fingerprint,
    exact_neighbours,
    real_photos,
)
from benchmarks.report import figures_table, machine
from benchmarks.scratch import scratch_folder
from vision.copies.fingerprint import Fingerprint
from vision.examine import ExamineLimits
from vision.library import LibraryPhoto, SearchLimits, publish, search
from vision.library.memory import Memory, memory
from vision.library.tables import HNSW

SEED: Final = 20261122
CONCURRENCY: Final = (1, 8, 32)
NEIGHBOURS: Final = 10
PEER_GRAPH_ROWS_MAX: Final = 200_000  # a graph of more takes longer to build than all the rest
GRAPH_ROWS_MAX: Final = 200_000  # the same in PostgreSQL: a million rows kept two busy cores for more than 50 minutes
INSERT_NUMBERS: Final = 2_000_000_000  # of photos that are published while searching; no drawn row has such a number


@dataclass(frozen=True, slots=True)
class Effort:
    """photos, copies: real ones to draw like. queries: of each kind. inserts: photos published into the full index.
    rows_real: real photos whose rows' bytes are measured. bursts: bursts of near-copies that arrive at once."""

    sizes: tuple[int, ...]
    photos: int
    copies: int
    queries: int
    inserts: int
    rows_real: int
    bursts: int


FULL: Final = Effort((100_000, 1_000_000), photos=1300, copies=400, queries=400, inserts=100, rows_real=50, bursts=100)
QUICK: Final = Effort((20_000,), photos=300, copies=60, queries=60, inserts=20, rows_real=10, bursts=20)


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Half copies, half new photos. originals: the row that each copies, -1 for a new photo. exact: (n, 10) rows of
    greatest cosine."""

    fingerprints: list[Fingerprint]
    originals: NDArray[np.int64]
    exact: NDArray[np.int64]


def run(*, quick: bool = False, sizes: Sequence[int] = ()) -> dict[str, Any]:
    """Returns the figures. Needs the measuring photos beside the checkout (FileNotFoundError names the path) and, for
    the peers, the extra `bench`; starts a PostgreSQL of its own."""
    effort = QUICK if quick else FULL
    effort = replace(effort, sizes=tuple(sorted(sizes)) or effort.sizes)
    began = time.monotonic()
    # As in a worker: threads of BLAS would only fight with the threads that search.
    threadpool_limits(limits=1)
    real = real_photos(effort.photos, effort.copies, np.random.default_rng(SEED))
    resemblance = LibraryWorld(real, SEED).resemblance()
    by_size: dict[str, Any] = {}
    with _server() as server:
        of_bursts = bursts({way: server.ensure_database(way) for way in WAYS}, effort.bursts, SEED)
    for size in effort.sizes:
        with _server() as server:
            dsn = server.ensure_database("library")
            upgrade_library(dsn)
            by_size[str(size)] = asyncio.run(_measure(dsn, real, size, effort))
    return {
        "quick": quick,
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 1),
        "data": f"drawn like {effort.photos} photos of Caltech 101's train half, see `resemblance`; keypoints and "
        "thumbnails are empty",
        "model": real.model,
        "resemblance": resemblance,
        "hnsw": HNSW,
        "limits": asdict(SearchLimits()),
        "recall_at_10": {size: figures["recall_at_10"] for size, figures in by_size.items()},
        "p99_ms": {size: figures["search"]["with_views"]["1"]["p99_ms"] for size, figures in by_size.items()},
        "bursts_of_near_copies": of_bursts,
        "sizes": by_size,
        "seconds": round(time.monotonic() - began),
    }


@contextmanager
def _server() -> Iterator[Postgres]:
    with scratch_folder() as home, store.server(home) as made:
        yield made


async def _measure(dsn: str, real: RealPhotos, size: int, effort: Effort) -> dict[str, Any]:
    world, rng = LibraryWorld(real, SEED + size), np.random.default_rng(SEED)
    drawn, hashes = world.draw(size)
    rows = drawn.astype(np.float16)
    del drawn
    usable = rng.random(size) < real.pdq_usable_share
    engine = create_async_engine(dsn, hide_parameters=True, pool_size=max(CONCURRENCY) + 1, max_overflow=0)
    try:
        figures: dict[str, Any] = {"build": await _build(engine, rows, hashes, usable, real.model)}
        async with engine.begin() as conn:
            figures["size_mib"] = await store.sizes_mib(conn)
            await store.prewarm(conn)
        queries = _queries(world, rows, hashes, effort.queries, rng)
        if size <= GRAPH_ROWS_MAX:
            figures["postgresql"] = await _searched(engine, None, world, real.model, effort, queries, 0)
        else:
            figures["postgresql"] = {"unmeasured": f"no graph of more than {GRAPH_ROWS_MAX} rows is built here"}
        async with memory(dsn, real.model) as held:
            began = time.monotonic()
            await held.look_after()
            loaded = {"load_seconds": round(time.monotonic() - began, 1), "mib": round(held.bytes / 2**20, 1)}
            figures["memory"] = loaded | await _searched(engine, held, world, real.model, effort, queries, 1)
        figures |= figures["memory"]  # what a worker does
        async with engine.connect() as conn:
            figures["row_bytes_of_a_real_photo"] = await store.row_bytes_real(conn, effort.rows_real)
            await conn.rollback()
    finally:
        await engine.dispose()
    figures["peers"] = _peers(rows, queries)
    return figures


async def _searched(
    engine: AsyncEngine,
    held: Memory | None,
    world: LibraryWorld,
    model: str,
    effort: Effort,
    queries: Queries,
    number: int,
) -> dict[str, Any]:
    """Returns recall, times and visibility of the product's search. held: the copy in memory; None for PostgreSQL
    alone. number: the round's; each round publishes photos of its own.
    """
    figures = {"load_average": round(os.getloadavg()[0], 1)} | await _recall(engine, held, queries)
    figures["search"] = await _searches(engine, held, queries)
    figures["insert"] = await _inserts(engine, held, world, model, effort.inserts, queries, number * 2 * effort.inserts)
    return figures


async def _build(
    engine: AsyncEngine, rows: NDArray[np.float16], hashes: Bits, usable: NDArray[np.bool_], model: str
) -> dict[str, Any]:
    """Rows first, indexes afterwards, as docs/operating.md advises for many photos at once."""
    memory_mib = max(256, min(4096, len(rows) * 2500 // 2**20))
    async with engine.begin() as conn:
        await store.drop_indexes(conn)
        began = time.monotonic()
        await store.fill(conn, 0, rows, hashes, usable, model)
        filled = round(time.monotonic() - began, 1)
    seconds: dict[str, float] = {}
    if len(rows) <= GRAPH_ROWS_MAX:
        async with engine.begin() as conn:
            seconds = await store.build_indexes(conn, memory_mib)
    async with engine.connect() as conn:
        await (await conn.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE library_photos")
        )
    return {"rows_seconds": filled, "index_seconds": seconds, "maintenance_work_mem_mib": memory_mib}


def _queries(
    world: LibraryWorld, rows: NDArray[np.float16], hashes: Bits, count: int, rng: np.random.Generator
) -> Queries:
    originals = np.concatenate([rng.choice(len(rows), count // 2, replace=False), np.full(count - count // 2, -1)])
    copied = originals[originals >= 0]
    descriptors, bits = world.copies(rows[copied].astype(np.float32), hashes[copied])
    fresh, fresh_bits = world.draw(count - len(copied))
    descriptors, bits = np.concatenate([descriptors, fresh]), np.concatenate([bits, fresh_bits])
    ends = np.cumsum(rng.choice(world.real.views, count))
    parts, _ = world.draw(int(ends[-1]) + 1)  # each query its own: what they resemble must not be the same rows
    order = rng.permutation(count)
    made = []
    for number in order.tolist():
        views = parts[int(ends[number - 1]) if number else 0 : int(ends[number])]
        made.append(
            drawn_fingerprint(
                INSERT_NUMBERS * 2 + number, descriptors[number], bits[number].tobytes(), world.real.model, views
            )
        )
    return Queries(made, originals[order], exact_neighbours(rows, descriptors[order], NEIGHBOURS))


async def _recall(engine: AsyncEngine, held: Memory | None, queries: Queries) -> dict[str, Any]:
    """Returns the share of the ten nearest by descriptor that the product's search brings, and the share of copies
    whose original is among its candidates, and among those compared by keypoints, at the product's own limits.
    """
    ten = SearchLimits(by_descriptor=NEIGHBOURS, by_view=0, by_pdq=0, candidates_max=NEIGHBOURS)
    hits = {True: [0, 0], False: [0, 0]}
    originals, compared, best = 0, 0, 0
    async with engine.connect() as conn:
        for query, original, exact in zip(queries.fingerprints, queries.originals, queries.exact, strict=True):
            nearest = await search(
                conn, replace(query, views=(), pdq_usable=False), exclude_claim="", limits=ten, memory=held
            )
            right = {store.photo_id(number) for number in exact.tolist()}
            hits[bool(original >= 0)][0] += len(right & {candidate.photo_id for candidate in nearest})
            hits[bool(original >= 0)][1] += NEIGHBOURS
            if original >= 0:
                whole = await search(conn, query, exclude_claim="", memory=held)
                names = [candidate.photo_id for candidate in whole]
                originals += store.photo_id(int(original)) in names
                compared += store.photo_id(int(original)) in names[: ExamineLimits().verify_max]
                best += int(original) in exact.tolist()
    copies = int((queries.originals >= 0).sum())
    return {
        "recall_at_10": round((hits[True][0] + hits[False][0]) / (hits[True][1] + hits[False][1]), 4),
        "recall_at_10_of_copies": round(hits[True][0] / max(1, hits[True][1]), 4),
        "recall_at_10_of_new_photos": round(hits[False][0] / max(1, hits[False][1]), 4),
        "originals_found": round(originals / max(1, copies), 4),
        "originals_compared": round(compared / max(1, copies), 4),
        "originals_among_exact_10": round(best / max(1, copies), 4),
    }


async def _searches(engine: AsyncEngine, held: Memory | None, queries: Queries) -> dict[str, Any]:
    """Returns milliseconds of the product's search, by kind of query and number of searches at once."""
    plain = [replace(fingerprint, views=()) for fingerprint in queries.fingerprints]
    only = [replace(fingerprint, pdq_usable=False) for fingerprint in plain]
    kinds = {"descriptor_only": only, "whole_picture": plain, "with_views": queries.fingerprints}
    result: dict[str, Any] = {
        "views_mean": round(float(np.mean([len(fingerprint.views) for fingerprint in queries.fingerprints])), 2)
    }
    for name, fingerprints in kinds.items():
        result[name] = {}
        for concurrency in CONCURRENCY:
            result[name][str(concurrency)] = await _timed(engine, held, fingerprints, concurrency)
    return result


async def _timed(
    engine: AsyncEngine, held: Memory | None, fingerprints: Sequence[Fingerprint], concurrency: int
) -> dict[str, float]:
    waiting = list(fingerprints)
    took: list[float] = []

    async def one_after_another() -> None:
        async with engine.connect() as conn:
            await search(conn, fingerprints[0], exclude_claim="", memory=held)  # the connection's plans
            await conn.rollback()
            while waiting:
                query = waiting.pop()
                began = time.perf_counter()
                await search(conn, query, exclude_claim=store.owner_claim(0), memory=held)
                took.append((time.perf_counter() - began) * 1000)
                await conn.rollback()

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    seconds = time.perf_counter() - began
    return {**_quantiles(took), "searches_per_second": round(len(took) / seconds, 1)}


async def _inserts(
    engine: AsyncEngine,
    held: Memory | None,
    world: LibraryWorld,
    model: str,
    count: int,
    queries: Queries,
    first: int,
) -> dict[str, Any]:
    """Publishes photos one by one into the full index, alone and while eight search. Counts those that are found as
    soon as their commit has returned, by descriptor alone and by PDQ alone.
    """
    descriptors, hashes = world.draw(2 * count)
    done = asyncio.Event()

    async def publish_and_look(numbers: range) -> tuple[list[float], int]:
        took, visible = [], 0
        async with engine.connect() as conn:
            for number in numbers:
                photo = drawn_fingerprint(
                    INSERT_NUMBERS + first + number, descriptors[number], hashes[number].tobytes(), model
                )
                began = time.perf_counter()
                await publish(conn, [LibraryPhoto(f"fresh-{first + number}", "stock", photo)])
                await conn.commit()
                took.append((time.perf_counter() - began) * 1000)
                # Other bytes, so that only the two indexes can find it; then each of them alone.
                query = replace(photo, sha256="0" * 64, pixel_sha256="1" * 64)
                far = replace(query, descriptor=-query.descriptor)
                by_descriptor = await search(conn, replace(query, pdq_usable=False), exclude_claim="", memory=held)
                by_pdq = await search(conn, far, exclude_claim="", memory=held)
                visible += all(
                    f"fresh-{first + number}" in {candidate.photo_id for candidate in candidates}
                    for candidates in (by_descriptor, by_pdq)
                )
                await conn.rollback()
        return took, visible

    async def search_on() -> None:
        async with engine.connect() as conn:
            while not done.is_set():
                for query in queries.fingerprints:
                    await search(conn, query, exclude_claim="", memory=held)
                    await conn.rollback()
                    if done.is_set():
                        return

    alone, seen_alone = await publish_and_look(range(count))
    searching = [asyncio.create_task(search_on()) for _ in range(8)]
    try:
        busy, seen_busy = await publish_and_look(range(count, 2 * count))
    finally:
        done.set()
        await asyncio.gather(*searching)
    return {
        "alone": {**_quantiles(alone), "visible_at_once": round(seen_alone / count, 4)},
        "beside_8_searches": {**_quantiles(busy), "visible_at_once": round(seen_busy / count, 4)},
    }


def _peers(rows: NDArray[np.float16], queries: Queries) -> dict[str, Any]:
    """Measures other indexes in this process on the same rows and queries: no access rights, no deletion, no disk."""
    try:
        import faiss
        import usearch.index
    except ImportError as error:
        return {"unmeasured": f"{error}; install the extra `bench`"}
    wanted = np.stack([fingerprint.descriptor for fingerprint in queries.fingerprints])
    figures: dict[str, Any] = {}
    if len(rows) <= PEER_GRAPH_ROWS_MAX:
        began = time.monotonic()
        graph = usearch.index.Index(
            ndim=rows.shape[1], metric="cos", dtype="f16", connectivity=HNSW["m"],
            expansion_add=HNSW["ef_construction"], expansion_search=SearchLimits().hnsw_ef_search,
        )  # fmt: skip
        graph.add(np.arange(len(rows)), rows, threads=os.cpu_count() or 1)
        figures["usearch_hnsw_f16"] = {
            "build_seconds": round(time.monotonic() - began, 1),
            "memory_mib": round(graph.memory_usage / 2**20, 1),
            **_peer(lambda row: np.asarray(graph.search(row, NEIGHBOURS).keys), wanted, queries),
        }
    else:
        figures["usearch_hnsw_f16"] = {"unmeasured": f"more than {PEER_GRAPH_ROWS_MAX} rows"}
    began = time.monotonic()
    flat = faiss.IndexScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(rows), 100_000):
        part = rows[start : start + 100_000].astype(np.float32)
        flat.add(part / np.linalg.norm(part, axis=1, keepdims=True))
    faiss.omp_set_num_threads(1)
    figures["faiss_every_row_f16"] = {
        "build_seconds": round(time.monotonic() - began, 1),
        "memory_mib": round(flat.code_size * flat.ntotal / 2**20, 1),
        **_peer(lambda row: flat.search(row[None], NEIGHBOURS)[1][0], wanted[:100], queries),
    }
    return figures


def _peer(ask: Callable[[Floats], NDArray[np.int64]], wanted: Floats, queries: Queries) -> dict[str, float]:
    took, hits = [], 0
    for query, exact in zip(wanted, queries.exact, strict=False):
        began = time.perf_counter()
        answer = ask(query)
        took.append((time.perf_counter() - began) * 1000)
        hits += len(set(answer.tolist()) & set(exact.tolist()))
    return {"recall_at_10": round(hits / (NEIGHBOURS * len(wanted)), 4), **_quantiles(took)}


def _quantiles(took: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": round(float(np.median(took)), 2), "p99_ms": round(float(np.quantile(took, 0.99)), 2)}


def show(result: dict[str, Any]) -> None:
    """Prints every figure, one a row."""
    figures_table("photo library at size", {name: value for name, value in result.items() if name != "limits"})

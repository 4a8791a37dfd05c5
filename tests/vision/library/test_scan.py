"""The scan of every row in memory, against comparing every row in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.library.scan import Block, Rows, ScanLimits, ScanQuery, gather, scan

LIMITS = ScanLimits()
CODED = ScanLimits(kept=2000, kept_view=2000, exact_rows_max=100)


def drawn_rows(count: int, seed: int, owners: int = 5) -> Rows:
    """Draws rows, every seventh without a descriptor, every fifth without a hash."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(count)
    described, hashed = numbers[numbers % 7 != 3], numbers[numbers % 5 != 2]
    return Rows(
        photo_ids=np.array([f"{seed}-{number}" for number in numbers], np.dtypes.StringDType()),
        versions=numbers.astype(np.int64),
        owners=(numbers % owners).astype(np.int64),
        described=described.astype(np.int32),
        descriptors=rng.normal(size=(len(described), 256)).astype(np.float16),
        hashed=hashed.astype(np.int32),
        hashes=rng.integers(0, 256, (len(hashed), 32), dtype=np.uint8),
    )


def drawn_query(seed: int, *, views: int = 2, owner: int | None = None, depth: int = 10) -> ScanQuery:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1 + views, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = rng.integers(0, 256, (8, 32), dtype=np.uint8)
    return ScanQuery(vectors[:1], vectors[1:], hashes, owner, depth, depth, 256)


def searched(blocks: list[Block], query: ScanQuery, limits: ScanLimits) -> tuple[list[list[str]], list[list[float]]]:
    """Returns, of each lookup, ids by descriptor, and bits by PDQ (where ties make ids arbitrary)."""
    by_descriptor, by_pdq = gather([scan(block, query, limits) for block in blocks], query, limits)
    return [[candidate.photo_id for candidate in look] for look in by_descriptor], [
        [candidate.value for candidate in look] for look in by_pdq
    ]


def compared(blocks: list[Block], query: ScanQuery) -> tuple[list[list[str]], list[list[float]]]:
    """Returns the oracle's answer: compares every row that is neither deleted nor the owner's."""
    ids, cosines, bits = [], [], []
    vectors = np.concatenate([query.whole, query.views])
    for block in blocks:
        rows = block.rows
        shown = ~block.buried & ((rows.owners != query.owner) if query.owner is not None else True)
        keep = shown[rows.described]
        wide = rows.descriptors[keep].astype(np.float64)
        ids += rows.photo_ids[rows.described[keep]].tolist()
        cosines.append(vectors @ (wide / np.linalg.norm(wide, axis=1, keepdims=True)).T)
        hashes = rows.hashes[shown[rows.hashed]]
        bits.append(np.bitwise_count(query.hashes[:, None] ^ hashes[None]).sum(axis=2))
    nearest = np.argsort(-np.concatenate(cosines, axis=1), axis=1)[:, : query.depth]
    fewest = np.sort(np.concatenate(bits, axis=1), axis=1)[:, : query.depth_pdq]
    return [[ids[i] for i in row] for row in nearest.tolist()], fewest.tolist()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
    owner=st.none() | st.integers(0, 6),
    buried_share=st.sampled_from([0.0, 0.3, 0.95]),
    exact_rows_max=st.sampled_from([0, 8_192]),
)
def test_of_few_rows_exactly_the_nearest_that_are_neither_buried_nor_the_owners_come(
    sizes: list[int], seed: int, owner: int | None, buried_share: float, exact_rows_max: int
) -> None:
    limits = ScanLimits(exact_rows_max=exact_rows_max)  # 0: by codes first, of which all are kept
    blocks = [Block(drawn_rows(size, seed + number), limits) for number, size in enumerate(sizes)]
    rng = np.random.default_rng(seed)
    for block in blocks:
        block.buried |= rng.random(len(block)) < buried_share
    query = drawn_query(seed, owner=owner)
    assert searched(blocks, query, limits) == compared(blocks, query)


def test_one_bit_a_dimension_brings_the_nearest_of_thousands() -> None:
    """Uniform random rows are all nearly equally far apart, which is harder than photos."""
    blocks = [Block(drawn_rows(6_000, seed), CODED) for seed in (1, 2)]
    hits = []
    for seed in range(30):
        query = drawn_query(1_000 + seed, views=0)
        (numbers,), _ = searched(blocks, query, CODED)
        (exact,), _ = compared(blocks, query)
        hits.append(len(set(numbers) & set(exact)))
    assert np.mean(hits) / 10 >= 0.99


def test_buried_rows_that_lie_nearer_than_all_that_are_kept_hide_nobody() -> None:
    rows = drawn_rows(4_000, 3)
    query = drawn_query(5, views=0)
    crowd = rows.described[: 2 * 50]
    rows.descriptors[: 2 * 50] = query.whole.astype(np.float16)
    limits = ScanLimits(kept=50, exact_rows_max=100)
    block = Block(rows, limits)
    (before,), _ = searched([block], query, limits)
    assert set(before) <= set(rows.photo_ids[crowd].tolist())
    block.buried[crowd] = True
    (after,), _ = searched([block], query, limits)
    assert len(after) == 10
    assert not set(after) & set(rows.photo_ids[crowd].tolist())


def test_a_block_made_anew_is_the_block_without_what_was_buried() -> None:
    block = Block(drawn_rows(300, 8), LIMITS)
    block.buried[::3] = True
    anew = Block(Rows.joined([block.living(), drawn_rows(40, 9)]), LIMITS)
    query = drawn_query(4)
    assert len(anew) == 200 + 40
    assert searched([anew], query, LIMITS) == compared([block, Block(drawn_rows(40, 9), LIMITS)], query)


def test_the_bytes_of_a_block_are_those_that_it_takes() -> None:
    """Counts the parts that numpy can count; the codes are 40 bytes a descriptor by faiss' own count."""
    block = Block(drawn_rows(20_000, 1), CODED)
    rows = block.rows
    counted = sum(
        part.nbytes for part in (rows.versions, rows.owners, rows.described, rows.descriptors, rows.hashed, rows.hashes)
    )
    counted += block.buried.nbytes + rows.photo_ids.nbytes + 40 * len(rows.described)
    assert block.bytes == pytest.approx(counted, rel=0.02)

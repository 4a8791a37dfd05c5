"""Compares every row of the library in memory: blocks of rows that never change, and the nearest rows among them.

A descriptor is searched in two steps: first by one bit a dimension (RaBitQ, Gao and Long, SIGMOD 2024, as implemented
by faiss: 40 bytes a row, the query at 8 bits), then the nearest by that estimate are compared exactly, in the half
precision that the database holds. PDQ hashes are all compared bit by bit. Plain functions over arrays; no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from vision.copies.descriptor import DIMENSIONS
from vision.library.tables import PDQ_BITS

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]
PDQ_BYTES: Final = PDQ_BITS // 8
_CODED_AT_ONCE: Final = 50_000
_ROW_BYTES_OVER: Final = 16 + 8 + 8 + 1 + 4 + 4  # header of the id, version, owner, buried, two row numbers


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Limits of the scan.

    kept, kept_view: rows nearest by one bit a dimension that are then compared exactly, for the whole picture and for a
    part. Of a million drawn rows 500 hold 96.5% of the ten nearest, 1,000 98.6%, 2,000 99.3%, 4,000 99.7%
    (docs/decisions/0006-library-index.md). exact_rows_max: a block of at most so many rows is compared exactly at once.
    block_rows_max: rows of one block, which one thread scans.
    """

    kept: int = 3000
    kept_view: int = 500
    exact_rows_max: int = 8_192
    block_rows_max: int = 250_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The search data of library rows.

    photo_ids: (n,) text. versions: int64 (n,), the transaction that wrote the row. owners: int64 (n,), `owner_hash` of
    its claim. described: int32 (m,), numbers of the rows that have a descriptor of the model in use. descriptors:
    float16 (m, 256). hashed: int32 (k,), numbers of the rows that have a PDQ hash. hashes: uint8 (k, 32).
    """

    photo_ids: NDArray[Any]
    versions: NDArray[np.int64]
    owners: NDArray[np.int64]
    described: NDArray[np.int32]
    descriptors: NDArray[np.float16]
    hashed: NDArray[np.int32]
    hashes: Bits

    def __len__(self) -> int:
        return len(self.versions)

    @property
    def bytes(self) -> int:
        """Memory that the rows take once they are a block."""
        ids = int(np.strings.str_len(self.photo_ids).sum()) if len(self) else 0
        coded = len(self.described) * (DIMENSIONS // 8 + 8)
        return len(self) * _ROW_BYTES_OVER + ids + self.descriptors.nbytes + coded + self.hashes.nbytes

    def without(self, gone: NDArray[np.bool_]) -> Rows:
        """Return the rows that are not `gone`, in the same order. gone: bool (n,)."""
        numbers = (np.cumsum(~gone) - 1).astype(np.int32)
        with_descriptor, with_hash = ~gone[self.described], ~gone[self.hashed]
        return Rows(
            self.photo_ids[~gone],
            self.versions[~gone],
            self.owners[~gone],
            numbers[self.described[with_descriptor]],
            self.descriptors[with_descriptor],
            numbers[self.hashed[with_hash]],
            self.hashes[with_hash],
        )

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Concatenate at least one part, in order."""
        starts = np.cumsum([0, *(len(part) for part in parts)])
        return Rows(
            np.concatenate([part.photo_ids for part in parts]),
            np.concatenate([part.versions for part in parts]),
            np.concatenate([part.owners for part in parts]),
            np.concatenate(
                [part.described + start for part, start in zip(parts, starts, strict=False)], dtype=np.int32
            ),
            np.concatenate([part.descriptors for part in parts]),
            np.concatenate([part.hashed + start for part, start in zip(parts, starts, strict=False)], dtype=np.int32),
            np.concatenate([part.hashes for part in parts]),
        )


def owner_hash(claim_id: str) -> int:
    """Return a 64-bit hash of a claim's id. Python seeds it anew in each process, so nobody can construct two ids that
    collide."""
    return hash(claim_id)


class Block:
    """Rows with their search index. Any thread may set `buried`, which is never unset; nothing else changes."""

    def __init__(self, rows: Rows, limits: ScanLimits) -> None:
        self.rows = rows
        self.bytes = rows.bytes
        self.buried = np.zeros(len(rows), np.bool_)
        self._codes: Any = None
        if len(rows.described) > limits.exact_rows_max:
            self._codes = _coded(rows.descriptors)
        self._hashes = faiss.IndexBinaryFlat(PDQ_BITS)
        self._hashes.add(np.ascontiguousarray(rows.hashes))

    def __len__(self) -> int:
        return len(self.rows)

    def living(self) -> Rows:
        """Return the rows that are not buried."""
        return self.rows.without(self.buried.copy())

    def hidden(self, owner: int | None) -> NDArray[np.bool_]:
        """Return bool (n,): True for rows that are buried or the owner's own."""
        hidden = self.buried.copy()
        if owner is not None:
            hidden |= self.rows.owners == owner
        return hidden

    def by_descriptor(self, queries: Floats, kept: int, hidden: NDArray[np.bool_]) -> list[NearRows]:
        """Return, for each query, at most `kept` rows that are not hidden, in no order. queries: (q, 256), length 1."""
        rows = self.rows
        if not len(rows.described) or not len(queries):
            return [_NO_ROWS] * len(queries)
        if self._codes is None:
            shown = np.flatnonzero(~hidden[rows.described])
            cosines = queries @ _unit(rows.descriptors[shown]).T
            return [NearRows(shown, -row, row) for row in cosines]
        # Ask for as many more as are hidden, so that hidden rows displace no others.
        count = min(len(rows.described), kept + int(hidden.sum()))
        distances, neighbours = self._codes.search(queries @ _rotation(), count)
        near = []
        for distance, places in zip(distances, neighbours, strict=True):
            shown = places >= 0
            shown[shown] = ~hidden[rows.described[places[shown]]]
            near.append(NearRows(places[shown][:kept], distance[shown][:kept], None))
        return near

    def by_pdq(self, queries: Bits, depth: int, bits_max: int, hidden: NDArray[np.bool_]) -> list[list[ScanHit]]:
        """Return, for each query, the `depth` nearest hashes that are not hidden, nearest first. queries: (q, 32)."""
        if not len(self.rows.hashed) or not len(queries):
            return [[] for _ in queries]
        count = min(len(self.rows.hashed), depth + int(hidden.sum()))
        bits, places = self._hashes.search(queries, count)
        near: list[list[ScanHit]] = []
        for distances, at in zip(bits, places, strict=True):
            numbers = self.rows.hashed[at]
            shown = np.flatnonzero(~hidden[numbers] & (distances <= bits_max))[:depth]
            near.append([ScanHit(float(distances[i]), self, int(numbers[i])) for i in shown.tolist()])
        return near

    def cosines(self, places: NDArray[np.int64], query: Floats) -> Floats:
        """Return the cosines (k,) of the descriptors at these places with the query."""
        descriptors = self.rows.descriptors[places].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", descriptors, descriptors))
        return np.asarray(descriptors @ query / np.maximum(lengths, 1e-12), np.float32)


class ScanHit(NamedTuple):
    """One result. value: cosine, or bits. row: its number in the block."""

    value: float
    block: Block
    row: int

    @property
    def photo_id(self) -> str:
        return str(self.block.rows.photo_ids[self.row])

    @property
    def version(self) -> int:
        return int(self.block.rows.versions[self.row])


class NearRows(NamedTuple):
    """Candidates of one block for one query. places: among the block's descriptors. distances: float32, comparable
    between blocks, smaller is nearer. cosines: if they are already known."""

    places: NDArray[np.int64]
    distances: Floats
    cosines: Floats | None


_NO_ROWS: Final = NearRows(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class ScanQuery:
    """One search. whole: (1, 256). views: (v, 256). hashes: (h, 32). owner: whose rows are left out. depth, depth_pdq:
    rows that each query returns."""

    whole: Floats
    views: Floats
    hashes: Bits
    owner: int | None
    depth: int
    depth_pdq: int
    pdq_bits_max: int


@dataclass(slots=True)
class Scanned:
    """One block's results of a search."""

    block: Block
    near: list[NearRows]  # by query: the whole picture, then its views
    pdq: list[list[ScanHit]] = field(default_factory=list)


def scan(block: Block, query: ScanQuery, limits: ScanLimits) -> Scanned:
    """Search one block."""
    hidden = block.hidden(query.owner)
    near = block.by_descriptor(query.whole, limits.kept, hidden) + block.by_descriptor(
        query.views, limits.kept_view, hidden
    )
    return Scanned(block, near, block.by_pdq(query.hashes, query.depth_pdq, query.pdq_bits_max, hidden))


def gather(
    parts: Sequence[Scanned], query: ScanQuery, limits: ScanLimits
) -> tuple[list[list[ScanHit]], list[list[ScanHit]]]:
    """Merge the blocks' results: by query, the nearest by descriptor (greatest cosine first) and by PDQ (fewest bits
    first)."""
    vectors = np.concatenate([query.whole, query.views])
    by_descriptor = [
        _nearest(
            [(part.block, part.near[look]) for part in parts],
            vector,
            limits.kept_view if look >= len(query.whole) else limits.kept,
            query.depth,
        )
        for look, vector in enumerate(vectors)
    ]
    by_pdq = [
        sorted((hit for part in parts for hit in part.pdq[look]), key=lambda hit: hit.value)[: query.depth_pdq]
        for look in range(len(query.hashes))
    ]
    return by_descriptor, by_pdq


def _nearest(near: Sequence[tuple[Block, NearRows]], vector: Floats, kept: int, depth: int) -> list[ScanHit]:
    estimated = np.concatenate([_NO_ROWS.distances, *(rows.distances for _, rows in near if rows.cosines is None)])
    farthest = np.partition(estimated, kept - 1)[kept - 1] if len(estimated) > kept else np.inf
    best: list[ScanHit] = []
    for block, rows in near:
        places, cosines = rows.places, rows.cosines
        if cosines is None:
            places = places[rows.distances <= farthest]
            cosines = block.cosines(places, vector)
        if len(cosines) > depth:
            top = np.argpartition(-cosines, depth - 1)[:depth]
            places, cosines = places[top], cosines[top]
        numbers = block.rows.described[places]
        best += [
            ScanHit(value, block, number) for value, number in zip(cosines.tolist(), numbers.tolist(), strict=True)
        ]
    best.sort(key=lambda hit: -hit.value)
    return best[:depth]


def _coded(descriptors: NDArray[np.float16]) -> Any:
    codes = faiss.IndexRaBitQFastScan(DIMENSIONS, faiss.METRIC_L2)
    rotation = _rotation()
    # Training computes only the mean: an evenly drawn sample gives it.
    codes.train(_unit(descriptors[:: max(1, len(descriptors) // _CODED_AT_ONCE)]) @ rotation)
    for start in range(0, len(descriptors), _CODED_AT_ONCE):
        codes.add(_unit(descriptors[start : start + _CODED_AT_ONCE]) @ rotation)
    return codes


@cache
def _rotation() -> Floats:
    """Return a rotation drawn once for all: the codes' error bound holds for directions independent of the axes."""
    drawn = np.random.default_rng(20261124).normal(size=(DIMENSIONS, DIMENSIONS))
    return np.ascontiguousarray(np.linalg.qr(drawn)[0], np.float32)


def _unit(rows: NDArray[np.float16]) -> Floats:
    """Return the rows in float32 with length 1: half precision changes lengths a little, and the database divides by
    them."""
    wide = rows.astype(np.float32)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide

"""Finds the library's pictures that a photo might be a copy of. Returns signals only: `vision.examine` turns them into
probabilities."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.copies.fingerprint import Fingerprint
from vision.copies.keypoints import Keypoints
from vision.errors import SearchTimedOut
from vision.library.limits import Looks
from vision.library.limits import SearchLimits as SearchLimits  # re-exported for `vision.examine`
from vision.library.photos import Source, bits_text, vector_text
from vision.library.tables import PDQ_BITS

if TYPE_CHECKING:  # memory loads faiss, which only a worker needs
    from vision.library.memory import Memory, Recalled

_QUERY_CANCELED: Final = "57014"  # SQLSTATE
_ROUNDS_MAX: Final = 5  # rounds of a search in memory in which results turn out to be gone; then PostgreSQL answers
_LIMITS: Final = SearchLimits()
NO_PDQ: Final = PDQ_BITS  # bits: the greatest distance; also used if either picture has no usable PDQ


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A picture of the library with the signals that it may be the original.

    pdq_bits: Hamming distance of the nearest of eight orientations, of the photo or its negative, 256 where not
    comparable. cosine: of the
    descriptors, the best over the whole picture and its views. cosine_excess: how far that is above the cosine of
    mere look-alikes (`vision.copies.descriptor.DescriptorModel.crowd`). view: the one
    that gave the best, 0 for the whole picture, k for its k-th view.
    """

    photo_id: str
    source: Source
    owner_claim: str
    owner_subject: str
    reference: str
    preview_sha256: str
    same_bytes: bool
    same_pixels: bool
    pdq_bits: int
    cosine: float
    cosine_excess: float
    view: int
    keypoints: Keypoints
    thumbnail: NDArray[np.uint8]
    width_px: int
    height_px: int


class Nearness(NamedTuple):
    """Nearness of a candidate by descriptor, in the order that ranks candidates; see `Candidate`."""

    excess: float
    cosine: float
    view: int


# One statement for every kind of query. Texts become vectors once, outside the lateral join: inside, a sequential
# scan would parse them anew for every row. The breadth of each query is set by the subquery `set` just before its own
# index scan: the scan's vector comes out of that subquery, and OFFSET 0 keeps the planner from merging the two. Limits
# stand in the text and not in parameters, so that a plan made once for all values still knows to stop early.
# A web or stock picture has owner_claim '' and so is never excluded: no claim has an empty id.
_FIND: Final = """
    WITH newest AS MATERIALIZED (
        SELECT photo_id, pdq, CASE WHEN descriptor_model = :model THEN descriptor END AS comparable
        FROM (SELECT * FROM library_photos ORDER BY written_by DESC LIMIT {newest}) AS last
        WHERE owner_claim <> :claim
    )
    (
        SELECT 'exact' AS way, row_number() OVER (ORDER BY (sha256 = :sha256) DESC, published_at, photo_id) AS look,
               photo_id, CAST(0 AS double precision) AS value
        FROM library_photos
        WHERE owner_claim <> :claim AND (sha256 = :sha256 OR pixel_sha256 = :pixel_sha256)
        ORDER BY look LIMIT {exact_max}
    )
    UNION ALL
    SELECT 'descriptor', q.look, n.photo_id, n.cosine
    FROM unnest(CAST(CAST(:vectors AS text[]) AS halfvec(256)[]), CAST(:breadths AS text[]))
         WITH ORDINALITY AS q(vector, breadth, look)
    CROSS JOIN LATERAL (SELECT q.vector, set_config('hnsw.ef_search', q.breadth, true) OFFSET 0) AS set
    CROSS JOIN LATERAL (
        SELECT photo_id, 1 - (descriptor <=> set.vector) AS cosine
        FROM library_photos WHERE owner_claim <> :claim AND descriptor_model = :model AND descriptor IS NOT NULL
        ORDER BY descriptor <=> set.vector LIMIT {by_descriptor}
    ) AS n
    UNION ALL
    SELECT 'pdq', q.look, n.photo_id, n.bits
    FROM unnest(CAST(CAST(:hashes AS text[]) AS bit(256)[])) WITH ORDINALITY AS q(hash, look)
    CROSS JOIN LATERAL (SELECT q.hash, set_config('hnsw.ef_search', :pdq_breadth, true) OFFSET 0) AS set
    CROSS JOIN LATERAL (
        SELECT photo_id, pdq <~> set.hash AS bits
        FROM library_photos WHERE owner_claim <> :claim AND pdq IS NOT NULL
        ORDER BY pdq <~> set.hash LIMIT {by_pdq}
    ) AS n
    UNION ALL
    SELECT 'descriptor', q.look, n.photo_id, n.cosine
    FROM unnest(CAST(CAST(:vectors AS text[]) AS halfvec(256)[])) WITH ORDINALITY AS q(vector, look)
    CROSS JOIN LATERAL (
        SELECT photo_id, 1 - (comparable <=> q.vector) AS cosine
        FROM newest WHERE comparable IS NOT NULL ORDER BY comparable <=> q.vector LIMIT {by_descriptor}
    ) AS n
    UNION ALL
    SELECT 'pdq', q.look, n.photo_id, n.bits
    FROM unnest(CAST(CAST(:hashes AS text[]) AS bit(256)[])) WITH ORDINALITY AS q(hash, look)
    CROSS JOIN LATERAL (
        SELECT photo_id, pdq <~> q.hash AS bits
        FROM newest WHERE pdq IS NOT NULL ORDER BY pdq <~> q.hash LIMIT {by_pdq}
    ) AS n
"""
# Relaxed order: the rows are sorted here anyway, and strict order drops rows that a second round finds late.
_SETTINGS: Final = text(
    """
    SELECT set_config('statement_timeout', :milliseconds, true),
           set_config('hnsw.iterative_scan', 'relaxed_order', true),
           set_config('hnsw.max_scan_tuples', :scan, true)
    """
)
_ROWS: Final = text(
    """
    SELECT photo_id, source, owner_claim, owner_subject, reference, preview_sha256, sha256, pixel_sha256,
           CAST(pdq AS text) AS pdq, CAST(CAST(descriptor AS vector) AS text) AS descriptor, descriptor_model,
           keypoints, thumbnail, thumbnail_width, thumbnail_height, width_px, height_px,
           CAST(CAST(written_by AS text) AS bigint) AS version
    FROM library_photos WHERE photo_id = ANY(CAST(:ids AS text[]))
    """
)


async def search(
    conn: AsyncConnection,
    fingerprint: Fingerprint,
    *,
    exclude_claim: str,
    limits: SearchLimits = _LIMITS,
    memory: Memory | None = None,
) -> list[Candidate]:
    """Return candidates, likeliest first: exact matches, then by descriptor and PDQ. A featureless picture has only
    exact matches.

    Sees whatever was committed before the call. Sets pgvector's search settings and the statement timeout for the rest
    of the caller's transaction. exclude_claim: that claim's own photos are left out; "" excludes none. memory: used for
    near matches while it has a copy; otherwise the database's own indexes are. Raises SearchTimedOut, and the
    transaction is then of no further use.
    """
    try:
        if memory is not None and memory.answers(fingerprint):
            remembered = await _remembered(conn, fingerprint, exclude_claim, limits, memory)
            if remembered is not None:
                return remembered
        looks = await _look(conn, fingerprint, exclude_claim, limits)
        wanted, cosines = ranked(looks, fingerprint, limits)
        rows = await _read(conn, wanted)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _QUERY_CANCELED:
            raise SearchTimedOut(f"the library's search took longer than {limits.seconds_max:g} s") from error
        raise
    # A row may have gone between the two statements: its claim was erased, so it no longer counts.
    return [_candidate(rows[photo_id], fingerprint, cosines) for photo_id in wanted if photo_id in rows]


async def named(conn: AsyncConnection, fingerprint: Fingerprint, photo_ids: Sequence[str]) -> list[Candidate]:
    """Return those of the named pictures that are in the library, to be compared whatever they look like: among very
    many pictures that are alike, as close-ups of noses are, a search may leave out the one that matters."""
    rows = await _read(conn, photo_ids)
    return [_candidate(rows[photo_id], fingerprint, {}) for photo_id in photo_ids if photo_id in rows]


async def _remembered(
    conn: AsyncConnection, fingerprint: Fingerprint, exclude_claim: str, limits: SearchLimits, memory: Memory
) -> list[Candidate] | None:
    """Search with the near matches taken from memory; None if memory cannot answer."""
    exact, recalled = await _both(conn, fingerprint, exclude_claim, limits, memory)
    for _ in range(_ROUNDS_MAX):
        if recalled is None:
            return None
        wanted, cosines = ranked(exact | recalled.looks(), fingerprint, limits)
        rows = await _read(conn, wanted)
        if not recalled.outdated(wanted, {photo_id: int(row.version) for photo_id, row in rows.items()}):
            return [_candidate(rows[photo_id], fingerprint, cosines) for photo_id in wanted if photo_id in rows]
        if await recalled.bury(conn):
            recalled = await memory.recall(fingerprint, exclude_claim, limits)
    return None


async def _both(
    conn: AsyncConnection, fingerprint: Fingerprint, exclude_claim: str, limits: SearchLimits, memory: Memory
) -> tuple[Looks, Recalled | None]:
    """Return the exact matches from the database and, run at the same time, the near matches from memory."""
    recalling = asyncio.ensure_future(memory.recall(fingerprint, exclude_claim, limits))
    try:
        exact = await _look(conn, fingerprint, exclude_claim, limits, near=False)
    except BaseException:
        recalling.cancel()
        raise
    return exact, await recalling


def ranked(looks: Looks, fingerprint: Fingerprint, limits: SearchLimits) -> tuple[list[str], dict[str, Nearness]]:
    """Return the candidates' ids, likeliest first, and the nearness of those found by descriptor.

    Exact matches, the nearest by PDQ and the whole picture's own neighbours keep their places; what else its parts
    resemble gets the places that are left.
    """
    exact = [photo_id for _, photo_id, _ in sorted(looks["exact"])]
    cosines = _by_descriptor(looks["descriptor"], fingerprint, limits)
    bits: dict[str, int] = {}
    for _, photo_id, distance in looks["pdq"]:
        bits[photo_id] = min(int(distance), bits.get(photo_id, NO_PDQ))
    by_excess = sorted(cosines, key=cosines.__getitem__, reverse=True)
    near = [photo_id for photo_id in sorted(bits, key=bits.__getitem__) if bits[photo_id] <= limits.pdq_bits_max]
    near = near[: limits.by_pdq]
    of_whole = sorted(((value, photo_id) for look, photo_id, value in looks["descriptor"] if look == 1), reverse=True)
    sure = {*exact, *near, *(photo_id for _, photo_id in of_whole[: limits.by_descriptor])}
    places = max(len(exact), limits.candidates_max)
    left = places - len(sure)
    wanted: list[str] = []
    for photo_id in dict.fromkeys(exact + near + by_excess):
        if photo_id not in sure:
            left -= 1
            if left < 0:
                continue
        wanted.append(photo_id)
    return wanted[:places], cosines


async def _read(conn: AsyncConnection, photo_ids: Sequence[str]) -> dict[str, Any]:
    """Return the rows that still exist, by photo id."""
    if not photo_ids:
        return {}
    return {str(row.photo_id): row for row in await conn.execute(_ROWS, {"ids": list(photo_ids)})}


async def _look(
    conn: AsyncConnection, fingerprint: Fingerprint, exclude_claim: str, limits: SearchLimits, *, near: bool = True
) -> Looks:
    """Query the database. near: by descriptor and PDQ as well as exactly."""
    await conn.execute(
        _SETTINGS, {"milliseconds": str(int(limits.seconds_max * 1000)), "scan": str(limits.hnsw_scan_tuples_max)}
    )
    vectors, hashes = [], []
    if near and not fingerprint.featureless:
        vectors = [fingerprint.descriptor, *(view.descriptor for view in fingerprint.views)]
        hashes = list(fingerprint.pdq_turned) if fingerprint.pdq_usable else []
    rows = await conn.execute(
        _statement(limits.exact_max, limits.by_descriptor, limits.by_pdq, limits.newest),
        {
            "claim": exclude_claim or "\n",  # an id that no row has: '' would exclude web and stock
            "sha256": fingerprint.sha256,
            "pixel_sha256": fingerprint.pixel_sha256,
            "model": fingerprint.descriptor_model,
            "vectors": [vector_text(vector) for vector in vectors],
            "breadths": [str(limits.hnsw_ef_search), *(str(limits.hnsw_ef_search_view) for _ in vectors[1:])][
                : len(vectors)
            ],
            "hashes": [bits_text(value) for value in hashes],
            "pdq_breadth": str(limits.hnsw_ef_search_pdq),
        },
    )
    # A row that both the index and the comparison of the newest rows return counts once.
    looks: dict[str, dict[tuple[int, str], float]] = {"exact": {}, "descriptor": {}, "pdq": {}}
    for row in rows:
        looks[row.way][int(row.look), str(row.photo_id)] = float(row.value)
    return {way: [(look, photo_id, value) for (look, photo_id), value in hits.items()] for way, hits in looks.items()}


@cache
def _statement(exact_max: int, by_descriptor: int, by_pdq: int, newest: int) -> TextClause:
    return text(
        _FIND.format(exact_max=int(exact_max), by_descriptor=int(by_descriptor), by_pdq=int(by_pdq), newest=int(newest))
    )


def _by_descriptor(
    hits: Sequence[tuple[int, str, float]], fingerprint: Fingerprint, limits: SearchLimits
) -> dict[str, Nearness]:
    """Return each photo's best nearness over the whole picture and its views, by photo_id."""
    crowds = [fingerprint.crowd, *(view.crowd for view in fingerprint.views)]
    by_view: dict[int, list[tuple[str, float]]] = {}
    for view, photo_id, cosine in hits:
        by_view.setdefault(view, []).append((photo_id, cosine))
    best: dict[str, Nearness] = {}
    for view, neighbours in by_view.items():
        neighbours.sort(key=lambda item: -item[1])
        keep = limits.by_descriptor if view == 1 else limits.by_view
        for photo_id, cosine in neighbours[:keep]:
            nearness_of_view = Nearness(cosine - crowds[view - 1], cosine, view - 1)
            best[photo_id] = max(best.get(photo_id, nearness_of_view), nearness_of_view)
    return best


def pdq_bits(fingerprint: Fingerprint, pdq: bytes) -> int:
    """Return the Hamming distance of a library picture's hash to the nearest of the photo's eight orientations, and of
    the same of its negative."""
    if not fingerprint.pdq_usable:
        return NO_PDQ
    other = np.frombuffer(pdq, dtype=np.uint8)
    turned = np.frombuffer(b"".join(fingerprint.pdq_turned), dtype=np.uint8).reshape(8, -1)
    bits = np.bitwise_count(turned ^ other).sum(axis=1)
    # The hash of a negative is the complement: as far from one as the picture is from the other's end of the scale.
    return min(int(bits.min()), PDQ_BITS - int(bits.max()))


def candidate_from(photo_id: str, picture: Fingerprint, fingerprint: Fingerprint, near: Nearness) -> Candidate:
    """Return a candidate made of a fingerprint in memory, for measuring without a database."""
    return Candidate(
        photo_id=photo_id,
        source="stock",
        owner_claim="",
        owner_subject="",
        reference="",
        preview_sha256="",
        same_bytes=picture.sha256 == fingerprint.sha256,
        same_pixels=picture.pixel_sha256 == fingerprint.pixel_sha256,
        pdq_bits=pdq_bits(fingerprint, picture.pdq) if picture.pdq_usable else NO_PDQ,
        cosine=near.cosine,
        cosine_excess=near.excess,
        view=near.view,
        keypoints=picture.keypoints,
        thumbnail=picture.thumbnail,
        width_px=picture.width_px,
        height_px=picture.height_px,
    )


def nearness(fingerprint: Fingerprint, descriptor: NDArray[np.float32]) -> Nearness:
    """Return the best nearness of a picture with that descriptor over the whole query and its views."""
    parts = [
        (fingerprint.descriptor, fingerprint.crowd),
        *((view.descriptor, view.crowd) for view in fingerprint.views),
    ]
    cosines = [(float(part @ descriptor), crowd) for part, crowd in parts]
    return max(Nearness(cosine - crowd, cosine, view) for view, (cosine, crowd) in enumerate(cosines))


def _candidate(row: Any, fingerprint: Fingerprint, cosines: dict[str, Nearness]) -> Candidate:
    near = cosines.get(row.photo_id, Nearness(0.0, 0.0, 0))
    if row.photo_id not in cosines and row.descriptor and row.descriptor_model == fingerprint.descriptor_model:
        near = nearness(fingerprint, np.array(row.descriptor.strip("[]").split(","), dtype=np.float32))
    grey = np.frombuffer(zlib.decompress(row.thumbnail), dtype=np.uint8)
    return Candidate(
        photo_id=row.photo_id,
        source=cast(Source, row.source),
        owner_claim=row.owner_claim,
        owner_subject=row.owner_subject,
        reference=row.reference,
        preview_sha256=row.preview_sha256,
        same_bytes=row.sha256 == fingerprint.sha256,
        same_pixels=row.pixel_sha256 == fingerprint.pixel_sha256,
        pdq_bits=NO_PDQ if row.pdq is None else pdq_bits(fingerprint, int(row.pdq, 2).to_bytes(32, "big")),
        cosine=near.cosine,
        cosine_excess=near.excess,
        view=near.view,
        keypoints=Keypoints.from_bytes(row.keypoints),
        thumbnail=grey.reshape(row.thumbnail_height, row.thumbnail_width),
        width_px=row.width_px,
        height_px=row.height_px,
    )

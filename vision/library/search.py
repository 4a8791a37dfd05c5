"""Finding the library's pictures that a photo might be a copy of. Signals only: `vision.photos` turns them into
verdicts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vision.fingerprint import Fingerprint
from vision.geometry import Keypoints
from vision.library.photos import Source, bits_text, vector_text

NO_PDQ: Final = 256  # bits: as far as can be; also where either picture has no usable PDQ


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How many neighbours each way of looking brings, and how many of them all are returned.

    hnsw_ef_search: breadth of the approximate search. Neighbours filtered out (the claim's own photos) are made up
    for by pgvector's iterative scan, up to `hnsw_scan_tuples_max`.
    """

    exact_max: int = 20
    by_descriptor: int = 5
    by_view: int = 2
    by_pdq: int = 2
    pdq_bits_max: int = 90
    candidates_max: int = 10
    hnsw_ef_search: int = 80
    hnsw_scan_tuples_max: int = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A picture of the library with what speaks for it.

    pdq_bits: Hamming distance of the nearest of eight orientations, 256 where not comparable. cosine: of the
    descriptors, the best over the whole picture and its views. cosine_excess: how far that is above the cosine of
    mere look-alikes (`vision.descriptor.DescriptorModel.crowd`).
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
    keypoints: Keypoints
    thumbnail: NDArray[np.uint8]
    width_px: int
    height_px: int


# Texts become vectors once, outside the lateral join: inside, a sequential scan would parse them anew for every row.
# A web or stock picture has owner_claim '' and so is never excluded: no claim has an empty id.
_EXACT: Final = text(
    """
    SELECT photo_id FROM library_photos
    WHERE owner_claim <> :claim AND (sha256 = :sha256 OR pixel_sha256 = :pixel_sha256)
    ORDER BY (sha256 = :sha256) DESC, published_at, photo_id LIMIT :k
    """
)
_BY_DESCRIPTOR: Final = text(
    """
    SELECT q.view, n.photo_id, n.cosine
    FROM unnest(CAST(CAST(:vectors AS text[]) AS halfvec(256)[])) WITH ORDINALITY AS q(vector, view)
    CROSS JOIN LATERAL (
        SELECT photo_id, 1 - (descriptor <=> q.vector) AS cosine
        FROM library_photos WHERE owner_claim <> :claim AND descriptor_model = :model AND descriptor IS NOT NULL
        ORDER BY descriptor <=> q.vector LIMIT :k
    ) AS n
    """
)
_BY_PDQ: Final = text(
    """
    SELECT n.photo_id, CAST(n.bits AS integer) AS bits
    FROM unnest(CAST(CAST(:hashes AS text[]) AS bit(256)[])) AS q(hash)
    CROSS JOIN LATERAL (
        SELECT photo_id, pdq <~> q.hash AS bits
        FROM library_photos WHERE owner_claim <> :claim AND pdq IS NOT NULL
        ORDER BY pdq <~> q.hash LIMIT :k
    ) AS n
    """
)
_ROWS: Final = text(
    """
    SELECT photo_id, source, owner_claim, owner_subject, reference, preview_sha256, sha256, pixel_sha256,
           CAST(pdq AS text) AS pdq, CAST(CAST(descriptor AS vector) AS text) AS descriptor, descriptor_model,
           keypoints, thumbnail, thumbnail_width, thumbnail_height, width_px, height_px
    FROM library_photos WHERE photo_id = ANY(CAST(:ids AS text[]))
    """
)


async def search(
    conn: AsyncConnection, fingerprint: Fingerprint, *, exclude_claim: str, limits: SearchLimits = SearchLimits()
) -> list[Candidate]:
    """Candidates, likeliest first: exact matches, then by descriptor and PDQ. A featureless picture has only exact
    ones.

    Sees whatever was committed before the call. Sets pgvector's search settings for the caller's transaction only.
    exclude_claim: that claim's own photos are left out; "" excludes none.
    """
    claim = exclude_claim or "\n"  # an id that no row has: '' would exclude web and stock
    found = await conn.execute(
        _EXACT,
        {
            "claim": claim,
            "sha256": fingerprint.sha256,
            "pixel_sha256": fingerprint.pixel_sha256,
            "k": limits.exact_max,
        },
    )
    exact = [str(row.photo_id) for row in found]
    cosines: dict[str, tuple[float, float]] = {}
    bits: dict[str, int] = {}
    if not fingerprint.featureless:
        await conn.execute(
            text(
                "SELECT set_config('hnsw.ef_search', :ef, true),"
                " set_config('hnsw.iterative_scan', 'strict_order', true),"
                " set_config('hnsw.max_scan_tuples', :scan, true)"
            ),
            {"ef": str(limits.hnsw_ef_search), "scan": str(limits.hnsw_scan_tuples_max)},
        )
        cosines = await _by_descriptor(conn, fingerprint, claim, limits)
        bits = await _by_pdq(conn, fingerprint, claim, limits)
    ranked = sorted(cosines, key=lambda photo_id: -cosines[photo_id][0])
    near = [photo_id for photo_id in sorted(bits, key=bits.__getitem__) if bits[photo_id] <= limits.pdq_bits_max]
    wanted = list(dict.fromkeys(exact + near[: limits.by_pdq] + ranked))[: max(len(exact), limits.candidates_max)]
    if not wanted:
        return []
    rows = {str(row.photo_id): row for row in await conn.execute(_ROWS, {"ids": wanted})}
    # A row may have gone between the two statements: its claim was erased, so it no longer counts.
    return [_candidate(rows[photo_id], fingerprint, cosines) for photo_id in wanted if photo_id in rows]


async def _by_descriptor(
    conn: AsyncConnection, fingerprint: Fingerprint, claim: str, limits: SearchLimits
) -> dict[str, tuple[float, float]]:
    """photo_id to (cosine, excess), the best over the whole picture and its views."""
    vectors = [fingerprint.descriptor, *(view.descriptor for view in fingerprint.views)]
    crowds = [fingerprint.crowd, *(view.crowd for view in fingerprint.views)]
    found = await conn.execute(
        _BY_DESCRIPTOR,
        {
            "vectors": [vector_text(vector) for vector in vectors],
            "claim": claim,
            "model": fingerprint.descriptor_model,
            "k": limits.by_descriptor,
        },
    )
    by_view: dict[int, list[tuple[str, float]]] = {}
    for row in found:
        by_view.setdefault(int(row.view), []).append((str(row.photo_id), float(row.cosine)))
    best: dict[str, tuple[float, float]] = {}
    for view, neighbours in by_view.items():
        neighbours.sort(key=lambda item: -item[1])
        keep = limits.by_descriptor if view == 1 else limits.by_view
        for photo_id, cosine in neighbours[:keep]:
            best[photo_id] = max(best.get(photo_id, (-1.0, 0.0)), (cosine, cosine - crowds[view - 1]))
    return best


async def _by_pdq(conn: AsyncConnection, fingerprint: Fingerprint, claim: str, limits: SearchLimits) -> dict[str, int]:
    """photo_id to bits, the nearest of the eight orientations."""
    if not fingerprint.pdq_usable:
        return {}
    hashes = [bits_text(value) for value in fingerprint.pdq_turned]
    best: dict[str, int] = {}
    for row in await conn.execute(_BY_PDQ, {"hashes": hashes, "claim": claim, "k": limits.by_pdq}):
        best[str(row.photo_id)] = min(int(row.bits), best.get(str(row.photo_id), NO_PDQ))
    return best


def pdq_bits(fingerprint: Fingerprint, pdq: bytes) -> int:
    """Hamming distance of the nearest of the photo's eight orientations to a library picture's hash."""
    if not fingerprint.pdq_usable:
        return NO_PDQ
    other = np.frombuffer(pdq, dtype=np.uint8)
    turned = np.frombuffer(b"".join(fingerprint.pdq_turned), dtype=np.uint8).reshape(8, -1)
    return int(np.bitwise_count(turned ^ other).sum(axis=1).min())


def candidate_from(photo_id: str, found: Fingerprint, fingerprint: Fingerprint, seen: tuple[float, float]) -> Candidate:
    """A candidate made of a fingerprint in memory, for measuring without a database. seen: cosine and its excess."""
    return Candidate(
        photo_id=photo_id,
        source="stock",
        owner_claim="",
        owner_subject="",
        reference="",
        preview_sha256="",
        same_bytes=found.sha256 == fingerprint.sha256,
        same_pixels=found.pixel_sha256 == fingerprint.pixel_sha256,
        pdq_bits=pdq_bits(fingerprint, found.pdq) if found.pdq_usable else NO_PDQ,
        cosine=seen[0],
        cosine_excess=seen[1],
        keypoints=found.keypoints,
        thumbnail=found.thumbnail,
        width_px=found.width_px,
        height_px=found.height_px,
    )


def _candidate(row: Any, fingerprint: Fingerprint, cosines: dict[str, tuple[float, float]]) -> Candidate:
    cosine, excess = cosines.get(row.photo_id, (0.0, 0.0))
    if row.photo_id not in cosines and row.descriptor and row.descriptor_model == fingerprint.descriptor_model:
        vector = np.array(row.descriptor.strip("[]").split(","), dtype=np.float32)
        every = [(fingerprint.descriptor, fingerprint.crowd), *((v.descriptor, v.crowd) for v in fingerprint.views)]
        cosine, excess = max((float(seen @ vector), float(seen @ vector) - crowd) for seen, crowd in every)
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
        cosine=cosine,
        cosine_excess=excess,
        keypoints=Keypoints.from_bytes(row.keypoints),
        thumbnail=grey.reshape(row.thumbnail_height, row.thumbnail_width),
        width_px=row.width_px,
        height_px=row.height_px,
    )

"""Limits of a library search and the form of its results, the same in PostgreSQL and in memory."""

from __future__ import annotations

from dataclasses import dataclass

# By kind of query (exact, descriptor, pdq): (number of the query from 1, photo_id, cosine or bits).
Looks = dict[str, list[tuple[int, str, float]]]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Limits on the neighbours that each kind of query returns, and on the candidates in total.

    by_descriptor: the whole picture's neighbours, which no neighbour of a part can crowd out: they have places of their
    own among `candidates_max`. by_view: a part's neighbours.

    hnsw_ef_search: breadth of the approximate search with the whole picture's descriptor, `_view` with those of its
    views, `_pdq` with the eight hashes. Descriptors that were trained to lie evenly are hard to walk through: of 60
    edited copies among 100,000 drawn photos, 80 found the original of 93%, 200 and 320 of 97%, 500 of 98%
    (docs/decisions/0006-library-index.md). Neighbours that are filtered out (the claim's own photos) are replaced by
    pgvector's iterative scan, up to `hnsw_scan_tuples_max`. newest: how many of the rows written last are compared one
    by one, because the graph may have no path to them: if many near-copies arrive at once, rows link only to one
    another. seconds_max: time limit of each statement, then SearchTimedOut.
    """

    exact_max: int = 20
    by_descriptor: int = 10
    by_view: int = 2
    by_pdq: int = 2
    pdq_bits_max: int = 90
    candidates_max: int = 20
    hnsw_ef_search: int = 500
    hnsw_ef_search_view: int = 200
    hnsw_ef_search_pdq: int = 80
    hnsw_scan_tuples_max: int = 20_000
    newest: int = 2_000
    seconds_max: float = 10.0

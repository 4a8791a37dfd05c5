"""Places among the candidates of a search, and which of them are compared point by point."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from fixtures import edits
from fixtures.caltech import as_picture
from fixtures.drawn_photos import changed, random_fingerprint
from vision.copies.fingerprint import Fingerprint, Fingerprinter, FingerprintLimits, PartView
from vision.copies.parts import PartBox
from vision.examine import ExamineLimits, compare
from vision.library.limits import Looks, SearchLimits
from vision.library.search import Nearness, candidate_from, nearness, ranked

LIMITS = SearchLimits()


def with_parts(count: int) -> Fingerprint:
    corners, grey = PartBox(0, 0, 8, 8).corners, np.zeros((8, 8), np.uint8)
    parts = tuple(
        PartView(corners, random_fingerprint(seed).descriptor, 0.2, grey, FingerprintLimits()) for seed in range(count)
    )
    return changed(random_fingerprint(99), views=parts)


def test_a_photo_with_many_parts_keeps_places_for_what_it_resembles_as_a_whole() -> None:
    """Twelve parts resemble two rows each, all better than the whole picture resembles its own neighbours."""
    query = with_parts(12)
    looks: Looks = {
        "exact": [],
        "pdq": [(1, "near", 40.0)],
        "descriptor": [(1, f"whole-{n}", 0.5 - n / 100) for n in range(10)]
        + [(view, f"part-{view}-{n}", 0.9) for view in range(2, 14) for n in range(2)],
    }
    wanted, _ = ranked(looks, query, LIMITS)
    assert len(wanted) == LIMITS.candidates_max
    assert {"near", *(f"whole-{n}" for n in range(10))} <= set(wanted)
    assert wanted[0] == "near"
    assert wanted[1].startswith("part-")  # the likeliest first, all the same
    assert wanted[-1] == "whole-9"


@given(
    exact=st.integers(0, 20),
    parts=st.integers(0, 13),
    whole=st.integers(0, 42),
    cosines=st.lists(st.floats(-1, 1), min_size=70, max_size=70),
)
def test_exact_matches_and_the_wholes_neighbours_are_never_crowded_out(
    exact: int, parts: int, whole: int, cosines: list[float]
) -> None:
    query = with_parts(parts)
    looks: Looks = {
        "exact": [(n, f"exact-{n}", 0.0) for n in range(exact)],
        "pdq": [],
        "descriptor": [(1, f"whole-{n}", cosines[n]) for n in range(whole)]
        + [(view + 2, f"part-{view}-{n}", cosines[42 + view]) for view in range(parts) for n in range(2)],
    }
    wanted, _ = ranked(looks, query, LIMITS)
    assert len(wanted) == len(set(wanted)) <= max(exact, LIMITS.candidates_max)
    assert wanted[:exact] == [f"exact-{n}" for n in range(exact)]
    nearest = sorted(range(whole), key=lambda n: -cosines[n])[: LIMITS.by_descriptor]
    kept = sum(name.startswith("whole-") for name in wanted)
    assert kept >= min(len(nearest), LIMITS.candidates_max - exact)
    if exact + len(nearest) <= LIMITS.candidates_max:
        assert {f"whole-{n}" for n in nearest if cosines[n] > min(cosines[n] for n in nearest)} <= set(wanted)


def test_every_candidate_that_is_kept_is_compared_by_its_points() -> None:
    assert ExamineLimits().verify_max == SearchLimits().candidates_max == SearchLimits().exact_max


def test_once_a_copy_is_proven_only_mere_look_alikes_are_left_uncompared() -> None:
    """One picture lies in three claims: all three are reported, although the first would be proof enough."""
    make = Fingerprinter()
    originals = [
        data.chelsea(),
        edits.through_jpeg(data.chelsea(), 40),
        edits.through_jpeg(data.chelsea()[20:, 20:], 80),
    ]
    prints = [make.fingerprint(as_picture(np.ascontiguousarray(pixels)), f"{n:064x}")
              for n, pixels in enumerate([*originals, data.coffee()])]  # fmt: skip
    sent = edits.apply("recoloured", data.chelsea(), np.random.default_rng(1))
    query = make.fingerprint(as_picture(sent), "f" * 64)
    candidates = [
        candidate_from(str(n), each, query, nearness(query, each.descriptor)) for n, each in enumerate(prints)
    ]
    relations = {relation.photo_id: relation for relation in compare(query, candidates, "")}
    assert all(relations[name].inliers >= 40 for name in "012")
    assert relations["3"].inliers == 0
    # The same print without a likeness: compared where nothing is proven, not after a proof.
    unlike = candidate_from("9", prints[1], query, Nearness(0.0, 0.0, 0))
    unlike_far = type(unlike)(**{name: getattr(unlike, name) for name in type(unlike).__slots__} | {"pdq_bits": 256})
    alone = compare(query, [unlike_far], "")
    after = compare(query, [candidates[0], unlike_far], "")
    assert alone[0].inliers >= 40
    assert [relation.inliers for relation in after if relation.photo_id == "9"] == [0]

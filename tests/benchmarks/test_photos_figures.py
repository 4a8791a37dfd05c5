"""The figures by source, and the fused peers, over outcomes made up by Hypothesis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.photos_baselines import PeerPair, normalised, sift_inliers, with_peers
from benchmarks.photos_figures import QueryOutcome, by_source, small_sources, source_figures, verdicts
from benchmarks.retrieval import Answer
from claims.evidence import PhotoVerdict
from fixtures.caltech import as_picture
from fixtures.scenes import scene
from vision.copies.fingerprint import Fingerprinter

COUNTS = ("copies", "honest", "edited_strangers", "honest_maybe_photos", "honest_named", "copies_called_same_scene")


def outcome(
    photo: int,
    source: str,
    edit: str,
    score: float,
    *,
    right: bool = True,
    verdict: PhotoVerdict | None = PhotoVerdict.UNSEEN,
    before_a_person: bool = False,
) -> QueryOutcome:
    """An outcome of an edited copy, or of an honest photo where `edit` is empty."""
    copied = bool(edit)
    answer = Answer(edit, copied, score, copied and right)
    return QueryOutcome(
        photo=photo,
        source=source,
        edit=edit,
        in_library=copied,
        answers={"fused": answer, "descriptor": answer},
        verdict=verdict,
        accused_of=photo if right else photo + 1,
        before_a_person=before_a_person,
        candidate=copied,
    )


outcomes = st.lists(
    st.builds(
        outcome,
        st.integers(0, 20),
        st.sampled_from(["fruit", "clothes", "park"]),
        st.sampled_from(["", "mirrored", "collage"]),
        st.sampled_from([0.1, 0.6, 0.995]),
        right=st.booleans(),
        verdict=st.sampled_from([None, PhotoVerdict.UNSEEN, PhotoVerdict.SIMILAR, PhotoVerdict.EDITED_COPY]),
        before_a_person=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(outcomes)
def test_the_sources_sum_to_all(drawn: list[QueryOutcome]) -> None:
    parts, whole = by_source(drawn), source_figures(drawn)
    for name in COUNTS:
        assert sum(part[name] for part in parts.values()) == whole[name]
    for name, of in (
        ("named_at_99", "copies"),
        ("named_or_maybe", "copies"),
        ("search_top", "copies"),
        ("honest_maybe", "honest"),
    ):
        summed = sum(part[name] * part[of] for part in parts.values() if part[of])
        assert (whole[name] or 0.0) * whole[of] == pytest.approx(summed, abs=1e-2)
    small = small_sources(drawn)
    assert small["sources"] == list(parts)
    assert small["copies"] == whole["copies"]


@given(outcomes)
def test_what_the_product_names_is_the_same_by_source_and_as_a_whole(drawn: list[QueryOutcome]) -> None:
    told = verdicts(drawn)
    whole = source_figures(drawn)
    assert told["copies_found"] == pytest.approx(whole["named_at_99"] or 0.0)
    assert told["copies_before_a_person"] == whole["named_or_maybe"]
    assert told["honest_before_a_person"]["accused"] == whole["honest_maybe_photos"]


def test_a_source_s_cut_off_is_its_own() -> None:
    """A stranger of one source that scores high costs that source its recall, and no other."""
    drawn = [
        outcome(1, "fruit", "mirrored", 0.9),
        outcome(2, "fruit", "", 0.95, right=False),
        outcome(3, "clothes", "mirrored", 0.9),
    ]
    figures = by_source(drawn)
    assert figures["fruit"]["recall_at_p99"] == 0.0
    assert figures["clothes"]["recall_at_p99"] == 1.0


def test_a_source_without_copies_or_without_honest_photos_has_no_such_figure() -> None:
    figures = by_source([outcome(1, "fruit", "", 0.1), outcome(3, "clothes", "mirrored", 0.9)])
    assert figures["fruit"]["recall_at_p99"] is None
    assert figures["fruit"]["named_at_99"] is None
    assert figures["clothes"]["honest_maybe"] is None


def test_normalised_similarities_lose_the_mean_of_the_second_to_the_seventh_neighbour() -> None:
    similarity = np.array([0.1, 0.9, 0.3, 0.2, 0.5, 0.4, 0.6, 0.7, 0.0])
    expected = similarity - np.mean([0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    assert normalised(similarity) == pytest.approx(expected)


def test_a_fused_peer_learns_which_candidates_are_originals_from_the_other_half_of_the_photos() -> None:
    rng = np.random.default_rng(3)
    drawn, pairs = [], []
    for photo in range(60):
        drawn.append(replace(outcome(photo, "fruit", "mirrored", 0.0), answers={}))
        right = PeerPair(photo, (float(rng.normal(0.3, 0.2)), 0.5, float(rng.normal(3, 0.6))))
        wrong = PeerPair(photo + 100, (float(rng.normal(0.3, 0.2)), 0.5, float(rng.normal(1, 0.6))))
        pairs.append({"peer": (wrong, right) if photo % 2 else (right, wrong)})
    judged = with_peers([*drawn, replace(outcome(70, "fruit", "", 0.0), answers={})], [*pairs, {"peer": ()}])
    assert sum(each.answers["peer"].right for each in judged) >= 54
    assert judged[-1].answers["peer"].score == -np.inf


def test_inliers_of_the_peer_tell_a_mirrored_copy_from_another_picture() -> None:
    fingerprinter = Fingerprinter()
    first, mirrored, other = (
        fingerprinter.fingerprint(as_picture(np.ascontiguousarray(pixels)), "00").keypoints
        for pixels in (scene(1), scene(1)[:, ::-1], scene(2))
    )
    assert sift_inliers(mirrored, first) > 30
    assert sift_inliers(other, first) < 10

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.retrieval import Answer, mu_ap, rate_per_10k, recall_at_precision, recall_at_zero_fp

answers = st.lists(
    st.builds(
        lambda in_library, score, right: Answer("crop" if in_library else "", in_library, score, in_library and right),
        st.booleans(),
        st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
).filter(lambda drawn: any(answer.in_library for answer in drawn))


@given(answers)
def test_mu_ap_is_average_precision_of_the_named_times_the_share_of_copies_named(drawn: list[Answer]) -> None:
    right = [answer.right for answer in drawn]
    expected = 0.0
    if any(right):
        precision = average_precision_score(right, [answer.score for answer in drawn])
        expected = precision * sum(right) / sum(answer.in_library for answer in drawn)
    assert mu_ap(drawn) == pytest.approx(expected, abs=1e-4)


@given(answers)
def test_recall_at_a_precision_is_the_best_of_all_cut_offs_that_hold_it(drawn: list[Answer]) -> None:
    copies = sum(answer.in_library for answer in drawn)
    best = 0.0
    for cut in {answer.score for answer in drawn}:
        named = [answer for answer in drawn if answer.score >= cut]
        if sum(answer.right for answer in named) >= 0.99 * len(named):
            best = max(best, sum(answer.right for answer in named) / copies)
    assert recall_at_precision(drawn)["all"] == pytest.approx(best, abs=1e-3)


@given(answers)
def test_at_no_wrong_answer_a_wrong_one_of_the_same_score_counts_against_the_right_ones(drawn: list[Answer]) -> None:
    surest_wrong = max((answer.score for answer in drawn if not answer.right), default=-np.inf)
    kept = sum(answer.right and answer.score > surest_wrong for answer in drawn)
    assert recall_at_zero_fp(drawn)["all"] == pytest.approx(kept / sum(answer.in_library for answer in drawn), abs=1e-3)


def test_a_query_that_nothing_was_named_for_is_a_copy_not_found() -> None:
    named = [Answer("crop", True, -np.inf, False), Answer("crop", True, 0.8, True)]
    assert recall_at_precision(named)["crop"] == 0.5
    assert mu_ap(named) == 0.5


def test_no_event_in_three_thousand_bounds_the_rate_at_ten_in_ten_thousand() -> None:
    assert rate_per_10k(0, 3000) == {"rate": 0.0, "upper_95": 9.98, "accused": 0, "photos": 3000}


def test_a_rate_of_one_is_bounded_by_one() -> None:
    assert rate_per_10k(5, 5)["upper_95"] == 10_000

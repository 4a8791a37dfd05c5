"""Character errors against the nearest stretch of what was read: an oracle that tries every stretch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.documents import character_error_rate


def edits(first: str, other: str) -> int:
    """Returns Levenshtein's distance, computed as in the textbook."""
    before = list(range(len(other) + 1))
    for row, character in enumerate(first, start=1):
        now = [row]
        for column, there in enumerate(other, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (character != there)))
        before = now
    return before[-1]


def nearest(text: str, page: str) -> int:
    stretches = [page[start:end] for start in range(len(page) + 1) for end in range(start, len(page) + 1)]
    return min(edits(text, stretch) for stretch in stretches)


@given(st.text("abc", max_size=6), st.text("abc", max_size=8))
def test_a_string_counts_by_the_stretch_that_is_nearest(text: str, page: str) -> None:
    assert character_error_rate([text], page) * max(1, len(text)) == pytest.approx(nearest(text, page))


def test_spaces_and_widths_are_no_errors_and_a_missing_string_is_all_errors() -> None:
    assert character_error_rate(["合计：１２.50"], "抬头\n合 计:12.50 元") == 0.0
    assert character_error_rate(["甲乙", "丙"], "") == 1.0

from __future__ import annotations

import pytest

from api.http.headers import trace_id_of
from api.http.languages import preferred

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_callers_trace_is_taken_up() -> None:
    assert trace_id_of(f"00-{TRACE}-00f067aa0ba902b7-01") == TRACE


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
    ],
)
def test_a_broken_traceparent_starts_a_new_trace(broken: str) -> None:
    fresh = trace_id_of(broken)
    assert len(fresh) == 32
    assert fresh != TRACE
    assert fresh != trace_id_of(broken)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.5, zh;q=0.9", "zh"),
        ("fr, en;q=0.3, zh;q=0.2", "en"),
        ("de", "en"),
        ("zh;q=broken", "en"),
        (";;;,,,", "en"),
    ],
)
def test_texts_come_in_the_language_that_the_client_reads_best(header: str, language: str) -> None:
    assert preferred(header) == language

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claims.evidence import WindowCount
from claims.fraud.windows import WINDOWS, WindowLimit, count_of, over_limits, uncounted

LIMIT = WindowLimit(key="device", window_days=7, claims_max=3, claimants_max=2)


@given(st.integers(0, 9), st.integers(0, 9))
def test_count_is_over_its_limit_when_claims_or_claimants_are(claims: int, claimants: int) -> None:
    found = over_limits([WindowCount("device", 7, claims, claimants)], [LIMIT])
    assert bool(found) == (claims > 3 or claimants > 2)


def test_other_window_or_key_does_not_count() -> None:
    assert over_limits([WindowCount("device", 30, 9, 9), WindowCount("payee", 7, 9, 9)], [LIMIT]) == ()


def test_key_that_the_claim_carries_and_nobody_counted_is_named() -> None:
    assert uncounted([], [LIMIT], frozenset({"device"})) == ("device",)
    assert uncounted([], [LIMIT], frozenset({"payee"})) == ()
    assert uncounted([WindowCount("device", 7, 0, 0)], [LIMIT], frozenset({"device"})) == ()


def test_windows_are_named_once() -> None:
    assert len(WINDOWS) == len(set(WINDOWS))
    assert count_of([WindowCount("device", 7, 1, 1)], "device", 7) == (WindowCount("device", 7, 1, 1),)

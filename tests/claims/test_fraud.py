from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.claim import Claim
from claims.errors import InvalidSignal, UnknownSignal
from claims.evidence import WindowCount
from claims.fraud.signals.registry import SIGNALS
from claims.fraud.signals.signal import Signal, StatedField
from claims.fraud.windows import WINDOWS, WindowLimit, count_of, over_limits, uncounted
from claims.rules import RULES, Rules
from claims.store.tables import claims
from claims.texts import DEFAULT
from claims.texts import texts as catalogue
from claims.wire import from_plain, to_plain

LIMIT = WindowLimit(key="device", window_days=7, claims_max=3, claimants_max=2)


@given(st.integers(0, 9), st.integers(0, 9))
def test_count_is_over_its_limit_when_claims_or_claimants_are(claims: int, claimants: int) -> None:
    exceeded = over_limits([WindowCount("device", 7, claims, claimants)], [LIMIT])
    assert bool(exceeded) == (claims > 3 or claimants > 2)


def test_other_window_or_key_does_not_count() -> None:
    assert over_limits([WindowCount("device", 30, 9, 9), WindowCount("payee", 7, 9, 9)], [LIMIT]) == ()


def test_key_that_the_claim_carries_and_nobody_counted_is_named() -> None:
    assert uncounted([], [LIMIT], frozenset({"device"})) == ("device",)
    assert uncounted([], [LIMIT], frozenset({"payee"})) == ()
    assert uncounted([WindowCount("device", 7, 0, 0)], [LIMIT], frozenset({"device"})) == ()


def test_a_limit_on_a_signal_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownSignal, match="no fraud signal 'telephone'; known: device, payee, address"):
        WindowLimit(key="telephone", window_days=7, claims_max=3, claimants_max=2)
    recorded = {**to_plain(RULES), "fraud_limits": [{**to_plain(LIMIT), "key": "telephone"}]}
    with pytest.raises(UnknownSignal, match="telephone"):
        from_plain(Rules, recorded)


def test_a_signal_counts_by_what_claims_state() -> None:
    with pytest.raises(InvalidSignal, match="claims state no shoe_size; they state policy_id"):
        Signal(name="shoes", fields=("shoe_size",), reason="shoes_shared")  # type: ignore[arg-type]
    with pytest.raises(InvalidSignal, match="no field"):
        Signal(name="nothing", fields=(), reason="nothing_shared")
    texts = {field.name for field in fields(Claim) if field.type == "str"}
    assert set(get_args(StatedField)) == texts - {"id"}
    assert set(get_args(StatedField)) <= set(claims.c.keys())


def test_every_signal_has_a_reason_of_its_own_and_words() -> None:
    assert len({signal.reason for signal in SIGNALS.values()}) == len(SIGNALS)
    assert set(catalogue(DEFAULT).names("shared")) == set(SIGNALS)


def test_windows_are_named_once() -> None:
    assert len(WINDOWS) == len(set(WINDOWS))
    assert count_of([WindowCount("device", 7, 1, 1)], "device", 7) == (WindowCount("device", 7, 1, 1),)

"""A short run of the state machine; `make machine` runs it at length."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.machine.running import hunt, started

RUNS = int(os.environ.get("MIAOPEI_MACHINE_RUNS", "50"))


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with started(tmp_path_factory.mktemp("measured")):
        yield


@pytest.mark.usefixtures("_house")
def test_nothing_is_paid_twice_and_nothing_lost_whatever_happens_in_whatever_order() -> None:
    outcome = hunt(RUNS)
    assert outcome.violation is None, str(outcome.violation)
    assert outcome.tally.payouts > 0
    assert len(outcome.tally.deaths) > 1, "processes were to be killed"

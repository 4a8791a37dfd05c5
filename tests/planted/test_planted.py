"""The list of faults still fits the source, the working tree is left alone, and the cheapest faults are really found.
`python -m tests.planted` plants all of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.planted.faults import ROOT, DoesNotApply, Edit, Fault, every
from tests.planted.planting import copy_of, hunt_for, plant

NAMES = [fault.name for fault in every()]
# Found within a few runs.
CHEAP = ("no-message-in-the-outbox", "no-record-claim.submitted")


def test_every_fault_applies_to_the_source_as_it_is() -> None:
    assert len(set(NAMES)) == len(NAMES)
    with copy_of() as tree:
        originals = {edit.path: (tree / edit.path).read_text() for fault in every() for edit in fault.edits}
        for fault in every():
            plant(fault, tree)
            for path in dict.fromkeys(edit.path for edit in fault.edits):
                assert (tree / path).read_text() != originals[path], fault.name
                (tree / path).write_text(originals[path])
    for path, text in originals.items():
        assert (ROOT / path).read_text() == text, f"{path} of the working tree was changed"


def test_each_record_of_the_life_of_a_claim_and_its_money_is_left_out_once() -> None:
    actions = {name.removeprefix("no-record-") for name in NAMES if name.startswith("no-record-")}
    assert actions >= {
        "claim.created", "claim.submitted", "claim.decided", "claim.withdrawn", "claim.appealed", "claim.erased",
        "payout.paid", "payout.failed", "policy.recorded", "claimant.recorded",
    }  # fmt: skip


def test_a_fault_that_no_longer_fits_the_source_is_an_error_and_not_a_pass(tmp_path: Path) -> None:
    gone = Fault("gone", "nothing", (Edit("claims/money.py", "no such text", ""),), ("unhandled",))
    with copy_of() as tree, pytest.raises(DoesNotApply, match=r"claims/money\.py"):
        plant(gone, tree)
    result = hunt_for(gone, tmp_path, runs=1, seed=0)
    assert not result.ok
    assert result.error


@pytest.mark.parametrize("name", CHEAP)
def test_a_planted_fault_is_found(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = _changes()
    fault = next(planted for planted in every() if planted.name == name)
    result = hunt_for(fault, tmp_path_factory.getbasetemp() / "planted-measured", runs=40, seed=0)
    assert result.ok, result
    assert result.by in fault.codes
    assert _changes() == before


def _changes() -> str:
    return subprocess.run(["git", "status", "--short"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

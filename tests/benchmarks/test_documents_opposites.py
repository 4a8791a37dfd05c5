"""The tables of papers that must not be paid: counted by hand, and what counts as accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.benches import CannotMeasure
from benchmarks import documents, unseen_labels
from benchmarks.documents_opposites import PageOutcome, judged, tables, taken_as_paid, vouched
from fixtures.papers.flat import flat_paper
from fixtures.papers.opposites.pages import GROUPS, Group, MadePage, WantedPage
from fixtures.papers.render import layouts_of
from vision.documents import PaperReading
from vision.documents.gate import accepted
from vision.documents.kinds.catalogue import load_catalogue
from vision.measurement import Unmeasured

UNREAD: Final = Unmeasured("no readable print")


def _reading() -> tuple[PaperReading, dict[str, str]]:
    paper = flat_paper("outpatient_invoice", layouts_of("outpatient_invoice", "build")[0], 11)
    return unseen_labels.read(paper, load_catalogue()), dict(paper.truth)


def _page(group: Group, kind: str, truth: dict[str, str], currency: str = "CNY") -> MadePage:
    return MadePage(WantedPage(group, kind, 0), "outpatient_invoice", b"", truth, "paid", currency, 1, "", "", {})


def _outcome(group: Group, kind: str, *, taken: bool, right: bool = True, currency: str = "CNY") -> PageOutcome:
    return PageOutcome(WantedPage(group, kind, 0), currency, taken, taken, right, "CNY")


def test_a_page_is_taken_as_paid_when_the_gate_accepts_it_and_not_when_it_does_not() -> None:
    reading, _ = _reading()
    assert accepted(reading)
    assert vouched(reading)
    assert taken_as_paid(reading)
    assert not taken_as_paid(replace(reading, missing_fields=("total_minor",)))
    assert not taken_as_paid(UNREAD)


def test_a_page_is_judged_by_what_it_shows() -> None:
    reading, truth = _reading()
    assert judged(_page("honest", "plain", truth), reading).right
    assert not judged(_page("honest", "plain", {**truth, "total_minor": "1"}), reading).right
    unread = judged(_page("honest", "plain", truth), UNREAD)
    assert (unread.taken, unread.right, unread.currency_read) == (False, False, "")


def test_the_tables_count_accepted_pages_by_kind() -> None:
    outcomes = [
        _outcome("not_payable", "void_slip", taken=True),
        _outcome("not_payable", "void_slip", taken=False),
        _outcome("not_payable", "estimate", taken=False),
        _outcome("foreign", "USD", taken=True, currency="USD"),
        _outcome("foreign", "JPY", taken=False, currency="JPY"),
        _outcome("two_in_one", "vet_bills_above", taken=True),
        _outcome("honest", "plain", taken=True),
        _outcome("honest", "plain", taken=True, right=False),
        _outcome("honest", "margin_notes", taken=False),
    ]
    assert tables(outcomes, GROUPS) == {
        "not_payable_accepted": {"all": [1, 3], "void_slip": [1, 2], "estimate": [0, 1]},
        "currency_wrong_accepted": [1, 2],
        "currency_read": {"all": [0, 2], "USD": [0, 1], "JPY": [0, 1]},
        "two_in_one_accepted": {"all": [1, 1], "vet_bills_above": [1, 1]},
        "honest_counterparts": {"all": [2, 3], "plain": [2, 2], "margin_notes": [0, 1]},
        "honest_accepted_right": [1, 2],
    }
    assert set(tables(outcomes, ("honest",))) == {"honest_counterparts", "honest_accepted_right"}


def test_a_foreign_paper_accepted_in_its_own_currency_is_not_wrong() -> None:
    own = PageOutcome(
        WantedPage("foreign", "USD", 0), "USD", taken=False, vouched=True, right=True, currency_read="USD"
    )
    assert tables([own], ("foreign",)) == {
        "currency_wrong_accepted": [0, 1],
        "currency_read": {"all": [1, 1], "USD": [1, 1]},
    }


def test_an_unknown_part_and_families_without_a_folder_are_refused() -> None:
    with pytest.raises(CannotMeasure, match="there are: papers, forgeries, memory, not_payable"):
        documents.run(quick=True, parts=("nothing",))
    with pytest.raises(CannotMeasure, match="--folder"):
        documents.run(quick=True, parts=("families",))


def test_parts_belong_to_the_bench_of_documents_and_are_named_in_its_help(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["bench", "photos", "--parts", "papers", "--folder", str(tmp_path)])
    assert refused.exit_code != 0
    assert "--parts belongs to" in refused.output
    unknown = CliRunner().invoke(app, ["bench", "documents", "--parts", "nothing"])
    assert unknown.exit_code != 0
    assert all(part in unknown.output for part in documents.PARTS)

"""A field with an unknown label stays unread and never gets another value that is relied on."""

from __future__ import annotations

import pytest

from benchmarks import unseen_labels
from fixtures.papers.flat import flat_paper
from fixtures.papers.marks import relied_on_right
from fixtures.papers.render import KINDS, layouts_of
from vision.documents.kinds.catalogue import load_catalogue

# Layouts some of whose pages name no day but that of printing, which is doubted.
DAY_OF_PRINTING = {"vet_sheet_blind"}


@pytest.mark.parametrize("kind", KINDS)
def test_print_without_a_fault_is_read_as_it_stands(kind: str) -> None:
    for layout in layouts_of(kind, "build"):
        paper = flat_paper(kind, layout, 11)
        reading = unseen_labels.read(paper, load_catalogue())
        assert (reading.kind, reading.missing_fields) == (kind, ()), layout.name
        doubts = [doubt.reason for doubt in reading.doubtful]
        if layout.name in DAY_OF_PRINTING:
            doubts = [doubt for doubt in doubts if not doubt.endswith("is the day of printing")]
        assert doubts == [], layout.name
        assert all(check.passed for check in reading.checks), layout.name
        assert relied_on_right(reading, paper.truth), layout.name


def test_no_page_with_an_unknown_label_is_accepted_with_a_wrong_value() -> None:
    figures = unseen_labels.measure(seeds=1)
    assert figures["all"]["pages"] > 250
    assert figures["all"]["accepted"] > 0
    assert figures["all"]["wrong_accepted"] == 0

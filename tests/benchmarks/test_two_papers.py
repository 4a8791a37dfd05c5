"""The pairs that two papers are measured on are pairs, and the single papers single; a few of both are judged."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks import two_papers
from vision.documents.kinds.catalogue import load_catalogue


@pytest.mark.parametrize("way", [way for way in two_papers.WAYS if way != "cut"])
def test_a_pair_has_the_print_of_both_papers(way: str) -> None:
    first, second = (two_papers.sheet("pet_card", 0, seed, 30) for seed in (1, 2))
    printed = {line.text for line in two_papers.pair(first, second, way, Random(3))}
    assert {text for text, _ in second.strings} <= printed
    assert printed != {text for text, _ in second.strings}


def test_a_second_paper_that_is_cut_off_has_lost_some_of_its_print() -> None:
    first, second = (two_papers.sheet("vet_invoice", 0, seed, 30) for seed in (1, 2))
    laid = two_papers.pair(first, second, "cut", Random(3))
    assert len(first.strings) < len(laid) < len(first.strings) + len(second.strings)


@pytest.mark.parametrize("kind", ["vet_invoice", "receipt", "parcel_slip", "pet_card"])
@pytest.mark.parametrize("way", ["beside", "above"])
def test_two_papers_of_one_layout_are_not_accepted_as_one(kind: str, way: str) -> None:
    random = Random(f"{kind} {way}")
    lines = two_papers.pair(*(two_papers.sheet(kind, 0, seed, 40) for seed in (31, 32)), way, random)
    result, why, _ = two_papers.judged(two_papers.page_of(lines, random), load_catalogue())
    assert result != "accepted", why


@pytest.mark.parametrize("kind", ["outpatient_invoice", "vet_invoice", "receipt", "parcel_slip", "pet_card"])
def test_one_paper_is_not_taken_for_two(kind: str) -> None:
    page = two_papers.page_of(two_papers.laid(two_papers.sheet(kind, 0, 33, 40)), Random(kind), slips=False)
    assert two_papers.judged(page, load_catalogue())[0] == "accepted"

"""How the figures of a nose finder are counted, on rows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nose_baselines import MeanNose
from benchmarks.nose_finders import FinderRow, by_species, look, overlap, recalls
from fixtures.pet_faces import MarkedPhoto, close_up


def row(species: str, width_px: float, overlap: float, confidence: float = 0.9, nostrils: float = 0.03) -> FinderRow:
    return FinderRow(
        "a.jpg", species, "black", "frontal", width_px, overlap, confidence, nostrils, 0.8, species, "frontal"
    )


def marked(width: int = 200, height: int = 100) -> MarkedPhoto:
    pixels = np.zeros((height, width, 3), np.uint8)
    box = (80.0, 40.0, 120.0, 60.0)
    return MarkedPhoto("a.jpg", pixels, "cat", "frontal", "pink", "g", True, box, (90.0, 50.0), (110.0, 50.0))


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 1 / 3),
        ((10, 0, 20, 10), 0.0),
        ((30, 30, 40, 40), 0.0),
        ((0, 0, 10, 5), 0.5),
    ],
)
def test_the_overlap_of_two_boxes(other: tuple[float, float, float, float], value: float) -> None:
    assert overlap((0, 0, 10, 10), other) == pytest.approx(value)
    assert overlap(other, (0, 0, 10, 10)) == pytest.approx(value)


def test_a_nose_half_missed_or_unsure_is_not_found_and_its_nostrils_are_not_counted() -> None:
    rows = [row("dog", 50, 0.9), row("dog", 60, 0.4, nostrils=0.5), row("dog", 90, 0.8, 0.1, 0.5), row("dog", 30, 0.7)]
    figures = by_species(rows, 0.4)["dog"]
    assert figures["recall"] == pytest.approx(1 / 3, abs=1e-4)
    assert (figures["n"], figures["recall_20_to_40_px"], figures["n_20_to_40_px"]) == (3, 1.0, 1)
    assert (figures["nostril_error"], figures["n_nostrils"]) == (0.03, 2)
    assert by_species(rows, 0.4)["cat"]["recall"] is None


def test_widths_below_20_px_are_told_apart() -> None:
    table = recalls([row("cat", 15, 0.0), row("cat", 25, 0.9)], 0.4)
    assert table["by_species_and_width"]["cat"]["0-20px"] == {"found": 0.0, "n": 1}
    assert table["by_colour"]["black"] == {"found": 1.0, "n": 1}


def test_a_finder_that_knows_the_mean_nose_finds_the_mean_nose_only() -> None:
    photo = marked()
    assert photo.box is not None
    baseline = MeanNose.of([(photo.box, (200, 100))])
    rows = look(baseline, [photo, marked(400, 100)])
    assert rows[0].overlap == pytest.approx(1.0)
    assert rows[1].overlap < 0.5
    assert rows[0].nostrils < 0.05


def test_a_close_up_keeps_the_marks_on_the_nose() -> None:
    near = close_up(marked())
    assert near.pixels.shape == (80, 80, 3)
    assert (near.box, near.left, near.right) == ((20.0, 30.0, 60.0, 50.0), (30.0, 40.0), (50.0, 40.0))

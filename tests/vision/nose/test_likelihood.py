"""The fusion of scores: bounded by what its animals can show, and a threshold that rises with the number of pets."""

from __future__ import annotations

import json
import math

import pytest

from vision.nose import NoseReader
from vision.nose.likelihood import RENDERS, ImpostorTail, NoseLikelihood, load_likelihood

TAIL = ImpostorTail(start=-1.0, share=0.05, scale=0.4, comparisons=1000)
FUSION = NoseLikelihood(
    bias=-20.0, similarity_weight=40.0, inliers_weight=1.5, log10_min=-1.5, log10_max=2.5, valid_for=RENDERS,
    provisional=False, animals=100, sessions=500, genuine=200, impostors=1000, similarity_min=0.1,
    similarity_max=0.9, model="nose_print@0123456789ab", tail=TAIL,
)  # fmt: skip


def test_the_ratio_rises_with_either_score_and_stops_where_the_data_stop() -> None:
    assert FUSION.log10(0.2, 0) == -1.5
    assert FUSION.log10(0.9, 60) == 2.5
    middle = FUSION.log10(0.45, 5)
    assert middle == pytest.approx((-20 + 40 * 0.45 + 1.5 * math.log(6)) / math.log(10))
    assert FUSION.log10(0.45, 9) > middle < FUSION.log10(0.46, 5)


def test_the_threshold_of_a_search_rises_so_that_false_alarms_stay_constant() -> None:
    sizes = (1, 100, 1_000, 100_000)
    scores = [FUSION.search_score_min(size, 0.01) for size in sizes]
    assert scores == sorted(scores)
    for size, score in zip(sizes[1:], scores[1:], strict=True):
        exceed = TAIL.share * math.exp((TAIL.start - score) / TAIL.scale)
        assert size * exceed == pytest.approx(0.01)
    assert TAIL.extrapolated_by(0.01 / 100_000) == pytest.approx(10_000)
    assert TAIL.extrapolated_by(0.01) < 1


def test_it_reads_back_as_it_was_written_and_nothing_else_is_read() -> None:
    assert NoseLikelihood.from_json(FUSION.to_json()) == FUSION
    content = json.loads(FUSION.to_json())
    for wrong in ({}, content | {"format": 2}, {k: v for k, v in content.items() if k != "tail"}, content | {"x": 1}):
        with pytest.raises(ValueError, match="nose fusion"):
            NoseLikelihood.from_json(json.dumps(wrong))


def test_the_delivered_fusion_is_of_the_delivered_templates_and_says_that_it_holds_for_renders() -> None:
    delivered = load_likelihood()
    # After a change of the finder: python -m models.train.nose_thresholds --rendered 11 --out models
    assert delivered.model == NoseReader().model
    assert delivered.valid_for == RENDERS
    assert "valid for renders" in delivered.fitted_on
    assert delivered.log10_max < math.log10(delivered.impostors)

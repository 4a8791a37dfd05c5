"""The shipped scorecard against its model card and the data that it was measured on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from claims.credit import SCORE_MAX, SCORE_MIN, Scorecard, score
from claims.errors import InvalidScorecard
from claims.evidence import CreditFact, UnmeasuredFact
from claims.rules import RULES
from models import registry
from models.train.credit import ATTRIBUTES, FACTOR, OFFSET, read

WEIGHTS = registry.weights_path("credit_scorecard").read_bytes()
CARD = Scorecard.from_json(WEIGHTS)
TAIWAN = Path(__file__).parents[2].parent / "shared" / "data" / "credit-taiwan-dev.csv"
GOOD: dict[str, object] = {
    "months_late_now": 0,
    "months_late_sum_6m": 0,
    "credit_line_minor": 8_000_000,
    "utilisation_mean_6m_ratio": 0.1,
    "repaid_last_month_minor": 600_000,
    "repaid_mean_6m_minor": 400_000,
    "repaid_least_6m_minor": 200_000,
}
POOR: dict[str, object] = {**GOOD, "months_late_now": 3, "months_late_sum_6m": 15, "repaid_mean_6m_minor": 0}


def scored(attributes: dict[str, object]) -> CreditFact:
    fact = score(attributes, CARD)
    assert isinstance(fact, CreditFact), fact
    return fact


def test_fact_quotes_the_weights_it_came_from() -> None:
    assert scored(GOOD).model == CARD.label == registry.card("credit_scorecard").label


def test_punctual_customer_scores_well_and_a_late_one_below_the_threshold() -> None:
    assert scored(GOOD).score >= 600
    assert scored(POOR).score < RULES.credit_low_score


def test_reasons_name_what_cost_most_points_first() -> None:
    reasons = scored(POOR).reasons
    assert [reason.attribute for reason in reasons[:2]] == ["months_late_now", "months_late_sum_6m"]
    assert reasons[0].bin == "> 1.5"
    assert [reason.points_lost for reason in reasons] == sorted(
        (reason.points_lost for reason in reasons), reverse=True
    )


@pytest.mark.parametrize("name", [attribute.name for attribute in CARD.attributes])
@pytest.mark.parametrize("value", [None, "0", True, -1, math.nan, math.inf])
def test_attribute_that_is_missing_or_impossible_gives_no_score(name: str, value: object) -> None:
    fact = score({**GOOD, name: value}, CARD)
    assert isinstance(fact, UnmeasuredFact)
    assert name in fact.reason
    assert isinstance(score({n: v for n, v in GOOD.items() if n != name}, CARD), UnmeasuredFact)


def test_nothing_supplied_is_unmeasured_and_other_attributes_are_ignored() -> None:
    assert isinstance(score({}, CARD), UnmeasuredFact)
    assert scored({**GOOD, "sex": 2, "age": 30}) == scored(GOOD)


def test_personal_attributes_are_not_in_the_card() -> None:
    names = {attribute.name for attribute in CARD.attributes}
    assert names <= set(ATTRIBUTES)
    assert not [name for name in names for word in ("sex", "age_", "marri", "educ", "gender") if word in name]


def test_points_rise_or_fall_with_every_attribute() -> None:
    for attribute in CARD.attributes:
        points = [step.points for step in attribute.bins]
        assert points == sorted(points, reverse=not ATTRIBUTES[attribute.name][0]), attribute.name


@given(st.lists(st.floats(0, 200, allow_nan=False), min_size=len(CARD.attributes), max_size=len(CARD.attributes)))
@settings(max_examples=100)
def test_score_agrees_with_the_sum_of_points_taken_from_the_file(values: list[float]) -> None:
    plain: dict[str, Any] = json.loads(WEIGHTS)
    attributes: dict[str, object] = {}
    total = plain["base_points"]
    for attribute, value in zip(plain["attributes"], values, strict=True):
        value = min(value, attribute["maximum"])
        attributes[attribute["name"]] = value
        uppers = [step["upper"] for step in attribute["bins"][:-1]]
        total += attribute["bins"][int(np.searchsorted(uppers, value, side="left"))]["points"]
    fact = scored(attributes)
    assert SCORE_MIN <= fact.score <= SCORE_MAX
    assert abs(fact.score - max(SCORE_MIN, min(SCORE_MAX, total))) <= 0.5 + 1e-9


def test_scale_puts_twenty_to_one_at_650_and_doubles_the_odds_each_fifty_points() -> None:
    assert OFFSET + FACTOR * math.log(20) == pytest.approx(650)
    odds = [(1 - CARD.bad_ratio(points)) / CARD.bad_ratio(points) for points in (650, 700)]
    assert odds == pytest.approx([20, 40], rel=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": []},
        {"base_points": math.nan},
        {"base_points": "1"},
        {"attributes": [{"name": "a", "minimum": 0, "maximum": 1, "bins": [{"upper": 1, "points": 1}]}]},
        {
            "attributes": [
                {
                    "name": "a",
                    "minimum": 0,
                    "maximum": 1,
                    "bins": [{"upper": 2, "points": 1}, {"upper": 1, "points": 1}, {"upper": None, "points": 1}],
                }
            ]
        },
    ],
)
def test_file_that_is_no_scorecard_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidScorecard):
        Scorecard.from_json(json.dumps({**json.loads(WEIGHTS), **change}))
    with pytest.raises(InvalidScorecard):
        Scorecard.from_json("[]")


@pytest.mark.shared_data
@pytest.mark.skipif(not TAIWAN.is_file(), reason="the measuring data is not beside the checkout")
def test_shipped_card_orders_the_data_as_its_model_card_says() -> None:
    attributes, _, bad = read(TAIWAN)
    names = [attribute.name for attribute in CARD.attributes]
    rows = range(0, len(bad), 5)
    own = [scored({name: float(attributes[name][row]) for name in names}).score for row in rows]
    stated = registry.card("credit_scorecard").metrics["auc_holdout"]["scorecard"]
    assert roc_auc_score(bad[::5], -np.array(own)) == pytest.approx(stated, abs=0.03)

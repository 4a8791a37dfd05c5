"""Covers and events at the edges of the calendar, in every zone, are decided without an error."""

from __future__ import annotations

from dataclasses import replace
from datetime import MAXYEAR, UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from claims import decide as decisions
from claims.catalogue import load_catalogue
from claims.decision import Outcome
from claims.judge import cover
from claims.policy import OPEN_END, OPEN_START
from claims.rules import RULES
from fixtures.cases import NOW, Case, in_order

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=zones) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.max.replace(tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=14))),
        OPEN_START,
        OPEN_END,
    ]
)
products = st.sampled_from(sorted(load_catalogue().values(), key=lambda product: product.key))


@given(at=instants, product=products)
def test_every_instant_has_a_day_where_the_product_is_sold(at: datetime, product: cover.Product) -> None:
    since_first = at.replace(tzinfo=None) - datetime.min - (at.utcoffset() or timedelta(0))
    local_days = (since_first + timedelta(minutes=product.utc_offset_minutes)).days
    expected = min(max(local_days, 0), (date.max - date.min).days)
    assert (cover.local_date(at, product) - date.min).days == expected


@given(product=products, starts_at=instants, ends_at=instants, occurred_at=instants)
@example(load_catalogue()["fresh_food_rot"], OPEN_START, OPEN_END, NOW)
def test_any_cover_and_any_event_are_judged(
    product: cover.Product, starts_at: datetime, ends_at: datetime, occurred_at: datetime
) -> None:
    assume(starts_at < ends_at)
    case = moved(in_order(product.key), starts_at, ends_at, occurred_at)
    reasons = cover.judge(case.insured, case.facts.cover, RULES)
    codes = {reason.code for reason in reasons}
    begun, over = starts_at <= occurred_at, occurred_at >= ends_at
    assert ("cover_not_begun" in codes) is not begun
    assert ("cover_ended" in codes) is (begun and over)
    decided(case)


@pytest.mark.parametrize("key", sorted(load_catalogue()))
def test_a_cover_without_a_beginning_and_an_end_pays_like_one_of_a_year(key: str) -> None:
    case = in_order(key)
    assert decided(case) is Outcome.PAY
    assert decided(moved(case, OPEN_START, OPEN_END, case.claim.occurred_at)) is Outcome.PAY
    for at in (datetime.max, datetime(MAXYEAR, 12, 31)):
        assert decided(moved(case, OPEN_START, at.replace(tzinfo=UTC), case.claim.occurred_at)) is Outcome.PAY


def moved(case: Case, starts_at: datetime, ends_at: datetime, occurred_at: datetime) -> Case:
    return replace(
        case,
        policy=replace(case.policy, starts_at=starts_at, ends_at=ends_at),
        claim=replace(case.claim, occurred_at=occurred_at),
    )


def decided(case: Case) -> Outcome:
    return decisions.decide(case.insured, case.facts, RULES, NOW).outcome

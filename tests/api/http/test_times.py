"""Times on the wire: ISO 8601 with an offset, within a stated range, and nothing else."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.http.schemas import words
from api.http.schemas.claims import CLAIM_EXAMPLE, ClaimRequest
from api.http.schemas.insured import POLICY_EXAMPLE, PolicyRequest
from api.http.schemas.words import EventMoment, Moment
from claims.policy import OPEN_END, OPEN_START
from tests.api.http.world import Api, jpeg, key, policy, register, rows, statement, submit

FIELDS: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (ClaimRequest, dict(CLAIM_EXAMPLE), "occurred_at"),
    (PolicyRequest, dict(POLICY_EXAMPLE), "starts_at"),
    (PolicyRequest, dict(POLICY_EXAMPLE), "ends_at"),
]
NOT_TIMES: list[Any] = [
    20261129, 1_795_910_400, 1_795_910_400.5, -1, 0, True, None, [], {},
    "20261129", "1795910400", "1795910400000", "1e9", "", " ", "now", "2026-11-29", "2026-11-29T09:30:00",
    "2026-11-29 09:30:00+08:00", "2026-11-29T09:30:00+0800", "2026-11-29T09:30:00+08", "2026-11-29t09:30:00z",
    "2026-11-29T09:30:00 08:00", "2026-02-29T09:30:00Z", "2026-13-01T00:00:00Z", "2026-11-29T24:30:00Z",
    "2026-11-29T23:59:60Z", "2026-11-29T09:30:00+14:01", "2026-11-29T09:30:00-23:59", "2026-W48-7T09:30:00Z",
    "+12026-11-29T09:30:00Z", "-2026-11-29T09:30:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    "２０２６-11-29T09:30:00Z", "2026-11-29T09:30:00Z\n", "2026-11-29T09:30:00\u0000Z",
]  # fmt: skip
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=offsets)


def read(model: type[BaseModel], example_of: dict[str, Any], name: str, value: object) -> datetime | None:
    """Returns the time that the schema reads from a JSON document with this value; None when it refuses."""
    try:
        document = model.model_validate_json(json.dumps(example_of | {name: value}))
    except ValidationError:
        return None
    taken = getattr(document, name)
    assert isinstance(taken, datetime)
    assert taken.tzinfo is not None
    return taken


@pytest.mark.parametrize(("model", "example_of", "name"), FIELDS)
@pytest.mark.parametrize("value", NOT_TIMES, ids=repr)
def test_what_is_no_time_with_an_offset_is_refused(
    model: type[BaseModel], example_of: dict[str, Any], name: str, value: object
) -> None:
    assert read(model, example_of, name, value) is None


@given(at=instants)
@example(words.EVENT_FIRST)
@example(words.EVENT_FIRST - timedelta(microseconds=1))
@example(words.EVENT_END)
@example(words.EVENT_END - timedelta(microseconds=1))
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-14))))
@example(datetime(2024, 2, 29, tzinfo=UTC))
def test_an_event_is_taken_exactly_within_its_range(at: datetime) -> None:
    taken = read(*FIELDS[0], at.isoformat())
    assert taken == (at if words.EVENT_FIRST <= at < words.EVENT_END else None)


@given(starts_at=instants, ends_at=instants)
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), datetime.max.replace(tzinfo=UTC))
@example(datetime(1, 1, 1, 23, 59, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=-14))))
@example(words.MOMENT_FIRST, words.MOMENT_END - timedelta(microseconds=1))
@example(words.MOMENT_FIRST - timedelta(microseconds=1), words.MOMENT_END)
def test_a_cover_is_taken_within_its_range_or_open(starts_at: datetime, ends_at: datetime) -> None:
    start = OPEN_START if (starts_at.year, starts_at.month, starts_at.day) == (1, 1, 1) else starts_at
    end = OPEN_END if (ends_at.year, ends_at.month, ends_at.day) == (9999, 12, 31) else ends_at
    good = (start == OPEN_START or words.MOMENT_FIRST <= start < words.MOMENT_END) and (
        end == OPEN_END or words.MOMENT_FIRST <= end < words.MOMENT_END
    )
    stated = POLICY_EXAMPLE | {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
    try:
        taken = PolicyRequest.model_validate_json(json.dumps(stated))
    except ValidationError:
        assert not good or start >= end
    else:
        assert good
        assert (taken.starts_at, taken.ends_at) == (start, end)
        # Every zone of the world can say when that is.
        for hours in (-14, 14):
            taken.starts_at.astimezone(timezone(timedelta(hours=hours)))
            taken.ends_at.astimezone(timezone(timedelta(hours=hours)))


@given(st.text(max_size=40))
def test_no_text_is_taken_for_a_time_by_chance(text: str) -> None:
    for kind in (Moment, EventMoment):
        try:
            taken = TypeAdapter(kind).validate_python(text)
        except ValidationError:
            continue
        assert datetime.fromisoformat(text) == taken


EDGES = [
    "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59+14:00", "1899-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
    "1900-01-01T00:00:00+14:00", "20261129",
]  # fmt: skip


def test_the_edges_of_the_calendar_are_refused_where_an_event_or_a_page_of_a_list_is_meant(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    for at in EDGES:
        made = client.post("/v1/claims", json=statement(occurred_at=at), headers=key())
        assert (made.status_code, made.json()["code"]) == (422, "invalid_request"), at
        assert made.json()["errors"][0]["pointer"] == "/occurred_at"
        listed = client.get("/v1/claims", params={"before": at})
        assert (listed.status_code, listed.json()["code"]) == (422, "invalid_request"), at
        assert listed.json()["errors"][0]["pointer"] == "/query/before"


OPEN_STARTS = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00+08:00")
OPEN_ENDS = ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-14:00", "9999-12-31T00:00+14:00")


def test_a_cover_with_open_ends_is_taken_kept_and_claimed_on(api: Api) -> None:
    platform, claimant = api.as_("platform", "shop"), api.as_("claimant", "clm-a")
    for number, (starts_at, ends_at) in enumerate(itertools.product(OPEN_STARTS, OPEN_ENDS)):
        terms = policy(f"pol-{number}", starts_at=starts_at, ends_at=ends_at)
        made = platform.post("/v1/policies", json=terms, headers=key())
        assert made.status_code == 201, made.text
        assert made.json()["ends_at"] == "9999-12-31T00:00:00Z"
        assert claimant.get(f"/v1/policies/pol-{number}").json() == made.json()
        assert submit(api, "clm-a", jpeg(number), policy_id=f"pol-{number}")["status"] == "submitted"
    assert rows(api, "SELECT DISTINCT isfinite(starts_at) AND isfinite(ends_at) FROM policies") == [(True,)]


def test_the_time_of_the_last_row_leads_to_the_next_page(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    for number in range(3):
        client.post("/v1/claims", json=statement(order_number=f"o-{number}"), headers=key())
    first = client.get("/v1/claims", params={"limit": 2}).json()["claims"]
    rest = client.get("/v1/claims", params={"before": first[-1]["created_at"]}).json()["claims"]
    assert len({row["id"] for row in (*first, *rest)}) == 3

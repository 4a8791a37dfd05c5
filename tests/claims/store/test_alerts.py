"""Alerts as they are kept: opened, told of and closed once, whatever clocks and receivers do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.alerts import KINDS, Met, Moment
from claims.store import alerts
from claims.store.alerts import AlertNotice, AlertPolicy, Way

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
POLICY = AlertPolicy({"resource.short": 600.0}, resolve_after_seconds=120.0, repeat_seconds=86_400.0)
WAYS: tuple[Way, ...] = ("prefect", "webhook", "mail")
UNCLEAR = Met(KINDS["payout.unclear"], "p1", {"age_seconds": 3_600})
SHORT = Met(KINDS["resource.short"], "disk", {"claims": 2})


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def keep(
    engine: AsyncEngine, seconds: float, *met: Met, unknown: Collection[str] = (), ways: Sequence[Way] = WAYS
) -> None:
    async with engine.begin() as conn:
        await alerts.keep(conn, met, unknown, at(seconds), POLICY, ways)


async def opened(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as conn:
        return [alert.name for alert in await alerts.opened(conn)]


async def told(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    async with engine.connect() as conn:
        ids = [alert.id for alert in await alerts.recent(conn)]
        notices = await alerts.notices_of(conn, ids)
    return sorted((each.moment.value, each.way, each.state) for each in notices)


async def due(engine: AsyncEngine, seconds: float) -> list[AlertNotice]:
    async with engine.connect() as conn:
        return await alerts.due(conn, at(seconds), 100)


async def test_a_condition_opens_one_alert_and_one_notice_by_each_way(engine: AsyncEngine) -> None:
    for seconds in (0, 15, 30):
        await keep(engine, seconds, UNCLEAR, UNCLEAR)
    assert await opened(engine) == ["payout.unclear"]
    assert await told(engine) == [("opened", way, "due") for way in sorted(WAYS)]
    assert [each.way for each in await due(engine, 30)] == ["prefect", "webhook", "mail"], "events first"
    assert len({each.message_id for each in await due(engine, 30)}) == 1


async def test_a_condition_that_must_hold_opens_no_alert_before_and_none_when_it_passes(engine: AsyncEngine) -> None:
    await keep(engine, 0, SHORT)
    await keep(engine, 599, SHORT)
    assert (await opened(engine), await told(engine)) == ([], [])
    await keep(engine, 600)
    await keep(engine, 601, SHORT)
    await keep(engine, 1_100, SHORT)
    assert await opened(engine) == []
    await keep(engine, 1_201, SHORT)
    assert await opened(engine) == ["resource.short"]


async def test_an_alert_closes_after_a_while_and_what_was_not_told_yet_is_told_with_the_end(
    engine: AsyncEngine,
) -> None:
    await keep(engine, 0, UNCLEAR)
    await keep(engine, 60)
    assert await opened(engine) == ["payout.unclear"], "it may come back in a moment"
    await keep(engine, 90, UNCLEAR)
    await keep(engine, 209)
    assert await opened(engine) == ["payout.unclear"]
    await keep(engine, 210)
    assert await opened(engine) == []
    assert await told(engine) == [
        ("opened", "mail", "withdrawn"),
        ("opened", "prefect", "due"),
        ("opened", "webhook", "withdrawn"),
        *(("resolved", way, "due") for way in sorted(WAYS)),
    ]
    await keep(engine, 300, UNCLEAR)
    async with engine.connect() as conn:
        assert len(await alerts.recent(conn)) == 2


async def test_what_nobody_can_tell_leaves_alerts_as_they_are(engine: AsyncEngine) -> None:
    await keep(engine, 0, UNCLEAR)
    await keep(engine, 10_000, unknown={"payout.unclear"})
    assert await opened(engine) == ["payout.unclear"]


async def test_an_alert_that_stays_open_is_told_of_again_and_not_too_often(engine: AsyncEngine) -> None:
    for hours in (0, 1, 23.9, 24, 25, 47):
        await keep(engine, hours * 3600, UNCLEAR, ways=("mail",))
    assert await told(engine) == [("again", "mail", "due"), ("opened", "mail", "withdrawn")]


async def test_a_clock_that_jumps_opens_nothing_twice_and_keeps_nothing_open_for_ever(engine: AsyncEngine) -> None:
    await keep(engine, 0, UNCLEAR, ways=())
    await keep(engine, 86_400 * 30, UNCLEAR, ways=())  # a month ahead, and back
    await keep(engine, 60, UNCLEAR, ways=())
    assert await opened(engine) == ["payout.unclear"]
    await keep(engine, 86_400 * 30, UNCLEAR, ways=())
    await keep(engine, 120, ways=())
    assert await opened(engine) == []


async def test_notices_are_sent_put_off_and_dropped(engine: AsyncEngine) -> None:
    await keep(engine, 0, UNCLEAR)
    event, webhook, mail = await due(engine, 0)
    async with engine.begin() as conn:
        assert await alerts.waits(conn, event, "webhook")
        await alerts.note_sent(conn, event, at(1), by="miaopei", relied=True)
        await alerts.put_off(conn, webhook, at(30), "webhook: answered 500")
        await alerts.drop(conn, mail, "withdrawn")
        sent_event = await alerts.event_of(conn, webhook)
    assert sent_event is not None
    assert (sent_event.relied, sent_event.sent_by, sent_event.moment) == (True, "miaopei", Moment.OPENED)
    assert await due(engine, 29) == []
    (again,) = await due(engine, 30)
    assert (again.way, again.attempts, again.last_error) == ("webhook", 1, "webhook: answered 500")


async def test_one_process_at_a_time_keeps_alerts(engine: AsyncEngine) -> None:
    async with engine.connect() as first, engine.connect() as second:
        async with first.begin(), second.begin():
            assert await alerts.alone(first)
            assert not await alerts.alone(second)
        async with second.begin():
            assert await alerts.alone(second)


async def test_closed_alerts_are_forgotten_with_their_notices(engine: AsyncEngine) -> None:
    await keep(engine, 0, UNCLEAR)
    await keep(engine, 500)
    assert len(await told(engine)) == 6
    await keep(engine, 86_400 * 91)
    assert await told(engine) == []
    async with engine.connect() as conn:
        assert await alerts.counted(conn) == {}

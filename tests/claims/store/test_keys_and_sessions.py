from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.decision import Outcome
from claims.errors import Conflict
from claims.evidence import UnmeasuredFact
from claims.store import heartbeats, idempotency, payouts, revocations, sessions
from claims.store.figures import operator_figures
from claims.store.idempotency import Response, Standing
from claims.store.sessions import OpenedBy
from tests.claims.store.reads import audit_of

pytestmark = pytest.mark.anyio

RESPONSE = Response(202, {"location": "/v1/claims/c"}, b'{"id":"c"}')


async def _begin(engine: AsyncEngine, world: Any, sha: str = "a", seconds: float = 0, key: str = "k") -> Any:
    async with engine.begin() as conn:
        return await idempotency.begin(conn, "claimant:ann", key, sha * 64, world.later(seconds), lock_seconds=60)


async def test_of_many_requests_with_one_key_at_once_one_does_the_work(world: Any, engine: AsyncEngine) -> None:
    begun = await asyncio.gather(*(_begin(engine, world) for _ in range(6)))
    assert sorted(key.standing for key in begun) == [Standing.FRESH] + [Standing.IN_FLIGHT] * 5


async def test_a_repeat_gets_the_first_response_and_another_request_is_refused(world: Any, engine: AsyncEngine) -> None:
    await _begin(engine, world)
    assert (await _begin(engine, world, sha="b")).standing is Standing.OTHER_REQUEST
    async with engine.begin() as conn:
        await idempotency.finish(conn, "claimant:ann", "k", RESPONSE)
    again = await _begin(engine, world, seconds=1000)
    assert (again.standing, again.response) == (Standing.REPLAY, RESPONSE)
    assert (await _begin(engine, world, sha="b", seconds=1000)).standing is Standing.OTHER_REQUEST
    async with engine.begin() as conn:
        with pytest.raises(Conflict):
            await idempotency.finish(conn, "claimant:ann", "k", RESPONSE)


async def test_a_request_that_died_is_taken_over_after_its_time_and_an_abandoned_one_at_once(
    world: Any, engine: AsyncEngine
) -> None:
    await _begin(engine, world)
    assert (await _begin(engine, world, seconds=59)).standing is Standing.IN_FLIGHT
    assert (await _begin(engine, world, seconds=61)).standing is Standing.FRESH
    async with engine.begin() as conn:
        await idempotency.abandon(conn, "claimant:ann", "k")
    assert (await _begin(engine, world, sha="b")).standing is Standing.FRESH


async def test_a_session_is_known_by_its_token_until_it_runs_out(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await sessions.create(conn, "token", "adjuster", "li", "csrf", world.now, world.later(60), _opened_by(world))
        session = await sessions.find(conn, "token", world.later(59))
        assert session is not None
        assert (session.role, session.subject, session.csrf, session.key_id) == ("adjuster", "li", "csrf", "key")
        assert await sessions.find(conn, "token", world.later(60)) is None
        assert await sessions.find(conn, "other", world.now) is None
        stored = (await conn.execute(text("SELECT id_sha256 FROM sessions"))).scalar_one()
        assert "token" not in stored
        await sessions.end(conn, "token")
        assert await sessions.find(conn, "token", world.now) is None


def _opened_by(world: Any, token_id: str = "0123456789abcdef") -> OpenedBy:
    return OpenedBy(token_id, "key", world.now)


async def test_a_session_ends_when_its_token_or_its_subject_is_revoked(world: Any, engine: AsyncEngine) -> None:
    async def open_session(name: str, subject: str, token_id: str, issued_after: float) -> None:
        opened_by = OpenedBy(token_id, "key", world.later(issued_after))
        async with engine.begin() as conn:
            await sessions.create(conn, name, "adjuster", subject, "csrf", world.now, world.later(600), opened_by)

    async def alive() -> set[str]:
        async with engine.connect() as conn:
            return {name for name in ("a", "b", "c", "d") if await sessions.find(conn, name, world.later(20))}

    await open_session("a", "li", "aaaaaaaaaaaaaaaa", 0)
    await open_session("b", "li", "bbbbbbbbbbbbbbbb", 0)
    await open_session("c", "li", "cccccccccccccccc", 11)
    await open_session("d", "wang", "dddddddddddddddd", 0)
    assert await alive() == {"a", "b", "c", "d"}
    async with engine.begin() as conn:
        await revoke(conn, world, "aaaaaaaaaaaaaaaa")
    assert await alive() == {"b", "c", "d"}
    async with engine.begin() as conn:
        await revoke(conn, world, "adjuster:li")
    assert await alive() == {"c", "d"}, "what was issued afterwards is not meant"


async def revoke(conn: AsyncConnection, world: Any, what: str) -> None:
    await revocations.revoke(conn, what, world.later(10), forget_at=world.later(600), actor="operator:ops", reason="")


async def test_a_revocation_is_audited_and_forgotten_when_no_token_needs_it(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await revoke(conn, world, "adjuster:li")
        await revoke(conn, world, "adjuster:li")
    async with engine.begin() as conn:
        recorded = await audit_of(conn, "adjuster:li")
        assert [(record.action, record.actor) for record in recorded] == [("token.revoked", "operator:ops")] * 2
        assert await revocations.is_revoked(conn, "e" * 16, "adjuster:li", world.later(10))
        assert not await revocations.is_revoked(conn, "e" * 16, "adjuster:li", world.later(10.001))
        assert not await revocations.is_revoked(conn, "e" * 16, "claimant:li", world.now)
        assert [revocation.what for revocation in await revocations.newest(conn)] == ["adjuster:li"]
        assert await revocations.purge(conn, world.later(599)) == 0
        assert await revocations.purge(conn, world.later(600)) == 1


async def test_figures_count_what_happened_and_say_what_they_cannot_tell(world: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        empty = await operator_figures(conn, world.now)
    assert isinstance(empty.straight_through_rate, UnmeasuredFact)
    assert isinstance(empty.decision_seconds_p50, UnmeasuredFact)
    paid = await world.decided("a", Outcome.PAY, 4980)
    async with engine.begin() as conn:
        await payouts.mark_paid(conn, paid.payout_id, "B", world.now)
    await world.decided("b", Outcome.DECLINE)
    await world.decided("c", Outcome.REFER)
    await world.submitted("d")
    async with engine.begin() as conn:
        await heartbeats.beat(conn, "worker@host:1", "worker", {"batch": 4}, world.now)
        figures = await operator_figures(conn, world.later(60))
        assert await heartbeats.since(conn, world.now + timedelta(seconds=1)) == []
    assert figures.by_status == {"paid": 1, "declined": 1, "referred": 1, "submitted": 1}
    assert figures.decisions == {"pay": 1, "decline": 1, "refer": 1}
    assert (figures.closed, figures.closed_untouched, figures.straight_through_rate) == (2, 2, 1.0)
    assert figures.paid_minor == {"CNY": 4980}
    assert (figures.referrals_open, figures.referrals_overdue) == (1, 0)
    assert (figures.adjudication.due, figures.settle.due, figures.refer.due) == (1, 1, 1)
    assert [process.name for process in figures.processes] == ["worker@host:1"]

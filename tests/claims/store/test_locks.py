"""Locks of work that one process does at a time: whoever stands still with one loses it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store.engine import alone, end_when_idle
from tests.waiting import until

pytestmark = pytest.mark.anyio
NUMBER = 0x74657374


async def _free(engine: AsyncEngine) -> bool:
    async with engine.begin() as conn:
        return await alone(conn, NUMBER)


async def test_a_transaction_that_stands_still_with_a_lock_loses_it_and_is_told_so(engine: AsyncEngine) -> None:
    async with engine.connect() as held:
        await held.begin()
        assert await alone(held, NUMBER, idle_seconds_max=0.3)
        assert not await _free(engine)
        await until(lambda: _free(engine))
        with pytest.raises(DBAPIError):
            await held.execute(text("SELECT 1"))
        await held.invalidate()


async def test_the_limit_ends_with_the_transaction(engine: AsyncEngine) -> None:
    async with engine.connect() as conn:
        async with conn.begin():
            assert await alone(conn, NUMBER, idle_seconds_max=0.3)
        async with conn.begin():
            await conn.execute(text("SELECT 1"))
            await asyncio.sleep(0.6)
            await conn.execute(text("SELECT 1"))


async def test_a_session_that_stands_still_with_a_lock_loses_it(engine: AsyncEngine) -> None:
    async with engine.connect() as held:
        await held.execute(text("SELECT pg_advisory_lock(:number)"), {"number": NUMBER})
        await end_when_idle(held, 0.3)
        await held.commit()
        assert not await _free(engine)
        await until(lambda: _free(engine))
        with pytest.raises(DBAPIError):
            await held.execute(text("SELECT 1"))
        await held.invalidate()

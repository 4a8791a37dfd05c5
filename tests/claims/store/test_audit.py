from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import BrokenChain, StoreError
from claims.store import audit
from tests.claims.store.reads import audit_of

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 20, 8, 0, 0, 123456, tzinfo=UTC)
# A superuser can switch triggers off: the chain must show it.
TAMPER = "SET LOCAL session_replication_role = replica"


async def _append(engine: AsyncEngine, subject: str, count: int = 1) -> None:
    async with engine.begin() as conn:
        for number in range(count):
            await audit.append(conn, "flow:adjudicate", "claim.decided", subject, {"number": number}, NOW)


async def test_records_of_transactions_at_once_form_one_unbroken_chain(engine: AsyncEngine) -> None:
    await asyncio.gather(*(_append(engine, f"c{number}", count=3) for number in range(12)))
    async with engine.connect() as conn:
        assert (await audit.check(conn)).tip.seq == 36
        assert len(await audit_of(conn, "c7")) == 3


async def test_a_rolled_back_transaction_leaves_no_record_and_no_gap(engine: AsyncEngine) -> None:
    await _append(engine, "a")
    async with engine.connect() as conn:
        await audit.append(conn, "x", "y", "rolled back", {}, NOW)
        await conn.rollback()
        await audit.append(conn, "x", "y", "kept", {}, NOW)
        await conn.commit()
    async with engine.connect() as conn:
        assert (await audit.check(conn)).tip.seq == 2
        assert await audit_of(conn, "rolled back") == []


async def test_a_record_inside_a_savepoint_is_refused(engine: AsyncEngine) -> None:
    async with engine.begin() as conn, conn.begin_nested():
        with pytest.raises(StoreError, match="savepoint"):
            await audit.append(conn, "x", "y", "z", {}, NOW)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'adjuster:nobody' WHERE seq = 3",
        "UPDATE audit SET commitment = repeat('0', 64) WHERE seq = 3",
        "UPDATE audit_contents SET content = 'rewritten' WHERE seq = 3",
        "UPDATE audit SET at = at + interval '1 microsecond' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET seq = seq + 1 WHERE seq = 5",
    ],
)
async def test_tampering_behind_the_triggers_is_found(engine: AsyncEngine, change: str) -> None:
    await _append(engine, "c", count=5)
    async with engine.begin() as conn:
        await conn.execute(text(TAMPER))
        assert (await conn.execute(text(change))).rowcount == 1
    async with engine.connect() as conn:
        with pytest.raises(BrokenChain):
            await audit.check(conn)


async def test_erasure_takes_the_contents_and_leaves_the_chain_valid(engine: AsyncEngine) -> None:
    await _append(engine, "a", count=2)
    await _append(engine, "b")
    async with engine.begin() as conn:
        assert await audit.erase_contents(conn, "a") == 2
    async with engine.connect() as conn:
        assert (await audit.check(conn)).tip.seq == 3
        left = await conn.execute(text("SELECT seq FROM audit_contents"))
        assert left.scalars().all() == [3]


async def test_contents_deleted_without_an_erasure_are_named(engine: AsyncEngine) -> None:
    await _append(engine, "a", count=2)
    await _append(engine, "b")
    async with engine.begin() as conn:
        await audit.erase_contents(conn, "a")
        await audit.append(conn, "operator:eve", "claim.erased", "a", {"reason": ""}, NOW)
    async with engine.connect() as conn:
        checked = await audit.check(conn)
        assert (checked.whole, checked.erased, checked.missing) == (True, 2, ())
    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM audit_contents WHERE seq = 3"))
    async with engine.connect() as conn:
        checked = await audit.check(conn)
    assert (checked.whole, checked.erased, checked.missing) == (False, 2, (3,))


async def test_a_cut_tail_shows_against_a_tip_that_was_noted(engine: AsyncEngine) -> None:
    await _append(engine, "c", count=30)
    async with engine.connect() as conn:
        noted = await audit.newest(conn)
        assert (await audit.check(conn, [noted])).whole
    async with engine.begin() as conn:
        await conn.execute(text(TAMPER))
        for table in ("audit_contents", "audit"):
            await conn.execute(text(f"DELETE FROM {table} WHERE seq > 5"))
    async with engine.connect() as conn:
        assert (await audit.check(conn)).whole  # nothing in the chain itself shows it
        cut = await audit.check(conn, [noted])
    assert (cut.whole, len(cut.differing), cut.compared) == (False, 1, 1)
    await _append(engine, "c", count=30)  # the same number again, other salts
    async with engine.connect() as conn:
        anew = await audit.check(conn, [noted])
    assert "written anew" in anew.differing[0]

"""`miaopei audit verify` as an operator types it, against a chain that was tampered with."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import audit
from flows.tips import write_tip
from tests.forked import miaopei

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def verify(home: Path, dsn: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    told = {**os.environ, "MIAOPEI_HOME": str(home), "MIAOPEI_DATABASE_URL": dsn}
    done = miaopei("audit", "verify", "--json", *arguments, env=told)
    line = next((line for line in done.stdout.splitlines() if line.startswith("{")), "{}")
    return done.returncode, json.loads(line), done.stderr


async def add(engine: AsyncEngine, count: int) -> None:
    async with engine.begin() as conn:
        for number in range(count):
            await audit.append(conn, "x", "y", "z", {"number": number}, AT)


async def test_a_cut_tail_shows_against_the_home_s_own_tips_and_against_one_that_is_given(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    await add(engine, 30)
    code, whole, _ = verify(tmp_path, database_url)
    assert (code, whole["records"], whole["tips_compared"], whole["whole"]) == (0, 30, 0, True)
    async with engine.connect() as conn:
        tip = await audit.newest(conn)
    assert whole["expect"] == str(tip)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("audit_contents", "audit"):
            await conn.execute(text(f"DELETE FROM {table} WHERE seq > 9"))
    assert verify(tmp_path, database_url)[0] == 0
    code, cut, _ = verify(tmp_path, database_url, "--expect", str(tip))
    assert (code, cut["records"], len(cut["differing"])) == (1, 9, 1)
    write_tip(tmp_path / "audit-tips", tip, AT)
    code, cut, _ = verify(tmp_path, database_url)
    assert (code, cut["tips_compared"], cut["tips_files"]) == (1, 1, [str(tmp_path / "audit-tips")])


async def test_contents_that_somebody_deleted_are_named_and_a_word_that_is_no_tip_is_refused(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    await add(engine, 3)
    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM audit_contents WHERE seq = 2"))
    code, lacking, _ = verify(tmp_path, database_url)
    assert (code, lacking["whole"], lacking["contents_missing"]) == (1, False, [2])
    code, _, words = verify(tmp_path, database_url, "--expect", "3:abc")
    assert code == 2
    assert "a tip is a number" in words

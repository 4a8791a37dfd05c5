"""`miaopei findings` and `recoveries` on a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from api.cli import app
from claims.decision import Outcome
from claims.money import Money
from claims.store import adjudication, findings, intake, payouts, recording, recoveries
from claims.store.engine import connect
from claims.store.findings import Difference
from tests.claims.store.conftest import NOW, World


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., tuple[int, list[Any]]]:
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", database_url)
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path / "home"))

    def command(*arguments: str) -> tuple[int, list[Any]]:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        return result.exit_code, [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    return command


def in_store(dsn: str, work: Callable[[World, AsyncConnection], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        engine = connect(dsn)
        world = World(engine)
        try:
            async with engine.begin() as conn:
                return await work(world, conn)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def owed(dsn: str) -> str:
    """Makes a claim that was paid 50.00 and refused afterwards; returns the recovery's id."""

    async def run() -> str:
        engine = connect(dsn)
        world = World(engine)
        try:
            await world.seed()
            paid = await world.decided("c", Outcome.PAY, 5_000)
            async with engine.begin() as conn:
                await payouts.mark_paid(conn, paid.payout_id, "B-1", NOW)
                await intake.appeal(conn, "c", "ann", "x", NOW, actor="claimant:ann", partner="anshun")
                file = await adjudication.load(conn, "c")
                refused = await recording.record_decision(
                    conn,
                    recording.NewDecision(
                        None, file, world.decision(Outcome.DECLINE, by="li"), b"{}", NOW, "adjuster:li", recover=True
                    ),
                )
            return refused.recovery_id
        finally:
            await engine.dispose()

    return asyncio.run(run())


def test_recoveries_are_listed_repaid_once_and_not_written_off_afterwards(
    run: Callable[..., tuple[int, list[Any]]], database_url: str
) -> None:
    recovery_id = owed(database_url)
    code, (listed,) = run("recoveries", "list")
    assert (code, listed["id"], listed["owed_minor"], listed["state"]) == (0, recovery_id, 5_000, "open")
    for _ in range(2):
        code, (repaid,) = run("recoveries", "repaid", recovery_id, "--reference", "IN-1")
        assert (code, repaid["state"], repaid["owed_minor"]) == (0, "repaid", 0)
    assert run("recoveries", "write-off", recovery_id, "--note", "gone")[0] == 1
    assert run("recoveries", "list") == (0, [])
    assert len(run("recoveries", "list", "--all")[1]) == 1
    assert run("recoveries", "repaid", "r-nowhere", "--reference", "IN-1")[0] == 2
    assert run("recoveries", "write-off", recovery_id, "--note", " ")[0] == 2


def test_written_off_with_a_note(run: Callable[..., tuple[int, list[Any]]], database_url: str) -> None:
    recovery_id = owed(database_url)
    code, (gone,) = run("recoveries", "write-off", recovery_id, "--note", "cannot be found")
    assert (code, gone["state"], gone["written_off_minor"], gone["note"]) == (
        0,
        "written_off",
        5_000,
        "cannot be found",
    )

    async def held(_: World, conn: AsyncConnection) -> int:
        return await recoveries.held_minor(conn, "c")

    assert Money(in_store(database_url, held), "CNY").minor == 5_000


def test_findings_are_listed_and_lifted_once(run: Callable[..., tuple[int, list[Any]]], database_url: str) -> None:
    async def stop(_: World, conn: AsyncConnection) -> None:
        difference = Difference("po_1", "c", "amount_differs", "books 1, bank 2")
        await findings.record(conn, difference, datetime.now(UTC), actor="flow:reconcile")

    in_store(database_url, stop)
    code, (listed,) = run("findings", "list")
    assert (code, listed["claim"], listed["code"]) == (0, "c", "amount_differs")
    code, (lifted,) = run("findings", "lift", str(listed["id"]), "--note", "asked the bank")
    assert (code, lifted["state"], lifted["note"]) == (0, "lifted", "asked the bank")
    assert run("findings", "lift", str(listed["id"]), "--note", "again")[0] == 1
    assert run("findings", "lift", "999999", "--note", "x")[0] == 2
    assert run("findings", "list") == (0, [])

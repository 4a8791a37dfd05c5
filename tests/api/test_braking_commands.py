"""`miaopei flows pause`, `resume`, `limit` and `held` on a real store, with no Prefect anywhere."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from api.cli import app
from claims.store.engine import connect
from claims.store.tables import audit
from tests.claims.store.conftest import World

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", database_url)
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # nobody is there

    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["flows", *arguments], env={"COLUMNS": "200"})
        return result.exit_code, result.output

    return command


def records(dsn: str) -> list[tuple[str, str, str]]:
    async def read() -> list[tuple[str, str, str]]:
        engine = connect(dsn)
        try:
            async with engine.connect() as conn:
                rows = await conn.execute(
                    select(audit.c.actor, audit.c.action, audit.c.subject)
                    .where(audit.c.action.like("brake.%"))
                    .order_by(audit.c.seq)
                )
                return [(row.actor, row.action, row.subject) for row in rows]
        finally:
            await engine.dispose()

    return asyncio.run(read())


def file_claims(dsn: str, *names: str) -> None:
    async def work() -> None:
        engine = connect(dsn)
        try:
            world = World(engine)
            await world.seed()
            for name in names:
                await world.submitted(name)
        finally:
            await engine.dispose()

    asyncio.run(work())


def test_work_is_paused_limited_listed_and_resumed(run: Run, database_url: str) -> None:
    file_claims(database_url, "a", "b")
    assert run("held") == (0, "nothing is held\n")
    assert run("held", "--json") == (0, "")
    assert run("pause", "adjudicate", "--reason", "new rules") == (0, "adjudicate: held; 2 waiting\n")
    code, again = run("pause", "adjudicate")
    assert code == 0
    assert again.startswith("adjudicate: held already, since ")
    assert run("limit", "bank", "3") == (0, "settle: at most 3 at once; 0 waiting\n")
    code, listed = run("held", "--json")
    held, limited = (json.loads(line) for line in listed.splitlines())
    me = f"operator:{getpass.getuser()}"
    assert (held["name"], held["held"], held["by"], held["reason"]) == ("adjudicate", True, me, "new rules")
    assert held["waiting"] == {"claims": 2}
    assert (limited["name"], limited["at_once_max"], limited["held"]) == ("settle", 3, False)
    code, table = run("held")
    assert "2 claims" in table
    assert json.loads(run("resume", "adjudicate", "--json")[1])["changed"]
    assert run("resume", "bank")[0] == 0
    assert run("held") == (0, "nothing is held\n")
    assert records(database_url) == [
        (me, "brake.set", "adjudicate"),
        (me, "brake.set", "settle"),
        (me, "brake.released", "adjudicate"),
        (me, "brake.released", "settle"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "ocrr"), "no work is called 'ocrr': adjudicate, ocr, settle"),
        (("pause", "product:gone"), "product:pet_medical"),
        (("limit", "ocr", "--", "-1"), "0 holds the work"),
        (("limit", "ocr", "99999999999"), "cannot be kept"),
        (("limit", "ocr", "many"), "valid integer"),
        (("pause", "ocr", "--reason", "x" * 201), "at most 200 characters"),
    ],
)
def test_a_wrong_brake_is_refused_with_what_there_is(
    run: Run, database_url: str, arguments: tuple[str, ...], words: str
) -> None:
    code, told = run(*arguments)
    assert code == 2
    assert words in " ".join(told.split())
    assert records(database_url) == []

"""Measures what claims leave behind in Prefect's database, and what retention leaves of it, for `miaopei bench flows`.

Fewer runs than claims are really shown and the figures scaled: rows grow in proportion. One claim a run, as on an idle
machine, is the most that a claim can leave; a batch of 64 leaves as much as one.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from api.databases import prefect_database
from api.processes import prefect_config
from api.settings import Settings
from api.stack import open_database, open_prefect, owner_of
from claims.store.engine import connect
from flows.adjudicate import adjudicate
from flows.config import PrefectConfig
from flows.operations.prefect_retention import prefect_retention
from flows.run_record import add_line, calling, working_on
from flows.runs import RunLabel, RunPage, Summary
from flows.tracking import Tracker, tracking

RUNS = 300  # really shown
RUNS_AT_ONCE = 4
EVENTS_SECONDS_MAX = 120.0  # until the server has written the events of the last run
CONSTANT = frozenset({"flow"})  # tables that do not grow with claims
EVENTS = frozenset({"events", "event_resources"})  # which the server deletes by age
NO_DAYS = 1e-6  # retention of everything that has ended

Show = Callable[[Tracker, str], Awaitable[None]]


async def show_one(tracker: Tracker, claim_id: str) -> None:
    """Show one claim's run, with the tasks of adjudicating it, whose work takes no time; returns once it is told."""

    async def body() -> None:
        with working_on(claim_id):
            for task in adjudicate.tasks:
                with calling(task.options):
                    add_line(logging.INFO, f"{claim_id} {task.options.name}")

    label = RunLabel(
        "adjudicate", f"claim {claim_id}", (f"claim:{claim_id}",), (claim_id,), f"claim-{claim_id}", "claim_ids"
    )
    row: dict[str, str | int | float] = {"claim": claim_id, "outcome": "pay", "amount": "40.00 CNY", "seconds": 0.5}
    page = RunPage(f"page-{claim_id}", "| stage | seconds |\n|---|---|\n" * 8, "pay")
    await tracker.run(label, body, lambda _: Summary("1 pay", [row], [page]))
    while tracker.reporting >= RUNS_AT_ONCE:
        await asyncio.sleep(0.02)


def rows_after(claims: int = 10_000, *, runs: int = RUNS, show: Show = show_one) -> dict[str, Any]:
    """Returns the rows by table and the bytes that `claims` claims leave in Prefect's database, before and after
    retention has deleted all of their runs; measured with `runs` runs and scaled.

    show: shows the run of one claim. Events are left to the server, which keeps them for
    `MIAOPEI_PREFECT__EVENTS_DAYS`; bytes_after is measured after a VACUUM, which leaves a table its size for what comes
    next.
    """
    with tempfile.TemporaryDirectory(prefix="miaopei-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", prefect_api_url="")
        with open_database(settings) as dsn, open_prefect(settings, dsn) as opened:
            database = prefect_database(settings, owner_of(settings, dsn))
            measured = asyncio.run(_measure(dsn, database, prefect_config(opened), runs, show))
    scale = claims / measured["shown"]
    before = {name: round(count * scale) for name, count in measured["before"].items() if name not in CONSTANT}
    after = {name: round(count * scale) for name, count in measured["after"].items() if name not in CONSTANT}
    return {
        "claims": claims,
        "runs_measured": measured["shown"],
        "scaled_by": round(scale, 1),
        "rows": sum(before.values()),
        "rows_by_table": before,
        "bytes": round(measured["bytes_before"] * scale),
        "rows_after": sum(after.values()),
        "rows_after_without_events": sum(count for name, count in after.items() if name not in EVENTS),
        "rows_after_by_table": after,
        "bytes_after": round(measured["bytes_after"] * scale),
        "events_days": settings.prefect.events_days,
        "runs_days": settings.prefect.runs_days,
    }


async def _measure(dsn: str, database: str, config: PrefectConfig, runs: int, show: Show) -> dict[str, Any]:
    plain = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    conn: asyncpg.Connection = await asyncpg.connect(plain)
    engine = connect(dsn, pool_size=2)
    try:
        empty, empty_bytes = await _rows(conn), await _bytes(conn)
        places = asyncio.Semaphore(RUNS_AT_ONCE)

        async def limited(tracker: Tracker, number: int) -> None:
            async with places:
                await show(tracker, f"clm-{number:06}")

        async with tracking(replace(config, probe_timeout_seconds=10, request_timeout_seconds=60)) as tracker:
            await tracker.warm()  # else the first runs would go by the answer to no question yet: not shown
            await show(tracker, "clm-first")
            await tracker.reported()
            await asyncio.gather(*(limited(tracker, number) for number in range(runs - 1)))
            await tracker.reported()
            shown = tracker.tally.tracked
        await _settled(conn)
        before, bytes_before = _grown(empty, await _rows(conn)), await _bytes(conn) - empty_bytes
        await prefect_retention(engine, config, runs_days=NO_DAYS)
        await _settled(conn)
        await conn.execute("VACUUM")
        after, bytes_after = _grown(empty, await _rows(conn)), await _bytes(conn) - empty_bytes
    finally:
        await engine.dispose()
        await conn.close()
    return {
        "shown": shown, "before": before, "bytes_before": bytes_before, "after": after, "bytes_after": bytes_after,
    }  # fmt: skip


async def _rows(conn: asyncpg.Connection) -> dict[str, int]:
    tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return {name: await conn.fetchval(f'SELECT count(*) FROM "{name}"') for (name,) in tables}


async def _bytes(conn: asyncpg.Connection) -> int:
    return int(await conn.fetchval("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'm')"))


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - count for name, count in before.items() if after[name] != count}


async def _settled(conn: asyncpg.Connection) -> None:
    """Wait until the server has written what it writes beside, events above all: two counts ten seconds apart agree."""
    last: dict[str, int] = {}
    async with asyncio.timeout(EVENTS_SECONDS_MAX):
        while (now := await _rows(conn)) != last:
            last = now
            await asyncio.sleep(10)

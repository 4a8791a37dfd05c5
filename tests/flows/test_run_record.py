"""Declared tasks run with and without a record; a record keeps to its limits and to what is nobody's data."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog

from flows import run_record
from flows.adjudicate import adjudicate
from flows.declaring import task
from flows.errors import Postponed, TaskTimedOut
from flows.run_record import RecordLimits, RunRecord, record_here, working_on

pytestmark = pytest.mark.anyio
WORD = "KANARI"


def test_the_flow_declares_its_tasks_in_order() -> None:
    names = [declared.options.name for declared in adjudicate.tasks]
    assert names == ["cover", "photos", "papers", "nose", "credit", "fraud", "repeats", "decide", "record"]
    assert len({declared.options.key for declared in adjudicate.tasks}) == len(names)
    assert all(declared.options.description and declared.options.tags for declared in adjudicate.tasks)


async def test_a_task_holds_its_timeout_and_retries_without_any_record() -> None:
    tries = 0

    @task(name="hangs", timeout_seconds=0.01)
    async def hangs() -> None:
        await asyncio.Event().wait()

    @task(name="unsteady", retries=2, retry_on=(OSError,), retry_if=lambda error: isinstance(error, ConnectionError))
    async def unsteady(error: OSError) -> None:
        nonlocal tries
        tries += 1
        raise error

    with pytest.raises(TaskTimedOut, match="hangs took over"):
        await hangs()
    with pytest.raises(ConnectionResetError):
        await unsteady(ConnectionResetError())
    assert tries == 3
    with pytest.raises(PermissionError):
        await unsteady(PermissionError())
    assert tries == 4
    assert run_record.current_record() is None


async def test_a_record_keeps_calls_in_order_and_counts_what_is_beyond_its_limits() -> None:
    record = RunRecord(RecordLimits(calls_max=3, lines_max=2, line_characters_max=20))

    @task(name="look")
    async def look() -> None:
        run_record.spent({"wall": 1.0, "cpu": 0.5})

    async def work() -> None:
        record_here(record)
        with working_on("item-1"):
            await look()
            await look()
        with working_on("item-2"):
            await look()
            await look()
        for _ in range(3):
            run_record.add_line(logging.INFO, "x" * 100)

    await asyncio.create_task(work())
    assert [(call.subject, call.number) for call in record.calls] == [("item-1", 0), ("item-1", 1), ("item-2", 0)]
    assert [call.after for call in record.calls] == [None, record.calls[0], None]
    assert record.calls[0].cpu_seconds == 0.5
    assert (record.calls_dropped, record.lines_dropped, len(record.lines[0].text)) == (1, 1, 20)
    assert run_record.current_record() is None, "nothing is left in the caller's context"


async def test_lines_of_our_log_are_repeated_without_values_that_are_not_listed() -> None:
    record = RunRecord()
    structlog.configure(processors=[run_record.collect, structlog.processors.KeyValueRenderer()])
    log = structlog.get_logger("test")

    async def work() -> None:
        record_here(record)
        log.info("claim", claim="clm_1", outcome="pay", name=WORD, words=WORD)
        log.error("it broke", claim="clm_1", exc_info=ValueError(WORD))
        log.warning("away", error=ConnectionError(WORD))
        log.debug("left out", claim="clm_1")

    await asyncio.create_task(work())
    told = [(line.level, line.text) for line in record.lines]
    assert told == [
        (20, "claim claim=clm_1 outcome=pay"),
        (40, "it broke claim=clm_1 error=ValueError"),
        (30, "away error=ConnectionError"),
    ]


async def test_what_is_put_off_is_not_shown_as_failed() -> None:
    record = RunRecord()

    @task(name="pay")
    async def pay() -> None:
        raise Postponed(WORD)

    async def work() -> None:
        record_here(record)
        await pay()

    with pytest.raises(Postponed):
        await asyncio.create_task(work())
    (call,) = record.calls
    assert call.last.state == "Postponed"
    assert WORD not in call.last.words

"""Classifies real errors by cause: the system, PostgreSQL, vision, Pillow."""

from __future__ import annotations

import io
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import NotFound
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.errors import ChangedTooOften, ComputedTooLong, KillsWorkers, TaskTimedOut
from flows.trouble import ResourceTrouble, trouble_of, was_trouble
from vision.errors import DecoderUnavailable, ImageRefused, ReaderUnavailable, SearchTimedOut


def raised(act: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as error:  # noqa: PT011  (what it is is what is asked)
        act()
    return error.value


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def write_to_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")


def lacking(error: BaseException) -> str:
    trouble = trouble_of(error)
    return trouble.resource if trouble is not None else ""


def test_what_the_system_refuses_is_no_fault_of_a_claim() -> None:
    assert lacking(raised(write_to_a_full_disk)) == "disk"
    assert lacking(raised(lambda: bytearray(1 << 62))) == "memory"
    with no_descriptor_left():
        error = raised(lambda: [open("/dev/null") for _ in range(64)])  # noqa: SIM115
    assert lacking(error) == "open_files"
    assert lacking(BlockingIOError(11, "fork: Resource temporarily unavailable")) == "processes"
    assert lacking(RuntimeError("can't start new thread")) == "processes"
    assert lacking(RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")) == (
        "memory"
    )


def test_a_file_that_is_missing_is_the_claims_and_a_store_that_is_missing_is_ours(tmp_path: Path) -> None:
    store = BlobStore((tmp_path / "evidence").as_uri())
    gone = store.put(b"gone")
    store.put(b"kept")
    store.delete(gone)
    missing = raised(lambda: store.read(gone))
    assert isinstance(missing, NotFound)
    assert trouble_of(missing) is None
    shutil.rmtree(tmp_path / "evidence")
    assert lacking(raised(lambda: store.read(gone))) == "evidence"


def test_what_vision_lacks_is_ours_and_what_a_file_does_is_not() -> None:
    assert lacking(DecoderUnavailable("killed twice")) == "decoder"
    assert lacking(ReaderUnavailable("did not start")) == "reader"
    assert lacking(SearchTimedOut("10 s")) == "search"
    assert lacking(TaskTimedOut("papers took over 3600 s")) == "time", "by the clock of a busy machine"
    assert trouble_of(ImageRefused("decode_memory", "more than one file may have")) is None
    cut_off = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(cut_off, "PNG")
    broken = raised(lambda: Image.open(io.BytesIO(cut_off.getvalue()[:500])).load())
    assert isinstance(broken, OSError)
    assert trouble_of(broken) is None
    unknown = raised(lambda: Image.open(io.BytesIO(b"no picture")))
    assert trouble_of(unknown) is None


def test_a_group_is_ours_only_where_all_of_it_is() -> None:
    ours, own = ReaderUnavailable("x"), KeyError("y")
    assert lacking(ExceptionGroup("both", [ours, MemoryError()])) == "reader"
    assert trouble_of(ExceptionGroup("mixed", [ours, own])) is None


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), KillsWorkers("x"), ChangedTooOften("x"), ComputedTooLong("x")]
)
def test_everything_else_counts_against_the_claim(error: Exception) -> None:
    assert trouble_of(error) is None


def test_what_a_referral_keeps_is_known_again() -> None:
    assert was_trouble(ResourceTrouble("reader").stored)
    for before in ("ReaderUnavailable", "OSError", "LeasedTooOften", "TimeoutError", "TaskTimedOut"):
        assert was_trouble(before)
    for own in ("KeyError", "KillsWorkers", "NotFound", "OverflowError", "IntegrityError"):
        assert not was_trouble(own)


async def error_of(engine: AsyncEngine, *statements: str) -> BaseException:
    async def run() -> None:
        async with engine.begin() as conn:
            for statement in statements:
                await conn.execute(text(statement))

    with pytest.raises((SQLAlchemyError, OSError)) as error:
        await run()
    return error.value


@pytest.mark.anyio
async def test_a_database_that_is_away_or_out_of_time_is_ours(
    engine: AsyncEngine, database_url: str, closed_port: int
) -> None:
    out_of_time = await error_of(engine, "SET LOCAL statement_timeout = 1", "SELECT pg_sleep(100)")
    assert lacking(out_of_time) == "store"
    assert lacking(await error_of(engine, "SELECT pg_terminate_backend(pg_backend_pid())")) == "store"
    locked_out = ("SET LOCAL lock_timeout = 1", "LOCK TABLE claims")
    async with engine.begin() as holder:
        await holder.execute(text("LOCK TABLE claims"))
        assert lacking(await error_of(engine, *locked_out)) == "store"
    small_pool = connect(database_url, pool_size=1, overflow=0, wait_seconds=0.1)
    async with small_pool.connect():
        assert lacking(await error_of(small_pool, "SELECT 1")) == "store"
    await small_pool.dispose()
    assert lacking(await error_of(engine, "SET TRANSACTION READ ONLY", "DELETE FROM claims")) == "store"
    nowhere = connect(f"postgresql+asyncpg://x:y@127.0.0.1:{closed_port}/z")
    assert lacking(await error_of(nowhere, "SELECT 1")) != ""
    await nowhere.dispose()


@pytest.mark.anyio
async def test_a_database_that_was_asked_something_wrong_is_not(engine: AsyncEngine) -> None:
    for statement in (
        "SELECT 1/0",
        "SELECT no_such_column FROM claims",
        "INSERT INTO policies (id) VALUES (NULL)",
        "SELECT 'x'::int",
        "SELECT 99999999999::int",
    ):
        assert trouble_of(await error_of(engine, statement)) is None, statement
    async with engine.connect() as conn:
        with pytest.raises(SQLAlchemyError) as error:
            await conn.execute(text("SELECT CAST(:many AS INTEGER)"), {"many": 1 << 80})
    assert trouble_of(error.value) is None, "a value that fits no column"

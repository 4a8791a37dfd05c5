"""A real PostgreSQL for every test that asks: one server a session, one fresh, migrated database a test. Also groups
the tests that stay together when `make test` runs in several processes, each with a server of its own.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from api import databases
from api.postgres import Postgres
from claims.store import engine as store_engine
from tests.prefect_server import prefect_api_url, prefect_server
from tests.scratch import memory_folder, server_folder

__all__ = ["prefect_api_url", "prefect_server"]  # fixtures

# A property holds on a machine that is busy with other things, too: no example is measured by the clock.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

TEMPLATE = "migrated"
COPIED = "STRATEGY FILE_COPY"  # file by file and not through the log: half the time
# The pieces that take longest, the longest first (CONTRIBUTING.md has their seconds), so that no process ends with one
# of them while the other has nothing left. A file is one piece, for its fixtures are started once; but
# - these share a stack, and are one piece together;
ON_ONE_STACK = (
    "test_bad_input.py",
    "test_command_line.py",
    "test_kills.py",
    "test_privacy.py",
    "test_readme_claim.py",
)
# - and the tests of these share nothing, and are a piece each.
CUT_UP = ("tests/api/test_without_prefect.py", "tests/flows/test_library.py", "tests/planted/test_planted.py")
LONGEST = (
    "tests/end_to_end/test_race.py",
    "tests/machine/test_machine.py",
    "tests/end_to_end",
    "tests/vision/documents/test_reader.py",
    "tests/flows/test_library.py::test_an_import_through_prefects_task_runners_makes_the_same_library_as_a_plain_one",
    "tests/flows/test_library.py::test_a_killed_import_does_exactly_the_rest_when_it_is_run_again",
    "tests/flows/test_settle_faults.py",
    "tests/end_to_end/test_secrecy.py",
    "tests/end_to_end/test_operators.py",
    "tests/flows/test_deployments.py",
    "tests/flows/test_any_prefect.py",
    "tests/flows/test_automations.py",
    "tests/flows/test_runs_in_prefect.py",
    "tests/flows/test_shown_runs.py",
    "tests/flows/test_brakes_in_prefect.py",
    "tests/flows/test_brakes.py",
    "tests/api/http/test_fuzz.py",
    "tests/flows/test_worker.py",
    "tests/api/test_without_prefect.py::test_claims_are_paid_while_prefect_hangs_and_runs_appear_when_it_comes",
    "tests/flows/test_library.py::test_a_batch_that_kills_its_worker_process_does_not_sink_the_rest",
    "tests/vision/documents/test_forensics.py",
    "tests/test_readme.py",
    "tests/api/test_without_prefect.py::test_a_prefect_that_ends_at_once_stops_nothing",
    "tests/planted/test_planted.py::test_a_planted_fault_is_found",
)
_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Puts pytest's temporary folders in memory, too: waits of SQLite and PostgreSQL for a disk test nothing here."""
    if (memory := memory_folder()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def piece(nodeid: str) -> str:
    """Returns the group of tests that a test is sent to a process with."""
    file, _, test = nodeid.partition("::")
    folder, _, name = file.rpartition("/")
    if file in CUT_UP:
        return f"{file}::{test.partition('[')[0]}"
    return folder if name in ON_ONE_STACK else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorts tests by length if several processes share the work; one process keeps the order of the folders."""
    if hasattr(config, "workerinput"):
        missing = [name for name in LONGEST if not (config.rootpath / name.partition("::")[0]).exists()]
        if missing:
            raise pytest.UsageError(f"LONGEST in {__file__} names what is not there: {', '.join(missing)}")
        places = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(piece(item.nodeid), len(LONGEST)))


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Restores logging after a command that ran inside the test's process has configured it."""
    factory, hooks = logging.getLogRecordFactory(), (sys.excepthook, sys.unraisablehook, threading.excepthook)
    configured, before = structlog.is_configured(), structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    if structlog.get_config() == before:
        return
    if configured:
        structlog.configure(**before)
    else:
        structlog.reset_defaults()
    logging.setLogRecordFactory(factory)
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedules groups of tests in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece(nodeid)

    config.option.loadscopereorder = False
    return Pieces(config, log)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Starts the embedded server, without fsync."""
    with server_folder() as home, Postgres(home, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """Returns the name of a database with every migration applied, to copy from."""
    dsn = postgres.ensure_database(TEMPLATE)
    databases.upgrade(dsn)
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """Yields the DSN of a fresh database with the newest schema; dropped after the test despite open connections."""
    name = f"test_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} {COPIED}")
    try:
        yield postgres.dsn(name)
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = store_engine.connect(database_url)
    yield made
    await made.dispose()

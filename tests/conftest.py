"""A real PostgreSQL for every test that asks: one server a session, one fresh, migrated database a test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.postgres import Postgres
from claims.store import engine as store_engine
from claims.store import migrate

TEMPLATE = "migrated"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The embedded server, without fsync; pytest's own temporary folder is closed to other users, so not in there."""
    home = Path(tempfile.mkdtemp(prefix="miaopei-test-"))
    home.chmod(0o755)
    server = Postgres(home, durable=False)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """Name of a database with every migration applied, to copy from."""
    dsn = postgres.ensure_database(TEMPLATE)
    migrate.upgrade(dsn)
    if find_spec("vision.library.migrate") is not None:
        from vision.library import upgrade as upgrade_library

        upgrade_library(dsn)
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """DSN of a fresh database with the newest schema; dropped after the test, whoever is still connected."""
    name = f"test_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    try:
        yield postgres.dsn(name)
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = store_engine.connect(database_url)
    yield made
    await made.dispose()

"""A real Prefect server on the tests' PostgreSQL, shared by the tests of one module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from api.postgres import Postgres
from api.settings import Settings
from api.stack import open_prefect

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def prefect_api_url(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yields the address of a server with an empty database of its own."""
    dsn = postgres.ensure_database(f"prefect_{next(_numbers)}")
    settings = Settings(
        home=tmp_path_factory.mktemp("prefect"), database_url=dsn, prefect_database_url=dsn, prefect_api_url=""
    )
    with open_prefect(settings, dsn) as url:
        yield url

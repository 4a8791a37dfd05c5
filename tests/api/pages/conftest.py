"""One server, one set of claims and one browser for a module of page tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from api.postgres import Postgres
from api.settings import Settings
from tests.api.http.world import Api, running

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def site(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Api]:
    """Runs the application with a database of its own."""
    folder: Path = tmp_path_factory.mktemp("site")
    name = f"pages_{request.module.__name__.rpartition('.')[2]}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY")
    settings = Settings(
        home=folder / "home",
        database_url=postgres.dsn(name),
        evidence_url=f"file://{folder}/evidence",
        prefect_ui_url="http://prefect.example:4200",
    )
    try:
        with running(settings) as api:
            yield api
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the PATH: the browser tests need one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield started
        started.close()

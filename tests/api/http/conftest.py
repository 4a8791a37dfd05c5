"""The application over real HTTP: uvicorn on a free port, the real store behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from tests.api.http.world import Api, running


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url, evidence_url=f"file://{tmp_path}/evidence")


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    with running(settings) as started:
        yield started

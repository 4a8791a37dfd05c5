"""One whole stack for the tests of this folder, gone when they are done: real processes, a sandbox bank, two insurers;
no Prefect server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.sandbox import Sandbox
from api.settings import Settings, WorkSettings
from tests.forked import launch


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    # Short leases: what a killed worker held comes back within a test's patience.
    settings = Settings(work=WorkSettings(lease_seconds=3.0))
    with Sandbox(settings, tmp_path_factory.mktemp("stack"), prefect=False, launch=launch) as running:
        yield running

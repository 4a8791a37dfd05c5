"""The place of a server's data, and starting afresh in an existing home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api.postgres import SHARED_ROOT, Postgres


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs under another user, who may not reach the home")
def test_a_home_that_was_discarded_begins_anew_though_its_data_lay_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # as /root is
    home = tmp_path / "home"
    for _ in range(2):
        server = Postgres(home, durable=False)
        server.discard()
        server.start()
        try:
            server.ensure_database("mine")
            assert any(SHARED_ROOT.iterdir())
            assert not (home / "postgres").exists()
        finally:
            server.stop()
    Postgres(home).discard()
    assert not home.exists()

"""Real sandbox servers in processes of their own, for the tests that need an outside world."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 20.0


@dataclass
class Server:
    """A sandbox server that can be killed and started again on the same port with the same state."""

    module: str
    folder: Path
    options: tuple[str, ...]
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        ready = self.folder / "url"
        ready.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            self.module,
            "--port",
            str(self.port),
            "--state",
            str(self.folder / "state.sqlite3"),
        ]
        self.process = subprocess.Popen([*command, "--ready-file", str(ready), *self.options], cwd=ROOT)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not ready.exists():
            assert self.process.poll() is None, f"{self.module} ended with {self.process.returncode}"
            assert time.monotonic() < deadline, f"{self.module} did not start"
            time.sleep(0.02)
        self.port = int(ready.read_text().rsplit(":", 1)[1])

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def faults(self, **faults: float) -> None:
        httpx.post(f"{self.url}/faults", json=faults, trust_env=False).raise_for_status()

    def tally(self) -> dict[str, dict[str, int]]:
        response = httpx.get(f"{self.url}/tally", headers={"Authorization": "Bearer bank-token"}, trust_env=False)
        tally: dict[str, dict[str, int]] = response.raise_for_status().json()
        return tally


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "bank"
    folder.mkdir()
    server = Server("fixtures.sandbox_bank", folder, ("--token", "bank-token"))
    server.start()
    yield server
    server.kill()

"""The stack with a bank and two partner insurers around it, on one machine: for the demo, the benchmarks, the tests.

Nothing is imitated inside the product: bank and insurers are HTTP servers of `fixtures`, in processes of their own.
"""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr
from sqlalchemy import update

from api import environments, private
from api.http.tokens import Role, issue, load_key
from api.postgres import free_port, tail
from api.process import Launch, Launched, StackFailed, launch
from api.settings import BankSettings, PartnerSettings, Settings
from api.stack import Stack
from claims.store.engine import connect
from claims.store.tables import policies

PARTNERS = ("anshun", "heyuan")
READY_SECONDS_MAX = 600.0  # one that ends is noticed at once; a busy machine is given its time
STOP_SECONDS_MAX = 10.0


class Sandbox:
    """The stack with a bank and two insurers. `base`: settings to start from; home, ports, bank and partners are filled
    in, `changes` replace others. launch: how a process is started.

    Use as a context manager. Without `prefect` the worker calls its functions plainly.

    Raises StackFailed when a process does not start.
    """

    def __init__(
        self,
        base: Settings,
        home: Path,
        *,
        prefect: bool = True,
        workers: int = 1,
        launch: Launch = launch,
        **changes: Any,
    ) -> None:
        self.home = home
        self._prefect = prefect
        self._workers = workers
        self._launch = launch
        self.logs = home / "logs"
        private.open_home(home)
        private.folder(self.logs)
        self._processes: dict[str, Launched] = {}
        self._secrets = {name: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode() for name in PARTNERS}
        self._bank_token = secrets.token_hex(16)
        port = free_port()
        self.settings = base.model_copy(
            update={
                "home": home,
                "evidence_url": (home / "evidence").resolve().as_uri(),
                "http_port": port,
                "public_url": f"http://127.0.0.1:{port}",
                **changes,
            }
        )
        self.stack: Stack | None = None
        self.bank_url = ""
        self.insurer_urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        return self.settings.public_url

    def token(self, role: Role, subject: str) -> str:
        """Returns a bearer token for this sandbox."""
        key = load_key(self.settings.token_key, self.home)
        return issue(
            role,
            subject,
            key=key,
            now=datetime.now(UTC),
            valid_for=timedelta(hours=12),
            audience=self.settings.token_audience,
        )

    def start(self) -> None:
        """Start the bank and the insurers, then the stack that talks to them."""
        self.start_bank()
        for name in PARTNERS:
            arguments = ["--name", name, "--api", self.api_url, "--state", str(self.home / f"{name}.sqlite3")]
            told = {
                "SANDBOX_INSURER_SECRET": self._secrets[name],
                "SANDBOX_INSURER_TOKEN": self.token(Role.PARTNER, name),
            }
            self.insurer_urls[name] = self._serve(f"insurer-{name}", "fixtures.sandbox_insurer", arguments, told)
        partners = {
            name: PartnerSettings(webhook_url=f"{url}/webhooks", secret=SecretStr(self._secrets[name]))
            for name, url in self.insurer_urls.items()
        }
        bank = BankSettings(url=self.bank_url, token=SecretStr(self._bank_token))
        self.settings = self.settings.model_copy(update={"bank": bank, "partners": partners})
        self.stack = Stack(self.settings, workers=self._workers, prefect=self._prefect, launch=self._launch)
        self.stack.start()

    async def age_policies(self) -> None:
        """Date back every policy's record to the start of its cover. The world of a demonstration is made within a
        minute, and a cover recorded after the event is a reason to refer."""
        assert self.stack is not None
        engine = connect(self.stack.settings.database_url, pool_size=1)
        try:
            async with engine.begin() as conn:
                await conn.execute(update(policies).values(created_at=policies.c.starts_at))
        finally:
            await engine.dispose()

    def start_bank(self, port: int = 0) -> None:
        """Start the bank, or start it again on its old port after `kill_bank`."""
        arguments = ["--port", str(port), "--state", str(self.home / "bank.sqlite3")]
        told = {"SANDBOX_BANK_TOKEN": self._bank_token}
        self.bank_url = self._serve("bank", "fixtures.sandbox_bank", arguments, told)

    def kill_bank(self) -> int:
        """Send SIGKILL to the bank. Returns the port it was on."""
        process = self._processes.pop("bank")
        process.kill()
        process.wait()
        return int(self.bank_url.rsplit(":", 1)[1])

    def stop(self) -> None:
        """Stop the stack, then the servers around it."""
        if self.stack is not None:
            self.stack.stop()
            self.stack = None
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _serve(self, name: str, module: str, arguments: list[str], told: dict[str, str]) -> str:
        ready = self.home / f"{name}.url"
        ready.unlink(missing_ok=True)
        log = self.logs / f"{name}.log"
        argv = [sys.executable, "-m", module, *arguments, "--ready-file", str(ready)]
        process = self._launch(argv, environments.of_process(self.settings, name) | told, log, Path.cwd())
        self._processes[name] = process
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackFailed(f"{module} did not come up:\n{tail(log)}")
            time.sleep(0.05)
        return ready.read_text(encoding="utf-8").strip()

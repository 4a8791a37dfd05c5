"""Starts what the machine drives: PostgreSQL, the bank in a process of its own, the application, and their house."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import structlog
from pydantic import SecretStr
from sqlalchemy import text

from api import databases
from api.http.app import create_app
from api.limits import HttpLimits, RateLimits
from api.postgres import Postgres
from api.settings import Settings
from claims.credit import Scorecard
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.config import PrefectConfig
from flows.rails.http import HttpRail, HttpRailSettings
from flows.tracking import tracking
from models.registry import weights_path
from tests.machine.eyes import Remembering
from tests.machine.house import House
from tests.machine.mortal import Mortal
from tests.scratch import server_folder

ROOT: Final = Path(__file__).resolve().parents[2]
TOKEN: Final = "bank-token"
START_SECONDS_MAX: Final = 120.0
# The machine asks faster than people do; how often one may ask is tested elsewhere.
NO_RATES: Final = RateLimits(
    **{name: 0 for name in RateLimits.__slots__ if name.endswith(("_by_subject", "_by_address", "_by_machine"))}
)
# What the machine never empties between runs.
_KEPT: Final = ("alembic_version_claims", "alembic_version_library", "alembic_version_vision")


@contextlib.asynccontextmanager
async def house(measured: Path | None = None) -> AsyncIterator[House]:
    """Starts everything once. measured: a folder of measurements to share with other runs."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        async with contextlib.AsyncExitStack() as stack:
            folder = stack.enter_context(server_folder())
            server = Postgres(folder, durable=False)
            await asyncio.to_thread(server.start)
            stack.callback(server.stop)
            dsn = server.ensure_database("machine")
            databases.upgrade(dsn)
            settings = Settings(home=folder / "home", database_url=dsn, http=HttpLimits(rates=NO_RATES))
            bank_url = _start_bank(folder, stack)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            bank = await stack.enter_async_context(
                httpx.AsyncClient(base_url=bank_url, headers=headers, trust_env=False, timeout=30)
            )
            rail = await stack.enter_async_context(HttpRail(HttpRailSettings(url=bank_url, token=SecretStr(TOKEN))))
            engines = [connect(dsn, pool_size=size) for size in (3, 6, 3)]
            for engine in engines:
                stack.push_async_callback(engine.dispose)
            eyes = Remembering(settings.evidence_url, measured or folder / "measured")
            stack.callback(eyes.close)
            made: list[House] = []
            app = create_app(settings, now=lambda: made[0].now() if made else datetime.now(UTC))
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50_000))
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://api"))
            built = House(
                folder=folder,
                settings=settings,
                dsn=dsn,
                engine=engines[0],
                worker=Mortal(engines[1]),
                settler=Mortal(engines[2]),
                api=Mortal(app.state.context.engine),
                http=client,
                rail=rail,
                bank=bank,
                eyes=eyes,
                blobs=BlobStore(settings.evidence_url),
                scorecard=Scorecard.from_json(weights_path("credit_scorecard").read_bytes()),
                tracker=await stack.enter_async_context(tracking(PrefectConfig())),
            )
            async with built.engine.connect() as conn:
                names = await conn.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
                built.tables = tuple(name for name in names.scalars() if name not in _KEPT and "alembic" not in name)
            made.append(built)
            yield built
    finally:
        structlog.configure(**before)


def _start_bank(folder: Path, stack: contextlib.AsyncExitStack) -> str:
    ready = folder / "bank.url"
    options = ["--state", str(folder / "bank.sqlite3"), "--token", TOKEN, "--ready-file", str(ready)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.machine.bank", *options], cwd=ROOT, stdout=subprocess.DEVNULL
    )

    def stop() -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    stack.callback(stop)
    deadline = time.monotonic() + START_SECONDS_MAX
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the bank did not start: {process.poll()}")
        time.sleep(0.02)
    return ready.read_text()

"""Alembic, without an ini file: `upgrade(dsn)` brings a database to the newest schema of the store."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from claims.store import guard

VERSION_TABLE: Final = "alembic_version_claims"
# One number for everybody who migrates this schema: starters queue up behind it instead of colliding.
_LOCK: Final = 0x6D69616F


def config() -> Config:
    """Alembic's configuration; `attributes["connection"]` must hold an open connection before a command runs."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.set_main_option("path_separator", "os")
    return made


def upgrade(dsn: str) -> None:
    """Migrate to the head revision; nothing to do is fine. Blocks, inside an event loop as well."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _upgrade(dsn)).result()


async def _upgrade(dsn: str) -> None:
    engine = create_async_engine(dsn, hide_parameters=True, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_to_head)
    finally:
        await engine.dispose()


def _to_head(connection: Connection) -> None:
    configuration = config()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
    guard.install(connection)

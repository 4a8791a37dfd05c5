"""Alembic for the library's own tables, without an ini file. Independent of the migrations of the claims' store."""

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

VERSION_TABLE: Final = "alembic_version_library"
# Of the same kind as the store's own number, and different from it: starters queue up instead of colliding.
_LOCK: Final = 0x6D696170


def config() -> Config:
    """Alembic's configuration; `attributes["connection"]` must hold an open connection before a command runs."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.set_main_option("path_separator", "os")
    return made


def upgrade(dsn: str) -> None:
    """Migrate to the head revision; nothing to do is fine. dsn: postgresql+asyncpg://. Blocks, inside a loop as well.

    The server must offer the extension `vector` (pgvector 0.8 or later), and the user must be allowed to create it
    once.
    """
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

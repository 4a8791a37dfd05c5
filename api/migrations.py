"""Alembic without an ini file: brings a database to the newest revision of a schema. The store of the claims and the
photo library each keep a schema of their own in one database, and do not know of each other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


class Schema(Protocol):
    """The parts of a module that describes a schema, `claims.store.migrate` for one.

    LOCK: the number of the lock that everybody takes who migrates this schema; processes queue up behind it instead of
    colliding. SCRIPTS: Alembic's folder. AFTER: done in the same transaction, once the tables are up to date.
    """

    @property
    def VERSION_TABLE(self) -> str: ...

    @property
    def LOCK(self) -> int: ...

    @property
    def SCRIPTS(self) -> Path: ...

    @property
    def AFTER(self) -> Sequence[Callable[[Connection], object]]: ...

    @property
    def metadata(self) -> MetaData: ...


def upgrade(dsn: str, schema: Schema) -> None:
    """Migrate to the head revision; does nothing where it is reached. dsn: postgresql+asyncpg://. Blocks, also inside
    an event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _upgrade(dsn, schema)).result()


def config(schema: Schema, connection: Connection) -> Config:
    """Returns Alembic's configuration, for commands that work over this connection and in its transaction."""

    def mine(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
        # Leaves the other schema's tables alone.
        return kind != "table" or name in schema.metadata.tables

    def run() -> None:
        """Run the migrations; called by the schema's env.py, which Alembic runs."""
        context.configure(
            connection=connection,
            target_metadata=schema.metadata,
            version_table=schema.VERSION_TABLE,
            include_object=mine,
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()

    made = Config()
    made.set_main_option("script_location", str(schema.SCRIPTS))
    made.set_main_option("path_separator", "os")
    made.attributes["run"] = run
    return made


async def _upgrade(dsn: str, schema: Schema) -> None:
    engine = create_async_engine(dsn, hide_parameters=True, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": schema.LOCK})
            await connection.run_sync(_to_head, schema)
    finally:
        await engine.dispose()


def _to_head(connection: Connection, schema: Schema) -> None:
    command.upgrade(config(schema, connection), "head")
    for step in schema.AFTER:
        step(connection)

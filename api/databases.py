"""Opens the databases of an installation, migrates them, and gives each part the role that it works as."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import asyncpg
import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from api import migrations, private, roles
from api.postgres import Postgres, run_apart
from api.process import StackFailed
from api.settings import Settings
from claims.store import migrate as store

DATABASE: Final = "miaopei"
PREFECT_DATABASE: Final = "prefect"

log = structlog.get_logger(__name__)


def open_store(settings: Settings, server: Postgres | None) -> tuple[str, str]:
    """Returns the application's DSN and the owner's, with every migration applied and the application's role granted
    what it needs. server: the running one of the wheel; None for the server that the settings name.

    Raises StackFailed when the schema is old and the role of the settings may not migrate.
    """
    if server is not None:
        owner = server.ensure_database(DATABASE)
        password = secret(settings.home / "app.password")
        roles.ensure_role(owner, roles.APP_ROLE, password)
        upgrade(owner)
        roles.grant_app(owner, roles.APP_ROLE)
        roles.let_checkpoint(owner, roles.APP_ROLE)
        return roles.as_role(owner, roles.APP_ROLE, password), owner
    owner = settings.migration_database_url or settings.database_url
    try:
        upgrade(owner)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != asyncpg.InsufficientPrivilegeError.sqlstate:
            raise
        raise StackFailed(
            f"the database's schema is old, and the role {make_url(owner).username} may not change it: set "
            "MIAOPEI_MIGRATION_DATABASE_URL to the role that owns the tables"
        ) from error
    role = make_url(settings.database_url).username
    if role and role != make_url(owner).username:
        roles.grant_app(owner, role)
    return settings.database_url, owner


def upgrade(dsn: str) -> None:
    """Apply every migration: the store's, then the photo library's."""
    migrations.upgrade(dsn, store)
    upgrade_library(dsn)


def upgrade_library(dsn: str) -> None:
    """Apply the photo library's migrations alone, which need nothing of the store."""
    from vision.library import migrate as library  # pulls in numpy and pgvector: only those who migrate need it

    migrations.upgrade(dsn, library)


def prefect_database(settings: Settings, owner: str) -> str:
    """Returns the DSN of Prefect's own database, made when missing, for a role that reaches nothing else.

    Where the owner may make no role, or another home on the same server has made it and knows its password, Prefect
    works as the owner, and a warning is logged.
    """
    if settings.prefect_database_url:
        return settings.prefect_database_url
    known = settings.home / "prefect.password"
    try:
        if settings.database_url and not known.exists() and roles.exists(owner, roles.PREFECT_ROLE):
            raise asyncpg.InsufficientPrivilegeError
        password = secret(known)
        roles.ensure_role(owner, roles.PREFECT_ROLE, password)
        ensure_database(owner, PREFECT_DATABASE)
        roles.give_database(owner, PREFECT_DATABASE, roles.PREFECT_ROLE)
    except asyncpg.InsufficientPrivilegeError as error:
        log.warning("prefect works as the store's role: set MIAOPEI_PREFECT_DATABASE_URL", error=error)
        ensure_database(owner, PREFECT_DATABASE)
        return make_url(owner).set(database=PREFECT_DATABASE).render_as_string(hide_password=False)
    return roles.as_role(owner, roles.PREFECT_ROLE, password, PREFECT_DATABASE)


def ensure_database(dsn: str, name: str) -> None:
    """Create database `name` on the server of `dsn`, which must allow it; does nothing where the database exists."""

    async def create() -> None:
        plain = make_url(dsn).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(plain)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}"')
        except asyncpg.DuplicateDatabaseError:
            return  # another starter was faster
        finally:
            await connection.close()

    run_apart(create())


def secret(path: Path) -> str:
    """Read a secret from a file of the home, made on first use; only its owner may read the file."""
    private.open_home(path.parent)
    if not path.exists():
        private.write_once(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()

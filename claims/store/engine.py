"""Connections to the store's PostgreSQL."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from claims.errors import StoreError


def connect(
    dsn: str, *, pool_size: int = 5, overflow: int = 5, wait_seconds: float = 10.0, statement_seconds_max: float = 60.0
) -> AsyncEngine:
    """Return an engine for `postgresql+asyncpg://` DSNs; dispose of it with `await engine.dispose()`.

    Connections are tested before use, so a restarted server costs a reconnect and no error. A statement that runs
    longer than `statement_seconds_max` is cancelled by the server. Errors never carry the values of a
    statement. Raises StoreError for another driver.
    """
    if not dsn.startswith("postgresql+asyncpg://"):
        raise StoreError("the database URL must start with postgresql+asyncpg://")
    return create_async_engine(
        dsn,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=wait_seconds,
        pool_pre_ping=True,
        connect_args={
            "timeout": wait_seconds,
            "server_settings": {
                "application_name": "miaopei",
                "timezone": "UTC",
                "statement_timeout": str(int(statement_seconds_max * 1000)),
            },
        },
    )


async def may_rewrite(conn: AsyncConnection) -> bool:
    """Return True if this connection's role could change what is append-only: as a superuser, as the tables' owner or
    as a member of that role, or by a privilege."""
    asked = await conn.execute(
        text(
            "SELECT bool_or(has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')"
            " OR pg_has_role(relowner, 'MEMBER')) FROM pg_class"
            " WHERE oid IN (to_regclass('audit'), to_regclass('ledger_transactions'), to_regclass('ledger_entries'))"
        )
    )
    return bool(asked.scalar_one())


async def alone(conn: AsyncConnection, number: int, *, idle_seconds_max: float = 120.0) -> bool:
    """Take the lock `number` until this transaction ends. Returns False when somebody else holds it.

    A transaction that then does nothing for `idle_seconds_max` is ended by the server: a process that stands still, on
    a machine that was frozen or cut off, keeps nobody from the work for longer.
    """
    lock = text("SELECT pg_try_advisory_xact_lock(:number)")
    if not (await conn.execute(lock, {"number": number})).scalar_one():
        return False
    limit = text("SELECT set_config('idle_in_transaction_session_timeout', :milliseconds, true)")
    await conn.execute(limit, {"milliseconds": str(int(idle_seconds_max * 1000))})
    return True


async def end_when_idle(conn: AsyncConnection, seconds_max: float) -> None:
    """Have the server end this session, and with it the locks that it holds, once it does nothing for so long."""
    limit = text("SELECT set_config('idle_session_timeout', :milliseconds, false)")
    await conn.execute(limit, {"milliseconds": str(int(seconds_max * 1000))})

"""Recognises that the store is temporarily unavailable: starting up, shutting down, gone, full, too slow, or blocked by
another transaction.

One mapping for all who talk to it. The drivers report it in many ways: SQLAlchemy wraps what a statement meets, asyncpg
raises its own errors and the socket's while a connection is being opened.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from claims.faults import causes

# Every error that a store can raise, for loops that continue whatever it is.
STORE_ERRORS: Final = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
)
# Appendix A of PostgreSQL's manual. Whole classes: connection lost, resources used up, the operating system's trouble.
_CLASSES: Final = frozenset({"08", "53", "58"})
_STATES: Final = frozenset(
    {
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now: starting up, in recovery, shutting down
        "57P05",  # idle_session_timeout
        "57014",  # query_canceled: statement_timeout
        "55P03",  # lock_not_available
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "25006",  # read_only_sql_transaction: this server has become a standby
        "28000",  # invalid_authorization_specification: passwords or roles are being changed
        "28P01",  # invalid_password
        "3D000",  # invalid_catalog_name: the database is being restored
    }
)
_IN_THE_WAY: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
# asyncpg raises one class for a connection that is closed or half way through an answer, and for a wrong call.
_BROKEN: Final = ("connection", "in progress")
RETRY_SECONDS: Final = 5
RETRY_SECONDS_IN_THE_WAY: Final = 1


def retry_seconds(error: BaseException) -> int:
    """Return after how many seconds to try again; 0 for an error that does not pass by itself but is a fault of
    ours."""
    for link in causes(error):
        state = str(getattr(link, "sqlstate", None) or "")
        if state in _IN_THE_WAY:
            return RETRY_SECONDS_IN_THE_WAY
        if state in _STATES or state[:2] in _CLASSES:
            return RETRY_SECONDS
        if state:
            return 0  # the server understood, and objects
        if isinstance(link, DBAPIError) and link.connection_invalidated:
            return RETRY_SECONDS
        # Without a state the connection itself broke: a closed one, a half answer, a pool that has none to give, a
        # transaction that went down with its connection.
        if isinstance(link, (OSError, EOFError, PoolTimeout, PendingRollbackError)):
            return RETRY_SECONDS
        if isinstance(link, asyncpg.InternalClientError):
            return RETRY_SECONDS
        if isinstance(link, asyncpg.InterfaceError) and any(words in str(link) for words in _BROKEN):
            return RETRY_SECONDS
    return 0


def is_away(error: BaseException) -> bool:
    """Return True if trying again later may help."""
    return retry_seconds(error) > 0

"""Sets up the database roles: the owner migrates, the application works, Prefect has a database of its own.

The application's role cannot drop or alter a table, switch off a trigger or rewrite append-only tables. Writes that a
table refuses by its trigger are not granted either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.engine import URL, make_url

from api.postgres import run_apart

T = TypeVar("T")

APP_ROLE: Final = "miaopei_app"
PREFECT_ROLE: Final = "miaopei_prefect"
# An advisory lock's number, like the migrations': processes queue up instead of colliding.
_LOCK: Final = 0x6D696171
_MAINTAIN_SINCE: Final = 170_000  # server_version_num

# Bits of pg_trigger.tgtype.
_DELETE, _UPDATE = 8, 16
_TABLES: Final = f"""
SELECT c.oid::regclass::text AS name, c.relname LIKE 'alembic\\_version%' AS versions,
       coalesce(bool_or(t.tgtype & {_UPDATE} > 0), false) AS never_updated,
       coalesce(bool_or(t.tgtype & {_DELETE} > 0), false) AS never_deleted
FROM pg_class c
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgfoid = to_regproc('refuse_change')
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
GROUP BY c.oid, c.relname ORDER BY 1
"""
_HELD: Final = "SELECT {columns} FROM (VALUES ($1::regclass)) AS of (t)"
_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES")

_OWNED: Final = """
SELECT format('ALTER %s %I.%I OWNER TO %I', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
       ELSE 'TABLE' END, n.nspname, c.relname, $1::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relowner <> $1::regrole
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT format('ALTER TYPE %I.%I OWNER TO %I', n.nspname, t.typname, $1::text)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'public' AND t.typtype = 'e' AND t.typowner <> $1::regrole
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO %I', p.oid::regprocedure, $1::text)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND p.proowner <> $1::regrole
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def as_role(dsn: str, role: str, password: str, database: str = "") -> str:
    """Returns the DSN of the same server for another role, and for another database where one is named."""
    url = make_url(dsn).set(username=role, password=password)
    return _rendered(url.set(database=database) if database else url)


def ensure_role(owner_dsn: str, role: str, password: str) -> None:
    """Make a role that may log in and nothing else. Raises asyncpg.InsufficientPrivilegeError where the owner may not
    make one."""
    options = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"

    async def ensure(conn: asyncpg.Connection) -> None:
        there = await conn.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        verb = "ALTER" if there else "CREATE"
        await conn.execute(f"{verb} ROLE {_name(role)} {options} PASSWORD {_text(password)}")

    _locked(owner_dsn, ensure)


def exists(owner_dsn: str, role: str) -> bool:
    """True if the server knows the role."""

    async def ask(conn: asyncpg.Connection) -> bool:
        return bool(await conn.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role))

    return _connected(owner_dsn, ask)


def grant_app(owner_dsn: str, role: str) -> None:
    """Grant `role` the privileges that the application needs on each table of the schema, and revoke any others.

    To be called after every migration, since new tables come with no privileges.
    """

    async def grant(conn: asyncpg.Connection) -> None:
        name = _name(role)
        database = _name(await conn.fetchval("SELECT current_database()"))
        schema = _name(await conn.fetchval("SELECT current_schema()"))
        # A temporary table would hide the real one from a trigger that names it without its schema.
        await conn.execute(f"REVOKE TEMPORARY, CONNECT ON DATABASE {database} FROM PUBLIC")
        await conn.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
        await conn.execute(f"GRANT CONNECT ON DATABASE {database} TO {name}")
        await conn.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        await conn.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name}")
        known = list(_PRIVILEGES)
        if conn.get_server_version().major * 10_000 >= _MAINTAIN_SINCE:
            known.append("MAINTAIN")
        for table in await conn.fetch(_TABLES):
            wanted = _wanted(table, known)
            held = await _held(conn, role, table["name"], known)
            if wanted - held:
                await conn.execute(f"GRANT {', '.join(sorted(wanted - held))} ON {table['name']} TO {name}")
            if held - wanted:
                await conn.execute(f"REVOKE {', '.join(sorted(held - wanted))} ON {table['name']} FROM {name}")

    _locked(owner_dsn, grant)


def give_database(owner_dsn: str, database: str, role: str) -> None:
    """Make `role` the owner of a database and its contents, and keep everybody else out."""

    async def own(conn: asyncpg.Connection) -> None:
        await conn.execute(f"ALTER DATABASE {_name(database)} OWNER TO {_name(role)}")
        await conn.execute(f"REVOKE ALL ON DATABASE {_name(database)} FROM PUBLIC")
        for (statement,) in await conn.fetch(_OWNED, role):
            await conn.execute(statement)

    _locked(_rendered(make_url(owner_dsn).set(database=database)), own)


def let_checkpoint(owner_dsn: str, role: str) -> None:
    """Allow the role to make checkpoints: an erasure ends with one. Only a superuser can grant that."""

    async def let(conn: asyncpg.Connection) -> None:
        await conn.execute(f"GRANT pg_checkpoint TO {_name(role)} WITH INHERIT TRUE")

    _locked(owner_dsn, let)


def _wanted(table: asyncpg.Record, known: list[str]) -> set[str]:
    if table["versions"]:
        return {"SELECT"}
    wanted = {"SELECT", "INSERT", "UPDATE", "DELETE", "MAINTAIN"} & set(known)
    refused = {"UPDATE": table["never_updated"], "DELETE": table["never_deleted"]}
    return {privilege for privilege in wanted if not refused.get(privilege, False)}


async def _held(conn: asyncpg.Connection, role: str, table: str, known: list[str]) -> set[str]:
    columns = ", ".join(f"has_table_privilege($2, t, '{privilege}') AS {privilege.lower()}" for privilege in known)
    (row,) = await conn.fetch(_HELD.format(columns=columns), table, role)
    return {privilege for privilege in known if row[privilege.lower()]}


def _locked(dsn: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def run(conn: asyncpg.Connection) -> T:
        async with conn.transaction():
            await conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            return await work(conn)

    return _connected(dsn, run)


def _connected(dsn: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def run() -> T:
        conn = await asyncpg.connect(_rendered(make_url(dsn).set(drivername="postgresql")))
        try:
            return await work(conn)
        finally:
            await conn.close()

    return run_apart(run())


def _rendered(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _name(identifier: Any) -> str:
    return '"' + str(identifier).replace('"', '""') + '"'


def _text(value: str) -> str:
    # CREATE ROLE takes no parameters.
    return "'" + value.replace("'", "''") + "'"

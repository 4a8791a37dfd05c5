"""Database roles: the application's works and cannot rewrite history; a single DSN works with a warning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from api import roles
from api.databases import ensure_database, open_store, prefect_database
from api.postgres import Postgres, run_apart
from api.process import StackFailed
from api.settings import Settings
from claims.store.engine import connect, may_rewrite
from tests.scratch import server_folder


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with server_folder() as folder, Postgres(folder, durable=False) as started:
        yield started


@pytest.fixture(scope="module")
def settings(server: Postgres) -> Settings:
    return Settings(home=server.home)


@pytest.fixture(scope="module")
def app(server: Postgres, settings: Settings) -> str:
    return open_store(settings, server)[0]


def tried(dsn: str, *statements: str) -> str:
    """Returns the SQLSTATE of the first refused statement, "" when none is; rolls back at the end."""

    async def run() -> str:
        conn = await asyncpg.connect(make_url(dsn).set(drivername="postgresql").render_as_string(False))
        transaction = conn.transaction()
        await transaction.start()
        try:
            for statement in statements:
                await conn.execute(statement)
            return ""
        except asyncpg.PostgresError as error:
            return str(error.sqlstate)
        finally:
            await transaction.rollback()
            await conn.close()

    return run_apart(run())


def asked(dsn: str, question: Callable[..., Awaitable[bool]]) -> bool:
    async def run() -> bool:
        engine = connect(dsn, pool_size=1)
        try:
            async with engine.connect() as conn:
                return await question(conn)
        finally:
            await engine.dispose()

    return run_apart(run())


REFUSED = (
    "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
    "ALTER TABLE claims ADD COLUMN x int",
    "DROP TABLE audit",
    "DROP TRIGGER audit_append_only ON audit",
    "CREATE TABLE mine (x int)",
    "CREATE TEMPORARY TABLE ledger_entries (x int)",
    "CREATE FUNCTION refuse_change() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "SET session_replication_role = replica",
    "UPDATE audit SET actor = 'x'",
    "DELETE FROM audit",
    "TRUNCATE audit CASCADE",
    "UPDATE ledger_entries SET amount_minor = 1",
    "DELETE FROM ledger_entries",
    "UPDATE ledger_transactions SET step = 'x'",
    "DELETE FROM ledger_transactions",
    "UPDATE audit_contents SET salt = ''",
    "TRUNCATE claims CASCADE",
    "TRUNCATE library_photos",
    "UPDATE alembic_version_claims SET version_num = '0001'",
    "CREATE ROLE other SUPERUSER",
    "ALTER ROLE miaopei_app SUPERUSER",
    "GRANT miaopei TO miaopei_app",
    "SET ROLE miaopei",
    "CREATE DATABASE other",
    "COPY claims TO PROGRAM 'cat'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT rolpassword FROM pg_authid",
    "ALTER SYSTEM SET log_statement = 'all'",
)


@pytest.mark.parametrize("statement", REFUSED)
def test_the_application_cannot(app: str, statement: str) -> None:
    assert tried(app, statement) in ("42501", "25001"), statement  # insufficient_privilege, or not in a transaction


def test_the_application_can_do_its_work(app: str) -> None:
    entry = (
        "INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency) VALUES ('t', 'bank', {}, 'CNY')"
    )
    assert (
        tried(
            app,
            "INSERT INTO outbox (topic, key, payload, state, due_at, created_at)"
            " VALUES ('settle', 'k', '{}', 'due', now(), now())",
            "UPDATE outbox SET attempts = 1",
            "DELETE FROM outbox",
            "INSERT INTO ledger_transactions (id, payout_id, step, at) VALUES ('t', 'p', 'reserve', now())",
            entry.format(5),
            entry.format(-5),
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SELECT * FROM audit_contents",
            "DELETE FROM audit_contents",
            "SELECT pg_advisory_xact_lock(7)",
            "SELECT pg_current_xact_id(), pg_postmaster_start_time()",
            "SET LOCAL hnsw.ef_search = 100",
            "SELECT photo_id FROM library_photos ORDER BY descriptor <=> NULL LIMIT 1",
        )
        == ""
    )


def test_an_erasure_may_clean_up_after_itself(app: str) -> None:
    async def clean() -> None:
        conn = await asyncpg.connect(make_url(app).set(drivername="postgresql").render_as_string(False))
        try:
            for statement in ("VACUUM claims", "ANALYZE claims", "VACUUM (ANALYZE) library_photos", "CHECKPOINT"):
                await conn.execute(statement)
        finally:
            await conn.close()

    run_apart(clean())


def test_every_table_that_refuses_changes_is_granted_without_them(server: Postgres, app: str) -> None:
    """Covers tables that a later migration adds, too."""
    database = str(make_url(app).database)
    server.execute("CREATE TABLE later (x int)", database=database)
    trigger = "CREATE TRIGGER later_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON later"
    server.execute(f"{trigger} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()", database=database)
    try:
        assert tried(app, "INSERT INTO later VALUES (1)") == "42501"
        server.execute("GRANT UPDATE, TRUNCATE ON later TO miaopei_app", database=database)
        roles.grant_app(server.dsn(database), roles.APP_ROLE)
        assert tried(app, "INSERT INTO later VALUES (1)", "SELECT * FROM later") == ""
        for statement in ("UPDATE later SET x = 2", "DELETE FROM later", "TRUNCATE later"):
            assert tried(app, statement) == "42501", statement
    finally:
        server.execute("DROP TABLE later", database=database)


def test_a_temporary_table_hides_nothing_from_the_ledgers_trigger(server: Postgres, app: str) -> None:
    owner = server.dsn(str(make_url(app).database))
    assert (
        tried(
            owner,
            "CREATE TEMPORARY TABLE ledger_entries AS "
            "SELECT 't' AS transaction_id, 'CNY' AS currency, n AS amount_minor FROM (VALUES (5), (-5)) AS of (n)",
            "INSERT INTO ledger_transactions (id, payout_id, step, at) VALUES ('t', 'p', 'reserve', now())",
            "SET CONSTRAINTS ALL IMMEDIATE",
        )
        == "23514"
    )


def test_a_role_that_could_rewrite_the_ledger_is_told_from_one_that_could_not(server: Postgres, app: str) -> None:
    assert not asked(app, may_rewrite)
    assert asked(server.dsn(str(make_url(app).database)), may_rewrite)


def test_prefect_reaches_its_own_database_and_no_other(server: Postgres, settings: Settings, app: str) -> None:
    owner = server.dsn(str(make_url(app).database))
    dsn = prefect_database(settings, owner)
    assert make_url(dsn).username == roles.PREFECT_ROLE
    assert tried(dsn, "CREATE TABLE flow (x int)", "CREATE EXTENSION IF NOT EXISTS pg_trgm") == ""
    foreign = make_url(dsn).set(database=make_url(app).database).render_as_string(False)
    for reaching in (foreign, make_url(app).set(database="prefect").render_as_string(False)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            tried(reaching, "SELECT 1")
    assert tried(dsn, "SET ROLE miaopei_app") == "42501"


def test_a_database_of_prefect_that_the_owner_had_made_is_handed_over(server: Postgres, settings: Settings) -> None:
    owner = server.dsn("postgres")
    server.execute('DROP DATABASE IF EXISTS "prefect"')
    ensure_database(owner, "prefect")
    server.execute("CREATE TYPE state AS ENUM ('up')", database="prefect")
    server.execute("CREATE TABLE flow (id bigserial, s state)", database="prefect")
    server.execute("CREATE VIEW flows AS SELECT * FROM flow", database="prefect")
    dsn = prefect_database(settings, owner)
    assert tried(dsn, "ALTER TABLE flow ADD COLUMN x int", "ALTER TYPE state RENAME TO states", "DROP VIEW flows") == ""


def test_a_server_of_ones_own_with_two_roles_and_with_one(server: Postgres, tmp_path: Path) -> None:
    server.execute("CREATE ROLE owning LOGIN PASSWORD 'o'")
    server.execute("CREATE ROLE working LOGIN PASSWORD 'w'")
    server.execute("CREATE DATABASE external OWNER owning")
    server.execute("CREATE EXTENSION vector", database="external")  # as whoever runs the server does once
    base = server.dsn("external")
    owner, working = roles.as_role(base, "owning", "o"), roles.as_role(base, "working", "w")
    try:
        alone = Settings(home=tmp_path, database_url=owner)
        assert open_store(alone, None) == (owner, owner)
        assert asked(owner, may_rewrite)
        both = Settings(home=tmp_path, database_url=working, migration_database_url=owner)
        assert open_store(both, None) == (working, owner)
        assert not asked(working, may_rewrite)
        assert tried(working, "UPDATE claims SET status = 'x'") == ""
        assert tried(working, "UPDATE audit SET actor = 'x'") == "42501"
        # Up to date, the working role alone can start the stack; on an old schema it says what is missing.
        assert open_store(Settings(home=tmp_path, database_url=working), None) == (working, working)
        # Prefect's role is another home's already: this one works as its owner, and takes nothing from the other.
        there = Settings(home=tmp_path, database_url=server.dsn("external"))
        assert make_url(prefect_database(there, server.dsn("external"))).username == "miaopei"
        server.execute("UPDATE alembic_version_claims SET version_num = '0004'", database="external")
        with pytest.raises(StackFailed, match="MIAOPEI_MIGRATION_DATABASE_URL"):
            open_store(Settings(home=tmp_path, database_url=working), None)
    finally:
        server.execute("DROP DATABASE external WITH (FORCE)")
        for role in ("owning", "working"):
            server.execute(f"DROP ROLE {role}")


def test_passwords_are_their_owners_alone(server: Postgres, app: str) -> None:
    assert app
    for name in ("app.password", "postgres.password", "postgres.port", "postgres.lock"):
        assert (server.home / name).stat().st_mode & 0o077 == 0, name

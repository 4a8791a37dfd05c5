"""Makes the database refuse, at commit, a change that `claims.audit_actions` lists and that no audit record tells of.

One function and up to three deferred triggers a table, written from that list. They are no migrations of their own:
`install` runs after each, and does nothing where the list is the same as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, text

from claims.audit_actions import CHANGES, Change

# A record counts when this very transaction wrote it: its row's xmin says so.
_REQUIRE: Final = """
CREATE OR REPLACE FUNCTION require_audit(subjects text[], actions text[], change text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF actions = ARRAY['*'] THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM audit
        WHERE subject = ANY (subjects) AND action = ANY (actions) AND xmin = pg_current_xact_id()::xid
    ) THEN
        RAISE EXCEPTION 'no audit record of this change: %', change
            USING ERRCODE = 'restrict_violation', HINT = 'one of ' || array_to_string(actions, ', ') || ' is needed';
    END IF;
END
$$
"""
_SIGNATURE: Final = "require_audit(text[],text[],text)"
_ROW: Final = {"insert": "NEW", "update": "NEW", "delete": "OLD"}


def install(connection: Connection) -> bool:
    """Bring functions and triggers up to date, in the caller's transaction; False when they were. The role must own
    the tables."""
    statements = _statements()
    version = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    installed = connection.execute(
        text("SELECT obj_description(to_regprocedure(:name), 'pg_proc')"), {"name": _SIGNATURE}
    ).scalar_one()
    if installed == version:
        return False
    remove(connection)
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"COMMENT ON FUNCTION {_SIGNATURE} IS '{version}'")
    return True


def remove(connection: Connection) -> None:
    """Drop all of it, including the triggers of earlier lists."""
    names = connection.exec_driver_sql(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        " AND (starts_with(proname, 'audited_') OR proname = 'require_audit')"
    ).scalars()
    for name in names.all():
        connection.exec_driver_sql(f"DROP FUNCTION {name} CASCADE")


def _statements() -> list[str]:
    made = [_REQUIRE]
    for table, changes in groupby(sorted(CHANGES, key=lambda change: change.table), key=lambda change: change.table):
        made.extend(_of_table(table, list(changes)))
    return made


def _of_table(table: str, changes: Sequence[Change]) -> Iterable[str]:
    for on in ("insert", "update", "delete"):
        mine = [change for change in changes if change.on == on]
        if not mine:
            continue
        name = f"audited_{table}_{on}"
        body = "\n".join(_updates(mine) if on == "update" else map(_require, mine))
        yield f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n{body}\n RETURN NULL;\nEND\n$$"
        when = ""
        event = on.upper()
        if on == "update":
            columns = sorted({change.column for change in mine})
            event += f" OF {', '.join(columns)}"
            differ = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
            when = f" WHEN ({differ})"
        yield (
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW{when} EXECUTE FUNCTION {name}()"
        )


def _updates(changes: Sequence[Change]) -> Iterable[str]:
    for column, group in groupby(sorted(changes, key=lambda change: change.column), key=lambda change: change.column):
        yield f" IF OLD.{column} IS DISTINCT FROM NEW.{column} THEN"
        listed = list(group)
        if not listed[0].value:
            yield _require(listed[0])
        else:
            for change in listed:
                yield f"  IF NEW.{column} = '{change.value}' THEN {_require(change)} END IF;"
            known = ", ".join(f"'{change.value}'" for change in listed)
            first = listed[0]
            yield f"  IF NEW.{column} NOT IN ({known}) THEN"
            yield _require(Change(first.table, "update", (), first.subjects, column, "a value that is not listed"))
            yield "  END IF;"
        yield " END IF;"


def _require(change: Change) -> str:
    row = _ROW[change.on]
    subjects = ", ".join(f"{row}.{column}" for column in change.subjects)
    actions = ", ".join(f"'{action}'" for action in change.actions)
    return f"  PERFORM require_audit(ARRAY[{subjects}], ARRAY[{actions}]::text[], '{change}');"

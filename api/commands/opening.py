"""Opens what several commands need: the settings, the database, output as table or JSON, errors in words."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from api.settings import Settings

if TYPE_CHECKING:
    from claims.paper_kind import PaperKinds
    from flows.config import SettleConfig

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
console = Console()
error_console = Console(stderr=True)


def fail(message: str, code: int = 2) -> typer.Exit:
    """Print the message to standard error; `raise fail(...)` ends the command."""
    error_console.print(f"[red]{message}[/red]", highlight=False)
    return typer.Exit(code)


def settings() -> Settings:
    """Returns the settings from the environment. Exits with the names of wrong ones."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise fail(f"wrong settings: {problems}") from error


def settings_beside_up() -> Settings:
    """Returns the settings from the environment; where they name no Prefect server and `miaopei up` runs in the home,
    with the server that it started, and what opens it. Exits with the names of wrong ones."""
    from api.stack import beside_up

    return beside_up(settings())


def operator() -> str:
    """Returns the name of the user who runs the command, for the audit chain."""
    return f"operator:{getpass.getuser()}"


def paper_kinds(config: Settings) -> PaperKinds:
    """Returns the insurer's half of every kind of paper. Exits with the file and the key that are wrong."""
    from claims.errors import InvalidPaperTerms
    from claims.paper_kind import load_paper_kinds

    try:
        return load_paper_kinds(config.paper_kinds)
    except InvalidPaperTerms as error:
        raise fail(f"wrong settings: MIAOPEI_PAPER_KINDS: {error}") from error


def settling(config: Settings) -> SettleConfig:
    """Returns the configuration of the settle process. Exits with the name of a wrong setting of the payout rail."""
    from api.processes import settle_config
    from flows.errors import InvalidRail

    try:
        return settle_config(config)
    except InvalidRail as error:
        raise fail(f"wrong settings: {error}") from error


@contextmanager
def database(config: Settings) -> Iterator[str]:
    """Yields the store's DSN: the configured server, else the one in the home folder, started for this command if need
    be."""
    from api.stack import open_database

    with open_database(config) as dsn:
        yield dsn


def with_store(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in one transaction on the store."""
    from claims.store.engine import connect

    async def run(dsn: str) -> T:
        engine = connect(dsn, pool_size=1)
        try:
            async with engine.begin() as conn:
                return await work(conn)
        finally:
            await engine.dispose()

    with database(settings()) as dsn:
        return asyncio.run(run(dsn))


def print_json(value: Any) -> None:
    """Print one line of JSON to standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()

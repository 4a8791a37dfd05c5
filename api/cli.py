"""The command line, `miaopei`. Every command that reports also has `--json`."""

from __future__ import annotations

import os
import sys

import typer
from rich.markup import escape

from api import logs, private
from api.commands import auditing, benches, books, casework, flowing, measuring, running, teaching, tokens
from api.commands.opening import error_console
from api.postgres import PostgresFailed
from api.process import StackFailed
from claims.errors import ClaimsError
from flows.errors import FlowsError
from models.errors import ModelsError
from vision.errors import VisionError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Miaopei: consumer-insurance claims, decided in seconds.",
)
for part in (running, casework, books, auditing, tokens, measuring, teaching, benches, flowing):
    part.add_to(app)


def main() -> None:
    """Entry point of the `miaopei` script. Errors that the product raises on purpose are printed in words, without a
    traceback; any other error by kind and place, since its words may quote somebody's data. Files that the process
    writes are readable by their owner alone."""
    before = os.umask(private.UMASK)
    logs.configure()
    try:
        app()
    except (StackFailed, PostgresFailed, ClaimsError, FlowsError, ModelsError, VisionError) as error:
        error_console.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(1)
    finally:
        os.umask(before)
        sys.excepthook = logs.ended_by  # typer has set its own, which prints the words


if __name__ == "__main__":
    main()

"""The command line, `miaopei`. Every command that reports also has `--json`."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from api.commands import benches, books, casework, measuring, running, teaching
from api.commands.opening import error_console
from api.postgres import PostgresFailed
from api.process import StackFailed
from claims.errors import ClaimsError
from flows.errors import FlowsError
from models.errors import ModelsError
from vision.errors import VisionError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Miaopei: consumer-insurance claims, decided in seconds."
)
for part in (running, casework, books, measuring, teaching, benches):
    part.add_to(app)


def main() -> None:
    """Entry point of the `miaopei` script. What the product raises on purpose is told in words, without a traceback."""
    try:
        app()
    except (StackFailed, PostgresFailed, ClaimsError, FlowsError, ModelsError, VisionError) as error:
        error_console.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()

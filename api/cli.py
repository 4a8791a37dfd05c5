"""The command line, `miaopei`. Every command that reports also has `--json`."""

from __future__ import annotations

import typer

from api.commands import benches, casework, measuring, running

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Miaopei: consumer-insurance claims, decided in seconds."
)
for part in (running, casework, measuring, benches):
    part.add_to(app)


def main() -> None:
    """Entry point of the `miaopei` script."""
    app()


if __name__ == "__main__":
    main()

"""`miaopei flows ...`: what operators do with flows by command."""

from __future__ import annotations

import typer

flows_app = typer.Typer(no_args_is_help=True, help="Flows: what runs, what is held, who is told")


def add_to(app: typer.Typer) -> None:
    app.add_typer(flows_app, name="flows")

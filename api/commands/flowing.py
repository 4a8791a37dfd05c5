"""`miaopei flows ...`: what operators do with flows by command."""

from __future__ import annotations

import typer

from api.commands import alerting, alone, braking, deploying


def add_to(app: typer.Typer) -> None:
    flows = typer.Typer(no_args_is_help=True, help="Flows: what runs, what is held, who is told")
    for part in (alone, deploying, alerting, braking):
        part.add_to(flows)
    app.add_typer(flows, name="flows")

"""`miaopei flows adjudicate CLAIM`, also `python -m flows.adjudicate CLAIM`: one claim's flow alone, in this process,
as a worker runs it.

Exit codes: 0 decided, 1 checked without a decision (put off, or somebody else went on with it), 2 not leased, with the
reason in words.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Annotated

import typer

from api.commands.opening import JsonFlag, console, database, fail, print_json, settings

DECIDED = ("pay", "refer", "ask", "decline")


def adjudicate(
    claim: Annotated[str, typer.Argument(help="The claim's id")],
    as_json: JsonFlag = False,
) -> None:
    """Decide one due claim here and now: leased, checked, recorded and paid as a worker does it."""
    from api.processes import process_name, worker_config
    from flows.alone import adjudicate_alone
    from flows.errors import NotDue

    config = settings()
    with database(config) as dsn:
        told = config.model_copy(update={"database_url": dsn})
        try:
            own = replace(worker_config(told), name=process_name("alone"))
            result = asyncio.run(adjudicate_alone(own, claim))
        except NotDue as why:
            raise fail(str(why)) from why
    if as_json:
        print_json({name: value for name, value in asdict(result).items() if name != "markdown"})
    else:
        console.print(
            f"claim {result.claim_id}: [bold]{result.outcome}[/bold] {result.amount} {result.reason},"
            f" {result.seconds:.2f} s",
            highlight=False,
        )
    if result.outcome not in DECIDED:
        raise typer.Exit(1)


def add_to(flows: typer.Typer) -> None:
    flows.command("adjudicate")(adjudicate)

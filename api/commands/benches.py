"""`miaopei bench NAME`: measurements, each a module of `benchmarks` with one `run`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from api.commands.opening import JsonFlag, fail, print_json

NAMES = (
    "photos",
    "provenance",
    "accusations",
    "subject",
    "documents",
    "forgeries",
    "noses",
    "decisions",
    "throughput",
    "library",
    "flows",
)


def bench(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    quick: Annotated[bool, typer.Option("--quick", help="A small sample: shows that it runs, proves nothing")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure one part and print its table; with --json the last line is one object."""
    if name not in NAMES:
        raise fail(f"no benchmark {name!r}; there are: {', '.join(NAMES)}")
    module = importlib.import_module(f"benchmarks.{name}")
    result = module.run(quick=quick)
    if as_json:
        print_json(result)
    else:
        module.show(result)


def add_to(app: typer.Typer) -> None:
    app.command()(bench)

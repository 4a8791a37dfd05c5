"""`miaopei bench NAME`: measurements, each a module of `benchmarks` with one `run`."""

from __future__ import annotations

import importlib
from pathlib import Path
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
WITH_FOLDER = ("provenance",)  # those that measure on a folder of one's own


def bench(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    quick: Annotated[bool, typer.Option("--quick", help="A small sample: shows that it runs, proves nothing")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="provenance: this folder's photos, as cameras wrote them, for false alarms by kind of camera",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure one part and print its table; with --json the last line is one object."""
    if name not in NAMES:
        raise fail(f"no benchmark {name!r}; there are: {', '.join(NAMES)}")
    if folder is not None and name not in WITH_FOLDER:
        raise fail(f"--folder belongs to {', '.join(f'`miaopei bench {name}`' for name in WITH_FOLDER)}")
    module = importlib.import_module(f"benchmarks.{name}")
    result = module.run(quick=quick, folder=folder) if name in WITH_FOLDER else module.run(quick=quick)
    if as_json:
        print_json(result)
    else:
        module.show(result)


def add_to(app: typer.Typer) -> None:
    app.command()(bench)

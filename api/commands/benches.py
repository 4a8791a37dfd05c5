"""`miaopei bench NAME`: measurements, each a module of `benchmarks` with one `run`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from api.commands.opening import JsonFlag, fail, print_json
from models.errors import ModelCorrupt, ModelMissing

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
WITH_FOLDER = ("photos", "provenance", "documents")  # those that measure on a folder of one's own


class CannotMeasure(Exception):
    """A benchmark was given too little to measure on, or something else than it takes; the message names what is
    missing."""


def bench(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    quick: Annotated[bool, typer.Option("--quick", help="A small sample: shows that it runs, proves nothing")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="photos, provenance: measure on this folder's photos; for photos sub-folders are sources and"
            " views/GROUP/ is one scene, provenance takes them as cameras wrote them; documents: measure on real papers"
            " too, FOLDER/FAMILY/ with a truth.json each",
        ),
    ] = None,
    sscd: Annotated[
        Path | None,
        typer.Option(
            envvar="MIAOPEI_DESCRIPTOR_TORCHSCRIPT",
            help="photos: Meta's SSCD as TorchScript or .onnx, measured beside ours in the same run",
        ),
    ] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            help="documents: only this part, may be given several times: papers, forgeries, memory, not_payable,"
            " foreign, two_in_one, honest, pdf, families",
        ),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="documents: keep what was read of made and real papers in this file; with the same file a run that"
            " was cut short goes on where it ended",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure one part and print its table; with --json the last line is one object."""
    if name not in NAMES:
        raise fail(f"no benchmark {name!r}; there are: {', '.join(NAMES)}")
    if folder is not None and name not in WITH_FOLDER:
        raise fail(f"--folder belongs to {', '.join(f'`miaopei bench {name}`' for name in WITH_FOLDER)}")
    if parts and name != "documents":
        raise fail("--parts belongs to `miaopei bench documents`")
    if rows is not None and name != "documents":
        raise fail("--rows belongs to `miaopei bench documents`")
    options: dict[str, object] = {"folder": folder} if name in WITH_FOLDER else {}
    if name == "documents":
        options |= {"parts": parts or (), "rows": rows}
    if name == "photos":
        options["sscd"] = sscd
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        result = module.run(quick=quick, **options)
    except (CannotMeasure, ModelMissing, ModelCorrupt) as error:
        raise fail(str(error)) from error
    if as_json:
        print_json(result)
    else:
        module.show(result)


def add_to(app: typer.Typer) -> None:
    app.command()(bench)

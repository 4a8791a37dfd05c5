"""`miaopei photos rulings` and `photos commons`: what people said about matches, and what everybody photographs."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.measuring import photos_app
from api.commands.opening import JsonFlag, console, database, fail, print_json, settings, with_store
from api.settings import Settings

commons_app = typer.Typer(no_args_is_help=True, help="Pictures that everybody photographs: no proof of a copy")


@photos_app.command("rulings")
def list_rulings(as_json: JsonFlag = False) -> None:
    """Every pair of pictures that a person ruled on, with what was measured then: to calibrate by."""
    from claims.store import rulings

    async def work(conn: AsyncConnection) -> list[dict[str, Any]]:
        return [
            {"id": one.id, "photo": one.photo_id, "match": one.match_photo_id, "ruling": one.ruling,
             **one.measured, "ruled_by": one.ruled_by, "ruled_at": one.ruled_at.isoformat()}
            async for one in rulings.every(conn)
        ]  # fmt: skip

    found = with_store(work)
    if as_json:
        for one in found:
            print_json(one)
        return
    table = Table("ruling", "photo", "match", "probability", "inliers", "by")
    for one in found:
        row = (one["ruling"], one["photo"], one["match"], f"{one['probability']:.4f}", one["inliers"], one["ruled_by"])
        table.add_row(*(str(value) for value in row))
    console.print(table)


@commons_app.command("list")
def list_commons(as_json: JsonFlag = False) -> None:
    """The negative bank, newest first."""
    from vision.library import known_pictures

    found = with_store(lambda conn: known_pictures.every(conn, limit=100_000))
    plain: list[dict[str, Any]] = [
        {"id": one.common_id, "source": one.source, "whole": one.whole, "points": len(one.keypoints),
         "photos": list(one.photo_ids), "file": one.reference}
        for one in found
    ]  # fmt: skip
    if as_json:
        for one in plain:
            print_json(one)
        return
    table = Table("picture", "source", "whole", "points", "learnt from")
    for one in plain:
        learnt = one["file"] or ", ".join(one["photos"][:3])
        table.add_row(one["id"], one["source"], "yes" if one["whole"] else "a part", str(one["points"]), learnt)
    console.print(table)


@commons_app.command("add")
def add_commons(
    files: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Pictures, or folders of them")],
    as_json: JsonFlag = False,
) -> None:
    """Add whole pictures (icons, blank labels) that everybody has. Skips what is there already."""
    config = settings()
    with database(config) as dsn:
        report = asyncio.run(_add(dsn, config, files))
    if as_json:
        print_json(report)
        return
    console.print(f"{report['added']} added, {report['known']} known before, {len(report['refused'])} refused")
    for name, why in report["refused"].items():
        console.print(f"  {name}: {why}", highlight=False)


@commons_app.command("remove")
def remove_common(common_id: str, as_json: JsonFlag = False) -> None:
    """Take a picture out again: what it explained counts from the next claim on."""
    from vision.library import known_pictures

    async def work(conn: AsyncConnection) -> bool:
        return await known_pictures.remove(conn, common_id)

    if not with_store(work):
        raise fail(f"the negative bank has no picture {common_id}")
    if as_json:
        print_json({"removed": common_id})
    else:
        console.print(f"{common_id}: removed")


async def _add(dsn: str, config: Settings, sources: list[Path]) -> dict[str, Any]:
    from api.processes import descriptor_config
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from flows.looking import fingerprinter as make_fingerprinter
    from vision.decode.image import Decoder, preview_jpeg
    from vision.errors import ImageRefused
    from vision.library import known_pictures

    fingerprinter = make_fingerprinter(descriptor_config(config))
    blobs = BlobStore(config.evidence_url)
    report: dict[str, Any] = {"added": 0, "known": 0, "refused": {}}
    engine = connect(dsn, pool_size=1)
    try:
        with Decoder(processes=1) as decoder:
            for path in _pictures(sources):
                data = path.read_bytes()
                try:
                    picture = decoder.decode(data)
                except ImageRefused as refused:
                    report["refused"][str(path)] = f"{refused.code}: {refused.detail}"
                    continue
                seen = fingerprinter.fingerprint(picture, hashlib.sha256(data).hexdigest())
                preview = blobs.put(preview_jpeg(picture.pixels, 1024))
                async with engine.begin() as conn:
                    new = await known_pictures.add(conn, known_pictures.imported(seen, path.name, preview))
                report["added" if new else "known"] += 1
    finally:
        await engine.dispose()
    return report


def _pictures(sources: list[Path]) -> list[Path]:
    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    found: list[Path] = []
    for source in sources:
        inside = sorted(one for one in source.rglob("*") if one.suffix.lower() in suffixes) if source.is_dir() else []
        found += inside or ([] if source.is_dir() else [source])
    return found


def add_to(app: typer.Typer) -> None:  # noqa: ARG001  (one shape for all: these hang on `photos`)
    photos_app.add_typer(commons_app, name="commons")

"""`miaopei photos rulings` and `photos commons`: people's rulings on matches, and the known pictures that everybody
photographs."""

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
    """List every pair of pictures that a person ruled on, with its measurements at that time, for calibration."""
    from claims.store import rulings

    async def work(conn: AsyncConnection) -> list[dict[str, Any]]:
        return [
            {"id": ruling.id, "photo": ruling.photo_id, "match": ruling.match_photo_id, "ruling": ruling.ruling,
             **ruling.measured, "ruled_by": ruling.ruled_by, "ruled_at": ruling.ruled_at.isoformat()}
            async for ruling in rulings.every(conn)
        ]  # fmt: skip

    listed = with_store(work)
    if as_json:
        for ruling in listed:
            print_json(ruling)
        return
    table = Table("ruling", "photo", "match", "probability", "inliers", "by")
    for ruling in listed:
        row = (
            ruling["ruling"],
            ruling["photo"],
            ruling["match"],
            f"{ruling['probability']:.4f}",
            ruling["inliers"],
            ruling["ruled_by"],
        )
        table.add_row(*(str(value) for value in row))
    console.print(table)


@commons_app.command("list")
def list_commons(as_json: JsonFlag = False) -> None:
    """List the known pictures, newest first."""
    from vision.library import known_pictures

    pictures = with_store(lambda conn: known_pictures.every(conn, limit=100_000))
    plain: list[dict[str, Any]] = [
        {"id": picture.common_id, "source": picture.source, "whole": picture.whole, "points": len(picture.keypoints),
         "photos": list(picture.photo_ids), "file": picture.reference}
        for picture in pictures
    ]  # fmt: skip
    if as_json:
        for picture in plain:
            print_json(picture)
        return
    table = Table("picture", "source", "whole", "points", "learnt from")
    for picture in plain:
        learnt = picture["file"] or ", ".join(picture["photos"][:3])
        table.add_row(
            picture["id"], picture["source"], "yes" if picture["whole"] else "a part", str(picture["points"]), learnt
        )
    console.print(table)


@commons_app.command("add")
def add_commons(
    files: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Pictures, or folders of them")],
    as_json: JsonFlag = False,
) -> None:
    """Add whole pictures (icons, blank labels) that everybody has. Skips pictures that are known already."""
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
    """Remove a known picture: matches that it explained count again from the next claim on."""
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
    from flows.vision_pool import fingerprinter as make_fingerprinter
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
                fingerprint = fingerprinter.fingerprint(picture, hashlib.sha256(data).hexdigest())
                preview = blobs.put(preview_jpeg(picture.pixels, 1024))
                async with engine.begin() as conn:
                    new = await known_pictures.add(conn, known_pictures.imported(fingerprint, path.name, preview))
                report["added" if new else "known"] += 1
    finally:
        await engine.dispose()
    return report


def _pictures(sources: list[Path]) -> list[Path]:
    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    files: list[Path] = []
    for source in sources:
        inside = (
            sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes) if source.is_dir() else []
        )
        files += inside or ([] if source.is_dir() else [source])
    return files


def add_to(app: typer.Typer) -> None:  # noqa: ARG001  (one shape for all: these hang on `photos`)
    photos_app.add_typer(commons_app, name="commons")

"""`miaopei photos`, `documents` and `noses`: measurements of files as the pipeline makes them, without a claim."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from api.commands.opening import JsonFlag, console, database, error_console, fail, print_json, settings, with_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from api.settings import Settings
    from flows.evidence import CalledRelation
    from vision.copies.copy_score import FusionModel
    from vision.decode.image import Decoder, Picture
    from vision.examine import ExaminedPhoto
    from vision.nose import NoseTemplate

photos_app = typer.Typer(no_args_is_help=True, help="The photo library")
documents_app = typer.Typer(no_args_is_help=True, help="Papers")
noses_app = typer.Typer(no_args_is_help=True, help="Pets by their nose")

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True)]
Pet = Annotated[str, typer.Option("--pet", help="Id of a registered pet")]
NOSE_EDGE_PX, PAPER_EDGE_PX = 1024, 1600
MATCHES_SHOWN_MAX = 5


@photos_app.command("import")
def import_photos(
    sources: Annotated[
        list[Path],
        typer.Argument(exists=True, help="Folders, pictures or tar files (.tar, .tar.gz, .tar.bz2, .tar.xz)"),
    ],
    source: Annotated[str, typer.Option(help="web or stock: where these pictures are known from")] = "web",
    runner: Annotated[
        str, typer.Option(help="local: in this process. threads, dask, ray: as a flow on that Prefect task runner")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Batches worked on at once")] = 1,
    address: Annotated[
        str, typer.Option(help="Address of a Dask scheduler or Ray head; unset: one is started on this machine")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Add pictures to the library. Continues where it stopped; skips pictures that the library has already."""
    from api.commands.importing import RUNNERS, import_folder
    from flows.errors import ImportStopped
    from flows.operations.growing import ImportProgress

    if source not in ("web", "stock"):
        raise fail("--source is web or stock")
    if runner not in RUNNERS:
        raise fail(f"--runner is one of: {', '.join(RUNNERS)}")
    known_from: Literal["web", "stock"] = "web" if source == "web" else "stock"
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[pictures]} pictures"), TextColumn("{task.fields[rate]}/s"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    config = settings()
    began = time.monotonic()
    with Progress(*columns, console=error_console) as progress, database(config) as dsn:
        task = progress.add_task("importing", total=None, pictures=0, rate="-")

        def advance(at: ImportProgress) -> None:
            rate = f"{at.pictures / max(time.monotonic() - began, 1e-9):.1f}"
            progress.update(task, completed=at.bytes_done, total=at.bytes_total, pictures=at.pictures, rate=rate)

        try:
            report = asyncio.run(
                import_folder(
                    dsn, config, sources, source=known_from, runner=runner, workers=workers, address=address,
                    advance=advance,
                )
            )  # fmt: skip
        except ImportStopped as stopped:
            raise fail(f"stopped: {stopped}; run it again to go on", code=1) from stopped
        except ImportError as missing:
            raise fail(f"--runner {runner} needs a package that is not installed: {missing}") from missing
    if as_json:
        print_json(report)
    else:
        console.print(
            f"{report['added']} added, {report['known']} known before, {len(report['refused'])} refused,"
            f" {len(report['failed'])} failed, {report['pictures_per_second']} pictures a second"
        )
        for name, why in (report["refused"] | report["failed"]).items():
            console.print(f"  {name}: {why}", highlight=False, markup=False)
    if report["failed"]:
        raise typer.Exit(1)  # running it again does those


@photos_app.command("check")
def check_photos(
    files: Files,
    overlay: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for a picture of each proven match, with its points")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare each photo with the library: same bytes, same picture, edited copy, similar, same scene, or unseen."""
    config = settings()
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
    with database(config) as dsn:
        results = asyncio.run(_check(dsn, config, files, overlay))
    for result in results:
        if as_json:
            print_json(result)
    if as_json:
        return
    table = Table("file", "verdict", "probability", "best match", "inliers", "transform")
    for result in results:
        best = result["matches"][0] if result["matches"] else {}
        table.add_row(
            result["file"], result["verdict"], f"{result['probability']:.3f}" if result["matches"] else "-",
            f"{best.get('source', '-')} {best.get('file', '')}", str(best.get("inliers", "-")),
            best.get("transform", result.get("reason", "")),
        )  # fmt: skip
    console.print(table)


@photos_app.command("refingerprint")
def refingerprint_photos(as_json: JsonFlag = False) -> None:
    """Describe the library anew after the descriptor was changed. Continues where it stopped."""
    from api.commands.importing import refingerprint_library

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    config = settings()
    with Progress(*columns, console=error_console) as progress, database(config) as dsn:
        task = progress.add_task("describing anew", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        report = asyncio.run(refingerprint_library(dsn, config, advance=advance))
    if as_json:
        print_json(report)
        return
    console.print(f"{report['described']} described anew by {report['descriptor']}, {len(report['left'])} left")
    for name, why in report["left"].items():
        console.print(f"  {name}: {why}", highlight=False)


async def _check(dsn: str, config: Settings, files: list[Path], overlay: Path | None) -> list[dict[str, Any]]:
    from api.processes import c2pa_anchors, descriptor_config
    from claims.store.engine import connect
    from flows.vision_pool import fingerprinter as make_fingerprinter
    from flows.worker import ONLY_OTHER_DESCRIPTORS
    from vision.decode.image import Decoder
    from vision.errors import ImageRefused
    from vision.examine import PhotoInstruments, against, measure
    from vision.library import search
    from vision.library.outdated import described_by

    fingerprinter = make_fingerprinter(descriptor_config(config))
    engine = connect(dsn, pool_size=1)
    results: list[dict[str, Any]] = []
    try:
        async with engine.connect() as conn:
            labels = await described_by(conn)
        if labels and fingerprinter.model not in labels:
            error_console.print(f"[yellow]{ONLY_OTHER_DESCRIPTORS}[/yellow]", highlight=False)
        with Decoder(processes=1) as decoder:
            instruments = PhotoInstruments(decoder, fingerprinter, c2pa_anchors=c2pa_anchors(config))
            for path in files:
                data = path.read_bytes()
                try:
                    photo, picture = measure(instruments, data, hashlib.sha256(data).hexdigest())
                except ImageRefused as refused:
                    results.append(_unmeasured(path, f"{refused.code}: {refused.detail}", {}))
                    continue
                if photo.not_comparable:
                    results.append(_unmeasured(path, photo.not_comparable, _provenance(photo)))
                    continue
                async with engine.connect() as conn:
                    candidates = await search(conn, photo.fingerprint, exclude_claim="")
                results.append(
                    _checked(config, path, against(photo, candidates, "", fingerprinter.fusion), picture, overlay)
                )
    finally:
        await engine.dispose()
    return results


def _unmeasured(path: Path, reason: str, provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the output line of a file that could not be compared."""
    return {
        "file": str(path),
        "verdict": "unmeasured",
        "probability": 0.0,
        "matches": [],
        "provenance": provenance,
        "reason": reason,
    }


def _checked(
    config: Settings, path: Path, photo: ExaminedPhoto, picture: Picture, overlay: Path | None
) -> dict[str, Any]:
    """Returns the output line of a compared photo, with the verdict that a worker would give."""
    from flows import evidence
    from vision.measurement import Unmeasured

    called = evidence.call(photo.relations)
    reported = called[:MATCHES_SHOWN_MAX]
    matches = [
        {"file": match.relation.reference or match.relation.photo_id, "source": match.relation.source,
         "probability": round(match.relation.probability, 4),
         "inliers": match.relation.inliers, "transform": match.transform, "verdict": match.verdict,
         "tight_inliers": match.relation.geometry.exactness.tight,
         "tight_ratio": round(match.relation.geometry.exactness.tight_ratio, 4),
         "rigid_ratio": round(match.relation.geometry.exactness.rigid_ratio, 4),
         "fine_ratio": round(match.relation.geometry.exactness.fine_ratio, 4),
         "fine_rigid_ratio": round(match.relation.geometry.exactness.fine_rigid_ratio, 4),
         "contained_ratio": round(match.relation.geometry.contained_ratio, 4),
         "pdq_bits": match.relation.pdq_bits, "fit_agreement": round(match.relation.fit_agreement, 4),
         "placement": None if isinstance(match.relation.placement, Unmeasured) else asdict(match.relation.placement),
         **_overlay(config, overlay, path, picture, number, match)}
        for number, match in enumerate(reported, start=1)
    ]  # fmt: skip
    best = max((match.relation.probability for match in reported), default=0.0)
    return {"file": str(path), "verdict": evidence.strongest(called), "probability": round(best, 4),
            "matches": matches, "provenance": _provenance(photo)}  # fmt: skip


def _provenance(photo: ExaminedPhoto) -> dict[str, Any]:
    """Returns what EXIF and signs tell of the photo's origin."""
    from vision.measurement import Unmeasured

    read = {"taken_at": photo.exif.taken_at, "software": photo.exif.software, "camera": photo.exif.camera}
    stated = {
        name: {"unmeasured": value.reason} if isinstance(value, Unmeasured) else value for name, value in read.items()
    }
    signs = [
        {"kind": sign.kind, "state": sign.state, "value": sign.value, "detail": sign.detail,
         "score": None if sign.score is None else round(sign.score, 4)}
        for sign in photo.signs
    ]  # fmt: skip
    return {**stated, "signs": signs, "notes": list(photo.notes)}


def _overlay(
    config: Settings, folder: Path | None, path: Path, picture: Picture, number: int, called: CalledRelation
) -> dict[str, str]:
    """Draw the proof of a match into `folder`. Returns the path, or nothing when there is nothing to draw."""
    from claims.errors import NotFound
    from claims.store.blobs import BlobStore
    from vision.copies.overlay import draw, pixels_of
    from vision.measurement import Unmeasured

    match = called.relation
    if folder is None or isinstance(match.placement, Unmeasured) or not match.pairs or not match.preview_sha256:
        return {}
    try:
        preview = BlobStore(config.evidence_url).read(match.preview_sha256)
    except NotFound:
        return {}
    words = [called.transform or called.verdict, f"probability {match.probability:.4f}, {match.inliers} points agree"]
    target = folder / f"{path.stem}-match-{number}.jpg"
    target.write_bytes(draw(picture.pixels, pixels_of(preview), match.pairs, match.placement.outline, words))
    return {"overlay": str(target)}


@documents_app.command("read")
def read_documents(files: Files, as_json: JsonFlag = False) -> None:
    """Read papers (pictures or PDF) into fields, with the checks that hold between them. One JSON line a file."""
    from api.commands.papers import described, refused, show
    from vision.decode.image import Decoder
    from vision.documents import Reader, load_catalogue
    from vision.errors import ImageRefused

    config = settings()
    kinds = load_catalogue(config.paper_kinds)
    with Decoder(processes=1) as decoder, Reader(config.ocr_models, catalogue=kinds) as reader:
        for path in files:
            try:
                result = described([reader.read(picture) for picture in _pages(decoder, path)])
            except ImageRefused as refusal:
                result = refused(f"{refusal.code}: {refusal.detail}")
            result = {"file": str(path), **result}
            if as_json:
                print_json(result)
            else:
                show(result)


def _pages(decoder: Decoder, path: Path) -> Iterator[Picture]:
    from vision.decode.image import DOCUMENTS, HEAD_BYTES, sniff

    data = path.read_bytes()
    if sniff(data[:HEAD_BYTES]) in DOCUMENTS:
        yield from decoder.render_document(data)
    else:
        yield decoder.decode(data, PAPER_EDGE_PX)


@noses_app.command("enrol")
def enrol_nose(files: Files, pet: Pet, as_json: JsonFlag = False) -> None:
    """Enrol a registered pet from at least three photos that agree with one another."""
    from datetime import UTC, datetime

    from api.processes import nose_keys
    from claims.store import noses
    from flows.enrolled_photos import copies_among, library_photos, saved_twice
    from vision import library
    from vision.nose import check_enrolment
    from vision.nose.sealing import TemplateSeal

    templates = _templates(files)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    photos, fusion = _examined_noses(files)
    problems = list(check_enrolment(templates, digests))
    problems += [
        saved_twice(first + 1, second + 1)
        for first, second in copies_among(photos, templates, fusion)
        if digests[first] != digests[second]
    ]
    if problems:
        raise fail("; ".join(problems))
    seal = TemplateSeal(nose_keys(settings()))
    stored = [noses.StoredTemplate(digest, seal.seal(template.to_bytes(), pet), template.model)
              for digest, template in zip(digests, templates, strict=True)]  # fmt: skip

    async def write(conn: AsyncConnection) -> None:
        owner = (await noses.pet(conn, pet)).claimant_id
        await library.publish(conn, library_photos(pet, owner, photos))
        await noses.replace_templates(conn, pet, stored, datetime.now(UTC), actor="operator:command line")

    with_store(write)
    if as_json:
        print_json({"pet": pet, "templates": len(stored)})
    else:
        console.print(f"{pet}: {len(stored)} templates enrolled")


@noses_app.command("verify")
def verify_nose(files: Files, pet: Pet, as_json: JsonFlag = False) -> None:
    """Compare photos with a pet's enrolment: accept, review or reject."""
    from api.processes import nose_keys
    from claims.store import noses
    from vision.errors import VisionError
    from vision.nose import NoseTemplate
    from vision.nose.sealing import TemplateSeal

    stored = with_store(lambda conn: noses.list_templates(conn, pet))
    if not stored:
        raise fail(f"{pet} has no enrolment: miaopei noses enrol --pet {pet} FILE...")
    seal = TemplateSeal(nose_keys(settings()))
    try:
        enrolled = [NoseTemplate.from_bytes(seal.open(row.template, pet)) for row in stored]
    except VisionError as error:
        raise fail(f"{pet}: {error}") from error
    for path, probe in zip(files, _templates(files), strict=True):
        _print_comparison(path, probe, enrolled, as_json)


@noses_app.command("compare")
def compare_noses(first: Path, second: Path, as_json: JsonFlag = False) -> None:
    """Compare two nose photos."""
    probe, enrolled = _templates([first, second])
    _print_comparison(first, probe, [enrolled], as_json)


@noses_app.command("elsewhere")
def noses_elsewhere(pet: Annotated[str, typer.Option(help="Only this pet's")] = "", as_json: JsonFlag = False) -> None:
    """List noses that are enrolled for two pets, strongest first: a fact for a person, which refuses nothing."""
    from dataclasses import asdict

    from claims.store import noses

    for hit in with_store(lambda conn: noses.list_hits(conn, pet or None)):
        if as_json:
            print_json(asdict(hit))
        else:
            console.print(
                f"{hit.pet_id} resembles {hit.other_pet_id}: similarity {hit.similarity:.2f}, {hit.inliers} inliers,"
                f" score {hit.score:.1f} of at least {hit.score_min:.1f} among {hit.pets_searched} pets"
                f" ({hit.fitted_on or 'fitted on nothing that holds here'})", highlight=False,
            )  # fmt: skip


def _templates(paths: list[Path]) -> list[NoseTemplate]:
    """Returns the template of each photo. Exits with the reason at the first photo that has none."""
    from vision.decode.image import Decoder
    from vision.errors import ImageRefused
    from vision.measurement import Unmeasured
    from vision.nose import NoseReader

    templates = []
    with Decoder(processes=1) as decoder, NoseReader() as reader:
        for path in paths:
            if not path.is_file():
                raise fail(f"{path}: no such file")
            try:
                template = reader.template(decoder.decode(path.read_bytes(), NOSE_EDGE_PX))
            except ImageRefused as refused:
                raise fail(f"{path}: {refused.code}: {refused.detail}") from refused
            if isinstance(template, Unmeasured):
                raise fail(f"{path}: {template.reason}")
            templates.append(template)
    return templates


def _examined_noses(paths: list[Path]) -> tuple[list[ExaminedPhoto], FusionModel]:
    """Returns the photos as photos of damage are examined, and the copy score to compare them by. They have templates,
    so they can be decoded."""
    from vision import examine
    from vision.copies.fingerprint import Fingerprinter
    from vision.decode.image import Decoder

    with Decoder(processes=1) as decoder:
        instruments = examine.PhotoInstruments(decoder, Fingerprinter(threads=1), long_edge_px=NOSE_EDGE_PX)
        photos = [
            examine.measure(instruments, data, hashlib.sha256(data).hexdigest())[0]
            for data in (path.read_bytes() for path in paths)
        ]
    return photos, instruments.fingerprinter.fusion


def _print_comparison(path: Path, probe: NoseTemplate, enrolled: list[NoseTemplate], as_json: bool) -> None:
    from claims.judge.nose import verdict
    from claims.rules import RULES
    from models.registry import CARDS
    from vision.measurement import Unmeasured
    from vision.nose import compare
    from vision.nose.likelihood import load_likelihood

    comparison = compare(probe, enrolled, load_likelihood(settings().nose_cards or CARDS))
    if isinstance(comparison, Unmeasured):
        raise fail(f"{path}: {comparison.reason}")
    called = verdict(comparison.similarity, comparison.inliers, RULES)
    result = {"file": str(path), "verdict": called, "similarity": round(comparison.similarity, 4),
              "inliers": comparison.inliers, "sent_again": comparison.similarity >= RULES.nose_replay_similarity_min,
              "templates": comparison.templates, "model": comparison.model,
              "likelihood_ratio_log10": comparison.likelihood_ratio_log10,
              "fitted_on": comparison.fitted_on}  # fmt: skip
    if as_json:
        print_json(result)
    else:
        console.print(
            f"{path}: [bold]{called}[/bold], similarity {comparison.similarity:.2f}, {comparison.inliers} inliers,"
            f" {comparison.templates} templates", highlight=False,
        )  # fmt: skip


def add_to(app: typer.Typer) -> None:
    app.add_typer(photos_app, name="photos")
    app.add_typer(documents_app, name="documents")
    app.add_typer(noses_app, name="noses")

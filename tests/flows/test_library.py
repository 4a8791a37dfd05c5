"""Importing pictures: what is there is skipped, what cannot be read is named, folders and tars alike."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store.blobs import BlobStore
from fixtures import demo_world
from flows.library import ImportLimits, ImportReport, count_pictures, import_pictures
from vision.fingerprint import Fingerprinter
from vision.image import Decoder

PICTURES = ("coffee.png", "rocket.jpg", "chelsea.png")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for name in PICTURES:
        (pictures / "below" / f"{Path(name).stem}.jpg").write_bytes(demo_world.sample_photo(name))
    (pictures / "notes.txt").write_text("no picture")
    return pictures


async def rows(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    async with engine.connect() as conn:
        found = await conn.execute(
            text("SELECT source, reference, preview_sha256 FROM library_photos ORDER BY reference")
        )
        return [(row.source, row.reference, row.preview_sha256) for row in found]


@pytest.mark.anyio
async def test_a_folder_is_imported_once_however_often_it_is_asked_for(
    engine: AsyncEngine, tmp_path: Path, folder: Path, decoder: Decoder, fingerprinter: Fingerprinter
) -> None:
    blobs = BlobStore((tmp_path / "evidence").as_uri())
    seen: list[int] = []

    async def once() -> ImportReport:
        return await import_pictures(
            engine, blobs, decoder, fingerprinter, [folder], "web",
            advance=lambda report: seen.append(report.seen), limits=ImportLimits(batch=2),
        )  # fmt: skip

    first, again = await once(), await once()
    assert (first.added, first.known, first.refused) == (3, 0, {})
    assert (again.added, again.known, again.refused) == (0, 3, {})
    assert seen == [2, 3, 2, 3]
    found = await rows(engine)
    assert [(source, reference) for source, reference, _ in found] == [
        ("web", "below/chelsea.jpg"), ("web", "below/coffee.jpg"), ("web", "below/rocket.jpg"),
    ]  # fmt: skip
    assert all(blobs.exists(preview) for _, _, preview in found)


@pytest.mark.anyio
async def test_a_tar_adds_what_the_folder_did_not_have_and_names_what_cannot_be_read(
    engine: AsyncEngine, tmp_path: Path, folder: Path, decoder: Decoder, fingerprinter: Fingerprinter
) -> None:
    (folder / "below" / "broken.jpg").write_bytes(demo_world.sample_photo("coffee.png")[:3000])
    (folder / "below" / "large.jpg").write_bytes(bytes(2_000_000))
    archive = tmp_path / "pictures.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "pictures")
    assert count_pictures([archive]) == 5
    report = await import_pictures(
        engine, BlobStore((tmp_path / "evidence").as_uri()), decoder, fingerprinter, [archive], "stock",
        limits=ImportLimits(file_bytes_max=1_000_000),
    )  # fmt: skip
    assert report.added == 3
    assert {name.rsplit("/", 1)[1]: why.split(":")[0] for name, why in report.refused.items()} == {
        "broken.jpg": "truncated",
        "large.jpg": "file_too_large",
    }
    assert {source for source, _, _ in await rows(engine)} == {"stock"}

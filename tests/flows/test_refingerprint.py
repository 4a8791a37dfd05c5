"""The library after a change of descriptor: photos match by likeness again once they are described anew, resumably."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store.blobs import BlobStore
from fixtures import demo_world
from fixtures.tiny_sscd import write_files
from flows.config import DescriptorConfig
from flows.refingerprint import RefingerprintReport, refingerprint
from flows.vision_pool import fingerprinter
from models.train.sscd import make_whitening
from vision.copies.fingerprint import Fingerprinter
from vision.decode.image import Decoder, preview_jpeg
from vision.library import LibraryPhoto, publish, search
from vision.library.outdated import described_by

PICTURES = ("coffee.png", "rocket.jpg", "chelsea.png")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Fingerprinter:
    files = write_files(tmp_path_factory.mktemp("sscd"), make_whitening)
    return fingerprinter(DescriptorConfig(files.torchscript, files.whitening, files.thresholds))


async def fill(engine: AsyncEngine, blobs: BlobStore, decoder: Decoder, own: Fingerprinter) -> list[str]:
    """Publishes three photos: the first with its original file, the second with its preview only, the third with
    neither.
    """
    ids = []
    for number, name in enumerate(PICTURES):
        data = demo_world.sample_photo(name)
        picture, sha256 = decoder.decode(data), hashlib.sha256(data).hexdigest()
        preview = preview_jpeg(picture.pixels)
        ids.append(f"web:{number}")
        photo = LibraryPhoto(
            ids[-1], "web", own.fingerprint(picture, sha256), preview_sha256=hashlib.sha256(preview).hexdigest()
        )
        if number == 0:
            blobs.put(data)
        elif number == 1:
            blobs.put(preview)
        async with engine.begin() as conn:
            await publish(conn, [photo])
    return ids


@pytest.mark.anyio
async def test_pictures_are_found_by_likeness_again_once_they_are_described_anew(
    engine: AsyncEngine, tmp_path: Path, decoder: Decoder, other: Fingerprinter
) -> None:
    own = Fingerprinter()
    blobs = BlobStore((tmp_path / "evidence").as_uri())
    ids = await fill(engine, blobs, decoder, own)
    async with engine.connect() as conn:
        assert await described_by(conn) == {own.model: 3}
    progress: list[int] = []

    async def again() -> RefingerprintReport:
        return await refingerprint(
            engine, blobs, decoder, other.descriptor, advance=lambda report: progress.append(report.described)
        )

    report = await again()
    assert report.described == 2
    assert set(report.left) == {ids[2]}
    assert "neither the file nor its preview" in report.left[ids[2]]
    assert progress == [2]
    async with engine.connect() as conn:
        assert await described_by(conn) == {own.model: 1, other.model: 2}
        probe = other.fingerprint(decoder.decode(demo_world.sample_photo("coffee.png")), "0" * 64)
        nearest = next(
            candidate for candidate in await search(conn, probe, exclude_claim="") if candidate.photo_id == ids[0]
        )
        assert nearest.cosine == pytest.approx(1.0, abs=2e-3)
    assert (await again()).described == 0, "what is done is not done twice"
    assert np.isfinite(probe.descriptor).all()


@pytest.mark.anyio
async def test_a_picture_erased_meanwhile_stays_erased(
    engine: AsyncEngine, tmp_path: Path, decoder: Decoder, other: Fingerprinter
) -> None:
    blobs = BlobStore((tmp_path / "evidence").as_uri())
    ids = await fill(engine, blobs, decoder, Fingerprinter())
    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM library_photos WHERE photo_id = :id"), {"id": ids[0]})
    report = await refingerprint(engine, blobs, decoder, other.descriptor)
    assert report.described == 1
    async with engine.connect() as conn:
        assert sum((await described_by(conn)).values()) == 2

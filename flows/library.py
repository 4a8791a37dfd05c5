"""Growing the photo library: pictures of folders and tar files, published in small batches.

Resumable and idempotent: a picture's id is derived from its source and its bytes, and what the library has is skipped
before it is decoded. Each batch is committed by itself, so that a killed import loses at most one.
"""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store.blobs import BlobStore
from vision.errors import ImageRefused
from vision.fingerprint import Fingerprinter
from vision.image import Decoder, preview_jpeg
from vision.library import LibraryPhoto, publish

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """batch: pictures held in memory and committed at once. file_bytes_max: larger ones are refused unread."""

    batch: int = 16
    file_bytes_max: int = 25 * 1024 * 1024
    preview_long_edge_px: int = 1024


@dataclass(slots=True)
class ImportReport:
    """What became of the pictures: counts, and the reason for each that was refused."""

    added: int = 0
    known: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        return self.added + self.known + len(self.refused)


@dataclass(frozen=True, slots=True)
class _Found:
    reference: str
    data: bytes
    sha256: str
    photo_id: str


def count_pictures(sources: Sequence[Path]) -> int:
    """How many pictures the folders and tar files hold, by their names."""
    return sum(1 for source in sources for _ in _entries(source, read=False))


async def import_pictures(
    engine: AsyncEngine,
    blobs: BlobStore,
    decoder: Decoder,
    fingerprinter: Fingerprinter,
    sources: Sequence[Path],
    source: Literal["web", "stock"],
    *,
    advance: Callable[[ImportReport], None] = lambda _report: None,
    limits: ImportLimits = ImportLimits(),
) -> ImportReport:
    """Publish every picture below `sources` that the library does not have. `advance` is called after each batch."""
    report = ImportReport()
    batch: list[_Found] = []
    for folder in sources:
        for reference, data in _entries(folder, read=True):
            if len(data) > limits.file_bytes_max:
                report.refused[reference] = f"file_too_large: {len(data)} bytes"
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            batch.append(_Found(reference, data, sha256, f"{source}:{sha256}"))
            if len(batch) == limits.batch:
                await _publish(engine, blobs, decoder, fingerprinter, batch, source, report, limits)
                batch.clear()
                advance(report)
    if batch:
        await _publish(engine, blobs, decoder, fingerprinter, batch, source, report, limits)
    advance(report)
    return report


async def _publish(
    engine: AsyncEngine,
    blobs: BlobStore,
    decoder: Decoder,
    fingerprinter: Fingerprinter,
    batch: Sequence[_Found],
    source: Literal["web", "stock"],
    report: ImportReport,
    limits: ImportLimits,
) -> None:
    async with engine.connect() as conn:
        rows = await conn.execute(
            text("SELECT photo_id FROM library_photos WHERE photo_id = ANY(:ids)"),
            {"ids": [one.photo_id for one in batch]},
        )
        there = {row.photo_id for row in rows}
    fresh = {one.photo_id: one for one in batch if one.photo_id not in there}
    report.known += len(batch) - len(fresh)
    photos, refused = await asyncio.to_thread(
        _measure, decoder, fingerprinter, list(fresh.values()), source, blobs, limits
    )
    report.refused |= refused
    if photos:
        async with engine.begin() as conn:
            await publish(conn, photos)
    report.added += len(photos)


def _measure(
    decoder: Decoder,
    fingerprinter: Fingerprinter,
    found: Sequence[_Found],
    source: Literal["web", "stock"],
    blobs: BlobStore,
    limits: ImportLimits,
) -> tuple[list[LibraryPhoto], dict[str, str]]:
    photos: list[LibraryPhoto] = []
    refused: dict[str, str] = {}
    for one in found:
        try:
            picture = decoder.decode(one.data)
        except ImageRefused as error:
            refused[one.reference] = f"{error.code}: {error.detail}"
            continue
        photos.append(
            LibraryPhoto(
                photo_id=one.photo_id,
                source=source,
                fingerprint=fingerprinter.fingerprint(picture, one.sha256),
                reference=one.reference,
                preview_sha256=blobs.put(preview_jpeg(picture.pixels, limits.preview_long_edge_px)),
            )
        )
    return photos, refused


def _entries(source: Path, *, read: bool) -> Iterator[tuple[str, bytes]]:
    """(reference, bytes) of every picture, in order of name; bytes are empty unless `read`."""
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
            yield str(path.relative_to(source)), path.read_bytes() if read else b""
        return
    if source.suffix.lower() in SUFFIXES:
        yield source.name, source.read_bytes() if read else b""
        return
    with tarfile.open(source) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                file = tar.extractfile(member) if read else None
                yield member.name, file.read() if file is not None else b""

"""Describes the library anew after the descriptor was changed: until then its pictures are not found by likeness.

Resumable: a picture that has the new label is done. Each batch is committed by itself. As at the import, the original
file is described where the evidence store has it, else the preview: the original at 1,024 px or less, encoded as JPEG
once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import NotFound
from claims.store.blobs import BlobStore
from vision.copies.describing import Descriptor
from vision.decode.image import Decoder
from vision.errors import ImageRefused
from vision.library.outdated import OutdatedPhoto, describe_anew, outdated

BATCH = 32


@dataclass(slots=True)
class RefingerprintReport:
    """The result of describing the library anew. described: pictures with a new descriptor. left: by id, why a picture
    keeps its old descriptor and is not found by likeness."""

    described: int = 0
    left: dict[str, str] = field(default_factory=dict)


async def refingerprint(
    engine: AsyncEngine,
    blobs: BlobStore,
    decoder: Decoder,
    descriptor: Descriptor,
    *,
    advance: Callable[[RefingerprintReport], None] = lambda _report: None,
) -> RefingerprintReport:
    """Describe every picture that another model described. `advance` is called after each batch."""
    report, after = RefingerprintReport(), ""
    while True:
        async with engine.connect() as conn:
            batch = await outdated(conn, descriptor.label, after, BATCH)
        if not batch:
            return report
        after = batch[-1].photo_id
        described, rows, left = await asyncio.to_thread(_describe, blobs, decoder, descriptor, batch)
        async with engine.begin() as conn:
            report.described += await describe_anew(conn, descriptor.label, described, rows)
        report.left |= left
        advance(report)


def _describe(
    blobs: BlobStore, decoder: Decoder, descriptor: Descriptor, batch: Sequence[OutdatedPhoto]
) -> tuple[list[str], NDArray[np.float32], dict[str, str]]:
    described: list[str] = []
    pictures: list[NDArray[np.uint8]] = []
    left: dict[str, str] = {}
    for photo in batch:
        key = next((key for key in (photo.sha256, photo.preview_sha256) if _there(blobs, key)), "")
        try:
            if not key:
                raise NotFound("the evidence store has neither the file nor its preview")
            pictures.append(decoder.decode(blobs.read(key)).pixels)
            described.append(photo.photo_id)
        except (ImageRefused, NotFound) as error:
            left[photo.photo_id] = str(error)
    return described, descriptor.describe(pictures), left


def _there(blobs: BlobStore, key: str) -> bool:
    try:
        return blobs.exists(key)
    except NotFound:  # no key at all
        return False

"""Cached measurements equal real ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from claims.claim import EvidenceKind
from claims.errors import NotFound
from claims.store.adjudication import EvidenceRow
from claims.store.blobs import BlobStore
from tests.machine import pool
from tests.machine.eyes import Remembering
from vision.examine import ExaminedPhoto
from vision.library import Candidate
from vision.library.search import candidate_from, nearness


def test_pairs_put_together_are_what_the_whole_comparison_gives(tmp_path: Path) -> None:
    blobs = BlobStore((tmp_path / "evidence").as_uri())
    eyes = Remembering((tmp_path / "evidence").as_uri(), tmp_path / "measured")
    try:
        photos: list[ExaminedPhoto] = []
        for item in pool.photos():
            sha256 = blobs.put(item.data)
            row = EvidenceRow(
                item.name, item.name, EvidenceKind.PHOTO, "image/jpeg", len(item.data), sha256, "", 1, datetime.now(UTC)
            )
            examined = eyes.photo(row)
            assert isinstance(examined, ExaminedPhoto)
            photos.append(examined)
        photo = photos[0]
        others: list[Candidate] = [
            candidate_from(
                item.name,
                other_photo.fingerprint,
                photo.fingerprint,
                nearness(photo.fingerprint, other_photo.fingerprint.descriptor),
            )
            for item, other_photo in zip(pool.photos()[1:], photos[1:], strict=True)
        ]
        named = [
            _with_preview(other, other_photo.preview_sha256)
            for other, other_photo in zip(others, photos[1:], strict=True)
        ]
        put_together, whole = (each.compare_photo(photo, named, "ann") for each in (eyes, eyes.real()))
        assert whole.relations, "nothing to compare"
        assert _plain(put_together) == _plain(whole)
        before = eyes.measured
        eyes.compare_photo(photo, named, "bob")
        assert eyes.measured == before, "measured again"
        blobs.delete(row.sha256)
        with pytest.raises(NotFound):
            eyes.photo(row)
    finally:
        eyes.close()


def _plain(photo: ExaminedPhoto) -> object:
    """Returns the photo with arrays as lists, since dataclasses with arrays do not compare by value."""
    return [_listed(asdict(relation)) for relation in photo.relations]


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return {name: _listed(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _with_preview(other: Candidate, preview_sha256: str) -> Candidate:
    return replace(other, preview_sha256=preview_sha256)

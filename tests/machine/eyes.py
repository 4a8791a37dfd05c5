"""A cache of real measurements: results of `flows.vision_pool` for a file or two files are kept by SHA-256, in memory
and in a folder that several runs may share. Missing results are measured, never invented.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from claims.evidence import PhotoMatch
from claims.store.adjudication import EvidenceRow
from claims.store.blobs import BlobStore
from flows.config import StoreConfig, WorkerConfig
from flows.vision_pool import ReadPaper, Stopwatch, VisionPool, vision_pool
from models.ocr_build import default_target
from vision.copies.fingerprint import Fingerprint
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto, ExamineLimits, PhotoRelation, by_strength
from vision.library import Candidate, known_pictures
from vision.library.known_pictures import KnownPictures

P = ParamSpec("P")
T = TypeVar("T")


class Remembering:
    """A caching stand-in for `flows.vision_pool.VisionPool`, which is loaded at the first real measurement."""

    def __init__(self, evidence_url: str, folder: Path) -> None:
        self._config = WorkerConfig(
            "machine", StoreConfig("postgresql+asyncpg://nowhere", evidence_url), default_target()
        )
        self._blobs = BlobStore(evidence_url)
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._real: VisionPool | None = None
        self._loading = threading.Lock()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="remember"))
        self.measured = 0

    def close(self) -> None:
        self._stack.close()

    async def compute(self, watch: Stopwatch, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:  # noqa: ARG002
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def photo(self, row: EvidenceRow) -> ExaminedPhoto | ImageRefused:
        self._blobs.read(row.sha256)  # as the real one, which fails when the file is gone
        photo, preview = self._once(f"examined-{row.sha256}", lambda: self._with_preview(self.real().photo(row)))
        if preview:
            self._blobs.put(preview)
        return photo  # type: ignore[no-any-return]

    def paper(self, row: EvidenceRow) -> ReadPaper | ImageRefused:
        self._blobs.read(row.sha256)
        paper, preview = self._once(f"paper-{row.sha256}", lambda: self._with_preview(self.real().paper(row)))
        if preview:
            self._blobs.put(preview)
        return paper  # type: ignore[no-any-return]

    def compare_photo(self, photo: ExaminedPhoto, candidates: Sequence[Candidate], subject: str) -> ExaminedPhoto:
        """Compares pair by pair and merges the results as `vision.examine.compare` does, as a test verifies."""
        if len(candidates) > ExamineLimits().verify_max or not all(
            candidate.preview_sha256 for candidate in candidates
        ):
            return self.real().compare_photo(photo, candidates, subject)
        relations = sorted((self._pair(photo, other, subject) for other in candidates), key=by_strength)
        return replace(photo, candidates=tuple(candidates), relations=tuple(relations))

    def _pair(self, photo: ExaminedPhoto, other: Candidate, subject: str) -> PhotoRelation:
        measured = (other.same_bytes, other.same_pixels, other.pdq_bits, other.view, round(other.cosine, 5))
        words = f"{photo.fingerprint.sha256} {other.preview_sha256} {measured}"
        key = hashlib.sha256(words.encode()).hexdigest()
        relation: PhotoRelation = self._once(
            f"related-{key}", lambda: self.real().compare_photo(photo, [other], subject).relations[0]
        )
        return replace(
            relation,
            photo_id=other.photo_id,
            source=other.source,
            owner_claim=other.owner_claim,
            owner_subject=other.owner_subject,
            own=bool(subject) and other.owner_subject == subject,
            reference=other.reference,
            preview_sha256=other.preview_sha256,
        )

    def explain_photo(self, fingerprint: Fingerprint, match: Candidate, geometry: Any, known: KnownPictures) -> str:
        return known_pictures.explain(fingerprint, match.keypoints, match.thumbnail, geometry, known)

    def overlay(self, preview_sha256: str, match: PhotoMatch) -> str:
        if not self.has_files([preview_sha256, match.preview_sha256]):
            return ""
        key = f"overlay-{preview_sha256[:24]}-{match.preview_sha256[:24]}-{match.verdict}"

        def draw() -> bytes:
            return self._blobs.read(self.real().overlay(preview_sha256, match))

        return self._blobs.put(self._once(key, draw))

    def has_files(self, sha256s: Sequence[str]) -> bool:
        return all(self._blobs.exists(sha256) for sha256 in sha256s)

    def photo_models(self) -> tuple[str, ...]:
        return self._once("photo-models", lambda: self.real().photo_models())  # type: ignore[no-any-return]

    def paper_models(self) -> tuple[str, ...]:
        return self._once("paper-models", lambda: self.real().paper_models())  # type: ignore[no-any-return]

    def real(self) -> VisionPool:
        with self._loading:
            self.measured += 1
            if self._real is None:
                self._real = self._stack.enter_context(vision_pool(self._config))
            return self._real

    def _with_preview(self, examined: Any) -> tuple[Any, bytes]:
        return examined, b"" if isinstance(examined, ImageRefused) else self._blobs.read(examined.preview_sha256)

    def _once(self, key: str, measure: Callable[[], Any]) -> Any:
        if key not in self._known:
            path = self._folder / f"{key}.pickle"
            if path.exists():
                self._known[key] = pickle.loads(path.read_bytes())
            else:
                self._known[key] = measure()
                part = path.with_suffix(f".{secrets.token_hex(4)}.part")  # two may measure one file at once
                part.write_bytes(pickle.dumps(self._known[key]))
                part.replace(path)
        return self._known[key]


class Gated:
    """Vision that blocks before its first comparison or reading until it is released, like a worker that hangs."""

    def __init__(self, eyes: Remembering) -> None:
        self._eyes = eyes
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._eyes, name)

    async def compute(self, watch: Stopwatch, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if getattr(function, "__name__", "") in ("compare_photo", "paper"):
            self.reached.set()
            await self.go_on.wait()
        return await self._eyes.compute(watch, function, *args, **kwargs)

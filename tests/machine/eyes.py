"""Real measurements, each made once: what `flows.vision_pool` measured of a file or of two files is remembered by the
file's SHA-256, in memory and in a folder that several runs may share. Nothing is invented: what is not remembered is
measured.
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
from flows.vision_pool import SeenPaper, Stopwatch, VisionPool, vision_pool
from models.ocr_build import default_target
from vision.copies.fingerprint import Fingerprint
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto, ExamineLimits, PhotoRelation, by_strength
from vision.library import Candidate, known_pictures
from vision.library.known_pictures import KnownPictures

P = ParamSpec("P")
T = TypeVar("T")


class Remembering:
    """Takes the place of `flows.vision_pool.VisionPool`. The real pool is loaded when something is measured for the
    first time."""

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
        seen, preview = self._once(f"examined-{row.sha256}", lambda: self._with_preview(self.real().photo(row)))
        if preview:
            self._blobs.put(preview)
        return seen  # type: ignore[no-any-return]

    def paper(self, row: EvidenceRow) -> SeenPaper | ImageRefused:
        self._blobs.read(row.sha256)
        seen, preview = self._once(f"paper-{row.sha256}", lambda: self._with_preview(self.real().paper(row)))
        if preview:
            self._blobs.put(preview)
        return seen  # type: ignore[no-any-return]

    def compare_photo(self, photo: ExaminedPhoto, candidates: Sequence[Candidate], subject: str) -> ExaminedPhoto:
        """Pair by pair, and put together as `vision.examine.compare` does; a test holds the two against each other."""
        if len(candidates) > ExamineLimits().verify_max or not all(one.preview_sha256 for one in candidates):
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

    def _with_preview(self, seen: Any) -> tuple[Any, bytes]:
        return seen, b"" if isinstance(seen, ImageRefused) else self._blobs.read(seen.preview_sha256)

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
    """Eyes that stop before their first comparison or reading until they are let go on: a worker that hangs."""

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

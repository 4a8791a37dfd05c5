"""How well edited copies are found, and how often an honest photo is accused: `miaopei bench photos`.

Photos are the test half of Caltech 101 (`fixtures.caltech`, by file hash; whitening and fusion were trained on the
other half), edited by `fixtures.edits`. Every query goes the product's way: JPEG, decoder process, fingerprint,
search in PostgreSQL with pgvector, comparison point by point. Baselines answer the same queries over the same
library by exhaustive search: pHash alone, PDQ with eight orientations alone, the learnt descriptor alone. For recall
at 99% precision each query gives its best-scored library picture; queries of photos that are not in the library,
edited and not, are there to be got wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api.postgres import Postgres
from fixtures import caltech, edits
from fixtures.phone_photos import phone_photo
from vision.copy_score import fusion_model
from vision.fingerprint import Fingerprint, Fingerprinter
from vision.image import Decoder
from vision.library import LibraryPhoto, publish, search, upgrade
from vision.library.search import pdq_bits
from vision.photos import ExamineLimits, Verdict, judge, signals

SEED: Final = 20260119
PRECISION: Final = 0.99
LABELLED: Final = "labelled"
PHONE_PHOTOS: Final = 12  # of 12 Mpx, for the seconds by stage
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Size:
    """library: photos published. copied: of those, each edited in every way. unseen: photos outside, plain and edited.

    labels: as many photos more in the library, and as many honest ones, share one printed label a pair.
    """

    library: int
    copied: int
    unseen: int
    unseen_edits: int
    labels: int


FULL: Final = Size(library=1200, copied=80, unseen=400, unseen_edits=1, labels=80)
QUICK: Final = Size(library=200, copied=10, unseen=30, unseen_edits=1, labels=10)


@dataclass(frozen=True, slots=True)
class Answer:
    """A query and the best picture that each method named, with its score (higher is surer)."""

    photo: int
    edit: str  # "" for a photo as it is, LABELLED for one that shares a label with a photo in the library
    seen: bool
    best: dict[str, tuple[int, float]]
    verdict: Verdict | None  # None: featureless, not measured
    accused_of: int


def _silent(_done: int, _total: int) -> None:
    return


class Stages:
    """Milliseconds by stage: the wall's, and this process's CPU (the decoder's child has its own)."""

    def __init__(self) -> None:
        self._wall: dict[str, list[float]] = defaultdict(list)
        self._cpu: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._wall[name].append((time.perf_counter() - wall) * 1000)
        self._cpu[name].append((time.process_time() - cpu) * 1000)

    def report(self) -> dict[str, dict[str, float]]:
        return {
            name: {
                "wall_p50": round(float(np.median(self._wall[name])), 1),
                "wall_p95": round(float(np.quantile(self._wall[name], 0.95)), 1),
                "cpu_mean": round(float(np.mean(self._cpu[name])), 1),
            }
            for name in self._wall
        }


def run(*, quick: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Needs the measuring photos beside the checkout (FileNotFoundError names the path), and starts a PostgreSQL of
    its own."""
    home = Path(tempfile.mkdtemp(prefix="miaopei-bench-"))
    home.chmod(0o755)
    server = Postgres(home, durable=False)
    server.start()
    try:
        dsn = server.ensure_database("photos")
        upgrade(dsn)
        return asyncio.run(_measure(dsn, QUICK if quick else FULL, progress or _silent, quick))
    finally:
        server.stop()
        shutil.rmtree(home)


async def _measure(dsn: str, size: Size, progress: Progress, quick: bool) -> dict[str, Any]:
    started = time.monotonic()
    rng = np.random.default_rng(SEED)
    photos = list(caltech.photos("test"))
    needed = size.library + size.unseen + 3 * size.labels
    if len(photos) < needed:
        raise ValueError(f"the test half has {len(photos)} photos, {needed} are needed")
    order = rng.permutation(len(photos)).tolist()
    library, unseen = order[: size.library], order[size.library : size.library + size.unseen]
    queries = [(photo, name) for photo in library[: size.copied] for name in edits.EDITS]
    queries += [(photo, "") for photo in unseen]
    queries += [(p, str(n)) for p in unseen for n in rng.choice(list(edits.EDITS), size.unseen_edits, replace=False)]
    spare = order[size.library + size.unseen :]
    labels = [edits.label_from(photos[spare.pop()].pixels, rng) for _ in range(size.labels)]
    shown = {photo: photos[photo].pixels for photo in library}
    for label in labels:
        photo = spare.pop()
        shown[photo] = edits.with_label(photos[photo].pixels, label, rng)
    branded = {spare.pop(): label for label in labels}
    queries += [(photo, LABELLED) for photo in branded]
    total, done = len(shown) + len(queries), 0
    fingerprinter, stages = Fingerprinter(), Stages()
    engine = create_async_engine(dsn)
    try:
        with Decoder(processes=1) as decoder:
            known: list[tuple[int, Fingerprint]] = []
            for photo, pixels in shown.items():
                found = _fingerprint(edits.jpeg_bytes(pixels, 92), decoder, fingerprinter, Stages())
                known.append((photo, found))
                async with engine.begin() as conn:
                    await publish(conn, [LibraryPhoto(str(photo), "web", found, reference=photos[photo].name)])
                done += 1
                progress(done, total)
            baselines = Baselines(known)
            answers = []
            for photo, name in queries:
                if name == LABELLED:
                    content = edits.jpeg_bytes(edits.with_label(photos[photo].pixels, branded[photo], rng), 92)
                else:
                    content = _query(photos, unseen, photo, name, rng)
                async with engine.connect() as conn:
                    answers.append(
                        await _answer(
                            conn, content, (photo, name), photo in baselines.photos, decoder, fingerprinter, baselines
                        )
                    )
                done += 1
                progress(done, total)
            for number, photo in enumerate(unseen[:PHONE_PHOTOS]):
                content = phone_photo(edits.jpeg_bytes(photos[photo].pixels), number)
                async with engine.connect() as conn:
                    await _timed(conn, content, decoder, fingerprinter, stages)
    finally:
        await engine.dispose()
    return {
        "quick": quick,
        "machine": {"cpu": _cpu_name(), "cores": os.cpu_count(), "python": platform.python_version()},
        "photos": {"library": len(known), "copied": size.copied, "unseen": len(unseen), "queries": len(queries)},
        "recall_at_p99": recall_at_precision(answers, "fused"),
        "baselines": {name: recall_at_precision(answers, name) for name in ("phash", "pdq8", "descriptor")},
        "verdicts": _verdicts(answers),
        "phone_photo_ms": stages.report(),
        "models": [fingerprinter.model, fusion_model().label],
        "seconds": round(time.monotonic() - started),
    }


class Baselines:
    """Exhaustive nearest neighbours by one hash or by the descriptor alone."""

    def __init__(self, known: Sequence[tuple[int, Fingerprint]]) -> None:
        self.photos = {photo for photo, _ in known}
        self._known = known
        self._phash = np.array([found.phash for _, found in known], dtype=np.uint64)
        self._descriptors = np.stack([found.descriptor for _, found in known])

    def best(self, query: Fingerprint) -> dict[str, tuple[int, float]]:
        phash = -np.bitwise_count(self._phash ^ np.uint64(query.phash)).astype(np.float64)
        pdq = -np.array([pdq_bits(query, found.pdq) if found.pdq_usable else 256 for _, found in self._known], float)
        cosine = (self._descriptors @ query.descriptor - query.crowd).astype(np.float64)
        return {"phash": self._first(phash), "pdq8": self._first(pdq), "descriptor": self._first(cosine)}

    def _first(self, scores: NDArray[np.float64]) -> tuple[int, float]:
        index = int(scores.argmax())
        return self._known[index][0], float(scores[index])


def recall_at_precision(answers: Sequence[Answer], method: str, precision_min: float = PRECISION) -> dict[str, float]:
    """By edit and for `all`: the share of edited copies whose original is named at a score at which precision still
    holds.

    Answers of one score stand or fall together, so that a coarse score is not flattered by the order of its ties.
    """
    scored = [
        (answer.best[method][1], answer.seen and answer.best[method][0] == answer.photo)
        for answer in answers
        if method in answer.best
    ]
    levels = sorted({score for score, _ in scored}, reverse=True)
    scores, right = np.array([score for score, _ in scored]), np.array([good for _, good in scored])
    cut = float("inf")
    for level in levels:
        chosen = scores >= level
        if right[chosen].mean() >= precision_min:
            cut = level
    hits: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        if answer.seen:
            best, score = answer.best.get(method, (-1, -float("inf")))
            hits[answer.edit].append(best == answer.photo and score >= cut)
    by_edit = {name: round(float(np.mean(hits[name])), 3) for name in edits.EDITS if name in hits}
    return {**by_edit, "all": round(float(np.mean([hit for row in hits.values() for hit in row])), 3)}


def _verdicts(answers: Sequence[Answer]) -> dict[str, Any]:
    """What the product itself would have said, at its own cut-off."""
    said_copy = (Verdict.SAME_BYTES, Verdict.SAME_PICTURE, Verdict.EDITED_COPY)
    copies = [answer for answer in answers if answer.seen]
    honest = [answer for answer in answers if not answer.seen and not answer.edit]
    branded = [answer for answer in answers if answer.edit == LABELLED]
    called = [answer for answer in answers if answer.verdict in said_copy]
    right = [answer for answer in called if answer.seen and answer.accused_of == answer.photo]
    return {
        "copies_found": round(len([a for a in right if a.seen]) / len(copies), 4),
        "precision": round(len(right) / max(1, len(called)), 4),
        "honest_photos": len(honest),
        "honest_called_copy": sum(answer.verdict in said_copy for answer in honest),
        "honest_called_similar": sum(answer.verdict is Verdict.SIMILAR for answer in honest),
        "same_label_photos": len(branded),
        "same_label_called_copy": sum(answer.verdict in said_copy for answer in branded),
        "honest_unmeasured": sum(answer.verdict is None for answer in honest),
    }


def _query(
    photos: Sequence[caltech.CaltechPhoto], unseen: Sequence[int], photo: int, name: str, rng: np.random.Generator
) -> bytes:
    pixels = photos[photo].pixels
    if not name:
        return edits.jpeg_bytes(pixels, 92)
    others = [photos[index].pixels for index in rng.choice([one for one in unseen if one != photo], 3, replace=False)]
    return edits.jpeg_bytes(edits.EDITS[name](pixels, rng, others), int(rng.integers(*edits.FINAL_JPEG_QUALITY)))


def _fingerprint(content: bytes, decoder: Decoder, fingerprinter: Fingerprinter, stages: Stages) -> Fingerprint:
    with stages("decode"):
        picture = decoder.decode(content)
    with stages("fingerprint"):
        return fingerprinter.fingerprint(picture, hashlib.sha256(content).hexdigest())


async def _answer(
    conn: AsyncConnection,
    content: bytes,
    query: tuple[int, str],
    seen: bool,
    decoder: Decoder,
    fingerprinter: Fingerprinter,
    baselines: Baselines,
) -> Answer:
    found = _fingerprint(content, decoder, fingerprinter, Stages())
    best = baselines.best(found)
    if found.featureless:
        return Answer(*query, seen, best, None, -1)
    candidates = await search(conn, found, exclude_claim="")
    limits, model = ExamineLimits(), fusion_model()
    scored = [
        (int(candidate.photo_id), model.probability(signals(found, candidate, limits)))
        for candidate in candidates[: limits.verify_max]
    ]
    if scored:
        best["fused"] = max(scored, key=lambda pair: pair[1])
    examination = judge(found, candidates, "")
    accused_of = int(examination.matches[0].photo_id) if examination.matches else -1
    return Answer(*query, seen, best, examination.verdict, accused_of)


async def _timed(
    conn: AsyncConnection, content: bytes, decoder: Decoder, fingerprinter: Fingerprinter, stages: Stages
) -> None:
    with stages("whole"):
        found = _fingerprint(content, decoder, fingerprinter, stages)
        with stages("search"):
            candidates = await search(conn, found, exclude_claim="")
        with stages("compare"):
            judge(found, candidates, "")


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def show(result: dict[str, Any]) -> None:
    """A table of recall by edit, beside the baselines."""
    table = Table("edit", "fused", *result["baselines"], title="recall at 99% precision")
    for name, value in result["recall_at_p99"].items():
        table.add_row(name, f"{value:.3f}", *(f"{row[name]:.3f}" for row in result["baselines"].values()))
    console = Console()
    console.print(table)
    console.print({key: result[key] for key in ("photos", "verdicts", "phone_photo_ms", "machine", "seconds")})

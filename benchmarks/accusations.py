"""How often an honest photo is called a copy, against a library of 100,000: `miaopei bench accusations`.

The library is made of the train half of Caltech 101 (`fixtures.photo_library.MadeLibrary`: 2,586 real photos, then
crops of them and a tenth of generated pictures), searched exactly and in memory. Asked are the photos of the test half,
none of which is in it though all their classes are: as they are, and cropped as if the same thing had been taken again.
Crops of one photo do not count as so many strangers: the rate is given for both.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from benchmarks.report import figures_table, machine
from benchmarks.retrieval import rate_per_10k
from fixtures import caltech, edits
from fixtures.photo_library import MadeLibrary, Pixels
from vision.copy_score import fusion_model
from vision.fingerprint import Fingerprinter
from vision.photos import ExamineLimits

SEED: Final = 20261123
SURE: Final = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)  # cut-offs whose rates are shown beside the product's


@dataclass(frozen=True, slots=True)
class Size:
    """library: pictures. photos: of the test half asked as they are. crops: further queries, cropped from those."""

    library: int
    photos: int
    crops: int


FULL: Final = Size(library=100_000, photos=10_000, crops=2_000)
QUICK: Final = Size(library=3_000, photos=60, crops=40)


@dataclass(frozen=True, slots=True)
class Honest:
    """One query. photo: which one it is made of. probability: of the surest candidate, 0 where none came up."""

    photo: int
    cropped: bool
    probability: float
    match: int


def run(*, quick: bool = False) -> dict[str, Any]:
    """Needs the measuring photos beside the checkout; FileNotFoundError names the path."""
    started = time.monotonic()
    size = QUICK if quick else FULL
    library = made_library([photo.pixels for photo in caltech.photos("train")], size.library)
    asked = [photo.pixels for photo in caltech.photos("test")][: size.photos]
    answers = ask(library, asked, size.crops)
    cut = fusion_model().copy_probability_min
    plain = [answer for answer in answers if not answer.cropped]
    surest = sorted(answers, key=lambda answer: -answer.probability)[:20]
    return {
        "quick": quick,
        "machine": machine(),
        "library": {"pictures": len(library), "real_photos": min(size.library, 2586), "search": "exact, in memory"},
        "cut_off": cut,
        "false_accusations_per_10k": rate_per_10k(sum(a.probability >= cut for a in plain), len(plain)),
        "with_crops": rate_per_10k(sum(answer.probability >= cut for answer in answers), len(answers)),
        "by_cut_off": {str(at): rate_per_10k(sum(a.probability >= at for a in answers), len(answers)) for at in SURE},
        "surest": [[a.photo, a.cropped, a.match, round(a.probability, 4)] for a in surest],
        "models": [Fingerprinter().model, fusion_model().label],
        "seconds": round(time.monotonic() - started),
    }


def made_library(photos: list[Pixels], size: int) -> MadeLibrary:
    """Filled, on all cores, under a progress bar."""
    library = MadeLibrary(photos, size, SEED, ExamineLimits().search)
    with _bar() as bar:
        task = bar.add_task("library", total=size)
        library.fill(Fingerprinter(), os.cpu_count() or 1, lambda done: bar.advance(task, done))
    return library


def ask(library: MadeLibrary, photos: list[Pixels], crops: int) -> list[Honest]:
    """Every photo as it is, then so many crops."""
    fingerprinter, fusion, limits = Fingerprinter(), fusion_model(), ExamineLimits()

    def answer(number: int) -> Honest:
        rng = np.random.default_rng((SEED, number))
        photo = number if number < len(photos) else int(rng.integers(len(photos)))
        pixels = photos[photo]
        if number >= len(photos):
            height, width = pixels.shape[:2]
            crop_h, crop_w = (int(edge * rng.uniform(0.55, 0.95)) for edge in (height, width))
            top, left = int(rng.integers(0, height - crop_h + 1)), int(rng.integers(0, width - crop_w + 1))
            pixels = edits.through_jpeg(np.ascontiguousarray(pixels[top : top + crop_h, left : left + crop_w]), 90)
        query = fingerprinter.fingerprint(caltech.as_picture(pixels), "")
        if query.featureless:
            return Honest(photo, number >= len(photos), 0.0, -1)
        return Honest(photo, number >= len(photos), *library.surest(query, fusion, limits))

    total = len(photos) + crops
    with _bar() as bar, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(bar.track(pool.map(answer, range(total)), total=total, description="honest photos"))


def _bar() -> Progress:
    return Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True))


def show(result: dict[str, Any]) -> None:
    figures_table("honest photos against a large library", {k: v for k, v in result.items() if k != "surest"})

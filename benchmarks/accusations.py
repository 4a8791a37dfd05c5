"""Measures how often an honest photo is called a copy, against a library of 100,000: `miaopei bench accusations`.

The library is made of the train half of Caltech 101 (`fixtures.photo_library.MadeLibrary`: its real photos, then
crops of them and a tenth of generated pictures), searched exactly and in memory. The queries are the unedited photos of
the test half: none is in the library, though all their classes are. Crops of the same photo resemble each other: the
library is crowded, but less varied than that many real photos.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from benchmarks.report import figures_table, machine
from benchmarks.retrieval import rate_per_10k
from claims.rules import RULES
from fixtures import caltech
from fixtures.photo_library import MadeLibrary, Pixels
from vision.copies.copy_score import fusion_model
from vision.copies.fingerprint import Fingerprinter
from vision.examine import ExamineLimits

SEED: Final = 20261123
SURE: Final = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)  # cut-offs whose rates are shown beside the product's


@dataclass(frozen=True, slots=True)
class AccusationsSize:
    """library: pictures. photos: of the test half, asked as they are."""

    library: int
    photos: int


FULL: Final = AccusationsSize(library=100_000, photos=10_000)
QUICK: Final = AccusationsSize(library=3_000, photos=60)


@dataclass(frozen=True, slots=True)
class Honest:
    """One honest photo and its surest candidate: probability 0.0 and match -1 without any candidate."""

    name: str
    probability: float
    match: int


def run(*, quick: bool = False) -> dict[str, Any]:
    """Returns the figures. Raises FileNotFoundError, naming the path, without the measuring photos beside the
    checkout.
    """
    started = time.monotonic()
    size = QUICK if quick else FULL
    known = list(caltech.photos("train"))
    library = made_library([photo.pixels for photo in known], size.library)
    asked = list(caltech.photos("test"))[: size.photos]
    answers = ask(library, asked)
    cut = RULES.photo_copied_min
    surest = sorted(answers, key=lambda answer: -answer.probability)[:20]
    rates = {at: rate_per_10k(sum(answer.probability >= at for answer in answers), len(answers)) for at in (cut, *SURE)}
    return {
        "quick": quick,
        "machine": machine(),
        "library": {
            "pictures": len(library),
            "real_photos": min(size.library, len(known)),
            "search": "exact, in memory",
        },
        "cut_off": cut,
        "false_accusations_per_10k": rates[cut],
        "by_cut_off": {str(at): rates[at] for at in SURE},
        "surest": [
            {
                "photo": answer.name,
                "called_a_copy_of": _named(library, known, answer.match),
                "probability": answer.probability,
            }
            for answer in surest
        ],
        "models": [Fingerprinter().model, fusion_model().label],
        "seconds": round(time.monotonic() - started),
    }


def _named(library: MadeLibrary, known: list[caltech.CaltechPhoto], number: int) -> str:
    origin = library.origin(number) if number >= 0 else None
    if origin is None:
        return "" if number < 0 else f"generated picture {number}"
    return known[origin].name if number == origin else f"a part of {known[origin].name}"


def made_library(photos: list[Pixels], size: int) -> MadeLibrary:
    """Returns a filled library, made on all cores under a progress bar."""
    library = MadeLibrary(photos, size, SEED, ExamineLimits().search)
    with _bar() as bar:
        task = bar.add_task("library", total=size)
        library.fill(Fingerprinter(), os.cpu_count() or 1, lambda done: bar.advance(task, done))
    return library


def ask(library: MadeLibrary, photos: list[caltech.CaltechPhoto]) -> list[Honest]:
    """Queries the library with every photo, unedited."""
    fingerprinter, fusion, limits = Fingerprinter(), fusion_model(), ExamineLimits()

    def answer(photo: caltech.CaltechPhoto) -> Honest:
        query = fingerprinter.fingerprint(caltech.as_picture(photo.pixels), "")
        if query.featureless:
            return Honest(photo.name, 0.0, -1)
        probability, match = library.surest(query, fusion, limits)
        return Honest(photo.name, round(probability, 4), match)

    with _bar() as bar, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(bar.track(pool.map(answer, photos), total=len(photos), description="honest photos"))


def _bar() -> Progress:
    return Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True))


def show(result: dict[str, Any]) -> None:
    figures_table("honest photos against a large library", {k: v for k, v in result.items() if k != "surest"})

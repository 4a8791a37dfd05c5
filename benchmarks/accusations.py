"""How often an honest photo is called a copy, against a library of 100,000: `miaopei bench accusations`.

The library is made of the train half of Caltech 101 (`fixtures.photo_library.MadeLibrary`: its real photos, then
crops of them and a tenth of generated pictures), searched exactly and in memory. Asked are the photos of the test half
as they are, none of which is in it though all their classes are. Crops of one photo are no strangers to one another:
the library is crowded, but not as varied as so many real photos would be.
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
    """One photo, and the surest candidate: 0.0 and -1 where none came up."""

    name: str
    probability: float
    match: int


def run(*, quick: bool = False) -> dict[str, Any]:
    """Needs the measuring photos beside the checkout; FileNotFoundError names the path."""
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
            {"photo": one.name, "called_a_copy_of": _named(library, known, one.match), "probability": one.probability}
            for one in surest
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
    """Filled, on all cores, under a progress bar."""
    library = MadeLibrary(photos, size, SEED, ExamineLimits().search)
    with _bar() as bar:
        task = bar.add_task("library", total=size)
        library.fill(Fingerprinter(), os.cpu_count() or 1, lambda done: bar.advance(task, done))
    return library


def ask(library: MadeLibrary, photos: list[caltech.CaltechPhoto]) -> list[Honest]:
    """Every photo as it is."""
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

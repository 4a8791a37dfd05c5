"""Calibrates the confidence from which a paper's reading is accepted without a person looking at it.

    python -m models.train.paper_gate

Data: PAGES rendered papers of every kind (`fixtures.papers`, synthetic), in the build layouts, by phone, scanner and as
electronic pictures; the layouts kept for testing and the scanned receipts are for measuring alone
(`miaopei bench documents`). A reading that lacks or contradicts something, or has an unconfirmed field, is never
accepted, whatever its confidence. For the others the least sure of the fields that money rests on decides: its
threshold, for each kind, is the lowest, from FLOOR on, at which no accepted page of the kind has one of them wrong; a
field that was not read misleads nobody. So nothing is wrong on these very pages by construction; the bench measures
what the thresholds are worth on others. Writes weights/paper_gate.json, its card, and a row of results/paper_gate.csv.
A quarter of an hour on two cores.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.progress import track

from fixtures.papers import KINDS
from fixtures.papers.marks import Marked, read_many
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from vision.decode.image import DecodeLimits, Decoder
from vision.documents import Reader
from vision.documents.gate import NAME, confidence, unfit_because
from vision.measurement import Unmeasured

FIRST_SEED: Final = 40_000
PAGES: Final = 40  # of each kind
FLOOR: Final = 0.8  # the lowest threshold: below it the words are guesses
MARGIN: Final = 0.002  # above the surest wrong page
NEVER: Final = 1.01  # a confidence is at most 1
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / f"{NAME}.json"
RESULTS: Final = Path(__file__).parent.parent / "results" / f"{NAME}.csv"


@dataclass(frozen=True, slots=True)
class ReadingExample:
    """A page that could be accepted. sure: confidence of its least sure relied-on field."""

    kind: str
    sure: float
    right: bool


def main() -> None:
    began = time.monotonic()
    wanted = [(kind, FIRST_SEED + number) for number in range(PAGES) for kind in KINDS]
    cores = os.cpu_count() or 1
    with Decoder(DecodeLimits(), processes=1) as decoder, Reader(processes=cores) as reader:
        pages = list(track(read_many(wanted, "build", reader, decoder, cores), description="papers", total=len(wanted)))
    examples = [example for page in pages for example in examples_of(page)]
    content = fitted(examples)
    WEIGHTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    passed = [example for example in examples if example.sure >= content["kinds"][example.kind]]
    figures = {
        "pages": len(pages),
        "fit": len(examples),
        "fit_wrong": sum(not example.right for example in examples),
        "accepted": len(passed),
        "accepted_wrong": sum(not example.right for example in passed),
        "coverage": round(len(passed) / len(pages), 4),
    }
    sys.stdout.write(f"{figures}\n")
    write_card(_card(figures))
    _record(figures, time.monotonic() - began)


def examples_of(page: Marked) -> list[ReadingExample]:
    """Return the page as an example, none if no confidence would let it pass."""
    reading = page.reading
    if isinstance(reading, Unmeasured) or unfit_because(reading):
        return []
    return [ReadingExample(reading.kind, confidence(reading), page.relied_on_right)]


def fitted(examples: Sequence[ReadingExample]) -> dict[str, Any]:
    """Return the thresholds by kind, as `vision.documents.gate.load_gate` reads them; `default` is the strictest, for
    kinds that an insurer adds."""
    kinds = {kind: _above_wrong([example for example in examples if example.kind == kind]) for kind in KINDS}
    return {"default": max(kinds.values()), "kinds": kinds}


def _above_wrong(examples: Sequence[ReadingExample]) -> float:
    surest = max((example.sure + MARGIN for example in examples if not example.right), default=FLOOR)
    return round(min(NEVER, max(FLOOR, surest)), 3)


def _card(figures: dict[str, float]) -> Card:
    return Card(
        name=NAME,
        version="1.0.0",
        summary="By kind of paper, how sure the fields that money rests on must be read before nobody looks.",
        licence="Apache-2.0",
        source="calibrated by models/train/paper_gate.py",
        how_to_get="part of the repository; python -m models.train.paper_gate makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"confidence": "of the least sure field relied on, the mean over the characters of its line"},
        trained_on=f"{PAGES} rendered papers of each of {len(KINDS)} kinds (synthetic), in the layouts to build with.",
        metrics={"calibration": figures},
        limits="The figures are of the very pages that the thresholds were fitted on, so none is wrong by construction."
        " Rendered papers are not real ones: what share of real Chinese papers would be accepted, or accepted wrongly,"
        " is unmeasured. The confidences are the text recognisers' own, which are not probabilities.",
        root=CARDS.parent,
    )


def _record(figures: dict[str, float], seconds: float) -> None:
    columns = ["at", "first_seed", "sha256", *figures, "seconds"]
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        digest = sha256_of(WEIGHTS)[:12]
        writer.writerow([datetime.now(UTC).date(), FIRST_SEED, digest, *figures.values(), round(seconds)])


if __name__ == "__main__":
    main()

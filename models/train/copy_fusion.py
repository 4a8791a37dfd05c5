"""Trains the logistic model of the probability that a photo and a picture of the library are one.

    python -m models.train.copy_fusion

Data: photos that the descriptor did not learn from, the varied ones of the role `fit` (`fixtures.varied`) and Caltech
photos that its training held out. Some form the library, others are unseen; of a group of photos of one scene one lies
in the library and the others are asked for as they are: other photos of the same thing, no copies. So are groups of the
role `train`, which the descriptor has seen: how exactly points fit does not depend on it. Edited copies of
library photos (`fixtures.harder_edits`, all of them) and of unseen ones are searched for; every candidate that a search
returns is one example: a copy, a look-alike, or another view. Unseen photos are also searched for unedited, as honest
claims are.

Figures are by source: for each, the model is fitted on the other sources and measured on this one. The weights that
are kept are fitted on all of them. The cut-off for `edited copy` is then raised until all but one in a thousand honest
photos come through against a library of SCALE pictures made of photos that the descriptor learnt from. Writes
weights/copy_fusion.json, its card with the cut-off as a figure, and a row of results/copy_fusion.csv. Fixed seed; a
quarter of an hour on two cores. The cut-off that the product uses is the rule `photo_copied_min` (`claims.rules`); a
test holds it against the card.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track
from scipy.optimize import minimize

from fixtures import caltech, edits, harder_edits, varied
from fixtures.photo_library import MadeLibrary, MemoryLibrary, Pixels
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from models.train.copy_descriptor import HELD_OUT
from vision.copies.copy_score import FEATURES, NAME, UNPROVEN_MAX, fusion_of
from vision.copies.fingerprint import Fingerprinter
from vision.examine import ExamineLimits, signals

SEED: Final = 20261130
LIBRARY_SHARE: Final = 0.55  # of the single photos
LABELS: Final = (
    25  # each pasted on a photo in the library and on others outside it: parcels of one brand in different photos
)
LABEL_QUERIES: Final = 2  # a label
SCREENSHOTS: Final = 25  # of further photos, also in the library: one screenshot of an app is no copy of another
COPIED: Final = 150  # of the library's photos
COPIED_EDITS: Final = 9  # of each of them, drawn
UNSEEN_EDITS: Final = 1  # of each unseen photo
OTHERS: Final = 8  # photos that fill a collage
VIEWS_MAX: Final = 6  # further photos of a group that are asked for
SEEN_VIEWS: Final = ("household", "roads", "fields", "skull")  # sources of the role `train` that have such groups
PRECISION_MIN: Final = 0.99  # precision of `edited copy` on sources that were not fitted on
FALSE_ACCUSATION_MAX: Final = 0.002  # share of unseen unedited photos for which anything is called a copy
# Some hundred honest photos could not prove a lower one; the rule's policy choice (`claims.rules`) is the same.
CUT_OFF_FLOOR: Final = 0.99
MAYBE: Final = 0.5  # the rule `photo_maybe_copied_min`
SCALE: Final = 10_000  # pictures of the library in which honest photos are searched once more
SCALE_HONEST: Final = 1_000
SCALE_ACCUSED_MAX: Final = 0.001  # share of them called a copy
SIMILAR_QUANTILE: Final = 0.98  # quantile of the best cosine of unseen photos: above it they are called similar
RIDGE: Final = 1.0
VIEW: Final = "other view"  # another photo of a scene in the library, unedited
LABELLED: Final = "labelled"  # an unseen photo, unedited, that shares a label with one in the library
RESULTS: Final = Path(__file__).parent.parent / "results" / "copy_fusion.csv"
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / "copy_fusion.json"


@dataclass(frozen=True, slots=True, eq=False)
class FittingPhoto:
    """A photo to fit on. scene: of all photos of one group the same, "" for a single photo."""

    source: str
    scene: str
    pixels: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class PairExample:
    """One query with one candidate. query: its number. source: of the photo that the query was made from. proven: as
    `CopySignals.proven`."""

    query: int
    source: str
    edit: str  # "" for an unseen photo as it is
    features: NDArray[np.float64]
    proven: bool
    copy: bool


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Everything to fit on. missed: source of each copy that the search did not return. best_cosines: of unseen photos
    as they are. queries: by number, (source, edit)."""

    pairs: list[PairExample]
    missed: list[str]
    best_cosines: list[float]
    queries: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Result of a fit. content: of the file that `vision.copies.copy_score.read_fusion` reads. figures: on sources that
    were not fitted on, the measured cut-off first. pairs: number of pairs fitted. by_source: figures of each."""

    content: dict[str, Any]
    figures: dict[str, float]
    pairs: int
    by_source: dict[str, dict[str, float]]


def main() -> None:
    started = time.monotonic()
    result = fitted(Fingerprinter())
    WEIGHTS.write_text(json.dumps(result.content, indent=1) + "\n", encoding="utf-8")
    write_card(_card(result))
    _record(result.figures, time.monotonic() - started)


def fitted(fingerprinter: Fingerprinter) -> Fitted:
    """Fit the model for this fingerprinter's descriptor."""
    return at_scale(fit(examples(fingerprinter)), fingerprinter)


def fitting_photos() -> list[FittingPhoto]:
    """Return the photos to fit on, in an order of the file hashes."""
    known = [FittingPhoto(photo.source, photo.group, photo.pixels) for photo in varied.photos("fit")]
    return known + [FittingPhoto("caltech", "", photo.pixels) for photo in islice(caltech.photos("train"), HELD_OUT)]


def examples(fingerprinter: Fingerprinter) -> Examples:
    """Search for every query, and return each candidate compared with its query."""
    rng = np.random.default_rng(SEED)
    photos = fitting_photos()
    drawn = [photos[index] for index in rng.permutation(len(photos))]
    singles = [photo for photo in drawn if not photo.scene]
    library: dict[int, FittingPhoto] = dict(enumerate(singles[: round(len(singles) * LIBRARY_SHARE)]))
    unseen = singles[len(library) :]
    spare = [photo.pixels for photo in unseen]
    views: list[FittingPhoto] = []
    for scene in dict.fromkeys(photo.scene for photo in drawn if photo.scene):
        first, *more = [photo for photo in drawn if photo.scene == scene]
        library[len(library)] = first
        views += more[:VIEWS_MAX]
    learnt: dict[str, list[FittingPhoto]] = {}
    for other in varied.photos("train"):
        if other.one_scene and other.source in SEEN_VIEWS:
            learnt.setdefault(other.group, []).append(FittingPhoto(other.source, other.group, other.pixels))
    copied = rng.choice(len(library), COPIED, replace=False).tolist()
    for number, (first, *more) in enumerate(learnt.values()):
        library[30_000 + number] = first
        views += more[:VIEWS_MAX]
    labels = [edits.label_from(spare[k], rng) for k in rng.choice(len(spare), LABELS, replace=False)]
    for number, label in enumerate(labels):
        ground = unseen[number]
        library[10_000 + number] = replace(ground, pixels=edits.with_label(ground.pixels, label, rng))
    for number in range(SCREENSHOTS):
        shown = edits.apply("screenshot", spare[-1 - number], rng)
        library[20_000 + number] = replace(unseen[-1 - number], pixels=shown)
    honest = unseen[LABELS * (1 + LABEL_QUERIES) : len(unseen) - SCREENSHOTS]
    fill = [photo.pixels for photo in honest]  # none of it is in the library

    asked: list[tuple[int, str, FittingPhoto]] = []  # the number in the library (-1: not in it), the edit, the query

    def ask(number: int, edit: str, photo: FittingPhoto) -> None:
        if edit in harder_edits.ALL:
            others = [fill[k] for k in rng.choice(len(fill), OTHERS, replace=False)]
            photo = replace(photo, pixels=harder_edits.apply(edit, photo.pixels, rng, others))
        asked.append((number, edit, photo))

    names = list(harder_edits.ALL)
    for number in track(copied, description="edited copies"):
        for name in rng.choice(names, COPIED_EDITS, replace=False):
            ask(number, str(name), library[number])
    for photo in honest:
        ask(-1, "", photo)
        for name in rng.choice(names, UNSEEN_EDITS, replace=False):
            ask(-1, str(name), photo)
    for photo in views:
        ask(-1, VIEW, photo)
    for number in range(LABELS * LABEL_QUERIES):
        ground = unseen[LABELS + number]
        ask(-1, LABELLED, replace(ground, pixels=edits.with_label(ground.pixels, labels[number // LABEL_QUERIES], rng)))
    held = MemoryLibrary(
        [
            (str(number), fingerprinter.fingerprint(caltech.as_picture(photo.pixels), ""))
            for number, photo in track(library.items(), description="library")
        ],
        ExamineLimits().search,
    )

    def compared(number: int) -> tuple[list[PairExample], bool, float]:
        """Return the examples of one query, True if its original was not among them, and the best cosine."""
        original, edit, photo = asked[number]
        fingerprint = fingerprinter.fingerprint(caltech.as_picture(photo.pixels), "")
        candidates = [] if fingerprint.featureless else held.search(fingerprint)
        limits = ExamineLimits()
        pairs = []
        for candidate in candidates[: limits.verify_max]:
            index = int(candidate.photo_id)
            measured = signals(fingerprint, candidate, limits)
            pairs.append(
                PairExample(number, photo.source, edit, measured.features(), measured.proven, index == original)
            )
        missed = original in held.ids and not any(pair.copy for pair in pairs)
        return pairs, missed, max((candidate.cosine for candidate in candidates), default=0.0)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(track(pool.map(compared, range(len(asked))), description="queries", total=len(asked)))
    return Examples(
        pairs=[pair for part, _, _ in results for pair in part],
        missed=[asked[number][2].source for number, (_, missed, _) in enumerate(results) if missed],
        best_cosines=[best for (_, edit, _), (part, _, best) in zip(asked, results, strict=True) if part and not edit],
        queries=[(photo.source, edit) for _, edit, photo in asked],
    )


def fit(data: Examples) -> Fitted:
    """Fit on all sources; measure each with a fit on the others."""
    pairs = data.pairs
    source = np.array([pair.source for pair in pairs])
    features = np.stack([pair.features for pair in pairs])
    copies = np.array([pair.copy for pair in pairs])
    proven = np.array([pair.proven for pair in pairs])
    held = np.zeros(len(pairs))
    for name in sorted(set(source.tolist())):
        weights, intercept = fit_monotone(features[source != name], copies[source != name])
        held[source == name] = _probability(features[source == name], proven[source == name], weights, intercept)
    weights, intercept = fit_monotone(features, copies)
    cut = _cut_off(pairs, held)
    by_source = {
        name: _figures(data, [p for p in zip(pairs, held.tolist(), strict=True) if p[0].source == name], name)
        for name in sorted(set(source.tolist()))
    }
    views = {pair.query for pair, p in zip(pairs, held.tolist(), strict=True) if pair.edit == VIEW and p >= cut}
    calls = held >= cut
    figures = {
        "cut_off": cut,
        "fit_cut_off": cut,
        "precision_at_fit": round(float(copies[calls].mean()), 4),
        "recall_at_fit": round(float((copies & calls).sum() / (copies.sum() + len(data.missed))), 4),
        "recall_or_maybe": round(float((copies & (held >= MAYBE)).sum() / (copies.sum() + len(data.missed))), 4),
        "brier": round(float(np.mean((held - copies) ** 2)), 5),
        **{
            f"honest_{key}": sum(row[f"honest_{key}"] for row in by_source.values())
            for key in ("photos", "accused", "maybe")
        },
        "other_views": sum(edit == VIEW for _, edit in data.queries),
        "other_views_accused": len(views),
        "pairs": len(pairs),
    }
    print(figures, dict(zip(FEATURES, weights.round(3).tolist(), strict=True)), round(intercept, 3), "cut", cut)
    print(json.dumps(by_source, indent=1))
    content: dict[str, Any] = {
        "features": FEATURES,
        "weights": [round(float(weight), 6) for weight in weights],
        "intercept": round(intercept, 6),
        "similar_cosine_min": round(float(np.quantile(data.best_cosines, SIMILAR_QUANTILE)), 3),
    }
    return Fitted(content, figures, len(pairs), by_source)


def _probability(
    features: NDArray[np.float64], proven: NDArray[np.bool_], weights: NDArray[np.float64], intercept: float
) -> NDArray[np.float64]:
    probability = 1 / (1 + np.exp(-(features @ weights + intercept)))
    return np.where(proven, probability, np.minimum(probability, UNPROVEN_MAX))


def _figures(data: Examples, pairs: list[tuple[PairExample, float]], source: str) -> dict[str, float]:
    """Return one source's figures. pairs: with the probability by a fit on the other sources."""
    surest: dict[int, float] = {}
    for pair, probability in pairs:
        surest[pair.query] = max(surest.get(pair.query, 0.0), probability)
    copies = [probability for pair, probability in pairs if pair.copy]
    asked = len(copies) + data.missed.count(source)
    honest = [n for n, (name, edit) in enumerate(data.queries) if name == source and edit in ("", LABELLED)]
    return {
        "copies": asked,
        "named": round(sum(p >= CUT_OFF_FLOOR for p in copies) / max(1, asked), 4),
        "named_or_maybe": round(sum(p >= MAYBE for p in copies) / max(1, asked), 4),
        "honest_photos": len(honest),
        "honest_accused": sum(surest.get(n, 0.0) >= CUT_OFF_FLOOR for n in honest),
        "honest_maybe": sum(surest.get(n, 0.0) >= MAYBE for n in honest),
    }


def at_scale(result: Fitted, fingerprinter: Fingerprinter) -> Fitted:
    """Raise the cut-off until at most SCALE_ACCUSED_MAX of the honest photos, as they were taken, are called a copy of
    any of SCALE pictures made from photos that the descriptor learnt from."""
    limits = ExamineLimits()
    twins = caltech.train_twins()
    known = [photo for photo in caltech.photos("train") if photo.sha256 not in twins][HELD_OUT:]
    order = np.random.default_rng(SEED).permutation(len(known)).tolist()
    honest = [known[k].pixels for k in order[:SCALE_HONEST]]
    shown = [known[k].pixels for k in order[SCALE_HONEST:]]
    library = MadeLibrary(shown, SCALE, SEED, limits.search)
    cores = os.cpu_count() or 1
    with Progress() as bar:
        task = bar.add_task("large library", total=SCALE)
        library.fill(fingerprinter, cores, lambda done: bar.advance(task, done))
    fusion = fusion_of(result.content, "being fitted")

    def surest(pixels: Pixels) -> float:
        query = fingerprinter.fingerprint(caltech.as_picture(pixels), "")
        return 0.0 if query.featureless else library.surest(query, fusion, limits)[0]

    with ThreadPoolExecutor(cores) as pool:
        sure = sorted(track(pool.map(surest, honest), description="honest photos", total=len(honest)), reverse=True)
    before = result.figures["cut_off"]
    allowed = int(SCALE_ACCUSED_MAX * len(sure))
    cut = round(min(0.999, max(before, sure[allowed] + 0.001)), 3)
    print("surest honest photos at scale", [round(value, 4) for value in sure[:12]], "cut", before, "->", cut)
    figures = {
        **result.figures,
        "cut_off": cut,
        "scale_library": SCALE,
        "scale_honest_photos": len(honest),
        "scale_accused_at_fit": sum(value >= before for value in sure),
        "scale_accused": sum(value >= cut for value in sure),
    }
    return replace(result, figures=figures)


def fit_monotone(features: NDArray[np.float64], copies: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Fit a logistic regression with a ridge in which no weight is negative: each feature is evidence for a copy.

    Unconstrained, features that say much the same get weights of opposite signs, and a copy that only one of them
    detects is lost. Returns the weights (n_features,) of the unscaled features, and the intercept.
    """
    scale = features.std(axis=0)
    scaled, sign = features / scale, np.where(copies, 1.0, -1.0)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (scaled @ at[:-1] + at[-1])
        pull = -sign / (1.0 + np.exp(np.minimum(margin, 500.0)))
        slope = np.append(scaled.T @ pull + RIDGE * at[:-1], pull.sum())
        return float(np.logaddexp(0.0, -margin).sum() + RIDGE / 2 * (at[:-1] ** 2).sum()), slope

    bounds = [(0.0, None)] * features.shape[1] + [(None, None)]
    start = np.zeros(features.shape[1] + 1)
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 5000})
    if not optimum.success:
        raise RuntimeError(f"the fit did not converge: {optimum.message}")
    return np.asarray(optimum.x[:-1] / scale, dtype=np.float64), float(optimum.x[-1])


def _cut_off(pairs: Sequence[PairExample], probability: NDArray[np.float64]) -> float:
    """Return the probability from which both limits hold, precision over pairs and honest photos accused; at least
    CUT_OFF_FLOOR."""
    honest = {pair.query for pair in pairs if pair.edit in ("", LABELLED)}
    wrong, accused = 0, set[int]()
    breach = 0.0  # the surest example, below the last point where the limits hold, that breaks one of them
    for count, index in enumerate(np.argsort(-probability).tolist(), start=1):
        pair = pairs[index]
        wrong += not pair.copy
        if pair.query in honest:
            accused.add(pair.query)
        if 1 - wrong / count >= PRECISION_MIN and len(accused) <= FALSE_ACCUSATION_MAX * len(honest):
            breach = 0.0
        else:
            breach = max(breach, float(probability[index]))
    return round(min(0.999, max(CUT_OFF_FLOOR, breach + 0.001)), 3)


def _card(result: Fitted) -> Card:
    sources = ", ".join(sorted(result.by_source))
    return Card(
        name=NAME,
        version="2.1.0",
        summary="Logistic model: how likely a photo and a library picture are one (SIFT, pixels, PDQ, descriptor).",
        licence="Apache-2.0",
        source="trained by models/train/copy_fusion.py",
        how_to_get="part of the repository; python -m models.train.copy_fusion makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"features": list(FEATURES)},
        trained_on=f"{result.pairs} pairs that searches brought up, of photos that the descriptor did not learn from,"
        f" but for other photos of one scene ({', '.join(SEEN_VIEWS)}), which are no copies ({sources}; licences in the"
        " data sets' notes); edited by fixtures/edits.py and fixtures/harder_edits.py.",
        metrics={
            "held_out": result.figures,
            "held_out_by_source": result.by_source,
            "cut_off_holds": {"precision_min": PRECISION_MIN, "honest_accused_max": SCALE_ACCUSED_MAX},
        },
        limits=f"Fitted against a library of some 700 photos; the cut-off also holds against {SCALE} pictures, most of"
        " them crops of one another. Larger and more varied libraries bring up more look-alikes.",
        root=CARDS.parent,
    )


def _record(figures: dict[str, float], seconds: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    columns = ["at", "seed", "sha256", *figures, "seconds"]
    new = not RESULTS.exists() or RESULTS.read_text(encoding="utf-8").split("\n")[0] != ",".join(columns)
    with RESULTS.open("w" if new else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        digest = sha256_of(WEIGHTS)[:12]
        writer.writerow([datetime.now(UTC).date(), SEED, digest, *figures.values(), round(seconds)])


if __name__ == "__main__":
    main()

"""Trains the logistic model of the probability that a photo and a picture of the library are one.

    python -m models.train.copy_fusion

Data: the train half of the Caltech photos (`fixtures.caltech`, known duplicates left out). Some photos form the
library, others are unseen. Edited copies of both are searched for; every candidate that a search returns is one
example: a copy, or a look-alike. Unseen photos are also searched for unedited, as honest claims are. Two fifths of
the photos are held out of the fit: on them the cut-off for `edited copy` is measured, and its precision. Then it is
raised until all but one in a thousand honest photos come through against a library of SCALE pictures made of the same
photos, too. Writes weights/copy_fusion.json, its card with the cut-off as a figure, and a row of
results/copy_fusion.csv. Fixed seed; a quarter of an hour on two cores. The cut-off that the product uses is the rule
`photo_copied_min` (`claims.rules`); a test holds it against the card.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track
from scipy.optimize import minimize

from fixtures import caltech, edits
from fixtures.photo_library import MadeLibrary, MemoryLibrary, Pixels
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from vision.copies.copy_score import FEATURES, NAME, fusion_of
from vision.copies.fingerprint import Fingerprinter
from vision.examine import ExamineLimits, signals

SEED: Final = 20260118
LIBRARY: Final = 700  # photos
LABELS: Final = (
    60  # each pasted on a photo in the library and on others outside it: parcels of one brand in different photos
)
LABEL_QUERIES: Final = 3  # a label
SCREENSHOTS: Final = 50  # of further photos, also in the library: one screenshot of an app is no copy of another
COPIED: Final = 90  # of the library's photos, each edited in every way
UNSEEN: Final = 450  # photos outside the library, each unedited and edited in some ways
UNSEEN_EDITS: Final = 1
OTHERS: Final = 200  # photos to fill collages with
HELD_OUT_SHARE: Final = 0.4
PRECISION_MIN: Final = 0.99  # precision of `edited copy` on the held-out photos
FALSE_ACCUSATION_MAX: Final = 0.002  # share of unseen unedited photos for which anything is called a copy
# Some hundred honest photos could not prove a lower one; the rule's policy choice (`claims.rules`) is the same.
CUT_OFF_FLOOR: Final = 0.99
SCALE: Final = 30_000  # pictures of the library in which honest photos are searched once more
SCALE_ACCUSED_MAX: Final = 0.001  # share of them called a copy: some 1,400 photos cannot resolve a smaller one
SIMILAR_QUANTILE: Final = 0.98  # quantile of the best cosine of unseen photos: above it they are called similar
RIDGE: Final = 1.0
LABELLED: Final = "labelled"  # an unseen photo, unedited, that shares a label with one in the library
RESULTS: Final = Path(__file__).parent.parent / "results" / "copy_fusion.csv"
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / "copy_fusion.json"


@dataclass(frozen=True, slots=True, eq=False)
class PairExample:
    """One query with one candidate. photo: index of the photo that the query was made from."""

    photo: int
    edit: str  # "" for an unseen photo as it is
    features: NDArray[np.float64]
    copy: bool

    @property
    def honest(self) -> bool:
        """True if the query is an unseen photo as it was taken."""
        return self.edit in ("", LABELLED)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Result of a fit. content: of the file that `vision.copies.copy_score.read_fusion` reads. figures: on the held-out
    photos, the measured cut-off first. pairs: number of pairs fitted."""

    content: dict[str, Any]
    figures: dict[str, float]
    pairs: int


def main() -> None:
    started = time.monotonic()
    result = fitted(Fingerprinter())
    WEIGHTS.write_text(json.dumps(result.content, indent=1) + "\n", encoding="utf-8")
    write_card(_card(result.pairs, result.figures))
    _record(result.figures, time.monotonic() - started)


def fitted(fingerprinter: Fingerprinter) -> Fitted:
    """Fit the model for this fingerprinter's descriptor."""
    rng = np.random.default_rng(SEED)
    photos = list(caltech.photos("train"))
    order = rng.permutation(len(photos))
    library_ids, unseen_ids = order[:LIBRARY], order[LIBRARY : LIBRARY + UNSEEN]
    outside = [photos[i].pixels for i in order[LIBRARY + UNSEEN : LIBRARY + UNSEEN + SCREENSHOTS + OTHERS]]
    shots = {-1 - k: edits.apply("screenshot", outside[k], rng) for k in range(SCREENSHOTS)}
    labels = [edits.label_from(outside[SCREENSHOTS + k], rng) for k in range(LABELS)]
    parcels = photos_after(order[LIBRARY + UNSEEN + SCREENSHOTS + OTHERS :], photos)
    branded = {-1000 - k: edits.with_label(next(parcels), label, rng) for k, label in enumerate(labels)}
    contents = {int(index): photos[index].pixels for index in library_ids} | shots | branded
    library = MemoryLibrary(
        [
            (str(index), fingerprinter.fingerprint(caltech.as_picture(pixels), ""))
            for index, pixels in track(contents.items(), description="library")
        ],
        ExamineLimits().search,
    )
    queries = [(int(i), name) for i in library_ids[:COPIED] for name in edits.EDITS]
    for i in unseen_ids:
        queries.append((int(i), ""))
        queries += [(int(i), str(name)) for name in rng.choice(list(edits.EDITS), UNSEEN_EDITS, replace=False)]
    queries += [(-10_000 - k, LABELLED) for k in range(LABELS * LABEL_QUERIES)]
    asked: list[tuple[int, str, Pixels]] = []
    for index, name in queries:
        others = [outside[k] for k in rng.integers(SCREENSHOTS, len(outside), 3)]
        if name == LABELLED:
            pixels = edits.with_label(next(parcels), labels[(-10_000 - index) // LABEL_QUERIES], rng)
        else:
            pixels = edits.apply(name, photos[index].pixels, rng, others) if name else photos[index].pixels
        asked.append((index, name, pixels))

    one_picture = caltech.train_pairs()

    def one_photo(index: int, other: int) -> bool:
        """True for two files of one photo in the data set: neither an edited copy nor a look-alike."""
        return min(index, other) >= 0 and frozenset((photos[index].sha256, photos[other].sha256)) in one_picture

    def compared(query: tuple[int, str, Pixels]) -> tuple[list[PairExample], float]:
        index, name, pixels = query
        fingerprint = fingerprinter.fingerprint(caltech.as_picture(pixels), "")
        candidates = [] if fingerprint.featureless else library.search(fingerprint)
        candidates = [candidate for candidate in candidates if not one_photo(index, int(candidate.photo_id))]
        limits = ExamineLimits()
        examples = [
            PairExample(
                index, name, signals(fingerprint, candidate, limits).features(), candidate.photo_id == str(index)
            )
            for candidate in candidates[: limits.verify_max]
        ]
        return examples, max((candidate.cosine for candidate in candidates), default=0.0)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(track(pool.map(compared, asked), description="queries", total=len(asked)))
    examples = [example for part, _ in results for example in part]
    missed = [  # copies that the search did not return
        (index, name)
        for (index, name, _), (part, _) in zip(asked, results, strict=True)
        if index in library.ids and part and not any(example.copy for example in part)
    ]
    best_cosines = [cosine for (_, name, _), (part, cosine) in zip(asked, results, strict=True) if part and not name]
    result = _fit(examples, missed, best_cosines)
    shown = [photos[i].pixels for i in library_ids] + outside
    twins = caltech.train_twins()
    rest = [*unseen_ids, *order[LIBRARY + UNSEEN + SCREENSHOTS + OTHERS + LABELS * (1 + LABEL_QUERIES) :]]
    honest = [photos[i].pixels for i in rest if photos[i].sha256 not in twins]
    return at_scale(result, fingerprinter, shown, honest)


def at_scale(result: Fitted, fingerprinter: Fingerprinter, shown: list[Pixels], honest: list[Pixels]) -> Fitted:
    """Raise the cut-off until at most SCALE_ACCUSED_MAX of the honest photos, as they were taken, are called a copy of
    any of SCALE pictures made from the photos `shown`."""
    limits = ExamineLimits()
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


def photos_after(order: NDArray[np.intp], photos: Sequence[caltech.CaltechPhoto]) -> Iterator[NDArray[np.uint8]]:
    """Yield photos that nothing else uses."""
    return (photos[index].pixels for index in order)


def _fit(examples: list[PairExample], missed: list[tuple[int, str]], best_cosines: list[float]) -> Fitted:
    photos = np.array([example.photo for example in examples])
    chosen = np.unique(photos)
    np.random.default_rng(SEED + 1).shuffle(chosen)
    held_photos = set(chosen[: round(len(chosen) * HELD_OUT_SHARE)].tolist())
    held = np.array([photo in held_photos for photo in photos])
    features = np.stack([example.features for example in examples])
    copies = np.array([example.copy for example in examples])
    weights, intercept = fit_monotone(features[~held], copies[~held])
    probability = 1 / (1 + np.exp(-(features @ weights + intercept)))
    cut = _cut_off([e for e, h in zip(examples, held, strict=True) if h], probability[held])
    calls = held & (probability >= cut)
    honest = {e.photo for e, h in zip(examples, held, strict=True) if h and e.honest}
    accused = {e.photo for e, call in zip(examples, calls, strict=True) if call and e.honest}
    looked_for = int((copies & held).sum()) + sum(photo in held_photos for photo, _ in missed)
    figures = {
        "cut_off": cut,
        "fit_cut_off": cut,
        "precision_at_fit": round(float(copies[calls].mean()), 4),
        "recall_at_fit": round(float((copies & calls).sum() / looked_for), 4),
        "brier": round(float(np.mean((probability[held] - copies[held]) ** 2)), 5),
        "honest_photos": len(honest),
        "honest_photos_accused": len(accused),
        "pairs": int(held.sum()),
    }
    print(figures, dict(zip(FEATURES, weights.round(3).tolist(), strict=True)), round(intercept, 3), "cut", cut)
    content: dict[str, Any] = {
        "features": FEATURES,
        "weights": [round(float(weight), 6) for weight in weights],
        "intercept": round(intercept, 6),
        "similar_cosine_min": round(float(np.quantile(best_cosines, SIMILAR_QUANTILE)), 3),
    }
    return Fitted(content, figures, int((~held).sum()))


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


def _cut_off(examples: Sequence[PairExample], probability: NDArray[np.float64]) -> float:
    """Return the probability from which both limits hold, precision over pairs and honest photos accused; at least
    CUT_OFF_FLOOR."""
    copies = np.array([example.copy for example in examples])
    honest = {example.photo for example in examples if example.honest}
    order = np.argsort(-probability)
    wrong, accused = 0, set[int]()
    breach = 0.0  # the surest example, below the last point where the limits hold, that breaks one of them
    for count, index in enumerate(order, start=1):
        wrong += not copies[index]
        if examples[index].honest:
            accused.add(examples[index].photo)
        if 1 - wrong / count >= PRECISION_MIN and len(accused) <= FALSE_ACCUSATION_MAX * len(honest):
            breach = 0.0
        else:
            breach = max(breach, float(probability[index]))
    return round(min(0.999, max(CUT_OFF_FLOOR, breach + 0.001)), 3)


def _card(pairs: int, figures: dict[str, float]) -> Card:
    return Card(
        name=NAME,
        version="1.0.0",
        summary="Logistic model: how likely a photo and a library picture are one (SIFT, pixels, PDQ, descriptor).",
        licence="Apache-2.0",
        source="trained by models/train/copy_fusion.py",
        how_to_get="part of the repository; python -m models.train.copy_fusion makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"features": list(FEATURES)},
        trained_on=f"{pairs} pairs that searches brought up, from the train half of Caltech 101 (CC BY 4.0) by file"
        " hash, edited by fixtures/edits.py.",
        metrics={
            "held_out": figures,
            "cut_off_holds": {"precision_min": PRECISION_MIN, "honest_accused_max": SCALE_ACCUSED_MAX},
        },
        limits=f"Fitted against a library of {LIBRARY} photos; the cut-off also holds against {SCALE} pictures, most of"
        " them crops of one another. Larger and more varied libraries bring up more look-alikes. Phone photos of the"
        " same goods were not in the data.",
        root=CARDS.parent,
    )


def _record(figures: dict[str, float], seconds: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    columns = ["at", "library", "seed", "sha256", *figures, "seconds"]
    new = not RESULTS.exists() or RESULTS.read_text(encoding="utf-8").split("\n")[0] != ",".join(columns)
    with RESULTS.open("w" if new else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        digest = sha256_of(WEIGHTS)[:12]
        writer.writerow([datetime.now(UTC).date(), LIBRARY, SEED, digest, *figures.values(), round(seconds)])


if __name__ == "__main__":
    main()

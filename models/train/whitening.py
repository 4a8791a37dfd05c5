"""Trains the PCA-whitening that turns EfficientNet-Lite0's pooled features into the 256-number descriptor of photos.

    python -m models.train.whitening

Data: the train half of the Caltech photos (`fixtures.caltech`), unedited and edited. Learnt whitening after
Radenovic et al. (2019) and Mikolajczyk and Matas (2007): the covariance of differences between a photo and its own
edited copies is whitened away, so that what edits change counts little; then PCA over the photos keeps the 256
directions in which different photos differ most. Writes weights/lite0_whitening.safetensors, its card, and a row of
results/whitening.csv measured on photos of the train half that were held out. Fixed seed; about six minutes on one
core.
"""

from __future__ import annotations

import csv
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from safetensors.numpy import save_file

from fixtures import caltech, edits
from models import onnx_build
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from vision.copies import descriptor
from vision.copies.descriptor import DIMENSIONS, FeatureNetwork, normalise, whiten

SEED: Final = 20260117
PHOTOS_A_CATEGORY: Final = 20
EDITS_A_PHOTO: Final = 4
HELD_OUT: Final = 400  # photos, with their edited copies, for the figures
BACKGROUND: Final = 1024  # photos whose nearness distinguishes a look-alike from a copy
SHRINKAGE: Final = 0.5  # of each covariance towards a multiple of the identity: far fewer pairs than entries
# Without the collage: three quarters of it are other photos.
TRAIN_EDITS: Final = tuple(name for name in edits.EDITS if name not in ("copied", "collage"))
RESULTS: Final = Path(__file__).parent.parent / "results" / "whitening.csv"
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / "lite0_whitening.safetensors"

Rows = NDArray[np.float32]


def main() -> None:
    started = time.monotonic()
    rng = np.random.default_rng(SEED)
    network = FeatureNetwork(threads=1, graph=onnx_build.LITE0_FEATURES)
    photos = [photo.pixels for photo in caltech.photos("train", per_category_max=PHOTOS_A_CATEGORY)]
    plain = network.pooled(photos)
    changed = np.empty((len(photos), EDITS_A_PHOTO, plain.shape[1]), dtype=np.float32)
    for index in track(range(len(photos)), description="edited copies"):
        names = rng.choice(TRAIN_EDITS, EDITS_A_PHOTO, replace=False)
        copies = [edits.apply(str(name), photos[index], rng) for name in names]
        changed[index] = network.pooled(copies)

    order = rng.permutation(len(photos))
    held, used = order[:HELD_OUT], order[HELD_OUT:]
    fits = {
        "pca": fit_pca(normalise(plain[used])),
        "learnt": fit_learnt(normalise(plain[used]), changed[used]),
    }
    measured = {
        name: measure(whiten(plain[order], *fit), whiten(changed[held].reshape(-1, plain.shape[1]), *fit))
        for name, fit in fits.items()
    }
    for name, figures in measured.items():
        print(name, figures)
    mean, projection = fits["learnt"]
    background = whiten(plain[rng.choice(used, min(BACKGROUND, len(used)), replace=False)], mean, projection)
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file({"mean": mean, "projection": projection, "background": background.astype(np.float16)}, WEIGHTS)
    write_card(_card(len(used), measured))
    _record(measured, len(photos), time.monotonic() - started)


def fit_pca(plain: Rows) -> tuple[Rows, Rows]:
    """Return mean (d,) and projection (d, 256) of an ordinary PCA-whitening. plain: (n, d), rows of length 1."""
    mean = plain.mean(axis=0)
    values, vectors = np.linalg.eigh(_shrunk(np.asarray(np.cov(plain.T.astype(np.float64)))))
    top = np.argsort(values)[::-1][:DIMENSIONS]
    return mean, (vectors[:, top] / np.sqrt(values[top])).astype(np.float32)


def fit_learnt(plain: Rows, changed: Rows) -> tuple[Rows, Rows]:
    """Return mean and projection of the learnt whitening.

    plain: (n, d), rows of length 1. changed: (n, copies, d), pooled features of each photo's edited copies.
    """
    mean = plain.mean(axis=0)
    copies = normalise(changed.reshape(-1, plain.shape[1])).reshape(changed.shape)
    difference = (copies - plain[:, None]).reshape(-1, plain.shape[1]).astype(np.float64)
    values, vectors = np.linalg.eigh(_shrunk(difference.T @ difference / len(difference)))
    inner = vectors / np.sqrt(values)
    spread = np.cov((plain - mean).astype(np.float64) @ inner, rowvar=False)
    outer_values, outer = np.linalg.eigh(np.asarray(spread, dtype=np.float64))
    top = np.argsort(outer_values)[::-1][:DIMENSIONS]
    return mean, (inner @ outer[:, top]).astype(np.float32)


def measure(library: Rows, queries: Rows) -> dict[str, float]:
    """Return recall at rank 1, and recall at 99% precision over the nearest neighbour of every query, by cosine alone.

    library: descriptors, the held-out photos first. queries: EDITS_A_PHOTO copies of each held-out photo, in order.
    """
    cosines = queries @ library.T
    nearest = cosines.argmax(axis=1)
    right = nearest == np.repeat(np.arange(HELD_OUT), EDITS_A_PHOTO)
    order = np.argsort(-cosines.max(axis=1))
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= 0.99)
    at_p99 = float(right[order][: enough[-1] + 1].sum() / len(order)) if len(enough) else 0.0
    return {"recall_at_1": round(float(right.mean()), 4), "recall_at_p99": round(at_p99, 4)}


def _shrunk(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    size = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    return np.asarray(shrunk, dtype=np.float64)


def _card(photos_used: int, measured: dict[str, dict[str, float]]) -> Card:
    return Card(
        name=descriptor.WHITENING,
        version="0.1.0",
        summary="Learnt whitening of EfficientNet-Lite0's pooled features to 256 numbers; a background of look-alikes.",
        licence="Apache-2.0",
        source="trained by models/train/whitening.py",
        how_to_get="part of the repository; python -m models.train.whitening makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={
            "input": "1,280 pooled features of lite0_features, scaled to length 1",
            "output": "256, length 1",
        },
        trained_on=f"{photos_used} photos of Caltech 101 (CC BY 4.0), train half by file hash, and {EDITS_A_PHOTO}"
        f" edited copies of each (fixtures/edits.py); background of {BACKGROUND} of them.",
        metrics={"held_out_photos": HELD_OUT, **measured},
        limits="Object photos of about 300 px. Copies inside screenshots and collages are found through views, not by"
        " this alone. Descriptors of another version are not comparable: the library must be fingerprinted anew.",
        root=CARDS.parent,
    )


def _record(measured: dict[str, dict[str, float]], photos: int, seconds: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["at", "fit", "photos", "seed", "sha256", "recall_at_1", "recall_at_p99", "seconds"])
        for name, figures in measured.items():
            digest = sha256_of(WEIGHTS)[:12]
            row = [datetime.now(UTC).date(), name, photos, SEED, digest, *figures.values(), round(seconds)]
            writer.writerow(row)


if __name__ == "__main__":
    main()

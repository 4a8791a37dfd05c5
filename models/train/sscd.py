"""Makes the files that an operator's TorchScript of SSCD needs: whitening, a background of look-alikes, thresholds.

    python -m models.train.sscd --torchscript sscd_disc_mixup.torchscript.pt

Writes NAME.whitening.safetensors and NAME.thresholds.json beside the TorchScript, where the settings look for them. The
network gives 512 numbers and the library's column holds 256: PCA-whitening (Jégou and Chum, 2012) over photos of the
train half keeps the 256 directions in which they differ most. The shrinkage of the covariance is chosen by recall on
held-out photos. The thresholds are fitted as `models.train.copy_fusion` fits those of our own descriptor, on
the same photos. Fixed seed; on one core half an hour, most of it the network's. Data: `fixtures.caltech`, train half.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from safetensors.numpy import save_file

from fixtures import caltech, edits
from models.registry import sha256_of
from models.train import copy_fusion
from vision.copies.copy_score import FusionModel
from vision.copies.describing import Describing
from vision.copies.descriptor import DIMENSIONS, normalise
from vision.copies.fingerprint import Fingerprinter
from vision.copies.sscd import SscdModel, SscdNetwork, read_thresholds

SEED: Final = 20261123
PHOTOS_A_CATEGORY: Final = 20
EDITS_A_PHOTO: Final = 3
HELD_OUT: Final = 400
BACKGROUND: Final = 1024
SHRINKAGES: Final = (0.0, 0.1, 0.5)  # towards a multiple of the identity
PRECISION: Final = 0.99

Rows = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--torchscript", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    whitening = asked.torchscript.with_suffix(".whitening.safetensors")
    thresholds = asked.torchscript.with_suffix(".thresholds.json")
    network = SscdNetwork(asked.torchscript, asked.threads)
    photos = [photo.pixels for photo in caltech.photos("train", per_category_max=PHOTOS_A_CATEGORY)]
    print(make_whitening(network, photos, whitening))
    model = SscdModel(asked.torchscript, whitening, asked.threads)

    def not_yet() -> FusionModel:
        raise RuntimeError("the thresholds are being fitted")

    fitted = copy_fusion.fitted(Fingerprinter(asked.threads, describes=Describing(model, not_yet)))
    owned = {**fitted.content, "cut_off": fitted.figures["cut_off"], "whitening_sha256": sha256_of(whitening)}
    thresholds.write_text(json.dumps(owned, indent=1) + "\n", encoding="utf-8")
    print(read_thresholds(thresholds, whitening).label, fitted.figures)


def make_whitening(
    network: SscdNetwork,
    photos: list[NDArray[np.uint8]],
    path: Path,
    *,
    held_out: int = HELD_OUT,
    background: int = BACKGROUND,
) -> dict[str, float]:
    """Write the whitening of that network; return the held-out figures of the chosen one.

    photos: uint8 (h, w, 3) sRGB each, more than `held_out`, preferably several times 256.
    """
    rng = np.random.default_rng(SEED)
    plain = np.concatenate([network.outputs([photo]) for photo in track(photos, description="photos")])
    order = rng.permutation(len(photos))
    held, used = order[:held_out], order[held_out:]
    names = [name for name in edits.EDITS if name not in ("copied", "collage")]
    changed = [
        edits.apply(str(name), photos[index], rng)
        for index in track(held, description="edited copies")
        for name in rng.choice(names, EDITS_A_PHOTO, replace=False)
    ]
    queries = np.concatenate([network.outputs([picture]) for picture in changed])
    best: tuple[dict[str, float], Rows, Rows] | None = None
    for shrinkage in SHRINKAGES:
        mean, projection = fit_pca(plain[used], shrinkage)
        library, asked = (normalise((rows - mean) @ projection) for rows in (plain[order], queries))
        figures = {"shrinkage": shrinkage, **measure(library, asked)}
        if best is None or figures["recall_at_p99"] > best[0]["recall_at_p99"]:
            best = (figures, mean, projection)
    assert best is not None
    figures, mean, projection = best
    some = plain[rng.choice(used, min(background, len(used)), replace=False)]
    save_file(
        {
            "mean": mean,
            "projection": projection,
            "background": normalise((some - mean) @ projection).astype(np.float16),
        },
        path,
        metadata={"torchscript_sha256": network.sha256},
    )
    return figures


def fit_pca(rows: Rows, shrinkage: float) -> tuple[Rows, Rows]:
    """Return mean (d,) and projection (d, 256). rows: (n, d). Directions in which the rows do not vary stay small."""
    mean = rows.mean(axis=0)
    covariance = np.cov((rows - mean).T.astype(np.float64))
    spread = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * spread * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    top = np.argsort(values)[::-1][:DIMENSIONS]
    return mean, (vectors[:, top] / np.sqrt(np.maximum(values[top], 1e-6 * spread))).astype(np.float32)


def measure(library: Rows, queries: Rows) -> dict[str, float]:
    """Return recall at rank 1, and recall at 99% precision by cosine alone.

    library: the held-out photos first. queries: EDITS_A_PHOTO copies of each held-out photo, in order.
    """
    cosines = queries @ library.T
    right = cosines.argmax(axis=1) == np.arange(len(queries)) // EDITS_A_PHOTO
    order = np.argsort(-cosines.max(axis=1))
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    at_p99 = float(right[order][: enough[-1] + 1].sum() / len(order)) if len(enough) else 0.0
    return {"recall_at_1": round(float(right.mean()), 4), "recall_at_p99": round(at_p99, 4)}


if __name__ == "__main__":
    main()

"""Trains the model that recognises changed digits on a paper's picture.

    python -m models.train.paper_forensics

Data: rendered papers in build layouts (`fixtures.papers.forged_pages`), for each seed one honest page and one forgery
by each method; all synthetic. Examples are glyphs of honest pages and the forged glyphs; a forged glyph's neighbours
are left out, since a pasted patch may cut into them. A logistic regression in which no sign is evidence of honesty; the
cut-off is set on scores from outside the fit (folds by seed) so that at most ACCUSED_MAX of the honest pages have a
field above it, plus a margin. Writes weights/paper_forensics.json, its card and a row of
results/paper_forensics.csv. Fixed seeds; some fifteen minutes on one core.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import minimize

from fixtures.papers.forge import METHODS
from fixtures.papers.forged_pages import ForgedPage, pages
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card
from vision.documents.checks.forensics import FEATURES, NAME, GlyphSigns, glyph_signs
from vision.measurement import Unmeasured

SEEDS: Final = range(180)
FOLDS: Final = 5
ACCUSED_MAX: Final = 0.005  # share of honest pages
MARGIN: Final = 0.5  # of log odds, added: some hundred pages do not contain the worst one
RIDGE: Final = 1.0
RESULTS: Final = Path(__file__).parent.parent / "results" / "paper_forensics.csv"
WEIGHTS: Final = Path(__file__).parent.parent / "weights" / "paper_forensics.json"


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A page's glyphs. features: (n, len(FEATURES)). forged: (n,), the changed digit. beside: (n,), glyphs in its
    field."""

    seed: int
    method: str
    features: NDArray[np.float64]
    forged: NDArray[np.bool_]
    beside: NDArray[np.bool_]


def looked_at(page: ForgedPage) -> Looked:
    """Compute the signs of every glyph of the page's fields."""
    glyphs: list[GlyphSigns] = []
    for signs in glyph_signs(page.pixels, page.boxes).values():
        if not isinstance(signs, Unmeasured):
            glyphs += signs
    features = np.array([glyph.features() for glyph in glyphs]).reshape(-1, len(FEATURES))
    forged = np.array([page.method != "" and _is_at(glyph, page) for glyph in glyphs], dtype=bool)
    beside = np.array([page.method != "" and glyph.field == page.field for glyph in glyphs], dtype=bool)
    return Looked(page.seed, page.method, features, forged, beside)


def _is_at(glyph: GlyphSigns, page: ForgedPage) -> bool:
    left, top, right, bottom = glyph.box
    x, y = page.digit
    return glyph.field == page.field and left - 1 <= x <= right + 1 and top - 2 <= y <= bottom + 2


def main() -> None:
    started = time.monotonic()
    examined = [
        looked_at(page) for page in track(pages(SEEDS, "build"), "pages", total=len(SEEDS) * (1 + len(METHODS)))
    ]
    content, figures = fit(examined)
    WEIGHTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_card(_card(figures))
    _record(figures, time.monotonic() - started)
    print(figures)


def fit(examined: Sequence[Looked]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the weights file's content, and the figures from outside the fit at its cut-off."""
    seeds = np.array([page.seed for page in examined])
    margins = np.full(len(examined), -np.inf)
    for fold in range(FOLDS):
        held = seeds % FOLDS == fold
        weights, intercept = fit_monotone(
            *_examples([page for page, out in zip(examined, held, strict=True) if not out])
        )
        for index in np.flatnonzero(held):
            if examined[index].features.size:
                margins[index] = float((examined[index].features @ weights).max()) + intercept
    honest = np.array([page.method == "" for page in examined])
    ordered = np.sort(margins[honest])[::-1]
    cut = float(ordered[int(ACCUSED_MAX * honest.sum())]) + MARGIN
    weights, intercept = fit_monotone(*_examples(examined))
    figures: dict[str, Any] = {
        "honest_pages": int(honest.sum()),
        "honest_accused": round(float((margins[honest] >= cut).mean()), 4),
    }
    for method in METHODS:
        by = np.array([page.method == method for page in examined])
        figures[f"caught_{method}"] = round(float((margins[by] >= cut).mean()), 4)
    content = {
        "features": list(FEATURES),
        "weights": [round(float(weight), 6) for weight in weights],
        "intercept": round(intercept, 6),
        "score_min": round(float(1 / (1 + np.exp(-cut))), 6),
    }
    return content, figures


def _examples(examined: Sequence[Looked]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return glyphs of honest pages and of untouched fields, and the changed digits."""
    features, forged = [], []
    for page in examined:
        kept = page.forged | ~page.beside
        features.append(page.features[kept])
        forged.append(page.forged[kept])
    return np.concatenate(features), np.concatenate(forged)


def fit_monotone(features: NDArray[np.float64], forged: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Fit a logistic regression with a ridge and no negative weight: a deviation is never evidence of honesty. All
    forged glyphs together weigh as much as all honest ones."""
    scale = features.std(axis=0) + 1e-9
    scaled, sign = features / scale, np.where(forged, 1.0, -1.0)
    share = np.where(forged, 0.5 / max(1, forged.sum()), 0.5 / max(1, (~forged).sum())) * len(forged)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (scaled @ at[:-1] + at[-1])
        pull = -sign * share / (1.0 + np.exp(np.minimum(margin, 500.0)))
        slope = np.append(scaled.T @ pull + RIDGE * at[:-1], pull.sum())
        return float((share * np.logaddexp(0.0, -margin)).sum() + RIDGE / 2 * (at[:-1] ** 2).sum()), slope

    bounds = [(0.0, None)] * features.shape[1] + [(None, None)]
    best = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    if not best.success:
        raise RuntimeError(f"the fit did not converge: {best.message}")
    return np.asarray(best.x[:-1] / scale, dtype=np.float64), float(best.x[-1])


def _card(figures: dict[str, Any]) -> Card:
    return Card(
        name=NAME,
        version="1.0.0",
        summary="Logistic model: does a digit of a paper look changed (noise, edges, ink, JPEG trace, twins).",
        licence="Apache-2.0",
        source="trained by models/train/paper_forensics.py",
        how_to_get="part of the repository; python -m models.train.paper_forensics makes it anew",
        files={"weights": ModelFile(f"weights/{WEIGHTS.name}", sha256_of(WEIGHTS), WEIGHTS.stat().st_size)},
        preprocessing={"features": list(FEATURES), "pixels": "sRGB as decoded, not rescaled"},
        trained_on=f"{figures['honest_pages']} rendered honest pages in build layouts and forgeries of them by"
        " fixtures/papers/forge.py; all synthetic.",
        metrics={"out_of_fold_on_build_layouts": figures},
        limits="Forgeries are simulated; a careful forger who adds noise and blur, or photographs a print of the forged"
        " picture, is not in the data. `miaopei bench forgeries` has the figures on held-out layouts and on real"
        " receipts, by method, look and journey.",
        root=CARDS.parent,
    )


def _record(figures: dict[str, Any], seconds: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    columns = ["at", "seeds", "sha256", *figures, "seconds"]
    new = not RESULTS.exists() or RESULTS.read_text(encoding="utf-8").split("\n")[0] != ",".join(columns)
    with RESULTS.open("w" if new else "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        digest = sha256_of(WEIGHTS)[:12]
        writer.writerow([datetime.now(UTC).date(), len(SEEDS), digest, *figures.values(), round(seconds)])


if __name__ == "__main__":
    main()

"""Measures how often forged digits are caught and honest pages accused: `miaopei bench forgeries`.

Forged and honest pages are rendered (synthetic), in layouts that nothing was trained on. The receipts are the 60 real
scans of SROIE, all honest, on which nothing was tuned; each is also measured saved again, and reduced as by a
messenger. A page is accused when any of its fields looks changed, a forgery is caught when its changed field does.
Baseline: error level analysis (loss under one recompression at quality 90, the field against the page's print), its
cut-off set in its favour, on the very honest pages of this run at the same share of accusations.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from scipy.stats import beta

from benchmarks.report import figures_table, machine
from fixtures.papers.forge import METHODS
from fixtures.papers.forged_pages import JOURNEYS, Box, ForgedPage, pages, real_receipts
from vision.documents.checks.forensics import DigitsLook, Pixels, digits_look
from vision.lifetime import end_with_parent

SROIE_TAR: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "receipts-sroie-dev.tar"
FIRST_SEED: Final = 20_000
SEEDS, SEEDS_QUICK = 100, 10
ACCUSED_MAX: Final = 0.01  # for the baseline
ELA_QUALITY: Final = 90


@dataclass(frozen=True, slots=True)
class MarkedPage:
    """One page. measured: some field (a forgery's changed one) could be. accused, ela: results of the two methods."""

    page: ForgedPage
    measured: bool
    accused: bool
    ela: float


def run(*, quick: bool = False) -> dict[str, Any]:
    """Returns the figures; names every accused page on standard error."""
    seeds = range(FIRST_SEED, FIRST_SEED + (SEEDS_QUICK if quick else SEEDS))
    with ProcessPoolExecutor(
        os.cpu_count(), get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        rendered = [mark for marks in pool.map(_of_seed, seeds) for mark in marks]
    honest = [mark for mark in rendered if mark.page.method == ""]
    ela_min = float(np.quantile([mark.ela for mark in honest], 1 - ACCUSED_MAX, method="higher"))
    result: dict[str, Any] = {
        "pages": len(rendered),
        "forged_caught": {method: _caught(rendered, method) for method in METHODS},
        "ela_forged_caught": {
            method: _share([m.ela > ela_min for m in rendered if m.page.method == method]) for method in METHODS
        },
        "honest_accused": {"rendered": _accused(honest)},
    }
    if SROIE_TAR.is_file() and not quick:
        for journey in JOURNEYS:
            real = [_marked(page) for page in real_receipts(SROIE_TAR, journey) if page.boxes]
            result["honest_accused"][f"sroie_{journey}"] = _accused(real)
            result.setdefault("ela_honest_accused", {})[f"sroie_{journey}"] = _share([m.ela > ela_min for m in real])
    return {**result, "machine": machine()}


def _of_seed(seed: int) -> list[MarkedPage]:
    cv2.setNumThreads(1)
    return [_marked(page) for page in pages([seed], "test")]


def _marked(page: ForgedPage) -> MarkedPage:
    looks = digits_look(page.pixels, page.boxes)
    asked = [looks[page.field]] if page.method and page.field in looks else list(looks.values())
    measured = [look for look in asked if isinstance(look, DigitsLook)]
    accused = any(look.found for look in measured)
    if accused and not page.method:
        signs = [f"{look.sign} {look.score}" for look in measured if look.found]
        sys.stderr.write(f"accused: {page.kind} {page.look} {page.journey} {page.seed}: {', '.join(signs)}\n")
    boxes = [page.boxes[page.field]] if page.method and page.field in page.boxes else list(page.boxes.values())
    level = error_level(page.pixels, boxes)
    # Without its pixels: marks go from process to process, and hundreds are kept.
    return MarkedPage(replace(page, pixels=page.pixels[:0]), bool(measured), accused, level)


def error_level(pixels: Pixels, boxes: list[Box]) -> float:
    """Returns the largest ratio of a field's mean loss under recompression to that of the page's dark or light print; 0
    without boxes.
    """
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, ELA_QUALITY])
    again = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))
    loss = np.abs(grey.astype(np.float32) - again.astype(np.float32))
    print_like = np.abs(grey.astype(np.float32) - cv2.blur(grey, (31, 31)).astype(np.float32)) > 24
    page_loss = float(loss[print_like].mean()) if print_like.any() else float(loss.mean())
    height, width = grey.shape
    levels = [0.0]
    for left, top, right, bottom in boxes:
        field = (slice(int(top * height), int(bottom * height) + 1), slice(int(left * width), int(right * width) + 1))
        inside = loss[field][print_like[field]]
        levels.append(float(inside.mean() if inside.size else loss[field].mean()) / max(page_loss, 1e-3))
    return max(levels)


def _caught(marks: list[MarkedPage], method: str) -> dict[str, Any]:
    """Returns the share caught, in all and by journey and look; unmeasured forgeries count as not caught."""
    mine = [mark for mark in marks if mark.page.method == method]
    groups: dict[str, list[bool]] = defaultdict(list)
    for mark in mine:
        groups[mark.page.journey].append(mark.accused)
        groups[mark.page.look].append(mark.accused)
    unmeasured = _share([not mark.measured for mark in mine])
    parts = {name: _share(hits) for name, hits in sorted(groups.items())}
    return {"all": _share([mark.accused for mark in mine]), "forgeries": len(mine), "unmeasured": unmeasured, **parts}


def _accused(marks: list[MarkedPage]) -> dict[str, Any]:
    """Returns the share accused with its exact upper limit (95%, Clopper and Pearson), in all and by journey and
    look.
    """
    hits = sum(mark.accused for mark in marks)
    upper = float(beta.ppf(0.975, hits + 1, len(marks) - hits)) if hits < len(marks) else 1.0
    groups: dict[str, list[bool]] = defaultdict(list)
    for mark in marks:
        groups[mark.page.look].append(mark.accused)
    parts = {name: _share(caught) for name, caught in sorted(groups.items())}
    unmeasured = _share([not mark.measured for mark in marks])
    share = _share([mark.accused for mark in marks])
    return {"all": share, "upper_95": round(upper, 4), "pages": len(marks), "unmeasured": unmeasured, **parts}


def _share(hits: list[bool]) -> float | None:
    return round(sum(hits) / len(hits), 4) if hits else None


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    figures_table("forged digits: share caught, and honest pages accused", result)

"""Measures how well noses are told apart, on rendered pets: litter-mates are the hard impostors, and enrolment and
claim are different capture sessions.

    miaopei bench noses

What is measured here of the comparison is synthetic (`fixtures.noses`); `benchmarks.nose_finders` adds the finder on
real animals. It shows that the pipeline works and what its thresholds
certify on such pictures; what it reaches on real noses is unmeasured. Thresholds come from the split `calibration`,
error rates from the split `test`; no pet, litter or capture seed is in two splits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from sklearn.metrics import roc_auc_score

from benchmarks import nose_attacks, nose_finders, nose_search
from benchmarks.report import figures_table, machine
from fixtures.noses import render_nose
from vision.copies.descriptor import FeatureNetwork
from vision.measurement import Unmeasured
from vision.nose import NoseReader, NoseTemplate
from vision.nose.compare import ENROLMENT_MIN, compare_pair

Floats = npt.NDArray[np.float64]

# First litter, pet and capture seed of each split. Training (models.train.nose) uses litters below 1,000, pets
# below 10,000, captures from 1,000,000.
SPLITS = {"calibration": (20_000, 200_000, 20_000_000), "test": (30_000, 300_000, 30_000_000)}
PROBES = 2
LITTERS, LITTERS_QUICK, PUPS = 16, 2, 6
CAPTURES_MAX = 14  # an owner who fails this often gives up
METHODS = ("similarity", "inliers", "lite0_cosine", "thumbnail")


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo's features, by method."""

    template: NoseTemplate
    lite0: npt.NDArray[np.float32]
    thumbnail: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RenderedPet:
    litter: int
    enrolled: tuple[Photo, ...]
    probes: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class NoseWorld:
    """Pets of one split and how the captures went."""

    pets: tuple[RenderedPet, ...]
    refusals: Counter[str]
    captures: int
    read_ms: tuple[float, ...]
    render_ms: tuple[float, ...]


def capture_world(
    split: str, litters: int, pups: int, *, size_px: int = 768, progress: Callable[[int, int], None] | None = None
) -> NoseWorld:
    """Renders and reads the pets of a split: three photos to enrol and two probes each, refused captures repeated,
    as an app would.
    """
    first_litter, first_pet, first_capture = SPLITS[split]
    reader, network = NoseReader(), FeatureNetwork()
    refusals: Counter[str] = Counter()
    read_ms, render_ms, pets = [], [], []
    captures = 0
    for index in range(litters * pups):
        photos: list[Photo] = []
        for attempt in range(CAPTURES_MAX):
            start = time.perf_counter()
            pixels = render_nose(
                first_pet + index, first_litter + index // pups, first_capture + index * 100 + attempt, size_px=size_px
            ).pixels
            middle = time.perf_counter()
            captures += 1
            template = reader.read_pixels(pixels)
            end = time.perf_counter()
            render_ms.append(1000 * (middle - start))
            read_ms.append(1000 * (end - middle))
            if isinstance(template, Unmeasured):
                refusals[template.reason.split(":")[0]] += 1
                continue
            photos.append(_photo(pixels, template, reader, network))
            if len(photos) == ENROLMENT_MIN + PROBES:
                break
        if len(photos) > ENROLMENT_MIN:
            pets.append(RenderedPet(index // pups, tuple(photos[:ENROLMENT_MIN]), tuple(photos[ENROLMENT_MIN:])))
        if progress is not None:
            progress(index + 1, litters * pups)
    return NoseWorld(tuple(pets), refusals, captures, tuple(read_ms), tuple(render_ms))


def _photo(pixels: npt.NDArray[np.uint8], template: NoseTemplate, reader: NoseReader, network: FeatureNetwork) -> Photo:
    """Returns a photo's features. Baselines get the nose in the same frame, so that only the features differ."""
    aligned = reader.align(pixels)
    if isinstance(aligned, Unmeasured):
        raise ValueError(f"a photo with a template has no frame: {aligned.reason}")
    frame = aligned[0]
    lite0 = network.pooled([frame])[0]
    small = (
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
        .astype(np.float32)
        .ravel()
    )
    small = small - small.mean()
    return Photo(template, lite0 / np.linalg.norm(lite0), small / max(1e-6, float(np.linalg.norm(small))))


def scores(probe: Photo, enrolled: Sequence[Photo]) -> dict[str, float]:
    """Returns the best score among the enrolled photos, by method."""
    pairs = [compare_pair(probe.template, photo.template) for photo in enrolled]
    measured = [pair for pair in pairs if pair is not None]
    return {
        "similarity": max((similarity for similarity, _ in measured), default=-1.0),
        "inliers": float(max((inliers for _, inliers in measured), default=0)),
        "lite0_cosine": max(float(probe.lite0 @ photo.lite0) for photo in enrolled),
        "thumbnail": max(float(probe.thumbnail @ photo.thumbnail) for photo in enrolled),
    }


def compare_world(
    world: NoseWorld, *, strangers: int = 4, seed: int = 1
) -> tuple[dict[str, dict[str, Floats]], list[float]]:
    """Returns scores by kind (genuine, litter, stranger) and method, and milliseconds of each comparison with one
    enrolment.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, float]]] = {"genuine": [], "litter": [], "stranger": []}
    spent = []
    for index, pet in enumerate(world.pets):
        mates = [i for i, other in enumerate(world.pets) if other.litter == pet.litter and i != index]
        others = [i for i, other in enumerate(world.pets) if other.litter != pet.litter]
        for probe in pet.probes:
            picked = rng.permutation(others)[:strangers].astype(int).tolist()
            for kind, targets in (("genuine", [index]), ("litter", mates), ("stranger", picked)):
                for target in targets:
                    start = time.perf_counter()
                    rows[kind].append(scores(probe, world.pets[target].enrolled))
                    spent.append(1000 * (time.perf_counter() - start))
    table = {
        kind: {method: np.asarray([row[method] for row in by_method], np.float64) for method in METHODS}
        for kind, by_method in rows.items()
    }
    return table, spent


def error_rates(table: dict[str, dict[str, Floats]]) -> dict[str, Any]:
    """For each method: AUC against litter-mates and strangers, and the share of owners refused where 1% and 0.1% of
    litter-mates pass.
    """
    result = {}
    for method in METHODS:
        genuine, litter, stranger = (table[kind][method] for kind in ("genuine", "litter", "stranger"))
        entry: dict[str, Any] = {"auc_litter": _auc(genuine, litter)}
        if len(stranger):
            entry["auc_stranger"] = _auc(genuine, stranger)
        for name, rate in (("frr_at_far_1pct_litter", 0.01), ("frr_at_far_0.1pct_litter", 0.001)):
            entry[name] = round(float((genuine <= _threshold(litter, rate)).mean()), 4)
        result[method] = entry
    return result


def _auc(genuine: Floats, impostor: Floats) -> float:
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    return round(float(roc_auc_score(truth, np.r_[genuine, impostor])), 5)


def _threshold(impostor: Floats, rate: float) -> float:
    """Returns the score that at most `rate` of the impostors exceed; with too few impostors, the highest of theirs."""
    ordered = np.sort(impostor)[::-1]
    return float(ordered[int(rate * len(ordered))])


def verdicts(
    table: dict[str, dict[str, Floats]], accept_similarity: float, accept_inliers: int, review_similarity: float
) -> dict[str, Any]:
    """Returns the shares of accept, review and reject by kind. Accept needs both thresholds; below review it is another
    animal.
    """
    result = {}
    for kind, by_method in table.items():
        similarity, inliers = by_method["similarity"], by_method["inliers"]
        if not len(similarity):
            continue
        accept = (similarity >= accept_similarity) & (inliers >= accept_inliers)
        reject = similarity < review_similarity
        result[kind] = {
            "comparisons": len(similarity),
            "accept": round(float(accept.mean()), 5),
            "review": round(float((~accept & ~reject).mean()), 5),
            "reject": round(float(reject.mean()), 5),
        }
    return result


def spread(table: dict[str, dict[str, Floats]]) -> dict[str, Any]:
    """Returns percentiles of similarity and inliers, by kind."""
    return {
        kind: {
            method: {
                f"p{q:g}": round(float(np.percentile(by_method[method], q)), 4)
                for q in (0, 1, 5, 50, 95, 99, 99.9, 100)
            }
            for method in ("similarity", "inliers")
        }
        for kind, by_method in table.items()
        if len(by_method["similarity"])
    }


def run(*, quick: bool = False) -> dict[str, Any]:
    """Measures test pets, and the finder on real animals where their photos are beside the checkout; the figures of the
    cards come from the same number of litters and from the same photos."""
    cv2.setNumThreads(1)
    litters = LITTERS_QUICK if quick else LITTERS
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("reading noses", total=None)
        figures = measure(
            litters, PUPS, "test", progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        attacked = bar.add_task("sending photos again", total=None)
        replays = nose_attacks.run(
            quick=quick, progress=lambda done, total: bar.update(attacked, completed=done, total=total)
        )
    return {**figures, **replays, **nose_finders.run(quick=quick), "machine": machine()}


def measure(
    litters: int,
    pups: int,
    split: str,
    *,
    thresholds: tuple[float, int, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Returns all figures of one split, ready for JSON. thresholds: accept similarity, accept inliers, review
    similarity; by default the card's.
    """
    world = capture_world(split, litters, pups, progress=progress)
    table, spent = compare_world(world)
    used = thresholds or card_thresholds()
    three = [3 * ms for ms in spent]
    searched = [
        nose_search.SearchedPet(
            pet.litter, tuple(photo.template for photo in pet.enrolled), tuple(photo.template for photo in pet.probes)
        )
        for pet in world.pets
    ]
    return {
        **nose_search.figures(searched, quick=litters <= LITTERS_QUICK),
        "rendered": nose_search.rendered(table),
        "baselines": nose_search.baselines(table),
        "data": "synthetic: fixtures.noses",
        "split": split,
        "litters": litters,
        "pups_a_litter": pups,
        "pets_enrolled": len(world.pets),
        "captures": world.captures,
        "refused_rate": round(sum(world.refusals.values()) / world.captures, 4),
        "refused": dict(world.refusals.most_common()),
        "comparisons": {kind: len(by_method["similarity"]) for kind, by_method in table.items()},
        "methods": error_rates(table),
        "spread": spread(table),
        "thresholds": {
            "nose_accept_similarity_min": used[0],
            "nose_accept_inliers_min": used[1],
            "nose_review_similarity_min": used[2],
        },
        "verdicts": verdicts(table, *used),
        "read_photo_ms_p50": round(float(np.median(world.read_ms)), 1),
        "verify_ms_p50": round(float(np.median(world.read_ms) + np.median(spent)), 1),
        "three_litter_mates_ms_p50": round(float(np.median(world.read_ms) + np.median(three)), 1),
        "render_ms_p50": round(float(np.median(world.render_ms)), 1),
    }


def card_thresholds() -> tuple[float, int, float]:
    """Returns accept similarity, accept inliers and review similarity as the card of nose_print states them."""
    from models.registry import card

    stated = card("nose_print").metrics["thresholds"]
    return (
        float(stated["nose_accept_similarity_min"]),
        int(stated["nose_accept_inliers_min"]),
        float(stated["nose_review_similarity_min"]),
    )


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    figures_table("noses: comparison of rendered ones, finder on real ones", result)

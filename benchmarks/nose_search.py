"""Measures the search for a nose among many (1:N), the cost of a comparison, and baselines, for `miaopei bench noses`.

Rendered pets are too dear to render a hundred thousand of. Half of the rendered litters are searched for; the crowd
beside them is put together from the other half: four quarters of four noses, mirrored or not, each in its own place,
three views a pet from three sessions of those four. Nostrils, rims and beads are so as noses have them, and quarters
repeat: with 48 pets some 85 million crowds of four. Random fields of the same spectrum were far too easy a crowd.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from vision.nose import NoseComparison, NoseTemplate, compare
from vision.nose.compare import ENROLMENT_MIN
from vision.nose.keypoints import NoseKeypoints
from vision.nose.likelihood import NoseLikelihood, load_likelihood
from vision.nose.pattern import PATTERN_PX, Pattern
from vision.nose.search import BLOCKS, NoseIndex, sketch, strong_hits

SIZES: Final = (1_000, 100_000)
SIZES_QUICK: Final = (1_000,)
SEED: Final = 11
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class SearchedPet:
    """A rendered pet: its enrolment, and photos of later sessions that are searched for."""

    litter: int
    enrolled: tuple[NoseTemplate, ...]
    probes: tuple[NoseTemplate, ...]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Pets put together from quarters of noses. noses: templates of each source, mirrored sources included. visible,
    codes: their sketches, (sources, views, 81) and (sources, views, 81, 48)."""

    noses: tuple[tuple[NoseTemplate, ...], ...]
    visible: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.int8]

    def sources(self, pet: int) -> npt.NDArray[np.int64]:
        """Return which noses the four quarters of a pet come from: top left, top right, bottom left, bottom right."""
        return np.random.default_rng([SEED, pet]).choice(len(self.noses), 4, replace=False)

    def template(self, pet: int, view: int) -> NoseTemplate:
        """Return a view of a pet, without keypoints."""
        values, inside = np.zeros((PATTERN_PX, PATTERN_PX), np.int8), np.zeros((PATTERN_PX, PATTERN_PX), bool)
        half = PATTERN_PX // 2
        for quarter, source in enumerate(self.sources(pet)):
            rows, columns = (slice(half * part, half * (part + 1)) for part in divmod(quarter, 2))
            pattern = self.noses[source][view].pattern
            values[rows, columns], inside[rows, columns] = pattern.values[rows, columns], pattern.inside[rows, columns]
        return replace(self.noses[0][0], pattern=Pattern(values, inside), keypoints=_NO_KEYPOINTS)


_NO_KEYPOINTS: Final = NoseKeypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))


def draw_crowd(noses: Sequence[Sequence[NoseTemplate]]) -> Crowd:
    """Return a crowd put together from these noses, three templates each."""
    sources = [tuple(templates[:ENROLMENT_MIN]) for templates in noses]
    sources += [tuple(_mirrored(template) for template in templates) for templates in sources]
    sketches = [[sketch(template) for template in templates] for templates in sources]
    return Crowd(
        tuple(sources),
        np.stack([[drawn.visible for drawn in views] for views in sketches]),
        np.stack([[drawn.codes for drawn in views] for views in sketches]),
    )


def _mirrored(template: NoseTemplate) -> NoseTemplate:
    pattern = template.pattern
    return replace(template, pattern=Pattern(pattern.values[:, ::-1], pattern.inside[:, ::-1]), keypoints=_NO_KEYPOINTS)


def fill(index: NoseIndex, crowd: Crowd, pets: range, progress: Callable[[int], None] | None = None) -> None:
    """Add the pets of a crowd to the index, three templates each, under the names `drawn NUMBER`. A block belongs to
    the quarter in which its middle lies."""
    side = round(BLOCKS**0.5)
    low = np.arange(side) > (side - 1) / 2
    quarter = (2 * low[:, None] + low[None, :]).ravel().astype(int)
    blocks, views = np.arange(BLOCKS), np.arange(crowd.codes.shape[1])
    for start in range(pets.start, pets.stop, _AT_ONCE):
        numbers = range(start, min(pets.stop, start + _AT_ONCE))
        chosen = np.stack([crowd.sources(pet) for pet in numbers])[:, quarter]
        places = (chosen[:, None, :], views[None, :, None], blocks[None, None, :])
        visible, codes = crowd.visible[places], crowd.codes[places]
        names = [f"drawn {pet}" for pet in numbers for _ in views]
        index.add_codes(names, visible.reshape(-1, BLOCKS), codes.reshape(-1, BLOCKS, codes.shape[-1]))
        if progress is not None:
            progress(len(numbers))


def one_to_n(
    pets: Sequence[SearchedPet],
    likelihood: NoseLikelihood,
    sizes: Sequence[int],
    *,
    probes_max: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Search for every probe of the rendered pets among so many pets, by size.

    seconds: wall clock of one search, short list and comparisons, median; rank1: the pet itself is strongest;
    short_listed: it was compared at all; accepted: it is strongest and above the threshold; false_alarms: searches
    without the pet's own enrolment that name another one.
    """
    crowd = draw_crowd([pet.enrolled for pet in pets if pet.litter % 2])
    pets = [pet for pet in pets if not pet.litter % 2]
    enrolled = {f"rendered {number}": list(pet.enrolled) for number, pet in enumerate(pets)}
    index = NoseIndex()
    for name, templates in enrolled.items():
        index.add([name] * len(templates), [sketch(template) for template in templates])
    probes = [(f"rendered {number}", probe) for number, pet in enumerate(pets) for probe in pet.probes]
    probes = probes[:: max(1, len(probes) // probes_max)][:probes_max] if probes_max else probes
    result, drawn = {}, 0
    for size in sizes:
        fill(index, crowd, range(drawn, size - len(pets)), progress)
        drawn = max(drawn, size - len(pets))
        rows = [_searched(name, probe, index, enrolled, crowd, likelihood) for name, probe in probes]
        chance = index.limits.false_alarms_per_search / index.pets
        result[str(size)] = {
            "pets": index.pets,
            "rendered": len(pets),
            "templates": index.templates,
            "searches": len(rows),
            "seconds": round(float(np.median([row["seconds"] for row in rows])), 3),
            "cpu_seconds": round(float(np.median([row["cpu_seconds"] for row in rows])), 3),
            **{
                key: round(float(np.mean([row[key] for row in rows])), 4)
                for key in ("rank1", "short_listed", "accepted", "false_alarms")
            },
            "score_min": round(likelihood.search_score_min(index.pets, index.limits.false_alarms_per_search), 3),
            "tail_extrapolated_times": round(likelihood.tail.extrapolated_by(chance)),
        }
    return result


def _searched(
    name: str,
    probe: NoseTemplate,
    index: NoseIndex,
    enrolled: dict[str, list[NoseTemplate]],
    crowd: Crowd,
    likelihood: NoseLikelihood,
) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    short_list = {pet: _templates(pet, enrolled, crowd) for pet in index.nearest(probe)}
    hits = strong_hits(probe, short_list, likelihood, index.pets, index.limits)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    comparisons = {pet: compare(probe, templates) for pet, templates in short_list.items()}
    scores = {
        pet: likelihood.score(comparison.similarity, comparison.inliers)
        for pet, comparison in comparisons.items()
        if isinstance(comparison, NoseComparison)
    }
    first = max(scores, key=scores.__getitem__, default="")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "short_listed": float(name in short_list),
        "rank1": float(first == name),
        "accepted": float(bool(hits) and hits[0].pet_id == name),
        "false_alarms": float(any(hit.pet_id != name for hit in hits)),
    }


def _templates(pet: str, enrolled: dict[str, list[NoseTemplate]], crowd: Crowd) -> list[NoseTemplate]:
    if pet in enrolled:
        return enrolled[pet]
    number = int(pet.removeprefix("drawn "))
    return [crowd.template(number, view) for view in range(crowd.codes.shape[1])]


def verify_cpu_ms(pets: Sequence[SearchedPet], templates: int = 5) -> float:
    """Return the median CPU of one comparison with so many templates, milliseconds."""
    spent = []
    for first, second in pairwise(pets):
        enrolled = [*second.enrolled, *second.probes, *second.enrolled][:templates]
        began = time.process_time()
        compare(first.enrolled[0], enrolled)
        spent.append(1000 * (time.process_time() - began))
    return round(float(np.median(spent)), 1) if spent else 0.0


def rendered(table: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]) -> dict[str, Any]:
    """Return the comparison's figures on rendered pets, litter-mates and strangers together. table: scores by kind
    (genuine, litter, stranger) and method (`benchmarks.noses.compare_world`)."""
    genuine, impostors = _kinds(table, "similarity")
    cuts = np.unique(np.r_[genuine, impostors])
    misses = np.searchsorted(np.sort(genuine), cuts, "left") / len(genuine)
    alarms = 1 - np.searchsorted(np.sort(impostors), cuts, "left") / max(1, len(impostors))
    crossing = int(np.argmin(np.abs(misses - alarms)))
    return {
        "pairs": len(genuine) + len(impostors),
        "auc": _auc(genuine, impostors),
        "eer": round(float((misses[crossing] + alarms[crossing]) / 2), 4),
    }


def baselines(table: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]) -> dict[str, float]:
    """Return the AUC of what the comparison must beat, on the same pairs."""
    return {method: _auc(*_kinds(table, method)) for method in ("thumbnail", "lite0_cosine", "inliers")}


def _kinds(
    table: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], method: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return table["genuine"][method], np.r_[table["litter"][method], table["stranger"][method]]


def _auc(genuine: npt.NDArray[np.float64], impostors: npt.NDArray[np.float64]) -> float:
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostors))]
    return round(float(roc_auc_score(truth, np.r_[genuine, impostors])), 5)


def figures(
    pets: Sequence[SearchedPet], *, quick: bool = False, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Return what this part adds to `miaopei bench noses`."""
    likelihood = load_likelihood()
    return {
        "verify_cpu_ms": verify_cpu_ms(pets),
        "template_bytes_max": max((len(template.to_bytes()) for pet in pets for template in pet.enrolled), default=0),
        "likelihood_fitted_on": likelihood.fitted_on,
        "one_to_n": one_to_n(pets, likelihood, SIZES_QUICK if quick else SIZES, probes_max=40, progress=progress),
        "one_to_n_crowd": "rendered pets; the rest joined from quarters of other rendered noses, without keypoints",
    }

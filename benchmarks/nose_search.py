"""Measures the search for a nose among many (1:N), the cost of a comparison, and baselines, for `miaopei bench noses`.

Rendered pets are too dear to render a hundred thousand of. The rest of the crowd is drawn: random fields with the power
spectrum of the rendered bead patterns, behind the masks of rendered noses, three views a pet. Cut out of one large
field at places more than a bead apart and mirrored, so that no two show the same beads in the same place. Such a crowd
is as hard as its spectrum makes it; likeness within a breed is not in it, the rendered litters are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from vision.nose.search import NoseIndex, codes_at, reduce, sketch, strong_hits, visible_blocks

Floats = npt.NDArray[np.float32]

SIZES: Final = (1_000, 100_000)
SIZES_QUICK: Final = (1_000,)
FIELD_PX: Final = 2_048
APART_PX: Final = 18  # of two pets' views in the field: more than the comparison may shift
VIEW_SHIFT_PX: Final = 3  # between the views of one pet
SEED: Final = 11
_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class SearchedPet:
    """A rendered pet: its enrolment, and photos of later sessions that are searched for."""

    enrolled: tuple[NoseTemplate, ...]
    probes: tuple[NoseTemplate, ...]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Drawn pets. field: float32 (2048, 2048), a bead pattern without end. masks: bool (n, 144, 144), of rendered
    noses. Any pet's views are cut out again by its number."""

    field: Floats
    masks: npt.NDArray[np.bool_]
    model: str

    @property
    def pets_max(self) -> int:
        return ((FIELD_PX - PATTERN_PX - 2 * VIEW_SHIFT_PX) // APART_PX) ** 2 * 8

    def template(self, pet: int, view: int) -> NoseTemplate:
        """Return a view of a drawn pet, without keypoints. pet: 0 to pets_max."""
        rng = np.random.default_rng([SEED, pet])
        side = (FIELD_PX - PATTERN_PX - 2 * VIEW_SHIFT_PX) // APART_PX
        mirrored, place = pet % 8, pet // 8
        shifts = rng.integers(0, 2 * VIEW_SHIFT_PX + 1, (ENROLMENT_MIN, 2))
        top, left = np.array(divmod(place, side)) * APART_PX + shifts[view]
        cut = self.field[top : top + PATTERN_PX, left : left + PATTERN_PX]
        cut = np.rot90(cut, mirrored % 4)
        cut = cut[:, ::-1] if mirrored >= 4 else cut
        inside = self.masks[int(rng.integers(len(self.masks)))]
        values = (np.clip(cut, -125, 125) * inside).astype(np.int8)
        none = NoseKeypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
        return NoseTemplate(Pattern(values, inside), none, self.model, 300.0, 0.3, 0.0)


def draw_crowd(templates: Sequence[NoseTemplate]) -> Crowd:
    """Return a crowd with the power spectrum and the masks of these templates."""
    size = 64
    window = np.outer(np.hanning(size), np.hanning(size)).astype(np.float32)
    power = np.zeros((size, size))
    used, middle = 0, (PATTERN_PX - size) // 2
    for template in templates:
        for left in (12, middle, PATTERN_PX - size - 12):
            here = np.s_[middle : middle + size, left : left + size]
            if template.pattern.inside[here].mean() > 0.8:
                power += np.abs(np.fft.fft2(template.pattern.values[here] * window)) ** 2
                used += 1
    if not used:
        raise ValueError("no template shows enough of its nose to take a spectrum from")
    power[0, 0] = 0
    rng = np.random.default_rng(SEED)
    noise = np.fft.rfft2(rng.standard_normal((FIELD_PX, FIELD_PX)).astype(np.float32))
    down = np.fft.fftfreq(FIELD_PX) * size
    across = np.fft.rfftfreq(FIELD_PX) * size
    rows, columns = np.round(down).astype(int) % size, np.round(across).astype(int) % size
    field = np.fft.irfft2(noise * np.sqrt(power[np.ix_(rows, columns)]), s=(FIELD_PX, FIELD_PX)).astype(np.float32)
    spread = float(np.mean([t.pattern.values[t.pattern.inside].std() for t in templates]))
    masks = np.stack([template.pattern.inside for template in templates])
    return Crowd(field * np.float32(spread / field.std()), masks, templates[0].model)


def fill(index: NoseIndex, crowd: Crowd, pets: range, progress: Callable[[int], None] | None = None) -> None:
    """Add the drawn pets to the index, three templates each, under the names `drawn NUMBER`."""
    for start in range(pets.start, pets.stop, _AT_ONCE):
        numbers = range(start, min(pets.stop, start + _AT_ONCE))
        reduced = [reduce(crowd.template(pet, view).pattern) for pet in numbers for view in range(ENROLMENT_MIN)]
        visible = visible_blocks(np.stack([inside for _, inside in reduced]))
        codes = codes_at(np.stack([values for values, _ in reduced]), [(0, 0)])[:, :, 0]
        names = [f"drawn {pet}" for pet in numbers for _ in range(ENROLMENT_MIN)]
        index.add_codes(names, visible, np.round(codes * 127 * visible[..., None]).astype(np.int8))
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
    enrolled = {f"rendered {number}": list(pet.enrolled) for number, pet in enumerate(pets)}
    index = NoseIndex()
    for name, templates in enrolled.items():
        index.add([name] * len(templates), [sketch(template) for template in templates])
    crowd = draw_crowd([template for templates in enrolled.values() for template in templates])
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
    return [crowd.template(number, view) for view in range(ENROLMENT_MIN)]


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
        "one_to_n_crowd": "rendered pets, the rest drawn: random fields with their spectrum and masks, no keypoints",
    }

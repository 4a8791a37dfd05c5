"""Looks for a nose among all that are enrolled: a short list by sketches, then the comparison itself.

A sketch is the bead pattern in small overlapping blocks, each reduced to a few frequencies and to length 1. Every block
of the probe is laid over the same block of every sketch in many small shifts and keeps the best, since two sessions of
one nose are displaced by about a bead and bent: without shifts no summary of a nose ranked its owner first among 84
more often than .56, with them .97 to .99 (docs/noses.md). First few blocks in coarse shifts rank everything, then all
blocks in all shifts the best of that. Nothing of it is trained.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from vision.errors import TemplateUnreadable
from vision.nose.compare import NoseComparison, compare
from vision.nose.likelihood import NoseLikelihood
from vision.nose.pattern import PATTERN_PX, Pattern
from vision.nose.template import NoseTemplate

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]

REDUCED_PX = PATTERN_PX // 2
BLOCK_PX, STRIDE_PX, REACH_PX = 12, 6, 4  # of the reduced pattern
FREQUENCIES, COARSE_FREQUENCIES = 48, 24  # the lower half bears shifts of two pixels, the coarse look's step
RADIUS_MIN = 2.5  # fewer waves a block are shading and the nose's outline, which litter-mates share
VISIBLE_MIN = 0.6  # share of a block inside the nose
_CORNERS = tuple(range(REACH_PX, REDUCED_PX - BLOCK_PX - REACH_PX + 1, STRIDE_PX))
BLOCKS = len(_CORNERS) ** 2
_COARSE = tuple(
    row * len(_CORNERS) + column for row in range(0, len(_CORNERS), 2) for column in range(0, len(_CORNERS), 2)
)
_FORMAT = 1
_MASK_BYTES = (BLOCKS + 7) // 8


@dataclass(frozen=True, slots=True)
class NoseSearchLimits:
    """Limits of a search.

    finer_share, finer_min: templates that the coarse look passes on, as a share and at least. pets_compared: length of
    the short list. false_alarms_per_search: how often a search for a nose that is not enrolled may meet one; a policy
    choice, and what the threshold keeps constant as the number of pets grows. threads: that scan.
    """

    finer_share: float = 0.15
    finer_min: int = 2_000
    pets_compared: int = 12
    false_alarms_per_search: float = 0.01
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Sketch:
    """A reduced pattern. visible: bool (81,), blocks that show enough of the nose; codes: int8 (81, 48), 0 where not
    visible."""

    visible: npt.NDArray[np.bool_]
    codes: Bytes

    def to_bytes(self) -> bytes:
        """Return format, visible blocks (bits) and their codes: about 1.4 kB."""
        return bytes([_FORMAT]) + np.packbits(self.visible).tobytes() + self.codes[self.visible].tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Read what `to_bytes` wrote. Raises TemplateUnreadable for anything else."""
        if len(data) <= _MASK_BYTES or data[0] != _FORMAT:
            raise TemplateUnreadable("not a sketch of a nose of this format")
        visible = np.unpackbits(np.frombuffer(data[1 : 1 + _MASK_BYTES], np.uint8), count=BLOCKS).astype(bool)
        codes = np.zeros((BLOCKS, FREQUENCIES), np.int8)
        kept = np.frombuffer(data[1 + _MASK_BYTES :], np.int8)
        if len(kept) != int(visible.sum()) * FREQUENCIES:
            raise TemplateUnreadable(f"sketch of {len(data)} bytes does not hold {int(visible.sum())} blocks")
        codes[visible] = kept.reshape(-1, FREQUENCIES)
        return cls(visible, codes)


@cache
def _basis() -> Floats:
    """Return the 48 lowest frequencies of a block's cosine transform from RADIUS_MIN on, lowest first, (144, 48)."""
    place = (np.arange(BLOCK_PX) + 0.5) * np.pi / BLOCK_PX
    waves = np.stack([np.cos(place * order) / np.linalg.norm(np.cos(place * order)) for order in range(BLOCK_PX)])
    orders = sorted(
        (row**2 + column**2, row, column)
        for row in range(BLOCK_PX)
        for column in range(BLOCK_PX)
        if row**2 + column**2 >= RADIUS_MIN**2
    )[:FREQUENCIES]
    return np.asarray(
        np.stack([np.outer(waves[row], waves[column]).ravel() for _, row, column in orders], 1), np.float32
    )


def reduce(pattern: Pattern) -> tuple[Floats, Floats]:
    """Return the pattern at half its size, float32 (72, 72), and how far each pixel lies inside the nose, 0..1."""
    size = (REDUCED_PX, REDUCED_PX)
    values = cv2.GaussianBlur(pattern.values.astype(np.float32), (0, 0), 0.9)
    inside = pattern.inside.astype(np.float32)
    return (
        np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32),
        np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), np.float32),
    )


def _windows(pictures: Floats) -> Floats:
    """Return every square of a block's size, (..., 72, 72) -> (..., 61, 61, 12, 12), without copying."""
    view: Floats = np.lib.stride_tricks.sliding_window_view(  # type: ignore[call-overload]
        pictures, (BLOCK_PX, BLOCK_PX), axis=(-2, -1)
    )
    return view


def codes_at(values: Floats, shifts: Sequence[tuple[int, int]]) -> Floats:
    """Return every block of reduced patterns in every shift, (..., 72, 72) -> (..., 81, shifts, 48), of length 1."""
    windows = _windows(values)
    corners = np.array([(top, left) for top in _CORNERS for left in _CORNERS])
    places = corners[:, None, :] + np.asarray(shifts)[None]
    blocks = windows[..., places[..., 0], places[..., 1], :, :]
    codes = blocks.reshape(*blocks.shape[:-2], -1) @ _basis()
    return np.asarray(codes / np.maximum(np.linalg.norm(codes, axis=-1, keepdims=True), 1e-6), np.float32)


def visible_blocks(inside: Floats) -> npt.NDArray[np.bool_]:
    """Return which blocks show enough of the nose, (..., 72, 72) -> (..., 81)."""
    windows = _windows(inside)
    shares = windows[..., _CORNERS, :, :, :][..., _CORNERS, :, :].mean(axis=(-2, -1))
    return np.asarray(shares.reshape(*shares.shape[:-2], BLOCKS) >= VISIBLE_MIN, bool)


def sketch(template: NoseTemplate) -> Sketch:
    """Return the sketch by which a template is looked for."""
    values, inside = reduce(template.pattern)
    visible = visible_blocks(inside)
    codes = codes_at(values, [(0, 0)])[:, 0] * visible[:, None]
    return Sketch(visible, np.round(codes * 127).astype(np.int8))


@dataclass(frozen=True, slots=True)
class _Segment:
    """Sketches by block. rows[b], codes[b]: the templates that show block b, and their codes there."""

    size: int
    rows: tuple[npt.NDArray[np.int32], ...]
    codes: tuple[Bytes, ...]
    pets: npt.NDArray[np.int32]


class NoseIndex:
    """Sketches in memory, about 1.5 kB a template. Thread-safe."""

    def __init__(self, limits: NoseSearchLimits | None = None) -> None:
        self.limits = limits or NoseSearchLimits()
        self._segments: list[_Segment] = []
        self._pets: list[str] = []
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def pets(self) -> int:
        return len(self._numbers)

    @property
    def templates(self) -> int:
        return sum(segment.size for segment in self._segments)

    def add(self, pets: Sequence[str], sketches: Sequence[Sketch]) -> None:
        """Add templates of pets, one name per sketch."""
        if sketches:
            visible, codes = np.stack([item.visible for item in sketches]), np.stack([item.codes for item in sketches])
            self.add_codes(pets, visible, codes)

    def add_codes(self, pets: Sequence[str], visible: npt.NDArray[np.bool_], codes: Bytes) -> None:
        """Do the same with stacked sketches: visible (n, 81), codes (n, 81, 48)."""
        with self._lock:
            for pet in pets:
                if pet not in self._numbers:
                    self._numbers[pet] = len(self._pets)
                    self._pets.append(pet)
            rows = tuple(np.flatnonzero(visible[:, block]).astype(np.int32) for block in range(BLOCKS))
            kept = tuple(np.ascontiguousarray(codes[rows[block], block]) for block in range(BLOCKS))
            numbers = np.asarray([self._numbers[pet] for pet in pets], np.int32)
            segments = [*self._segments, _Segment(len(pets), rows, kept, numbers)]
            while (
                len(segments) > 1 and segments[-2].size <= 2 * segments[-1].size
            ):  # few segments, each row copied seldom
                segments[-2:] = [_joined(segments[-2], segments[-1])]
            self._segments = segments

    def nearest(self, probe: NoseTemplate, *, apart_from: str = "") -> list[str]:
        """Return the pets whose sketches come nearest, best first, at most `pets_compared`; never `apart_from`."""
        segments, limits = self._segments, self.limits
        values, inside = reduce(probe.pattern)
        shown = np.flatnonzero(visible_blocks(inside))
        total = sum(segment.size for segment in segments)
        if not total or not len(shown):
            return []
        coarse = [block for block in _COARSE if block in shown] or shown.tolist()
        with ThreadPoolExecutor(limits.threads, "noses") as pool:
            fine_codes = codes_at(values, _shifts(1))
            coarse_codes = codes_at(values, _shifts(2))[..., :COARSE_FREQUENCIES]
            first = _above_chance([_scan(segment, coarse_codes, coarse, pool, None) for segment in segments])
            count = min(total, max(limits.finer_min, round(limits.finer_share * total)))
            kept = np.zeros(total, bool)
            kept[np.argpartition(-first, count - 1)[:count]] = True
            parts = np.split(kept, np.cumsum([segment.size for segment in segments])[:-1])
            pairs = zip(segments, parts, strict=True)
            second = _above_chance([_scan(segment, fine_codes, shown.tolist(), pool, part) for segment, part in pairs])
        pets = np.concatenate([segment.pets for segment in segments])
        best: dict[str, float] = {}
        for row in np.argsort(-second, kind="stable"):
            if len(best) >= limits.pets_compared or not np.isfinite(second[row]):
                break
            pet = self._pets[pets[row]]
            if pet != apart_from:
                best.setdefault(pet, float(second[row]))
        return list(best)


def _joined(first: _Segment, second: _Segment) -> _Segment:
    rows = tuple(np.concatenate([a, b + np.int32(first.size)]) for a, b in zip(first.rows, second.rows, strict=True))
    codes = tuple(np.concatenate(pair) for pair in zip(first.codes, second.codes, strict=True))
    return _Segment(first.size + second.size, rows, codes, np.concatenate([first.pets, second.pets]))


@cache
def _shifts(step: int) -> tuple[tuple[int, int], ...]:
    reach = range(-REACH_PX, REACH_PX + 1, step)
    return tuple((down, across) for down in reach for across in reach)


def _scan(
    segment: _Segment,
    probe: Floats,
    blocks: Sequence[int],
    pool: ThreadPoolExecutor,
    kept: npt.NDArray[np.bool_] | None,
) -> tuple[Floats, Floats]:
    """Return for each template of a segment the sum of its blocks' best scores, and the number of blocks that both
    show; 0 for those not `kept`. probe: (81, shifts, n) for the n lowest frequencies."""

    def score(block: int) -> tuple[npt.NDArray[np.int32], Floats]:
        rows, codes = segment.rows[block], segment.codes[block]
        if kept is not None:
            chosen = kept[rows]
            rows, codes = rows[chosen], codes[chosen]
        used = codes[:, : probe.shape[-1]].T.astype(np.float32)
        best = (probe[block] @ used).max(axis=0) if len(rows) else np.zeros(0, np.float32)
        return rows, np.asarray(best / 127, np.float32)

    total, count = np.zeros(segment.size, np.float32), np.zeros(segment.size, np.float32)
    for rows, best in pool.map(score, blocks):
        total[rows] += best
        count[rows] += 1
    return total, count


def _above_chance(scanned: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Return how far each template of all segments exceeds what templates score by chance, in units of the number of
    blocks; -inf for those without a block. By chance: the mean of all, wherever they are kept."""
    total, count = (np.concatenate([scores[part] for scores in scanned]) for part in (0, 1))
    usual = total.sum() / max(1.0, float(count.sum()))
    return np.where(count > 0, (total - count * usual) / np.sqrt(np.maximum(count, 1)), -np.inf).astype(np.float32)


@dataclass(frozen=True, slots=True)
class NoseFoundElsewhere:
    """A pet whose nose resembles the probe's. score: fused; score_min: what a search among so many asks for."""

    pet_id: str
    comparison: NoseComparison
    score: float
    score_min: float


def strong_hits(
    probe: NoseTemplate,
    short_list: Mapping[str, Sequence[NoseTemplate]],
    likelihood: NoseLikelihood,
    pets: int,
    limits: NoseSearchLimits,
) -> list[NoseFoundElsewhere]:
    """Return the pets of the short list that the probe may show, strongest first. short_list: templates by pet; those
    of another model are passed over. pets: among how many was searched; the threshold rises with it
    (`NoseLikelihood.search_score_min`)."""
    score_min = likelihood.search_score_min(pets, limits.false_alarms_per_search)

    def compared(pet: str) -> NoseFoundElsewhere | None:
        templates = [template for template in short_list[pet] if template.model == probe.model]
        comparison = compare(probe, templates, likelihood)
        if not isinstance(comparison, NoseComparison):
            return None
        score = likelihood.score(comparison.similarity, comparison.inliers)
        return NoseFoundElsewhere(pet, comparison, score, score_min) if score >= score_min else None

    with ThreadPoolExecutor(limits.threads, "noses") as pool:
        results = [result for result in pool.map(compared, short_list) if result is not None]
    return sorted(results, key=lambda result: -result.score)

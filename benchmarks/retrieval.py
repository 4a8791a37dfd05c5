"""Figures of copy detection over the best answer of each query: recall at a precision, muAP, and how sure a rate is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

PRECISION: Final = 0.99


@dataclass(frozen=True, slots=True)
class Answer:
    """The best picture that a method named for a query. right: the query is a copy, and of just that picture.
    score: higher is surer; -inf where nothing was named."""

    edit: str  # "" for a photo as it was taken
    in_library: bool  # whether the library holds the original
    score: float
    right: bool


def recall_at_precision(answers: Sequence[Answer], precision_min: float = PRECISION) -> dict[str, float]:
    """Returns, by edit and for `all`, the share of copies whose original is named at a score above which precision
    holds.

    Answers of one score stand or fall together, so that a coarse score is not flattered by the order of its ties.
    """
    cut = float("inf")
    for score, named, right in _levels(answers):
        if right >= precision_min * named:
            cut = score
    return _recall(answers, cut)


def recall_at_zero_fp(answers: Sequence[Answer]) -> dict[str, float]:
    """Returns the same shares above the surest wrong answer."""
    wrong = max((answer.score for answer in answers if not answer.right), default=-float("inf"))
    return _recall(answers, np.nextafter(wrong, np.inf))


def mu_ap(answers: Sequence[Answer]) -> float:
    """Returns the micro average precision (Douze et al., The 2021 Image Similarity dataset and challenge): the area
    under the precision-recall curve of all queries' answers in one ranking. Here each query gives one answer.
    """
    copies = sum(answer.in_library for answer in answers)
    area, before = 0.0, 0
    for _, named, right in _levels(answers):
        area += (right - before) / copies * right / named
        before = right
    return round(area, 4)


def rate_per_10k(events: int, trials: int) -> dict[str, float]:
    """Returns the rate and the upper end of its one-sided 95% interval (Clopper and Pearson, 1934), each per 10,000;
    without any trial nothing is known, and the upper end is 10,000."""
    upper = 1.0 if events >= trials else float(beta.ppf(0.95, events + 1, trials - events))
    return {
        "rate": round(10_000 * events / max(1, trials), 2),
        "upper_95": round(10_000 * upper, 2),
        "accused": events,
        "photos": trials,
    }


def _levels(answers: Sequence[Answer]) -> list[tuple[float, int, int]]:
    """Returns (score, answers at least as sure, right answers among them), surest first."""
    named = sorted((answer for answer in answers if np.isfinite(answer.score)), key=lambda answer: -answer.score)
    scores: NDArray[np.float64] = np.array([answer.score for answer in named])
    right = np.cumsum([answer.right for answer in named])
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(named) else np.empty(0, np.intp)
    return [(float(scores[index]), int(index) + 1, int(right[index])) for index in last]


def _recall(answers: Sequence[Answer], cut: float) -> dict[str, float]:
    hits: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        if answer.in_library:
            hits[answer.edit].append(answer.right and answer.score >= cut)
    every = [hit for row in hits.values() for hit in row]
    return {
        **{edit: round(float(np.mean(row)), 3) for edit, row in hits.items()},
        "all": round(float(np.mean(every)), 3),
    }

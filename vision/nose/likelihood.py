"""Fuses the scores of a comparison to a likelihood ratio: how much more probable they are for one nose than for two.

Fitted by `models.train.nose_thresholds`: on renders as delivered, on an insurer's own photos where it made a card
of its own. The object says on what; outside that it is a number without a meaning. Judgement is none of its business.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models import registry

NAME = "nose_fusion"
RENDERS, OWN_PHOTOS = "renders", "own_photos"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ImpostorTail:
    """Upper tail of the fused score of two animals: P(score > s) = share * exp((start - s) / scale) for s >= start.

    comparisons: with so many it was fitted, so a probability below 1 / comparisons is extrapolated.
    """

    start: float
    share: float
    scale: float
    comparisons: int

    def score_at(self, probability: float) -> float:
        """Return the score that two animals exceed with this probability; never below `start`."""
        return self.start + self.scale * max(0.0, math.log(self.share / probability))

    def extrapolated_by(self, probability: float) -> float:
        """Return how many times rarer than the rarest observed this probability is; at most 1 is within the data."""
        return 1 / (probability * self.comparisons)


@dataclass(frozen=True, slots=True)
class NoseLikelihood:
    """The fitted fusion. score = bias + similarity_weight * similarity + inliers_weight * ln(1 + inliers): a natural
    log of the likelihood ratio.

    log10_min, log10_max: what so few animals can show; a ratio beyond is reported as that. valid_for: `renders` or
    `own_photos`. provisional: fitted on fewer animals or sessions than make it valid. similarity_min,
    similarity_max: range of the similarities it was fitted on. model: label of the card whose templates were compared.
    """

    bias: float
    similarity_weight: float
    inliers_weight: float
    log10_min: float
    log10_max: float
    valid_for: str
    provisional: bool
    animals: int
    sessions: int
    genuine: int
    impostors: int
    similarity_min: float
    similarity_max: float
    model: str
    tail: ImpostorTail

    @property
    def fitted_on(self) -> str:
        """Return in words what it was fitted on, and for what it is valid."""
        kind = "rendered noses" if self.valid_for == RENDERS else "own photos"
        return (
            f"{kind}: {self.animals} animals, {self.sessions} sessions, {self.genuine} genuine and {self.impostors} "
            f"impostor comparisons; valid for {self.valid_for}{', provisional' if self.provisional else ''}"
        )

    def score(self, similarity: float, inliers: int) -> float:
        """Return the fused score, unbounded; for ranking and thresholds, not as evidence."""
        return self.bias + self.similarity_weight * similarity + self.inliers_weight * math.log1p(inliers)

    def log10(self, similarity: float, inliers: int) -> float:
        """Return the decadic log of the likelihood ratio, within what the data can show."""
        return min(self.log10_max, max(self.log10_min, self.score(similarity, inliers) / math.log(10)))

    def search_score_min(self, pets: int, false_alarms_per_search: float) -> float:
        """Return the score a hit among `pets` must reach, so that a search for a pet that is not among them meets one
        with this probability at most, however many there are."""
        return self.tail.score_at(false_alarms_per_search / max(1, pets))

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> NoseLikelihood:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        content: Any = json.loads(text)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ValueError(f"no nose fusion of format {_FORMAT}")
        try:
            return cls(**{**content, "tail": ImpostorTail(**content["tail"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"nose fusion with other fields: {error}") from error


def load_likelihood(cards: Path = registry.CARDS) -> NoseLikelihood:
    """Return the fusion of the card `nose_fusion`. Raises UnknownModel, InvalidCard, ModelMissing, ModelCorrupt."""
    return NoseLikelihood.from_json(registry.weights_path(NAME, cards=cards).read_bytes())

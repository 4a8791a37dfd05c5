"""The credit score of a claimant: a binned scorecard over attributes that the platform supplies.

score = base + the points of each attribute's bin, clamped. The points come from `models/train/credit.py`; how the score
counts is in `claims.rules`: never alone.

The attributes describe six months up to the claim; all the card's names are required, others are ignored:
`months_late_now` how many months the oldest payment due is late; `months_late_count_6m` in how many months something
was late; `months_late_sum_6m` and `months_late_worst_6m` the sum and the largest of the months' lateness;
`months_paid_in_full_6m`, `months_revolving_6m` in how many months all, or only a part, was paid; `credit_line_minor`
the credit granted; `utilisation_now_ratio`, `utilisation_mean_6m_ratio` owed / granted, now and on average;
`repaid_share_6m_ratio` repaid / owed; `repaid_last_month_minor`, `repaid_mean_6m_minor`, `repaid_least_6m_minor` repaid
in the last, the average and the poorest month. Amounts are fen.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from claims.errors import InvalidScorecard
from claims.evidence import CreditFact, CreditReason, UnmeasuredFact

SCORE_MIN, SCORE_MAX = 350, 950
REASONS_MAX = 4  # as many as a person takes in; the usual number in adverse-action notices


@dataclass(frozen=True, slots=True)
class Bin:
    """A range of values: above the bin before, up to and including `upper` (inf for the last)."""

    upper: float
    points: float


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute and its bins. `minimum`, `maximum`: the possible values; a value outside is a mistake of the
    platform, not a bad customer."""

    name: str
    minimum: float
    maximum: float
    bins: tuple[Bin, ...]

    def bin_of(self, value: float) -> Bin:
        return next(bin_ for bin_ in self.bins if value <= bin_.upper)

    @property
    def points_max(self) -> float:
        return max(bin_.points for bin_ in self.bins)

    def label(self, bin_: Bin) -> str:
        """Return the bin in words: "<= 0", "0 to 1", "> 1"."""
        place = self.bins.index(bin_)
        if place == 0:
            return "any" if math.isinf(bin_.upper) else f"<= {bin_.upper:g}"
        lower = self.bins[place - 1].upper
        return f"> {lower:g}" if math.isinf(bin_.upper) else f"{lower:g} to {bin_.upper:g}"


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A table of points. `factor` and `offset` scale ln(good:bad) to points. `label` is name@ and 12 digits of the
    file's SHA-256."""

    label: str
    base_points: float
    factor: float
    offset: float
    attributes: tuple[Attribute, ...]

    @staticmethod
    def from_json(content: bytes | str) -> Scorecard:
        """Read a weights file. Raises InvalidScorecard on anything but a complete, ordered card."""
        raw = content.encode() if isinstance(content, str) else content
        try:
            plain = json.loads(raw)
            card = Scorecard(
                label=f"{plain['name']}@{hashlib.sha256(raw).hexdigest()[:12]}",
                base_points=_finite(plain["base_points"]),
                factor=_finite(plain["factor"]),
                offset=_finite(plain["offset"]),
                attributes=tuple(_attribute(attribute) for attribute in plain["attributes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidScorecard(f"not a scorecard: {error!r}") from error
        if not card.attributes:
            raise InvalidScorecard("a scorecard without attributes")
        return card

    def bad_ratio(self, score: float) -> float:
        """Return the modelled share of defaulters (0..1) at that score, before clamping."""
        return 1.0 / (1.0 + math.exp((score - self.offset) / self.factor))


def score(attributes: Mapping[str, object], scorecard: Scorecard) -> CreditFact | UnmeasuredFact:
    """Return a score of 350-950 with the attributes that cost most. Unmeasured when an attribute is missing or out of
    its range.

    Never a score from part of the attributes: a missing month is not a month in order. Other attributes are ignored.
    """
    if not attributes:
        return UnmeasuredFact("the platform supplied no credit attributes", retryable=False)
    total = scorecard.base_points
    lost = []
    for attribute in scorecard.attributes:
        value = attributes.get(attribute.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return UnmeasuredFact(f"credit attribute {attribute.name} is missing or no number", retryable=False)
        if not attribute.minimum <= value <= attribute.maximum:
            span = f"{attribute.minimum:g} to {attribute.maximum:g}"
            return UnmeasuredFact(f"credit attribute {attribute.name} is {value!r}, not within {span}", retryable=False)
        bin_ = attribute.bin_of(float(value))
        total += bin_.points
        lost.append(CreditReason(attribute.name, attribute.label(bin_), round(attribute.points_max - bin_.points, 1)))
    worst = sorted(
        (reason for reason in lost if reason.points_lost > 0),
        key=lambda reason: (-reason.points_lost, reason.attribute),
    )
    return CreditFact(
        score=max(SCORE_MIN, min(SCORE_MAX, math.floor(total + 0.5))),
        reasons=tuple(worst[:REASONS_MAX]),
        model=scorecard.label,
    )


def _attribute(plain: Any) -> Attribute:
    bins = tuple(
        Bin(math.inf if plain_bin["upper"] is None else _finite(plain_bin["upper"]), _finite(plain_bin["points"]))
        for plain_bin in plain["bins"]
    )
    if not bins or not math.isinf(bins[-1].upper) or any(a.upper >= b.upper for a, b in pairwise(bins)):
        raise ValueError(f"bins of {plain['name']} must rise to an open end")
    return Attribute(str(plain["name"]), _finite(plain["minimum"]), _finite(plain["maximum"]), bins)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"not a finite number: {value!r}")
    return float(value)

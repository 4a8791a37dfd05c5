"""Copies: the one place that turns a measured comparison into a verdict, and that says what a person must compare
before anything is paid and what is excused.

The cut-offs are rules (`claims.rules`), not properties of a model: docs/decisions/0029-cut-offs-are-rules.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from claims.evidence import MatchOwner, MatchRuling, PhotoMatch, PhotoVerdict
from claims.rules import Rules

SamePart = Literal["", "pixels", "bytes"]

EXACT: Final = frozenset({PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE})
COPIES: Final = EXACT | {PhotoVerdict.EDITED_COPY}
# Rulings on the two pictures alone, without a known picture.
ABOUT_THE_PAIR: Final = frozenset({MatchRuling.CONFIRM, MatchRuling.REJECT})

_EXACT_BY_PART: Final = {"bytes": PhotoVerdict.SAME_BYTES, "pixels": PhotoVerdict.SAME_PICTURE}


@dataclass(frozen=True, slots=True)
class Likeness:
    """A photo compared with one other picture, as measured.

    same: "bytes" for one file, "pixels" for one picture in two files, "" where neither holds. probability: 0..1,
    calibrated, that one is a copy of the other. looks_alike: the descriptors are closer than those of unrelated photos;
    it is only ever a note, and proves nothing.
    """

    same: SamePart
    probability: float
    looks_alike: bool


def called(likeness: Likeness, rules: Rules) -> PhotoVerdict:
    """Return the verdict that the rules give this likeness, shown to the adjuster and kept on record."""
    if likeness.same:
        return _EXACT_BY_PART[likeness.same]
    if likeness.probability >= rules.photo_copied_min:
        return PhotoVerdict.EDITED_COPY
    if likeness.looks_alike or likeness.probability >= rules.photo_maybe_copied_min:
        return PhotoVerdict.SIMILAR
    return PhotoVerdict.UNSEEN


def weighs(verdict: PhotoVerdict, probability: float, rules: Rules) -> bool:
    """Return True for a proven copy, and for a match so probably a copy that a person compares the two."""
    return verdict in COPIES or probability >= rules.photo_maybe_copied_min


def counts_as_copy(verdict: str, ruling: str) -> bool:
    """Return True for a copy that is proven, or left open by measurement and confirmed by a person."""
    return verdict in COPIES or ruling == MatchRuling.CONFIRM


def is_copy(match: PhotoMatch) -> bool:
    """Return `counts_as_copy` of a recorded match."""
    return counts_as_copy(match.verdict, match.ruling)


def to_compare(match: PhotoMatch, rules: Rules) -> bool:
    """Return True for a copy, and for a match so probably a copy that a person must compare the two before payment."""
    return is_copy(match) or weighs(match.verdict, match.probability, rules)


def rests_on_points(match: PhotoMatch, rules: Rules) -> bool:
    """Return True for a match to compare that rests on agreeing points, not on equal pixels. A known picture may
    explain it, and an overlay shows it to a person."""
    return to_compare(match, rules) and match.verdict not in EXACT


def is_excused(match: PhotoMatch) -> bool:
    """Return True for a match that leads to nothing by itself: rejected by a person, explained by a common picture, or
    the claimant's own earlier try at the same event."""
    return match.ruling == MatchRuling.REJECT or bool(match.common) or match.owner is MatchOwner.SAME_EVENT

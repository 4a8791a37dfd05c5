"""What counts as a copy: a proven one, one that a person has confirmed, and what is so probably one that a person looks
before anything is paid."""

from __future__ import annotations

from claims.evidence import MatchRuling, PhotoMatch, PhotoVerdict
from claims.rules import Rules

COPIES = frozenset({PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE, PhotoVerdict.EDITED_COPY})


def is_copy(match: PhotoMatch) -> bool:
    """Proven by measurement, or confirmed by a person where measurement left it open."""
    return match.verdict in COPIES or match.ruling == MatchRuling.CONFIRM


def to_compare(match: PhotoMatch, rules: Rules) -> bool:
    """A copy, or so probably one that nothing is paid on it before a person has compared the two."""
    return is_copy(match) or match.probability >= rules.photo_maybe_copied_min

"""Which kind of paper a page is, from its words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vision.documents.catalogue import Catalogue
from vision.documents.page import UNKNOWN

TITLE_WEIGHT: Final = 4
#: One title, or two words that lean the same way; below it a page is of no kind.
SCORE_MIN: Final = 4
#: Of the best score, from which another kind is a rival. Of 368 papers in layouts to build with one reaches it.
RIVAL_RATIO: Final = 0.65


def scores(lines: Sequence[str], catalogue: Catalogue) -> Mapping[str, int]:
    """How much in normalised `lines` points to each kind: the weights of its words that are there, and its title's."""
    text = "\n".join(lines).upper()
    return {
        name: TITLE_WEIGHT * bool(re.search(kind.title, text, re.IGNORECASE))
        + sum(weight for pattern, weight in kind.words.items() if re.search(pattern, text, re.IGNORECASE))
        for name, kind in catalogue.items()
    }


def classify(lines: Sequence[str], catalogue: Catalogue) -> tuple[str, str]:
    """The kind whose words weigh most; UNKNOWN when there are too few, or two kinds draw. And its rival: another kind
    that the words point to nearly as much, "" for none.
    """
    weighed = scores(lines, catalogue)
    ranked = sorted(weighed, key=weighed.__getitem__, reverse=True)
    if not ranked or weighed[ranked[0]] < SCORE_MIN:
        return UNKNOWN, ""
    best, second = weighed[ranked[0]], weighed[ranked[1]] if len(ranked) > 1 else 0
    if best == second:
        return UNKNOWN, ""
    near = second >= SCORE_MIN and second >= RIVAL_RATIO * best
    return ranked[0], ranked[1] if near else ""

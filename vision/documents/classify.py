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


def scores(lines: Sequence[str], catalogue: Catalogue) -> Mapping[str, int]:
    """How much in normalised `lines` points to each kind: the weights of its words that are there, and its title's."""
    text = "\n".join(lines).upper()
    return {
        name: TITLE_WEIGHT * bool(re.search(kind.title, text, re.IGNORECASE))
        + sum(weight for pattern, weight in kind.words.items() if re.search(pattern, text, re.IGNORECASE))
        for name, kind in catalogue.items()
    }


def classify(lines: Sequence[str], catalogue: Catalogue) -> str:
    """The kind whose words weigh most; UNKNOWN when there are too few, or two kinds draw."""
    weighed = scores(lines, catalogue)
    ranked = sorted(weighed.values(), reverse=True)
    if not ranked or ranked[0] < SCORE_MIN or ranked[0] in ranked[1:]:
        return UNKNOWN
    return next(name for name, score in weighed.items() if score == ranked[0])

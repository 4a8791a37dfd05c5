"""Classifies a page by its words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vision.documents.kinds.catalogue import Catalogue
from vision.documents.text.compiled import compiled
from vision.documents.text.signs import SIGN

TITLE_WEIGHT: Final = 4
#: One title, or two words that point the same way; with less a page is of no kind.
SCORE_MIN: Final = 4
#: Share of the best score from which another kind is a rival. Of 368 papers in the build layouts one reaches it.
RIVAL_RATIO: Final = 0.65
_SUM: Final = re.compile(rf"\d\s?[.,]\s?\d{{2}}(?!\d)|{SIGN}\s{{0,2}}\d|\d\s?[元圆円원€]")


def scores(lines: Sequence[str], catalogue: Catalogue) -> Mapping[str, int]:
    """Return, for each kind, how much in normalised `lines` points to it: the weights of its words that occur, and its
    title's."""
    text = "\n".join(lines).upper()
    return {
        name: TITLE_WEIGHT * bool(compiled(kind.title, re.IGNORECASE).search(text))
        + sum(weight for pattern, weight in kind.words.items() if compiled(pattern, re.IGNORECASE).search(text))
        for name, kind in catalogue.items()
    }


def candidates(lines: Sequence[str], catalogue: Catalogue) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds whose words weigh most (several if they tie, none if there are too few words), and their rivals:
    the other kinds that the words point to nearly as much, likeliest first. A page without any amount is of no kind
    that requires one."""
    sums = any(_SUM.search(line) for line in lines)
    weighed = {
        name: score
        for name, score in scores(lines, catalogue).items()
        if score >= SCORE_MIN and (sums or not any(field.endswith("_minor") for field in catalogue[name].required))
    }
    best = max(weighed.values(), default=0)
    near = sorted((name for name in weighed if weighed[name] >= RIVAL_RATIO * best), key=lambda name: -weighed[name])
    first = [name for name in near if weighed[name] == best]
    return tuple(first), tuple(near[len(first) :])

"""Tells from what was read of a large mark that it is nearly a word by which papers say that they are no paid bill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vision.documents.text.page import TextLine

#: Characters of those words that seals, logos and drawings are not taken for.
_CHARACTERS: Final = re.compile("[废廢]|作[^者业品为用]?$|样[票本张]?$|复印|印件|[退注]销|已退")
#: Latin words, and how many letters of each may be read wrongly.
_LETTERS: Final = (
    ("VOID", 1),
    ("COPY", 1),
    ("SAMPLE", 2),
    ("CANCELLED", 3),
    ("CANCELED", 3),
    ("REFUNDED", 2),
    ("SPECIMEN", 2),
)
_LOOKALIKE: Final = str.maketrans("01!|580", "OIIISBO")


def nearly_undone(lines: Sequence[TextLine]) -> str:
    """Return the first text that is nearly such a word, "" if none is."""
    for line in lines:
        text = re.sub(r"\W", "", line.text.replace("!", "I").replace("|", "I")).upper()
        letters = text.translate(_LOOKALIKE)
        if _CHARACTERS.search(text) or any(
            abs(len(letters) - len(word)) <= most and _distance(letters, word) <= most for word, most in _LETTERS
        ):
            return line.text
    return ""


def _distance(first: str, second: str) -> int:
    """Return how many letters are to be changed, added or left out (Levenshtein)."""
    before = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        now = [row]
        for column, other in enumerate(second, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != other)))
        before = now
    return before[-1]

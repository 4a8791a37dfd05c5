"""Tells from what was read of a large mark that it is nearly a word by which papers say that they are no paid bill."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
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
#: What stamps of honest papers say: money received, the office, what is attached.
_HARMLESS: Final = re.compile(
    "收[讫訖款费到]|[已现金付]收|付[讫訖款]|现金|[讫訖]|专用|用章|财务|业务|医院|公司|附件|发票|监制|税务|总局"
    "|PAID|RECEI|THANK|ORIGINAL|APPROVED|INVOICE|RECHNUNG|FACT"
)
_HARMLESS_CONFIDENCE: Final = 0.6
#: A text of so many characters, read so surely, is a name or a heading.
_SURE_HAN: Final = 3
_SURE_LATIN: Final = 5
_SURE_CONFIDENCE: Final = 0.9
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


def says_no_harm(lines: Sequence[TextLine], printed: Collection[str]) -> bool:
    """Return True if something was read that explains a mark: a stamp of money received or of an office, a text that
    the page has besides, or any longer text that was read surely. printed: texts of the page's lines."""
    for line in lines:
        text = re.sub(r"\W", "", line.text).upper()
        long = len(text) >= (_SURE_HAN if re.search("[一-鿿]", text) else _SURE_LATIN)
        if line.confidence >= _HARMLESS_CONFIDENCE and _HARMLESS.search(text):
            return True
        if long and (line.confidence >= _SURE_CONFIDENCE or any(text in re.sub(r"\W", "", p).upper() for p in printed)):
            return True
    return False


def _distance(first: str, second: str) -> int:
    """Return how many letters are to be changed, added or left out (Levenshtein)."""
    before = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        now = [row]
        for column, other in enumerate(second, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != other)))
        before = now
    return before[-1]

"""Takes the rows of a page apart into the texts that a phrase may be all of, each in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vision.documents.standing import words
from vision.documents.text.layout import Row
from vision.documents.text.page import PageBox

_BARE: Final = re.compile(r"^[\W_]+|[\W_]+$")
_BREAK: Final = re.compile(r"\s*(:)\s*|\s*(?:[|/·,;。、()\[\]*~=<>《》#!?“”\"…+]+|\s-\s|-{2,}|\s{2,})\s*")
_SPACED_LETTERS: Final = re.compile(r"(?<![^\W\d_])(?:[A-Z]\s){2,}[A-Z](?![^\W\d_])")
_BETWEEN_CHARACTERS: Final = re.compile(r"(?<=[\u3400-\u9fff])\s+(?=[\u3400-\u9fff])")
#: A word that a form or a till prints over and over (VOID VOID VOID, 作废作废).
_OVER_AND_OVER: Final = re.compile(r"(?P<word>\w[\w ]*?)(?:[\W_]*(?P=word)){1,20}")
_LONE_MARKS_MIN = 2


@dataclass(frozen=True, slots=True)
class PhrasePlace:
    """A text in its place: the text to compare, its row, its box, and what it is part of."""

    text: str
    row: int
    cell: int
    box: PageBox
    whole: bool  # all of its cell
    shown: str  # the words as they stand on the paper


def simple(text: str) -> str:
    """Return the text as the phrases are written: simplified characters, those that readers of print take for each
    other made the same, letters set wide joined."""
    return _SPACED_LETTERS.sub(lambda run: re.sub(r"\s", "", run[0]), text.translate(words.SIMPLIFIED))


def joined(text: str) -> str:
    """Return the text without spaces between Chinese characters."""
    return _BETWEEN_CHARACTERS.sub("", simple(text))


def places(rows: Sequence[Row], index: int) -> Iterator[PhrasePlace]:
    """Yield each cell of the row and each part of one, without labels (状态: of 状态: 已取消); and the row, if it is
    a word whose letters stand in cells of their own."""
    for number, cell in enumerate(rows[index].cells):
        text = simple(cell.text)
        bare = _BARE.sub("", text)
        if bare and not re.search(r":\W*$", text):
            once = _OVER_AND_OVER.fullmatch(bare)
            for variant in dict.fromkeys((bare, _BETWEEN_CHARACTERS.sub("", bare), once["word"] if once else bare)):
                yield PhrasePlace(variant, index, number, cell.box, True, cell.text)
        for part in _parts(text):
            if part != bare:
                yield PhrasePlace(part, index, number, cell.box, False, cell.text)
    yield from _set_wide(rows[index], index)


def _set_wide(row: Row, index: int) -> Iterator[PhrasePlace]:
    marks = [_BARE.sub("", cell.text) for cell in row.cells]
    if len(marks) >= _LONE_MARKS_MIN and all(len(mark) == 1 and mark.isalpha() for mark in marks):
        yield PhrasePlace(simple("".join(marks)), index, 0, row.cells[0].box, True, row.text)


def _parts(text: str) -> Iterator[str]:
    start = 0
    breaks = [*_BREAK.finditer(text), None]
    for mark in breaks:
        end = mark.start() if mark is not None else len(text)
        part = _BARE.sub("", text[start:end])
        label = mark is not None and mark[1] is not None
        if part and not label:
            yield part
            if _BETWEEN_CHARACTERS.search(part):
                yield from part.split()
        start = mark.end() if mark is not None else end

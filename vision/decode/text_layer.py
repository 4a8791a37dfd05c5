"""The text that a PDF carries besides its picture. Whoever made the file wrote it, so it is compared, never
believed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

LINES_MAX: Final = 2_000
CHARACTERS_MAX: Final = 20_000  # on one page; a bill has about 1,500
#: Size of one page's layer from the decoding child: at most four bytes a character, and five numbers a line.
BYTES_MAX: Final = 6 * CHARACTERS_MAX + 80 * LINES_MAX


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A run of text in one line. Left, top, right, bottom in pixels of the page's picture."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The text layer of one page. complete: False if the page has more text than is read; then nothing may be concluded
    from it."""

    lines: tuple[LayerLine, ...] = ()
    complete: bool = True


NO_LAYER: Final = TextLayer()


def read_layer(answer: bytes) -> TextLayer:
    """Validate and return what the decoding child wrote. Raises ValueError, TypeError or KeyError."""
    plain = json.loads(answer)
    if len(plain["lines"]) > LINES_MAX or sum(len(line[0]) for line in plain["lines"]) > CHARACTERS_MAX:
        raise ValueError("a text layer over its limits")
    lines = tuple(LayerLine(str(text), *(float(edge) for edge in edges)) for text, *edges in plain["lines"])
    return TextLayer(lines, bool(plain["complete"]))

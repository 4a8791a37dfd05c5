"""Turns a page that was drawn here into what a child answers. Runs inside the decoding child only."""

from __future__ import annotations

import json
from collections.abc import Sequence

from PIL import Image

from vision.decode.pixels import DecodedPixels, of_page
from vision.decode.text_layer import CHARACTERS_MAX, LINES_MAX

Lines = Sequence[tuple[str, float, float, float, float]]


def drawn_page(
    picture: Image.Image, lines: Lines, stated: Lines = (), signature: dict[str, object] | None = None
) -> DecodedPixels:
    """Return the page. lines: what was written on it. stated: what the file's data say, laid out like a page.
    signature: as `vision.decode.signature.read_signature` reads it."""
    return of_page(picture, "drawn", _layer(lines), _layer(stated), signature)


def _layer(lines: Lines) -> bytes:
    if not lines:
        return b""
    kept: list[list[object]] = []
    characters = 0
    for text, *edges in lines[:LINES_MAX]:
        characters += len(text)
        if characters > CHARACTERS_MAX:
            break
        kept.append([text, *(round(edge, 1) for edge in edges)])
    complete = len(kept) == len(lines)
    return json.dumps({"lines": kept, "complete": complete}, ensure_ascii=False).encode()

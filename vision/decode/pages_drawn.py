"""Turns a page that was drawn here into what a child answers. Runs inside the decoding child only."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence

from PIL import Image

from vision.decode.pixels import DecodedPixels
from vision.decode.text_layer import CHARACTERS_MAX, LINES_MAX

Lines = Sequence[tuple[str, float, float, float, float]]


def drawn_page(
    picture: Image.Image, lines: Lines, stated: Lines = (), signature: dict[str, object] | None = None
) -> DecodedPixels:
    """Return the page. lines: what was written on it. stated: what the file's data say, laid out like a page.
    signature: as `vision.decode.signature.read_signature` reads it."""
    pixels = picture.tobytes()
    header = b"miaopei drawn page 1\0" + struct.pack(">II", *picture.size)
    return DecodedPixels(
        pixels=pixels,
        width_px=picture.width,
        height_px=picture.height,
        source_width_px=picture.width,
        source_height_px=picture.height,
        pixel_sha256=hashlib.sha256(header + pixels).hexdigest(),
        text_layer=_layer(lines),
        data_layer=_layer(stated),
        signature=signature,
    )


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

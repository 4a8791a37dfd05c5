"""Decodes the top of a JPEG at full size, in grey, to tell how often it was compressed. Runs inside the decoding child
only.

libjpeg decodes as many rows as the frame header promises. A copy of the file that promises fewer costs only those: the
top 128 rows of 12 megapixels are half of one.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final

from PIL import Image

ROWS_MAX: Final = 128
PIXELS_MAX: Final = 1_572_864  # 128 rows of 12,288: wider pictures give fewer rows
_FRAME_SEARCH_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Strip:
    """The top of a JPEG. levels: grey, row by row. quantisation: the file's luminance table, 64 steps in
    natural order."""

    levels: bytes
    width_px: int
    height_px: int
    quantisation: tuple[int, ...]


def top_strip(data: bytes) -> Strip | None:
    """Return the strip; None if the file is not a baseline JPEG of luminance and colour in one scan, or is too
    narrow."""
    at = _baseline_frame(data)
    if at < 0:
        return None
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    rows = min(height, ROWS_MAX, PIXELS_MAX // max(1, width) // 16 * 16)
    if rows < 16 or width < 16:
        return None
    shortened = b"".join((data[: at + 5], struct.pack(">H", rows), data[at + 7 :])) if rows < height else data
    picture = Image.open(io.BytesIO(shortened), formats=["JPEG"])
    if picture.mode not in ("L", "YCbCr", "RGB") or (
        "adobe_transform" in picture.info and picture.info["adobe_transform"] != 1
    ):
        return None
    picture.draft("L", picture.size)
    table = tuple(getattr(picture, "quantization", {}).get(0, ()))
    picture.load()
    if picture.mode != "L" or len(table) != 64:
        return None
    return Strip(picture.tobytes(), picture.width, picture.height, table)


def _baseline_frame(data: bytes) -> int:
    """Return the offset of the marker SOF0; -1 if another frame or none comes before the picture begins."""
    position = 2
    while position < min(len(data), _FRAME_SEARCH_BYTES):
        start = data.find(b"\xff", position)
        if start < 0 or start + 10 > len(data):
            return -1
        marker = data[start + 1]
        if marker in (0x00, 0xFF):
            position = start + 1
        elif marker == 0xC0:
            return start
        elif (0xC1 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker in (0xDA, 0xD9):
            return -1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position = start + 2
        else:
            position = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
    return -1

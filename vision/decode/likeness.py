"""Measures how similar a picture is to its EXIF thumbnail. Runs inside the decoding child: the thumbnail never leaves
it."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from typing import Final

from PIL import ExifTags, Image

THUMBNAIL_BYTES_MAX: Final = 65_536
THUMBNAIL_EDGE_PX_MAX: Final = 1_024
GRID_PX: Final = 32  # both are compared as 32 x 32 grey means: too coarse for compression or sharpening to matter
SPREAD_LEVELS_MIN: Final = 4.0  # standard deviation below which a picture is flat and correlates with anything
SAME_SHAPE: Final = 1.03  # aspect ratios this close count as equal: thumbnails have whole pixels

_TURNS: Final = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def thumbnail_likeness(exif: Image.Exif, picture: Image.Image) -> str:
    """Return "likeness 0.973" (Pearson correlation, -1..1), "flat", "unreadable", or "" without a thumbnail.

    The thumbnail may be letterboxed, cut to another shape or turned: the best of these counts, so that a low value
    means another picture, or another part of it.
    """
    first = exif.get_ifd(ExifTags.IFD.IFD1)
    start, length = first.get(0x0201), first.get(0x0202)
    if not isinstance(start, int) or not isinstance(length, int):
        return ""
    if not 0 < length <= THUMBNAIL_BYTES_MAX:
        return "unreadable"
    try:
        exif.fp.seek(start)
        thumbnail = Image.open(io.BytesIO(exif.fp.read(length)), formats=["JPEG"])
        if max(thumbnail.size) > THUMBNAIL_EDGE_PX_MAX:
            return "unreadable"
        thumbnail.load()
    except _BROKEN:
        return "unreadable"
    best = likeness(thumbnail.convert("L"), picture)
    return "flat" if best is None else f"likeness {best:.3f}"


def likeness(thumbnail: Image.Image, picture: Image.Image) -> float | None:
    """Return the Pearson correlation of the two at GRID_PX, the best over shapes and turns; None if one of them is
    flat."""
    # BOX over all pixels of a working picture costs milliseconds; reducing it coarsely first costs next to nothing.
    coarse = picture.reduce(max(1, min(picture.size) // (4 * GRID_PX))).convert("L")
    values = []
    for shown, whole in _aligned(thumbnail, coarse):
        first, second = _grid(shown), _grid(whole)
        if first is None or second is None:
            return None
        values.append(sum(a * b for a, b in zip(first, second, strict=True)))
    return max(values)


def _aligned(thumbnail: Image.Image, picture: Image.Image) -> Iterator[tuple[Image.Image, Image.Image]]:
    yield from _shapes(thumbnail, picture)
    for turn in _TURNS:
        yield from _shapes(thumbnail.transpose(turn), picture)


def _shapes(thumbnail: Image.Image, picture: Image.Image) -> Iterator[tuple[Image.Image, Image.Image]]:
    yield thumbnail, picture
    ratio = (thumbnail.width / thumbnail.height) / (picture.width / picture.height)
    if 1 / SAME_SHAPE < ratio < SAME_SHAPE:
        return
    yield _cut(thumbnail, picture.width / picture.height), picture  # without its bars
    yield thumbnail, _cut(picture, thumbnail.width / thumbnail.height)


def _cut(picture: Image.Image, aspect: float) -> Image.Image:
    """Crop the middle of `picture` to another aspect ratio."""
    width, height = picture.width, picture.height
    if width / height > aspect:
        width = max(1, round(height * aspect))
    else:
        height = max(1, round(width / aspect))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _grid(picture: Image.Image) -> list[float] | None:
    """Return the grey means, scaled to mean 0 and length 1; None if flat."""
    levels = picture.resize((GRID_PX, GRID_PX), Image.Resampling.BOX).tobytes()
    mean = sum(levels) / len(levels)
    centred = [level - mean for level in levels]
    length = math.sqrt(sum(value * value for value in centred))
    if length < SPREAD_LEVELS_MIN * GRID_PX:
        return None
    return [value / length for value in centred]

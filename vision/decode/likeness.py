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
BAR_LEVELS_MAX: Final = 24  # a black bar after compression; Nikon's, Canon's and Kodak's measured 0 to 9
BAR_SHARE_MAX: Final = 0.25  # of the edge, on one side: 16:9 in 4:3 leaves 12.5% above and below
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
    inside = _without_bars(thumbnail)
    if inside is not None:
        yield inside, picture
        yield inside, _cut(picture, inside.width / inside.height)
    ratio = (thumbnail.width / thumbnail.height) / (picture.width / picture.height)
    if 1 / SAME_SHAPE < ratio < SAME_SHAPE:
        return
    yield _cut(thumbnail, picture.width / picture.height), picture  # without its bars
    yield thumbnail, _cut(picture, thumbnail.width / thumbnail.height)


def _without_bars(thumbnail: Image.Image) -> Image.Image | None:
    """Return the thumbnail without its black bars, None if it has none. Cameras pad other shapes to 4:3, some with bars
    on all four sides, and not by the number of rows that the shapes would give."""
    width, height = thumbnail.size
    box = thumbnail.point([0] * (BAR_LEVELS_MAX + 1) + [255] * (255 - BAR_LEVELS_MAX)).getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    bars = (left / width, top / height, 1 - right / width, 1 - bottom / height)
    if not any(bars) or max(bars) > BAR_SHARE_MAX:
        return None
    # Compression mixes the last row of a bar with the first of the picture.
    inner = (left + bool(left), top + bool(top), right - (right < width), bottom - (bottom < height))
    return thumbnail.crop(inner) if inner[2] > inner[0] and inner[3] > inner[1] else None


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

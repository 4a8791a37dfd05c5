"""Draws text with the packaged font. Runs inside the decoding child only.

The font is read, and Pillow's text module loaded, before the fork: a child can open neither.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from vision.decode.fonts import cjk_font
from vision.decode.pixels import PictureRefused

Ink = tuple[int, int, int]
BLACK: Final[Ink] = (0, 0, 0)
SIZE_PX_MIN: Final = 2
SIZE_PX_MAX: Final = 300  # a title across an A4 page has 60
_SIZES_MAX: Final = 8  # FreeType copies the font, 16 MB, for every size that is held
_FONT: Final = cjk_font()
# The module behind ImageFont is loaded at the first use; raqm would load libraries of the system.
_BASIC: Final = ImageFont.Layout.BASIC
if _FONT is not None:
    ImageFont.truetype(io.BytesIO(_FONT), 10, layout_engine=_BASIC)


@lru_cache(maxsize=_SIZES_MAX)
def _sized(size_px: int) -> ImageFont.FreeTypeFont:
    if _FONT is None:
        raise PictureRefused("fonts_missing", "this machine has no font to draw the document with")
    return ImageFont.truetype(io.BytesIO(_FONT), size_px, layout_engine=_BASIC)


@dataclass(slots=True)
class Pen:
    """Writes on a picture, and remembers what it wrote: `lines` holds text, left, top, right, bottom in pixels."""

    picture: Image.Image
    lines: list[tuple[str, float, float, float, float]] = field(default_factory=list)

    def write(self, glyphs: list[tuple[float, float, str]], size_px: float, ink: Ink = BLACK) -> None:
        """Write pieces of one line, each at the left end of its base line. Raises PictureRefused without a font."""
        size = max(SIZE_PX_MIN, min(SIZE_PX_MAX, round(size_px)))
        font = _sized(size)
        draw = ImageDraw.Draw(self.picture)
        for x, y, piece in glyphs:
            draw.text((x, y), piece, fill=ink, font=font, anchor="ls")
        text = "".join(piece for _, _, piece in glyphs).strip()
        if text:
            right = max(x + font.getlength(piece) for x, _, piece in glyphs)
            self.lines.append(
                (
                    text,
                    min(x for x, _, _ in glyphs),
                    min(y for _, y, _ in glyphs) - 0.88 * size,
                    right,
                    max(y for _, y, _ in glyphs) + 0.12 * size,
                )
            )


def width_px(text: str, size_px: int) -> float:
    """Return how wide a text is."""
    return _sized(size_px).getlength(text)

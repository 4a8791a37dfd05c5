"""Draws text with the packaged font. Runs inside the decoding child only.

Letters are drawn once at one size and scaled from there: Pillow would copy the font, 16 MB, for every size, and a page
may have a hundred. The font is loaded before the fork: a child can open no file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from vision.decode.fonts import cjk_font
from vision.decode.pixels import PictureRefused

Ink = tuple[int, int, int]
BLACK: Final[Ink] = (0, 0, 0)
SIZE_PX_MIN: Final = 2.0
SIZE_PX_MAX: Final = 300.0  # a title across an A4 page has 60
_MASTER_PX: Final = 72
_ASCENT_PX, _DESCENT_PX, _SIDE_PX = 80, 24, 12  # round the base line and the sides of a letter of _MASTER_PX
_LETTERS_MAX: Final = 4_000  # held at once, 7 KB each
_FONT: Final = cjk_font()
# raqm would load libraries of the system.
_MASTER: Final = (
    None if _FONT is None else ImageFont.truetype(io.BytesIO(_FONT), _MASTER_PX, layout_engine=ImageFont.Layout.BASIC)
)


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character: the left end of its base line, and how wide it is, in pixels."""

    letter: str
    x: float
    y: float
    width_px: float


@lru_cache(maxsize=_LETTERS_MAX)
def _advance(letter: str) -> float:
    """Return the width of a letter as a share of its size."""
    return _master().getlength(letter) / _MASTER_PX


@lru_cache(maxsize=_LETTERS_MAX)
def _stencil(letter: str) -> Image.Image:
    """Return a letter in white on black at the size of all stencils."""
    width = round(_advance(letter) * _MASTER_PX) + 2 * _SIDE_PX
    stencil = Image.new("L", (width, _ASCENT_PX + _DESCENT_PX))
    ImageDraw.Draw(stencil).text((_SIDE_PX, _ASCENT_PX), letter, fill=255, font=_master(), anchor="ls")
    return stencil


@lru_cache(maxsize=_LETTERS_MAX)
def _scaled(letter: str, across_px: int, down_px: int) -> Image.Image:
    return _stencil(letter).resize((across_px, down_px), Image.Resampling.HAMMING)


def _master() -> ImageFont.FreeTypeFont:
    if _MASTER is None:
        raise PictureRefused("fonts_missing", "this machine has no font to draw the document with")
    return _MASTER


def width_px(text: str, size_px: float) -> float:
    """Return how wide a text is. Raises PictureRefused without a font."""
    return sum(map(_advance, text)) * size_px


def spelled(text: str, x: float, y: float, size_px: float) -> list[Glyph]:
    """Return the characters of a text that begins at a point, one after the other."""
    glyphs = []
    for letter in text:
        glyphs.append(Glyph(letter, x, y, width_px(letter, size_px)))
        x += glyphs[-1].width_px
    return glyphs


@dataclass(slots=True)
class PagePen:
    """Writes on a picture, and remembers what it wrote: `lines` holds text, left, top, right, bottom in pixels."""

    picture: Image.Image
    lines: list[tuple[str, float, float, float, float]] = field(default_factory=list)

    def write(self, glyphs: Iterable[Glyph], size_px: float, ink: Ink = BLACK) -> None:
        """Write one line. Raises PictureRefused without a font."""
        size = max(SIZE_PX_MIN, min(SIZE_PX_MAX, size_px))
        written = [glyph for glyph in glyphs if glyph.letter.isprintable()]
        for glyph in written:
            self._stamp(glyph, size, ink)
        text = "".join(glyph.letter for glyph in written)
        shown = [glyph for glyph in written if not glyph.letter.isspace()]
        if shown:
            left, right = min(glyph.x for glyph in shown), max(glyph.x + glyph.width_px for glyph in shown)
            top, bottom = min(glyph.y for glyph in shown) - 0.88 * size, max(glyph.y for glyph in shown) + 0.12 * size
            self.lines.append((text.strip(), left, top, right, bottom))

    def _stamp(self, glyph: Glyph, size: float, ink: Ink) -> None:
        natural = width_px(glyph.letter, size)
        if glyph.letter.isspace() or natural <= 0:
            return
        down = size / _MASTER_PX
        across = down * min(2.0, glyph.width_px / natural)
        left, top = glyph.x - _SIDE_PX * across, glyph.y - _ASCENT_PX * down
        stencil = _stencil(glyph.letter)
        box = (round(left), round(top))
        room = (round(left + stencil.width * across) - box[0], round(top + stencil.height * down) - box[1])
        if room[0] < 1 or room[1] < 1 or box[0] >= self.picture.width or box[1] >= self.picture.height:
            return
        mask = _scaled(glyph.letter, *room)
        self.picture.paste(ink, (box[0], box[1], box[0] + room[0], box[1] + room[1]), mask)

"""Draws the proof of a match as one picture: both photos side by side, lines between the points that agree, the outline
of the match in the photo, the transform in words.

Drawn from clean previews; the JPEG carries no metadata. The words are ASCII (Pillow's built-in font, Aileron, has
no other characters); the pages say the same in the reader's language.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pair = tuple[float, float, float, float]  # x, y in the photo, x, y in the match, as fractions of width and height

_PAPER: Final = (24, 26, 30)
_INK: Final = (236, 238, 242)
_OUTLINE: Final = (255, 196, 0)
# Distinguishable for people who cannot tell red from green, after Okabe and Ito, 2008.
_LINES: Final = ((86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0))


@dataclass(frozen=True, slots=True)
class OverlayLimits:
    """Limits of the picture. edge_px: the longer edge of each of the two photos. pairs_max: as many lines as a person
    can follow."""

    edge_px: int = 640
    margin_px: int = 14
    line_px: int = 22
    pairs_max: int = 40
    quality: int = 82


def draw(
    photo: NDArray[np.uint8],
    match: NDArray[np.uint8],
    pairs: Sequence[Pair],
    outline: Sequence[tuple[float, float]],
    words: Sequence[str],
    limits: OverlayLimits = OverlayLimits(),
) -> bytes:
    """Draw the proof. Returns a JPEG, at most 2 x edge_px + 3 margins wide.

    photo, match: uint8 (h, w, 3) sRGB, each any size. outline: as in `vision.copies.placement.MeasuredPlacement`, ()
    for none. words: one line each, truncated if too long.
    """
    left, right = _shown(photo, limits.edge_px), _shown(match, limits.edge_px)
    margin = limits.margin_px
    top = margin
    width = left.width + right.width + 3 * margin
    height = max(left.height, right.height) + 2 * margin + limits.line_px * len(words) + (margin if words else 0)
    sheet = Image.new("RGB", (width, height), _PAPER)
    across = left.width + 2 * margin
    sheet.paste(left, (margin, top))
    sheet.paste(right, (across, top))
    if outline:
        sheet.paste(_outlined(left, outline), (margin, top))
    pen = ImageDraw.Draw(sheet)
    for number, (x, y, match_x, match_y) in enumerate(pairs[: limits.pairs_max]):
        colour = _LINES[number % len(_LINES)]
        start = (margin + x * left.width, top + y * left.height)
        end = (across + match_x * right.width, top + match_y * right.height)
        pen.line((start, end), fill=colour, width=1)
        for at in (start, end):
            pen.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), outline=colour, width=2)
    font = ImageFont.load_default(limits.line_px * 0.7)
    for number, line in enumerate(words):
        place = (margin, max(left.height, right.height) + 2 * margin + number * limits.line_px)
        pen.text(place, _fitting(pen, line, font, width - 2 * margin), font=font, fill=_INK)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=limits.quality)
    return out.getvalue()


def pixels_of(preview: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a preview that the pipeline wrote itself; nothing from outside is decoded here."""
    with Image.open(io.BytesIO(preview), formats=("JPEG",)) as opened:
        return np.asarray(opened.convert("RGB"), dtype=np.uint8)


def _shown(pixels: NDArray[np.uint8], edge_px: int) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    return picture


def _outlined(picture: Image.Image, outline: Sequence[tuple[float, float]]) -> Image.Image:
    """Return a copy with the outline drawn, on the picture alone, so that what lies outside is cut off."""
    drawn = picture.copy()
    corners = [(x * picture.width, y * picture.height) for x, y in outline]
    ImageDraw.Draw(drawn).line([*corners, corners[0]], fill=_OUTLINE, width=3, joint="curve")
    return drawn


def _fitting(pen: ImageDraw.ImageDraw, line: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: int) -> str:
    shown = line.encode("ascii", "replace").decode()
    while shown and pen.textlength(shown, font=font) > room:
        shown = shown[:-4].rstrip(" .") + "..." if len(shown) > 6 else ""
    return shown

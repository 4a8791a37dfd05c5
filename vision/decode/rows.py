"""A decoded picture that is looked at a few rows at a time, so that no second whole copy of it is made. Runs inside the
decoding child only."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image

from vision.decode.colour import eight_bits, rgb

# From here on a picture is shrunk in strips. Below, at once: 24 megapixels are 96 MB.
_STRIPS_PIXELS_MIN: Final = 24_000_000
_STRIP_PIXELS: Final = 2_000_000
_REDUCING_GAP: Final = 2.0


class PixelRows(Protocol):
    """A decoded picture."""

    @property
    def width(self) -> int:
        """Its width in pixels."""

    @property
    def height(self) -> int:
        """Its height in pixels."""

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return the rows from `top` to above `bottom`, as one of L, RGB, RGBA, CMYK, at 8 bits a channel."""


@dataclass(frozen=True, slots=True)
class PillowRows:
    """The rows of a picture that Pillow holds."""

    picture: Image.Image

    @property
    def width(self) -> int:
        """Its width in pixels."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Its height in pixels."""
        return self.picture.height

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return the rows from `top` to above `bottom`."""
        if (top, bottom) == (0, self.picture.height):
            return eight_bits(self.picture)
        strip = self.picture.crop((0, top, self.picture.width, bottom))
        strip.info = self.picture.info
        return eight_bits(strip)


def pixel_sha256(rows: PixelRows, source_size: tuple[int, int]) -> str:
    """Return the SHA-256 over the source's size and the canonical decode as 8-bit RGB."""
    digest = hashlib.sha256(b"miaopei canonical pixels 1\0" + struct.pack(">II", *source_size))
    step = max(1, _STRIP_PIXELS // max(1, rows.width))
    for top in range(0, rows.height, step):
        digest.update(rgb(rows.strip(top, min(top + step, rows.height))).tobytes())
    return digest.hexdigest()


def shrunk(rows: PixelRows, long_edge_px_max: int) -> Image.Image:
    """Return the picture at most so large, never enlarged."""
    long_edge_px = max(rows.width, rows.height)
    ratio = min(1.0, long_edge_px_max / long_edge_px)
    size = (max(1, round(rows.width * ratio)), max(1, round(rows.height * ratio)))
    factor = int(long_edge_px / long_edge_px_max / _REDUCING_GAP)
    if factor < 2 or rows.width * rows.height < _STRIPS_PIXELS_MIN or min(rows.width, rows.height) < factor:
        whole = rows.strip(0, rows.height)
        # Hamming: nearly as sharp as bicubic when shrinking, at half its time.
        return whole if ratio == 1 else whole.resize(size, Image.Resampling.HAMMING, reducing_gap=_REDUCING_GAP)
    coarse = _reduced(rows, factor)
    box = (0, 0, rows.width / factor, rows.height / factor)
    small = coarse.resize(size, Image.Resampling.HAMMING, box)
    return small.convert("RGBA") if small.mode == "RGBa" else small


def _reduced(rows: PixelRows, factor: int) -> Image.Image:
    """Return the picture shrunk by an integer, each pixel the mean of factor x factor."""
    step = max(1, _STRIP_PIXELS // max(1, rows.width) // factor) * factor
    coarse: Image.Image | None = None
    for top in range(0, rows.height, step):
        strip = rows.strip(top, min(top + step, rows.height))
        part = (strip.convert("RGBa") if strip.mode == "RGBA" else strip).reduce(factor)
        if coarse is None:
            coarse = Image.new(part.mode, (part.width, -(-rows.height // factor)))
        coarse.paste(part, (0, top // factor))
    assert coarse is not None, "a picture has rows"
    return coarse

"""Reckons by its header what a picture costs to decode, and says if that is too much: one rule for the API's door and
for the decoder.

Limits count bytes of memory and seconds of CPU, not pixels: a JPEG is scaled while it is decoded, so that 200
megapixels cost it less memory than 50 cost a WebP. The figures are upper bounds of what was measured
(docs/decisions/0032-heic.md says how), rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from formats.header import Coding, PictureHeader

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CostLimits:
    """Limits of what decoding one picture may cost. memory_bytes_max: beyond the idle process. cpu_seconds_max: on a
    machine CPU_RESERVE times slower than the one that the figures were measured on."""

    memory_bytes_max: int = 1024 * MIB
    cpu_seconds_max: float = 20.0
    heif_cpu_seconds_max: float = 30.0


DEFAULT_LIMITS: Final = CostLimits()

# Besides the picture: the file itself (25 MB), the shrunk picture, a strip while it is hashed, the decoder's tables.
RESERVE_BYTES: Final = 128 * MIB
CPU_RESERVE: Final = 3.0

# A JPEG is decoded scaled by 2, 4 or 8, to at most 1.75 times the wanted edge; papers are wanted at up to 4,096 px.
_JPEG_SCALED_PIXELS_MAX: Final = 52_000_000
_PILLOW_BYTES: Final = 4  # of one pixel of more than one channel
_COEFFICIENT_BYTES: Final = 2

# Nanoseconds of CPU a pixel.
_CPU_NS: Final[dict[Coding, float]] = {
    "baseline": 12,
    "progressive": 25,
    "png": 40,
    "png_interlaced": 45,
    "webp": 40,
    "hevc": 90,  # measured with 10 bits
    "hevc_tiles": 45,
    "av1": 60,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Upper bounds of what decoding costs."""

    memory_bytes: int
    cpu_seconds: float


def cost_of(header: PictureHeader) -> Cost:
    """Return what decoding the picture costs at most."""
    return Cost(RESERVE_BYTES + round(_picture_bytes(header)), header.pixels * _CPU_NS[header.coding] / 1e9)


def too_costly(header: PictureHeader, limits: CostLimits = DEFAULT_LIMITS) -> str:
    """Return in words why the picture is too large to decode, or ""."""
    cost = cost_of(header)
    size = f"{header.width_px} x {header.height_px} px"
    if cost.memory_bytes > limits.memory_bytes_max:
        return (
            f"{size} would take {cost.memory_bytes // MIB} MiB of memory to open, and at most "
            f"{limits.memory_bytes_max // MIB} are given; send a smaller one"
        )
    hevc = header.coding in ("hevc", "hevc_tiles")
    if cost.cpu_seconds * CPU_RESERVE > (limits.heif_cpu_seconds_max if hevc else limits.cpu_seconds_max):
        return f"{size} would take too long to open; send a smaller one"
    return ""


def _picture_bytes(header: PictureHeader) -> float:
    pixels = header.pixels
    match header.coding:
        case "baseline":
            return _PILLOW_BYTES * min(pixels, _JPEG_SCALED_PIXELS_MAX)
        case "progressive":
            # All coefficients are held until the last scan has come.
            held = _COEFFICIENT_BYTES * header.samples_per_px * pixels
            return held + _PILLOW_BYTES * min(pixels, _JPEG_SCALED_PIXELS_MAX)
        case "png" | "png_interlaced":
            if header.samples_per_px == 1:  # a palette and 16 bits are converted
                return pixels * (11 if header.bits > 8 else 6)
            return pixels * _PILLOW_BYTES * (1 if header.samples_per_px == 3 else 2)
        case "webp":
            return pixels * 15
        case "hevc" | "hevc_tiles":
            # In one piece the decoder keeps the whole coded picture beside the converted one.
            plain = 8.0 if header.coding == "hevc" else 4.6
            return pixels * plain * (1 if header.samples_per_px == 3 else 1.7) * (2 if header.bits > 8 else 1)
        case "av1":
            return pixels * 14 * (2 if header.bits > 8 else 1)

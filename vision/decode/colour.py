"""Turns decoded pictures into 8-bit sRGB. Runs inside the decoding child only."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageCms

#: What Pillow's parsers raise on broken files, gathered from its sources and from fuzzing.
BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

# Columns of red, green and blue in XYZ under D50, adapted from D65 by Bradford's matrix (ICC.1:2022, annex E), by code
# point of ITU-T H.273, table 2. Every other code point is shown as sRGB, as browsers do.
_PRIMARIES: Final = {
    9: ((0.67349, 0.27904, -0.00193), (0.16567, 0.67533, 0.02998), (0.12504, 0.04561, 0.79685)),  # BT.2020
    11: ((0.48663, 0.22671, -0.00080), (0.31522, 0.68222, 0.04323), (0.16237, 0.09108, 0.78249)),  # DCI-P3, D65
    12: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),  # Display P3
}
_BT709: Final = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
_D50: Final = (0.9642, 1.0, 0.8249)
_PQ: Final = 16
_HLG: Final = 18
_CURVE_STEPS: Final = 1024
_WHITE_NITS: Final = 203  # of paper white in a PQ picture (ITU-R BT.2408)


def nclx_profile(primaries: int, transfer: int) -> bytes | None:
    """Return an ICC profile for colours that a HEIF file describes by numbers (ITU-T H.273); None where sRGB will do.

    Light above paper white of an HDR picture is cut off.
    """
    if primaries not in _PRIMARIES and transfer not in (_PQ, _HLG):
        return None
    columns = _PRIMARIES.get(primaries, _BT709)
    curve = _sampled(_pq if transfer == _PQ else _hlg if transfer == _HLG else _srgb_curve)
    tags = {b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI4s4s4s12s4s", 128 + len(rest), b"", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"", b"acsp")
    return head.ljust(68, b"\0") + _fixed(*_D50) + bytes(48) + rest


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65_536)) for value in values)


def _xyz(point: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*point)


def _sampled(curve: Callable[[float], float]) -> bytes:
    values = [round(65_535 * min(1.0, max(0.0, curve(step / (_CURVE_STEPS - 1))))) for step in range(_CURVE_STEPS)]
    return b"curv\0\0\0\0" + struct.pack(f">I{_CURVE_STEPS}H", _CURVE_STEPS, *values)


def _srgb_curve(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _pq(value: float) -> float:
    """SMPTE ST 2084, as a multiple of paper white."""
    power = value ** (1 / 78.84375)
    linear = max(0.0, power - 0.8359375) / (18.8515625 - 18.6875 * power)
    return float(10_000 / _WHITE_NITS * linear ** (1 / 0.1593017578125))


def _hlg(value: float) -> float:
    """ARIB STD-B67: scene light, so scaled that the signal of 75% is paper white (ITU-R BT.2408)."""
    light = value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return light / 0.265


def srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to 8-bit sRGB, transparency on white. An unusable profile is ignored, as viewers do."""
    flat = rgb(picture) if picture.mode == "RGBA" else picture
    if not profile:
        return rgb(flat)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[flat.mode]
        if source.profile.xcolor_space.strip() != space or "srgb" in (source.profile.profile_description or "").lower():
            return rgb(flat)
        transform = ImageCms.buildTransform(
            source, _SRGB, flat.mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        converted = ImageCms.applyTransform(flat, transform)
    except (ImageCms.PyCMSError, *BROKEN):
        return rgb(flat)
    return rgb(flat) if converted is None else converted


def eight_bits(picture: Image.Image) -> Image.Image:
    """Convert to one of L, RGB, RGBA, CMYK, at 8 bits a channel."""
    if picture.mode.startswith("I"):  # 16-bit grey: keep the high byte instead of clipping
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if "transparency" in picture.info or picture.mode in {"LA", "La", "PA", "RGBa", "RGBA"}:
        return picture.convert("RGBA")
    if picture.mode in {"L", "RGB", "CMYK"}:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def rgb(picture: Image.Image) -> Image.Image:
    """Convert one of L, RGB, RGBA, CMYK to RGB, transparency on white."""
    if picture.mode != "RGBA":
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    flat = Image.new("RGB", picture.size, (255, 255, 255))
    flat.paste(picture, mask=picture.getchannel("A"))
    return flat

"""The decoding child's input for the signs, validated like the rest of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.decode.exif import clean_text

MARKS_MAX = 24


@dataclass(frozen=True, slots=True, eq=False)
class FileReading:
    """Input of the signs from one file.

    marks: short texts of printable characters by name, as `vision.decode.marks.read_marks` lists them. strip: uint8 (h,
    w), the top of a baseline JPEG at full size, in grey; None if there is none. quantisation: its luminance table, 64
    steps of 1..255 in natural order; () without a strip. looked: marks were asked for.
    """

    marks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    strip: NDArray[np.uint8] | None = None
    quantisation: tuple[int, ...] = ()
    looked: bool = False


NOT_LOOKED = FileReading()


def read_marks_answer(plain: object) -> Mapping[str, str]:
    """Return the marks. Raises ValueError for anything but a few short texts by name."""
    if not isinstance(plain, dict) or len(plain) > MARKS_MAX:
        raise ValueError("no marks")
    return MappingProxyType({str(name)[:40]: clean_text(str(text)[:300]) for name, text in plain.items()})


def strip_shape(plain: Mapping[str, Any]) -> tuple[int, int, tuple[int, ...]]:
    """Return (height, width, quantisation). Raises ValueError, KeyError or TypeError for an unusable strip."""
    height, width = int(plain["height_px"]), int(plain["width_px"])
    steps = tuple(int(step) for step in plain["quantisation"])
    if not 8 <= height <= 4096 or not 8 <= width <= 100_000 or len(steps) != 64 or not all(0 < s < 256 for s in steps):
        raise ValueError("no strip")
    return height, width, steps

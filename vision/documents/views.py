"""Other looks at one picture that may read better: turned, or without red ink. Corners found on a view map back to the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from vision.documents.page import TextLine

Pixels = npt.NDArray[np.uint8]
Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class View:
    """`pixels` uint8 (h, w, 3); `quarter_turns` counter-clockwise from the picture as taken."""

    pixels: Pixels
    quarter_turns: int = 0


def turned(pixels: Pixels, quarter_turns: int) -> View:
    """The picture turned counter-clockwise by quarters."""
    return View(np.ascontiguousarray(np.rot90(pixels, quarter_turns)), quarter_turns % 4)


def back(corners: Corners, quarter_turns: int, width_px: float, height_px: float) -> Corners:
    """Corners on a turned view as corners on the picture as taken, whose size is given."""
    mappings: dict[int, Callable[[float, float], tuple[float, float]]] = {
        0: lambda x, y: (x, y),
        1: lambda x, y: (width_px - y, x),
        2: lambda x, y: (width_px - x, height_px - y),
        3: lambda x, y: (y, height_px - x),
    }
    to_picture = mappings[quarter_turns % 4]
    return cast(Corners, tuple(to_picture(x, y) for x, y in corners))


def upright_share(lines: Sequence[TextLine]) -> float:
    """Share (by characters) of lines of three characters or more that stand upright: near 1 on a page that lies on its side."""
    upright = total = 0
    for line in lines:
        if len(line.text) < 3:
            continue
        xs = [x for x, _ in line.corners]
        ys = [y for _, y in line.corners]
        total += len(line.text)
        if max(ys) - min(ys) > 1.5 * (max(xs) - min(xs)):
            upright += len(line.text)
    return upright / total if total else 0.0


def red_share(pixels: Pixels) -> float:
    """Share of pixels with red ink: clearly more red than green and blue."""
    sampled = pixels[::4, ::4].astype(np.int16)
    red, green, blue = sampled[..., 0], sampled[..., 1], sampled[..., 2]
    return float(np.mean((red - np.maximum(green, blue)) > 40))


def without_red(view: View) -> View:
    """Only the red channel: red ink is nearly as bright there as paper, black print stays black. Lifts a seal off the print below it."""
    red = view.pixels[..., :1]
    return View(np.ascontiguousarray(np.repeat(red, 3, axis=2)), view.quarter_turns)


def edge_width_px(pixels: Pixels) -> float:
    """About how many pixels the sharpest edges take from dark to light: 1 to 3 in focus, above 10 a smear.

    The range of brightness (1st to 99th percentile) over the steepest step (99.9th percentile of the difference of neighbours).
    """
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    spread = float(np.percentile(luma, 99) - np.percentile(luma, 1))
    across = np.abs(np.diff(luma, axis=1))
    step = max(float(np.percentile(across, 99.9)), float(np.percentile(np.abs(np.diff(luma, axis=0)), 99.9)))
    return spread / step if step > 0 else float("inf")

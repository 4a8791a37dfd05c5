"""Other looks at one picture that may read better: turned, or without red ink. Corners found on a view map back to
the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from vision.documents.page import TextLine

Pixels = npt.NDArray[np.uint8]
Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

# Brightness as a share of the paper's: print lies below the one, red ink in the red channel above the other.
_INK_BLACK = 0.2
_PAPER_WHITE = 0.8


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
    """Share (by characters) of lines of three characters or more that stand upright: near 1 on a page that lies on
    its side.
    """
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
    """Lifts a red seal off the print below it.

    In the red channel, red ink is nearly as bright as paper and black print stays black. Dividing by the paper's own
    brightness around takes out shadows, so that one cut between ink and seal serves the whole page.
    """
    red = Image.fromarray(np.ascontiguousarray(view.pixels[..., 0]))
    small = red.resize((max(1, red.width // 8), max(1, red.height // 8)), Image.Resampling.BOX)
    paper = small.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(4)).resize(red.size)
    share = np.asarray(red, dtype=np.float32) / np.maximum(np.asarray(paper, dtype=np.float32), 1.0)
    ink = np.clip((share - _INK_BLACK) / (_PAPER_WHITE - _INK_BLACK), 0.0, 1.0)
    grey = (ink * 255).astype(np.uint8)
    return View(np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2)), view.quarter_turns)


def edge_width_px(pixels: Pixels) -> float:
    """About how many pixels the sharpest edges take from dark to light: 2 to 7 in focus, from 9 on hardly readable.

    The range of brightness (1st to 99th percentile) over the steepest step (99.9th percentile of the difference of
    neighbours), both on means of 4 x 4 pixels, so that sensor noise does not pass for sharpness. Infinite on a page of
    one brightness.
    """
    block = 4
    height, width = (side // block * block for side in pixels.shape[:2])
    luma = pixels[:height, :width].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    luma = luma.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    spread = float(np.percentile(luma, 99) - np.percentile(luma, 1))
    step = max(float(np.percentile(np.abs(np.diff(luma, axis=axis)), 99.9)) for axis in (0, 1))
    return block * spread / step if step > 0 else float("inf")

"""Further views of one picture that may read better: turned, laid flat, levelled, or without red ink. Every view can
map its points back to the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from vision.documents.text.page import TextLine

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

# Brightness as a share of the paper's: print lies below the first, red ink in the red channel above the second.
_INK_BLACK = 0.2
_PAPER_WHITE = 0.8
_LONG_EDGE_PX = 1600
_ENLARGE_MAX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class PageView:
    """A view. `pixels`: uint8 (h, w, 3). `to_picture`: 3 x 3, maps a point (x, y, 1) of the view to pixels of the
    picture."""

    pixels: Pixels
    to_picture: Matrix

    def back(self, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        """Map points of the view, in pixels, to the picture."""
        mapped = self.to_picture @ np.array([[x, y, 1.0] for x, y in points]).T
        return tuple((float(x), float(y)) for x, y in (mapped[:2] / mapped[2]).T)


def whole(pixels: Pixels) -> PageView:
    """Return the picture as it is."""
    return PageView(pixels, np.eye(3))


def turned(view: PageView, quarter_turns: int) -> PageView:
    """Return the view turned counter-clockwise by quarters."""
    height, width = view.pixels.shape[:2]
    back = (
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, -1, width], [1, 0, 0], [0, 0, 1]],
        [[-1, 0, width], [0, -1, height], [0, 0, 1]],
        [[0, 1, 0], [-1, 0, height], [0, 0, 1]],
    )[quarter_turns % 4]
    pixels = np.ascontiguousarray(np.rot90(view.pixels, quarter_turns))
    return PageView(pixels, view.to_picture @ np.array(back, dtype=np.float64))


def flattened(view: PageView, corners: npt.NDArray[np.float32]) -> PageView:
    """Return the inside of four corners (float32 (4, 2), pixels of the view, clockwise) as a rectangle as wide and high
    as the mean of its opposite sides, enlarged at most twice to the size in which pages are read."""
    top, right, bottom, left = (float(np.linalg.norm(corners[(i + 1) % 4] - corners[i])) for i in range(4))
    wide, high = (top + bottom) / 2, (left + right) / 2
    scale = min(_ENLARGE_MAX, max(1.0, _LONG_EDGE_PX / max(wide, high)))
    width, height = max(1, round(scale * wide)), max(1, round(scale * high))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    onto = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    pixels = cv2.warpPerspective(view.pixels, onto, (width, height), flags=cv2.INTER_CUBIC)
    return PageView(cast(Pixels, pixels), view.to_picture @ np.linalg.inv(onto))


def levelled(view: PageView, degrees: float) -> PageView:
    """Return the view turned so that lines that fall by so many degrees (clockwise) become level; nothing is
    cut off."""
    height, width = view.pixels.shape[:2]
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    wide = math.ceil(width * abs(cosine) + height * abs(sine))
    high = math.ceil(width * abs(sine) + height * abs(cosine))
    # x' = cos x + sin y, y' = -sin x + cos y, about the centres.
    onto = np.array(
        [
            [cosine, sine, wide / 2 - cosine * width / 2 - sine * height / 2],
            [-sine, cosine, high / 2 + sine * width / 2 - cosine * height / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    pixels = cv2.warpAffine(view.pixels, onto[:2], (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return PageView(cast(Pixels, pixels), view.to_picture @ np.linalg.inv(onto))


def fall_degrees(lines: Sequence[TextLine]) -> float:
    """Return by how much lines of text fall (clockwise from level): the median, weighted by width, of lines at least
    six times as wide as high; 0 without any."""
    angles, widths = [], []
    for line in lines:
        (x0, y0), (x1, y1), _, (x3, y3) = line.corners
        width, height = math.hypot(x1 - x0, y1 - y0), math.hypot(x3 - x0, y3 - y0)
        if width >= 6 * height:
            angles.append(math.degrees(math.atan2(y1 - y0, x1 - x0)))
            widths.append(width)
    if not angles:
        return 0.0
    order = np.argsort(angles)
    reached = np.cumsum(np.array(widths)[order]) >= sum(widths) / 2
    return float(np.array(angles)[order][int(np.argmax(reached))])


def upright_share(lines: Sequence[TextLine]) -> float:
    """Return the share (by characters) of lines of three or more characters that stand upright: near 1 on a page lying
    on its side."""
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
    """Return the share of pixels with red ink: clearly more red than green and blue."""
    sampled = pixels[::4, ::4].astype(np.int16)
    red, green, blue = sampled[..., 0], sampled[..., 1], sampled[..., 2]
    return float(np.mean((red - np.maximum(green, blue)) > 40))


def without_red(view: PageView) -> PageView:
    """Remove a red seal from the print below it.

    In the red channel, red ink is nearly as bright as paper and black print stays black. Dividing by the brightness of
    the surrounding paper removes shadows, so that one threshold between ink and seal works for the whole page.
    """
    red = Image.fromarray(np.ascontiguousarray(view.pixels[..., 0]))
    small = red.resize((max(1, red.width // 8), max(1, red.height // 8)), Image.Resampling.BOX)
    paper = small.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(4)).resize(red.size)
    share = np.asarray(red, dtype=np.float32) / np.maximum(np.asarray(paper, dtype=np.float32), 1.0)
    ink = np.clip((share - _INK_BLACK) / (_PAPER_WHITE - _INK_BLACK), 0.0, 1.0)
    grey = (ink * 255).astype(np.uint8)
    return replace(view, pixels=np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2)))


def edge_width_px(pixels: Pixels) -> float:
    """Estimate how many pixels the sharpest edges take from dark to light: 2 to 7 in focus, from 9 on hardly readable.

    The range of brightness (1st to 99th percentile) divided by the steepest step (99.9th percentile of the difference
    of neighbours), both on means of 4 x 4 pixels, so that sensor noise does not pass for sharpness. Infinite on a page
    of one brightness.
    """
    block = 4
    height, width = (side // block * block for side in pixels.shape[:2])
    luma = pixels[:height, :width].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    luma = luma.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    spread = float(np.percentile(luma, 99) - np.percentile(luma, 1))
    step = max(float(np.percentile(np.abs(np.diff(luma, axis=axis)), 99.9)) for axis in (0, 1))
    return block * spread / step if step > 0 else float("inf")

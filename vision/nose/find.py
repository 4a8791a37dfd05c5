"""Finds the nose: a mask of the rhinarium and the two nostrils, by a small head on the frozen trunk (card
`nose_print`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.trunk import SIZE_PX, Letterbox, Trunk, letterbox

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

CELLS = SIZE_PX // 8
CELL_PX = 8
_LAYERS = ("mix", "middle", "last", "out")


@dataclass(frozen=True, slots=True)
class NoseFound:
    """A nose in a picture. Points are x, y in pixels of the picture; `left` is left in the picture.

    mask: float32 (32, 32), probability of rhinarium in each cell of the letterboxed square. confidence: 0..1, the
    weaker of the two nostrils' peaks. width_px: extent of the mask along the line through the nostrils.
    """

    left_nostril: tuple[float, float]
    right_nostril: tuple[float, float]
    width_px: float
    confidence: float
    area_ratio: float  # share of the square
    mask: Floats
    box: Letterbox

    def mask_in(self, matrix: Floats, size_px: int) -> Floats:
        """Return the mask warped into a frame whose `matrix` (2, 3) maps picture pixels to frame pixels; float32
        (size_px, size_px), 0..1."""
        cell = CELL_PX / self.box.scale
        # Cell centres in picture pixels: ((i + 0.5) * 8 - left) / scale.
        to_picture = np.array(
            [
                [cell, 0, (CELL_PX / 2 - self.box.left) / self.box.scale],
                [0, cell, (CELL_PX / 2 - self.box.top) / self.box.scale],
                [0, 0, 1],
            ],
            np.float64,
        )
        chain = np.vstack([matrix, [0, 0, 1]]).astype(np.float64) @ to_picture
        return np.asarray(cv2.warpAffine(self.mask, chain[:2], (size_px, size_px), flags=cv2.INTER_LINEAR), np.float32)


class NoseFinder:
    """Finds noses. Thread-safe. `weights`: name.weight (out, in, k, k) and name.bias for the layers mix, middle, last
    and out."""

    def __init__(self, trunk: Trunk, weights: Mapping[str, Floats]) -> None:
        self._trunk = trunk
        self._layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in _LAYERS]

    def find(self, pixels: Pixels) -> NoseFound | None:
        """Return the nose in a picture, uint8 (h, w, 3) sRGB; None if no place looks like one."""
        square, box = letterbox(pixels)
        maps = self.maps(square)
        mask, left_map, right_map = maps
        left, left_peak = _peak(left_map)
        right, right_peak = _peak(right_map)
        if right[0] <= left[0]:
            return None
        mask = _component(mask, ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2))
        area = float((mask > 0.5).mean())
        if area == 0:
            return None
        across = np.asarray(right) - np.asarray(left)
        across = across / np.linalg.norm(across)
        rows, columns = np.nonzero(mask > 0.5)
        along = columns * across[0] + rows * across[1]
        # Cells are wide: the border is where the mask falls below one half, computed from the soft sum of one row.
        width_cells = float(np.percentile(along, 99) - np.percentile(along, 1) + 1)
        points = [((x + 0.5) * CELL_PX, (y + 0.5) * CELL_PX) for x, y in (left, right)]
        left_px, right_px = (((x - box.left) / box.scale, (y - box.top) / box.scale) for x, y in points)
        return NoseFound(
            left_nostril=left_px,
            right_nostril=right_px,
            width_px=width_cells * CELL_PX / box.scale,
            confidence=min(left_peak, right_peak),
            area_ratio=area,
            mask=mask,
            box=box,
        )

    def maps(self, square: Pixels) -> Floats:
        """Return probabilities of rhinarium, left nostril, right nostril: uint8 (256, 256, 3) -> float32 (3,
        32, 32)."""
        fine, coarse = self._trunk.features(square[None])
        value = stack(fine, coarse)[0]
        for index, (weight, bias) in enumerate(self._layers):
            value = _convolve(value, weight, bias)
            if index < len(self._layers) - 1:
                value = np.maximum(value, 0)
        return np.asarray(1 / (1 + np.exp(-np.clip(value, -40, 40))), np.float32)


def stack(fine: Floats, coarse: Floats) -> Floats:
    """Put both outputs of the trunk on the fine grid: (n, 40, 32, 32), (n, 112, 16, 16) -> (n, 152, 32, 32), divided by
    4 to be of order one."""
    grown = np.stack(
        [cv2.resize(item.transpose(1, 2, 0), (CELLS, CELLS), interpolation=cv2.INTER_LINEAR) for item in coarse]
    )
    return np.asarray(np.concatenate([fine, grown.transpose(0, 3, 1, 2)], 1) / 4, np.float32)


def _component(mask: Floats, middle: tuple[float, float]) -> Floats:
    """Keep only the patch of the mask between the nostrils (x, y, in cells); patches elsewhere are no nose."""
    count, labels = cv2.connectedComponents((mask > 0.5).astype(np.uint8))
    if count == 1:
        return np.zeros_like(mask)
    rows, columns = np.nonzero(labels)
    nearest = int(np.hypot(columns - middle[0], rows - middle[1]).argmin())
    own = labels == labels[rows[nearest], columns[nearest]]
    # Half-sure cells around the patch belong to its soft edge.
    return np.asarray(mask * cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)), np.float32)


def _convolve(value: Floats, weight: Floats, bias: Floats) -> Floats:
    """Convolve with `same` padding, (c, h, w) with (o, c, k, k) -> (o, h, w); k is 1 or 3."""
    out, _, kernel, _ = weight.shape
    height, width = value.shape[1:]
    reach = kernel // 2
    padded = np.pad(value, ((0, 0), (reach, reach), (reach, reach)))
    total = np.repeat(bias[:, None], height * width, 1)
    for dy in range(kernel):
        for dx in range(kernel):
            patch = padded[:, dy : dy + height, dx : dx + width].reshape(value.shape[0], -1)
            total = total + weight[:, :, dy, dx] @ patch
    return np.asarray(total.reshape(out, height, width), np.float32)


def _peak(heat: Floats) -> tuple[tuple[float, float], float]:
    """Return sub-cell place (x, y, in cells) and height of the strongest peak: centre of mass of the 5 x 5 cells around
    it."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    top, left = max(0, row - 2), max(0, column - 2)
    window = heat[top : row + 3, left : column + 3].astype(np.float64)
    ys, xs = np.mgrid[0 : window.shape[0], 0 : window.shape[1]]
    total = window.sum()
    return (left + float((xs * window).sum() / total), top + float((ys * window).sum() / total)), float(
        heat[row, column]
    )

"""Baselines of the nose finder: the mean place and size of a nose, and the finder that was trained on renders
alone (card `nose_print`, a head on the frozen trunk `nose_trunk`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from models import onnx_build
from vision.nose.find import Box, Letterbox, NoseFound

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

SIZE_PX = onnx_build.TRUNK_SIZE_PX
CELL_PX = 8
CELLS = SIZE_PX // CELL_PX
_LAYERS = ("mix", "middle", "last", "out")
_MEAN, _STD = 0.498, 0.502


def letterbox(pixels: Pixels, size_px: int = SIZE_PX) -> tuple[Pixels, Letterbox]:
    """Put the whole picture into a grey square, aspect ratio kept. uint8 (h, w, 3) -> uint8 (size_px, size_px, 3)."""
    height, width = pixels.shape[:2]
    scale = size_px / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.full((size_px, size_px, 3), 127, np.uint8)
    left, top = (size_px - new_width) // 2, (size_px - new_height) // 2
    square[top : top + new_height, left : left + new_width] = small
    return square, Letterbox(scale, float(left), float(top))


class FrozenTrunk:
    """The first blocks of EfficientNet-Lite0 as ImageNet left them. Thread-safe."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(onnx_build.ensure(onnx_build.NOSE_TRUNK)), options, providers=["CPUExecutionProvider"]
        )

    def features(self, squares: Pixels) -> tuple[Floats, Floats]:
        """Return the features: uint8 (n, 256, 256, 3) -> fine float32 (n, 40, 32, 32), coarse float32 (n, 112,
        16, 16)."""
        batch = (squares.astype(np.float32) / 255 - _MEAN) / _STD
        fine, coarse = self._session.run(
            ["fine", "coarse"], {"pixels": np.ascontiguousarray(batch.transpose(0, 3, 1, 2))}
        )
        return np.asarray(fine, np.float32), np.asarray(coarse, np.float32)


class RenderedNoseFinder:
    """The finder trained on renders: maps of rhinarium and nostrils over the whole photo at 256 px."""

    def __init__(self, trunk: FrozenTrunk, weights: Mapping[str, Floats]) -> None:
        self._trunk = trunk
        self._layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in _LAYERS]

    def find(self, pixels: Pixels) -> NoseFound | None:
        """Return the nose in a picture, uint8 (h, w, 3) sRGB; None if no place looks like one."""
        square, box = letterbox(pixels)
        mask, left_map, right_map = self._maps(square)
        left, left_peak = _peak(left_map)
        right, right_peak = _peak(right_map)
        if right[0] <= left[0]:
            return None
        mask = _component(mask, ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2))
        if not (mask > 0.5).any():
            return None
        rows, columns = np.nonzero(mask > 0.5)
        corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * CELL_PX
        x0, y0, x1, y1 = ((corners - [box.left, box.top] * 2) / box.scale).tolist()
        points = [
            (((x + 0.5) * CELL_PX - box.left) / box.scale, ((y + 0.5) * CELL_PX - box.top) / box.scale)
            for x, y in (left, right)
        ]
        return NoseFound(
            left_nostril=points[0],
            right_nostril=points[1],
            width_px=x1 - x0,
            confidence=min(left_peak, right_peak),
            area_ratio=float((mask > 0.5).mean()),
            mask=mask,
            box=box,
            bounds=(x0, y0, x1, y1),
        )

    def _maps(self, square: Pixels) -> Floats:
        fine, coarse = self._trunk.features(square[None])
        value = stack(fine, coarse)[0]
        for index, (weight, bias) in enumerate(self._layers):
            value = _convolve(value, weight, bias)
            if index < len(self._layers) - 1:
                value = np.maximum(value, 0)
        return np.asarray(1 / (1 + np.exp(-np.clip(value, -40, 40))), np.float32)


@dataclass(frozen=True, slots=True)
class MeanNose:
    """Says that every nose lies where noses lie on average."""

    box: Box  # shares of the picture's width and height

    @classmethod
    def of(cls, photos: Sequence[tuple[Box, tuple[int, int]]]) -> MeanNose:
        """Average over boxes in pixels with the width and height of their photos."""
        shares = [np.asarray(box) / [width, height, width, height] for box, (width, height) in photos]
        x0, y0, x1, y1 = np.mean(shares, axis=0).tolist()
        return cls((x0, y0, x1, y1))

    def find(self, pixels: Pixels) -> NoseFound:
        """Return that nose, with nostrils where they lie on average."""
        height, width = pixels.shape[:2]
        x0, y0, x1, y1 = (np.asarray(self.box) * [width, height, width, height]).tolist()
        across, row = x1 - x0, (y0 + y1) / 2
        return NoseFound(
            left_nostril=(x0 + 0.28 * across, row),
            right_nostril=(x1 - 0.28 * across, row),
            width_px=across,
            confidence=1.0,
            area_ratio=across * (y1 - y0) / (width * height),
            mask=np.zeros((1, 1), np.float32),
            box=Letterbox(1.0, 0.0, 0.0),
            bounds=(x0, y0, x1, y1),
        )


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

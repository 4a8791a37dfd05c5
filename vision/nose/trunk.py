"""The convolutional trunk shared by finding and describing: card `nose_trunk`, run by onnxruntime (`models.onnx_build`
builds the file)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from models import onnx_build

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

SIZE_PX = onnx_build.TRUNK_SIZE_PX
_MEAN, _STD = 0.498, 0.502


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Placement of a picture in a square: `square = picture * scale + (left, top)`."""

    scale: float
    left: float
    top: float


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


class Trunk:
    """The network. Thread-safe. `threads`: onnxruntime's own. Raises ModelMissing or ModelCorrupt for a missing or
    broken file."""

    def __init__(self, path: Path | None = None, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path or onnx_build.ensure(onnx_build.NOSE_TRUNK)), options, providers=["CPUExecutionProvider"]
        )

    def features(self, squares: Pixels) -> tuple[Floats, Floats]:
        """Return the features: uint8 (n, 256, 256, 3) -> fine float32 (n, 40, 32, 32), coarse float32 (n, 112,
        16, 16)."""
        if squares.ndim != 4 or squares.shape[1:] != (SIZE_PX, SIZE_PX, 3):
            raise ValueError(f"squares must have shape (n, {SIZE_PX}, {SIZE_PX}, 3), got {squares.shape}")
        batch = (squares.astype(np.float32) / 255 - _MEAN) / _STD
        fine, coarse = self._session.run(
            ["fine", "coarse"], {"pixels": np.ascontiguousarray(batch.transpose(0, 3, 1, 2))}
        )
        return np.asarray(fine, np.float32), np.asarray(coarse, np.float32)

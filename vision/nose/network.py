"""The network that finds noses: card `nose_network`, run by onnxruntime (`models.onnx_build` builds the file)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from models import onnx_build

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

STRIDE_PX: Final = 16  # sides of what the network looks at are multiples of it
COARSE_PX, FINE_PX = 8, 4  # cells of its two outputs
_MEAN, _STD = 0.498, 0.502


class FinderNetwork:
    """The network. Thread-safe. `threads`: onnxruntime's own. Raises ModelMissing or ModelCorrupt for a missing or
    broken file."""

    def __init__(self, path: Path | None = None, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path or onnx_build.ensure(onnx_build.NOSE_NETWORK)), options, providers=["CPUExecutionProvider"]
        )

    def maps(self, squares: Pixels) -> tuple[Floats, Floats]:
        """Return what the network sees: uint8 (n, h, w, 3), h and w multiples of 16 -> coarse float32 (n, 10, h / 8,
        w / 8), fine float32 (n, 3, h / 4, w / 4).

        coarse: logits of a dog's, a cat's and another animal's nose centred there; offset x, y of the centre from the
        cell's, in cells; log of width and height over 16 px; logits of frontal, three-quarter and profile. fine:
        logits of rhinarium, left and right nostril.
        """
        if squares.ndim != 4 or squares.shape[3] != 3 or squares.shape[1] % STRIDE_PX or squares.shape[2] % STRIDE_PX:
            raise ValueError(f"squares must have shape (n, 16 a, 16 b, 3), got {squares.shape}")
        batch = (squares.astype(np.float32) / 255 - _MEAN) / _STD
        coarse, fine = self._session.run(
            ["coarse", "fine"], {"pixels": np.ascontiguousarray(batch.transpose(0, 3, 1, 2))}
        )
        return np.asarray(coarse, np.float32), np.asarray(fine, np.float32)

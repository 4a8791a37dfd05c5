"""Meta's SSCD as a peer of `miaopei bench photos`, from a TorchScript or from an ONNX graph that somebody exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

from models.errors import ModelCorrupt
from models.registry import sha256_of
from vision.copies.descriptor import normalise
from vision.copies.sscd import OUTPUTS, SscdNetwork, resized


class Sscd(Protocol):
    """A network of SSCD's shape. sha256: of its file."""

    sha256: str

    def outputs(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]: ...


class SscdGraph:
    """SSCD as an ONNX graph that takes uint8 (n, h, w, 3) and gives (n, 512). Raises ModelCorrupt for another graph."""

    def __init__(self, path: Path) -> None:
        self.sha256 = sha256_of(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except (Fail, InvalidGraph, InvalidProtobuf) as error:
            raise ModelCorrupt(f"{path} is no ONNX graph: {str(error)[:200]}") from error
        taken, given = self._session.get_inputs(), self._session.get_outputs()
        if len(taken) != 1 or taken[0].type != "tensor(uint8)" or given[0].shape[-1] != OUTPUTS:
            raise ModelCorrupt(f"{path} does not take uint8 pictures and give {OUTPUTS} numbers, as SSCD's graph does")
        self._input = taken[0].name

    def outputs(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Returns float32 (n, 512), each row of length 1. pictures: uint8 (h, w, 3) sRGB each, any sizes."""
        rows = [self._session.run(None, {self._input: resized(picture)[None]})[0][0] for picture in pictures]
        return normalise(np.stack(rows).astype(np.float32))


def sscd_of(path: Path) -> Sscd:
    """Returns the network in that file, by its name's ending. Raises ModelMissing or ModelCorrupt."""
    return SscdGraph(path) if path.suffix == ".onnx" else SscdNetwork(path)

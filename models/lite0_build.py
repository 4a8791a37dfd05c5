"""Builds `models/onnx/lite0_features.onnx`, which onnxruntime runs about four times faster than torch does, and
without torch's memory.

    python -m models.lite0_build

The graph is EfficientNet-Lite0 up to its last feature map with the batch norms folded into the convolutions, then
generalised-mean pooling (GeM, p = 3; Radenovic et al., 2019). Input `pixels`: float32 (n, 3, 224, 224), normalised
as in the card. Output `pooled`: float32 (n, 1280).

The file is written with the few parts of the ONNX protobuf format that it needs (github.com/onnx/onnx, onnx.proto),
because the `onnx` package is no dependency. Folding is done in float64, so the bytes do not depend on the machine,
and the card lite0_features can state their SHA-256.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelMissing
from models.registry import card, weights_path

NAME = "lite0_features"
SOURCE = "efficientnet_lite0"
GEM_P = 3.0
SIZE_PX = 224
_OPSET = 13
_IR_VERSION = 8
_BUILD_SECONDS_MAX = 300


def ensure() -> Path:
    """The verified ONNX file, built first where it is missing (in a child process, so that torch leaves no memory
    behind).

    Raises ModelMissing, with the builder's last words, when it cannot be built; ModelCorrupt when its digest is not
    the card's.
    """
    try:
        return weights_path(NAME)
    except ModelMissing:
        pass
    done = subprocess.run(
        [sys.executable, "-m", "models.lite0_build"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelMissing(f"model {NAME} could not be built: {last_line}. To try again: python -m models.lite0_build")
    return weights_path(NAME)


def build(path: Path) -> None:
    """Writes the graph to `path` in one move. Raises ModelMissing or ModelCorrupt for the source weights, OSError
    for the folder."""
    content = _model_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".building-", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _model_bytes() -> bytes:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_path(SOURCE), map_location="cpu", weights_only=True))
    network.eval()

    graph = _Graph()
    value = graph.convolution("pixels", network._conv_stem, network._bn0, relu6=True)
    for block in network._blocks:
        start = value
        if hasattr(block, "_expand_conv"):
            value = graph.convolution(value, block._expand_conv, block._bn0, relu6=True)
        value = graph.convolution(value, block._depthwise_conv, block._bn1, relu6=True)
        value = graph.convolution(value, block._project_conv, block._bn2, relu6=False)
        if block.id_skip and block._block_args.stride in (1, [1]) and _same_channels(block):
            value = graph.node("Add", [value, start])
    value = graph.convolution(value, network._conv_head, network._bn1, relu6=True)
    value = graph.node("Clip", [value, graph.constant(1e-6), graph.constant(6.0)])
    value = graph.node("Pow", [value, graph.constant(GEM_P)])
    value = graph.node("GlobalAveragePool", [value])
    value = graph.node("Flatten", [value])
    graph.node("Pow", [value, graph.constant(1.0 / GEM_P)], output="pooled")
    return graph.model("pixels", (3, SIZE_PX, SIZE_PX), "pooled", (1280,))


def _same_channels(block: Any) -> bool:
    return bool(block._block_args.input_filters == block._block_args.output_filters)


class _Graph:
    """Collects nodes and initialisers as encoded protobuf fields."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._initializers: list[bytes] = []
        self._count = 0

    def node(self, op: str, inputs: Sequence[str], attributes: Sequence[bytes] = (), output: str = "") -> str:
        name = output or self._next("v")
        fields = [_bytes(1, item.encode()) for item in inputs]
        fields += [_bytes(2, name.encode()), _bytes(4, op.encode())]
        fields += [_bytes(5, attribute) for attribute in attributes]
        self._nodes.append(b"".join(fields))
        return name

    def constant(self, value: float) -> str:
        return self.tensor(np.array(value, dtype=np.float32))

    def tensor(self, array: NDArray[np.float32]) -> str:
        name = self._next("w")
        fields = [_int(1, size) for size in array.shape]
        fields += [_int(2, 1), _bytes(8, name.encode()), _bytes(9, array.astype("<f4").tobytes())]
        self._initializers.append(b"".join(fields))
        return name

    def convolution(self, value: str, conv: Any, norm: Any, *, relu6: bool) -> str:
        """Convolution with its batch norm folded in; TensorFlow's uneven `same` padding is read off the torch
        module."""
        weight = conv.weight.detach().numpy().astype(np.float64)
        scale = norm.weight.detach().numpy().astype(np.float64) / np.sqrt(
            norm.running_var.numpy().astype(np.float64) + norm.eps
        )
        bias = norm.bias.detach().numpy().astype(np.float64) - norm.running_mean.numpy().astype(np.float64) * scale
        folded = weight * scale[:, None, None, None]
        left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
        attributes = [
            _ints_attribute("kernel_shape", folded.shape[2:]),
            _ints_attribute("strides", conv.stride),
            _ints_attribute("pads", (top, left, bottom, right)),
            _int_attribute("group", conv.groups),
        ]
        inputs = [value, self.tensor(folded.astype(np.float32)), self.tensor(bias.astype(np.float32))]
        result = self.node("Conv", inputs, attributes)
        return self.node("Clip", [result, self.constant(0.0), self.constant(6.0)]) if relu6 else result

    def model(
        self, input_name: str, input_shape: Sequence[int], output_name: str, output_shape: Sequence[int]
    ) -> bytes:
        graph = b"".join(
            [_bytes(1, node) for node in self._nodes]
            + [_bytes(2, NAME.encode())]
            + [_bytes(5, tensor) for tensor in self._initializers]
            + [_bytes(11, _value_info(input_name, input_shape)), _bytes(12, _value_info(output_name, output_shape))]
        )
        return b"".join(
            [_int(1, _IR_VERSION), _bytes(2, b"miaopei"), _bytes(7, graph), _bytes(8, _bytes(1, b"") + _int(2, _OPSET))]
        )

    def _next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _int_attribute(name: str, value: int) -> bytes:
    return _bytes(1, name.encode()) + _int(3, int(value)) + _int(20, 2)


def _ints_attribute(name: str, values: Sequence[int]) -> bytes:
    return _bytes(1, name.encode()) + b"".join(_int(8, int(value)) for value in values) + _int(20, 7)


def _value_info(name: str, shape: Sequence[int]) -> bytes:
    """A float tensor whose first dimension, the batch, is free."""
    dimensions = _bytes(1, _bytes(2, b"n")) + b"".join(_bytes(1, _int(1, size)) for size in shape)
    tensor_type = _int(1, 1) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor_type))


def main() -> None:
    entry = card(NAME).files["weights"]
    build(card(NAME).root / entry.path)
    weights_path(NAME)
    sys.stdout.write(f"built {entry.path}\n")


if __name__ == "__main__":
    main()

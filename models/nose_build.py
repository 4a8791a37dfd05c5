"""Builds `models/onnx/nose_trunk.onnx`: the first eleven blocks of EfficientNet-Lite0, which the nose reader runs
on photos and on aligned noses.

    python -m models.nose_build
 Input `pixels`: float32 (n, 3, 256, 256), normalised as in the card. Outputs: `fine`, float32 (n, 40, 32, 32),
after block 5 (stride 8), and `coarse`, float32 (n, 112, 16, 16), after block 11 (stride 16). Deeper blocks describe
objects rather than textures and are left out. Written as models.lite0_build writes its graph.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from models.errors import ModelMissing
from models.lite0_build import SOURCE, _bytes, _Graph, _int, _value_info
from models.registry import card, weights_path

NAME = "nose_trunk"
SIZE_PX = 256
FINE_BLOCK, COARSE_BLOCK = 4, 10  # counted from 0
_BUILD_SECONDS_MAX = 300


def ensure() -> Path:
    """The verified ONNX file, built first in a child process where it is missing.

    Raises ModelMissing, with the builder's last words, when it cannot be built; ModelCorrupt when its digest is not
    the card's.
    """
    try:
        return weights_path(NAME)
    except ModelMissing:
        pass
    done = subprocess.run(
        [sys.executable, "-m", "models.nose_build"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelMissing(f"model {NAME} could not be built: {last_line}. To try again: python -m models.nose_build")
    return weights_path(NAME)


def build(path: Path) -> None:
    """Writes the graph to `path` in one move. Raises ModelMissing or ModelCorrupt for the source weights, OSError
    for the folder.
    """
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
    for index, block in enumerate(network._blocks[: COARSE_BLOCK + 1]):
        start = value
        if hasattr(block, "_expand_conv"):
            value = graph.convolution(value, block._expand_conv, block._bn0, relu6=True)
        value = graph.convolution(value, block._depthwise_conv, block._bn1, relu6=True)
        value = graph.convolution(value, block._project_conv, block._bn2, relu6=False)
        if block.id_skip and block._block_args.stride in (1, [1]) and _same_channels(block):
            value = graph.node("Add", [value, start])
        if index == FINE_BLOCK:
            graph.node("Identity", [value], output="fine")
    graph.node("Identity", [value], output="coarse")
    # Two outputs, where models.lite0_build has one: the graph is put together here.
    body = b"".join(
        [_bytes(1, node) for node in graph._nodes]
        + [_bytes(2, NAME.encode())]
        + [_bytes(5, tensor) for tensor in graph._initializers]
        + [_bytes(11, _value_info("pixels", (3, SIZE_PX, SIZE_PX)))]
        + [_bytes(12, _value_info("fine", (40, SIZE_PX // 8, SIZE_PX // 8)))]
        + [_bytes(12, _value_info("coarse", (112, SIZE_PX // 16, SIZE_PX // 16)))]
    )
    return b"".join([_int(1, 8), _bytes(2, b"miaopei"), _bytes(7, body), _bytes(8, _bytes(1, b"") + _int(2, 13))])


def _same_channels(block: Any) -> bool:
    return bool(block._block_args.input_filters == block._block_args.output_filters)


def main() -> None:
    entry = card(NAME).files["weights"]
    build(card(NAME).root / entry.path)
    weights_path(NAME)
    sys.stdout.write(f"built {entry.path}\n")


if __name__ == "__main__":
    main()

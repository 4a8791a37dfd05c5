"""SSCD as a peer of the bench: an ONNX graph of its shape is taken, others are refused with words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skimage import data

from benchmarks.photos_sscd import sscd_of
from models.errors import ModelCorrupt


def write_graph(path: Path, outputs: int, kind: int = TensorProto.UINT8) -> Path:
    """Writes a graph that gives the mean colour, repeated, in so many numbers."""
    taken = helper.make_tensor_value_info("image", kind, ["batch", "height", "width", 3])
    given = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", outputs])
    tile = helper.make_tensor("times", TensorProto.INT64, [2], [1, outputs // 3 + 1])
    ends = [
        helper.make_tensor(name, TensorProto.INT64, [1], [n]) for name, n in (("from", 0), ("to", outputs), ("axis", 1))
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["value"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["value"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Tile", ["mean", "times"], ["tiled"]),
        helper.make_node("Slice", ["tiled", "from", "to", "axis"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "tiny", [taken], [given], [tile, *ends])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def test_a_graph_of_its_shape_is_taken(tmp_path: Path) -> None:
    network = sscd_of(write_graph(tmp_path / "tiny.onnx", 512))
    rows = network.outputs([data.coffee(), data.chelsea()])
    assert rows.shape == (2, 512)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert len(network.sha256) == 64


@pytest.mark.parametrize(("outputs", "kind"), [(300, TensorProto.UINT8), (512, TensorProto.FLOAT)])
def test_another_graph_is_refused_with_words(tmp_path: Path, outputs: int, kind: int) -> None:
    path = write_graph(tmp_path / "other.onnx", outputs, kind)
    with pytest.raises(ModelCorrupt, match="512 numbers"):
        sscd_of(path)


def test_a_file_that_is_no_graph_is_refused_with_words(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelCorrupt, match="no ONNX graph"):
        sscd_of(path)

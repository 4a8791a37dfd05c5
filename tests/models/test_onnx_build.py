"""The ONNX graphs against the torch model they come from."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import load_file

from models import onnx_build
from models.registry import weights_path
from models.train.nose_network import NoseNetwork


def test_the_onnx_graph_gives_what_torch_gives() -> None:
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_path(onnx_build.SOURCE), map_location="cpu", weights_only=True))
    network.eval()
    pixels = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        features = network.extract_features(torch.from_numpy(pixels)).clamp(1e-6)
        expected = features.pow(3).mean((2, 3)).pow(1 / 3).numpy()
    session = onnxruntime.InferenceSession(
        str(onnx_build.ensure(onnx_build.LITE0_FEATURES)), providers=["CPUExecutionProvider"]
    )
    output = session.run(["pooled"], {"pixels": pixels})[0]
    np.testing.assert_allclose(output, expected, atol=1e-4)


def test_the_nose_trunk_gives_the_blocks_of_the_torch_network() -> None:
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_path(onnx_build.SOURCE), map_location="cpu", weights_only=True))
    network.eval()
    pixels = np.random.default_rng(1).normal(size=(1, 3, 256, 256)).astype(np.float32)
    expected = {}
    with torch.inference_mode():
        value = torch.nn.functional.relu6(network._bn0(network._conv_stem(torch.from_numpy(pixels))))
        for index, block in enumerate(network._blocks[: onnx_build.COARSE_BLOCK + 1]):
            value = block(value)
            if index == onnx_build.FINE_BLOCK:
                expected["fine"] = value.numpy()
        expected["coarse"] = value.numpy()
    session = onnxruntime.InferenceSession(
        str(onnx_build.ensure(onnx_build.NOSE_TRUNK)), providers=["CPUExecutionProvider"]
    )
    for name, output in zip(("fine", "coarse"), session.run(["fine", "coarse"], {"pixels": pixels}), strict=True):
        np.testing.assert_allclose(output, expected[name], atol=1e-3)


def test_the_classifier_gives_what_torch_gives_and_names_its_classes() -> None:
    network = onnx_build.lite0()
    pixels = np.random.default_rng(2).normal(size=(2, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        expected = torch.softmax(network(torch.from_numpy(pixels)), dim=1).numpy()
    session = onnxruntime.InferenceSession(
        str(onnx_build.ensure(onnx_build.LITE0_CLASSES)), providers=["CPUExecutionProvider"]
    )
    output = session.run(["probabilities"], {"pixels": pixels})[0]
    np.testing.assert_allclose(output, expected, atol=1e-5)
    names = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert (len(names), names[251], names[949]) == (1000, "dalmatian", "strawberry")


def test_the_nose_network_gives_what_the_trained_torch_network_gives() -> None:
    network = NoseNetwork().eval()
    network.take(load_file(weights_path(onnx_build.NOSE_FINDER)))
    pixels = np.random.default_rng(3).normal(size=(2, 3, 96, 160)).astype(np.float32)
    with torch.inference_mode():
        expected = [value.numpy() for value in network(torch.from_numpy(pixels))]
    session = onnxruntime.InferenceSession(
        str(onnx_build.ensure(onnx_build.NOSE_NETWORK)), providers=["CPUExecutionProvider"]
    )
    for output, value in zip(session.run(["coarse", "fine"], {"pixels": pixels}), expected, strict=True):
        assert output.shape == value.shape
        np.testing.assert_allclose(output, value, atol=2e-3)


def test_weights_of_another_network_are_no_nose_finder() -> None:
    with pytest.raises(ValueError, match="not those of a nose finder"):
        NoseNetwork().take({"strange.weight": np.zeros((1, 1), np.float16)})

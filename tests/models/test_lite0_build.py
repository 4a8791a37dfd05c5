"""The ONNX graph that we write ourselves against the torch model it comes from."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from efficientnet_lite_pytorch import EfficientNet

from models import lite0_build
from models.registry import weights_path


def test_the_onnx_graph_gives_what_torch_gives() -> None:
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_path(lite0_build.SOURCE), map_location="cpu", weights_only=True))
    network.eval()
    pixels = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        features = network.extract_features(torch.from_numpy(pixels)).clamp(1e-6)
        expected = features.pow(3).mean((2, 3)).pow(1 / 3).numpy()
    session = onnxruntime.InferenceSession(str(lite0_build.ensure()), providers=["CPUExecutionProvider"])
    found = session.run(["pooled"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)

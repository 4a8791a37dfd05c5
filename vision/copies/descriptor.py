"""The learnt descriptor of a photo: a fine-tuned EfficientNet-Lite0, GeM pooling, a linear layer to 256 numbers,
L2-normalised.

Runs on onnxruntime; nothing here imports torch. After Pizzi et al., A self-supervised descriptor for image copy
detection (SSCD), 2022, and Radenovic et al., Fine-tuning CNN image retrieval with no human annotation, 2019 (GeM).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models import onnx_build
from models.registry import card, weights_path

WHITENING = "lite0_whitening"  # of the network as packaged: the start of training, and its baseline
DIMENSIONS = 256
CROWD_NEIGHBOURS = 6
_BATCH_MAX = 8  # a larger batch is no faster on a CPU and only costs memory


class FeatureNetwork:
    """A network up to its pooled features, before the linear layer. Thread-safe.

    threads: onnxruntime threads for one call. graph: the card's name. Raises ModelMissing or ModelCorrupt.
    """

    def __init__(self, threads: int = 1, graph: str = onnx_build.COPY_TRUNK) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # the arena would keep the largest batch's memory forever
        self._session = onnxruntime.InferenceSession(
            str(onnx_build.ensure(graph)), options, providers=["CPUExecutionProvider"]
        )
        preprocessing = card(graph).preprocessing
        self._size_px = int(preprocessing["size_px"])
        self._mean = np.float32(preprocessing["mean"])
        self._scale = np.float32(preprocessing["scale"])

    def pooled(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the pooled features, float32 (n, 1280). pictures: uint8 (h, w, 3) sRGB each, any sizes."""
        out = np.empty((len(pictures), 1280), dtype=np.float32)
        for start in range(0, len(pictures), _BATCH_MAX):
            batch = np.stack([self._input(picture) for picture in pictures[start : start + _BATCH_MAX]])
            out[start : start + len(batch)] = self._session.run(["pooled"], {"pixels": batch})[0]
        return out

    def _input(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(picture, (self._size_px, self._size_px), interpolation=cv2.INTER_AREA)
        scaled = (small.astype(np.float32) - self._mean) / self._scale
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))


class DescriptorModel:
    """Computes L2-normalised descriptors of photos. Thread-safe. graph, layer: cards of the network and its linear
    layer.

    Raises ModelMissing or ModelCorrupt.
    """

    def __init__(
        self, threads: int = 1, graph: str = onnx_build.COPY_TRUNK, layer: str = onnx_build.COPY_DESCRIPTOR
    ) -> None:
        self._network = FeatureNetwork(threads, graph)
        tensors = load_file(weights_path(layer))
        self._mean: NDArray[np.float32] = tensors["mean"]
        self._projection: NDArray[np.float32] = tensors["projection"]
        self._background: NDArray[np.float32] = tensors["background"].astype(np.float32)
        self.label = f"{card(graph).label}+{card(layer).label}"

    def describe(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the descriptors, float32 (n, 256); each row has length 1. pictures: uint8 (h, w, 3) sRGB each."""
        return whiten(self._network.pooled(pictures), self._mean, self._projection)

    def crowd(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return, for each row of (n, 256), its mean cosine with the nearest of a fixed set of unrelated photos: how
        near mere look-alikes come.

        What exceeds it is evidence of a copy: score normalisation as in Pizzi et al., SSCD, 2022.
        """
        nearest = np.partition(descriptors @ self._background.T, -CROWD_NEIGHBOURS, axis=1)[:, -CROWD_NEIGHBOURS:]
        return np.asarray(nearest.mean(axis=1), dtype=np.float32)


def whiten(
    pooled: NDArray[np.float32], mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Whiten and project. pooled: (n, 1280). mean: (1280,) of L2-normalised rows. projection: (1280, 256). Returns (n,
    256), rows of length 1."""
    return normalise((normalise(pooled) - mean) @ projection)


def normalise(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale rows to length 1; a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)


_shared: dict[int, DescriptorModel] = {}
_shared_lock = threading.Lock()


def shared_model(threads: int = 1) -> DescriptorModel:
    """Return the process's one model for this thread count: the network is 13 MB of weights, and sessions may be used
    from many threads."""
    with _shared_lock:
        if threads not in _shared:
            _shared[threads] = DescriptorModel(threads)
        return _shared[threads]

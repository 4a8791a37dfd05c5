"""Meta's SSCD as the descriptor of photos, if an operator supplies its TorchScript file: better than our own, but we
may not ship it (its weights come in no package that may be passed on).

After Pizzi et al., A self-supervised descriptor for image copy detection, 2022 (arXiv 2202.10261); preprocessing as its
authors publish it: the short edge to 288 px, ImageNet's mean and spread. The network gives 512 numbers; the library's
column holds 256, so they are projected to the 256 strongest directions and whitened. That projection, the background of
look-alikes and the thresholds belong to one TorchScript file and name it: `python -m models.train.sscd` makes them.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from models.errors import ModelCorrupt, ModelMissing
from models.registry import sha256_of
from vision.copies.copy_score import FusionModel, read_fusion
from vision.copies.descriptor import CROWD_NEIGHBOURS, DIMENSIONS, normalise

OUTPUTS: Final = 512
SHORT_EDGE_PX: Final = 288
LONG_EDGE_PX_MAX: Final = (
    3 * SHORT_EDGE_PX
)  # a panorama is squeezed: in its own shape it would be enlarged a hundredfold
MEAN: Final = (0.485, 0.456, 0.406)
SPREAD: Final = (0.229, 0.224, 0.225)
HOW_TO_MAKE: Final = "python -m models.train.sscd --torchscript"
_BATCH_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class SscdFiles:
    """The operator's files. torchscript: the network, from its authors. whitening (safetensors) and thresholds (JSON):
    made for that network."""

    torchscript: Path
    whitening: Path
    thresholds: Path


class SscdNetwork:
    """The TorchScript network alone, as the whitening recipe needs it. Thread-safe. threads: torch threads of the whole
    process.

    Raises ModelMissing, and ModelCorrupt for a file that is no TorchScript or does not give 512 numbers a picture.
    """

    def __init__(self, torchscript: Path, threads: int = 1) -> None:
        import torch

        if not torchscript.is_file():
            raise ModelMissing(f"the descriptor's TorchScript is not there: {torchscript}")
        self.sha256 = sha256_of(torchscript)
        torch.set_num_threads(threads)
        self._torch = torch
        try:
            self._network: Any = torch.jit.load(str(torchscript), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            trial = self.outputs([np.zeros((SHORT_EDGE_PX, SHORT_EDGE_PX, 3), dtype=np.uint8)])
        # A truncated file, another kind of file, a network for other inputs: each raises its own kind of error.
        except (RuntimeError, ValueError, TypeError, AttributeError, EOFError, OSError) as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelCorrupt(f"{torchscript} is no TorchScript of SSCD: {words[-1][:200]}") from error
        if not np.isfinite(trial).all():
            raise ModelCorrupt(f"{torchscript} gives numbers that are not finite")

    def outputs(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return float32 (n, 512), each row of length 1. pictures: uint8 (h, w, 3) sRGB each, any sizes.

        Raises ValueError if the network gives another shape.
        """
        out = np.empty((len(pictures), OUTPUTS), dtype=np.float32)
        by_shape: dict[tuple[int, ...], list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            prepared = prepare(picture)
            by_shape[prepared.shape].append((index, prepared))
        for same_shape in by_shape.values():
            for start in range(0, len(same_shape), _BATCH_MAX):
                places, batch = zip(*same_shape[start : start + _BATCH_MAX], strict=True)
                with self._torch.inference_mode():
                    batch_outputs = self._network(self._torch.from_numpy(np.stack(batch)))
                rows = np.asarray(batch_outputs.numpy(), dtype=np.float32)
                if rows.shape != (len(batch), OUTPUTS):
                    raise ValueError(f"the network gives {rows.shape}, not ({len(batch)}, {OUTPUTS})")
                out[list(places)] = rows
        return normalise(out)


class SscdModel:
    """Computes descriptors of 256 numbers with SSCD, as `vision.copies.descriptor.DescriptorModel` does with ours.
    Thread-safe.

    Raises ModelMissing, and ModelCorrupt for files that are broken or belong to another network.
    """

    def __init__(self, torchscript: Path, whitening: Path, threads: int = 1) -> None:
        self._network = SscdNetwork(torchscript, threads)
        tensors = _read_whitening(whitening, self._network.sha256)
        self._mean = tensors["mean"]
        self._projection = tensors["projection"]
        self._background = tensors["background"].astype(np.float32)
        self.label = f"sscd@{self._network.sha256[:12]}+sscd_whitening@{sha256_of(whitening)[:12]}"

    def describe(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return float32 (n, 256); each row has length 1. pictures: uint8 (h, w, 3) sRGB each."""
        return normalise((self._network.outputs(pictures) - self._mean) @ self._projection)

    def crowd(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Do as `vision.copies.descriptor.DescriptorModel.crowd`, with SSCD's own background."""
        nearest = np.partition(descriptors @ self._background.T, -CROWD_NEIGHBOURS, axis=1)[:, -CROWD_NEIGHBOURS:]
        return np.asarray(nearest.mean(axis=1), dtype=np.float32)


def _read_whitening(path: Path, torchscript_sha256: str) -> dict[str, NDArray[np.float32]]:
    if not path.is_file():
        raise ModelMissing(f"SSCD's whitening is not there: {path}. To make it: {HOW_TO_MAKE} PATH")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            stated = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelCorrupt(f"{path} is no whitening: {error}. To make it: {HOW_TO_MAKE} PATH") from error
    _check_owner(path, stated, "torchscript_sha256", torchscript_sha256)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    background = shapes.pop("background", ())
    fits = shapes == {"mean": (OUTPUTS,), "projection": (OUTPUTS, DIMENSIONS)}
    if not fits or len(background) != 2 or background[0] < CROWD_NEIGHBOURS or background[1] != DIMENSIONS:
        raise ModelCorrupt(f"{path} has other tensors than SSCD's whitening. To make it: {HOW_TO_MAKE} PATH")
    return tensors


def read_thresholds(path: Path, whitening: Path) -> FusionModel:
    """Return the thresholds fitted for that whitening. Raises ModelMissing, and ModelCorrupt for those of
    another one."""
    if not path.is_file():
        raise ModelMissing(f"SSCD's thresholds are not there: {path}. To make them: {HOW_TO_MAKE} PATH")
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        fusion = read_fusion(path, f"sscd_fusion@{sha256_of(path)[:12]}")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelCorrupt(f"{path} has no thresholds: {error}. To make them: {HOW_TO_MAKE} PATH") from error
    _check_owner(path, stated, "whitening_sha256", sha256_of(whitening))
    return fusion


def measured_cut_off(path: Path) -> float:
    """Return the probability from which, as measured with this network, honest photos are called copies at most at the
    recipe's rate.

    A figure to compare with the rule; nothing is judged by it. A file from before the rule states it as
    `copy_probability_min`. Raises ModelCorrupt if the file states none.
    """
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        return float(stated.get("cut_off", stated.get("copy_probability_min")))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelCorrupt(f"{path} states no measured cut-off. To make it: {HOW_TO_MAKE} PATH") from error


def _check_owner(path: Path, stated: Mapping[str, str], key: str, digest: str) -> None:
    if stated.get(key) != digest:
        raise ModelCorrupt(
            f"{path} belongs to another network ({key} {str(stated.get(key, 'not stated'))[:12]}, not {digest[:12]})."
            f" To make its own: {HOW_TO_MAKE} PATH"
        )


def prepare(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the picture as SSCD wants it, float32 (3, H, W), the shorter of H and W 288. picture: uint8 (h, w, 3)
    sRGB."""
    value = resized(picture).astype(np.float32) / 255.0
    scaled = (value - np.array(MEAN, dtype=np.float32)) / np.array(SPREAD, dtype=np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def resized(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture at SSCD's size, uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    scale = SHORT_EDGE_PX / min(height, width)
    size = tuple(min(LONG_EDGE_PX_MAX, max(SHORT_EDGE_PX, round(edge * scale))) for edge in (width, height))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


_shared: dict[tuple[Path, Path, int], SscdModel] = {}
_lock = threading.Lock()


def shared_sscd(torchscript: Path, whitening: Path, threads: int = 1) -> SscdModel:
    """Return the process's one model for these files and thread count."""
    key = (torchscript, whitening, threads)
    with _lock:
        if key not in _shared:
            _shared[key] = SscdModel(*key)
        return _shared[key]

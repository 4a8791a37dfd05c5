"""The copy descriptor's network in training: its layers, its loss, and where it starts from.

The loss after Pizzi et al., A self-supervised descriptor for image copy detection (SSCD), 2022; the queue after Wang et
al., Cross-batch memory, 2020. The recipe is `models/train/copy_descriptor.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional

from models import onnx_build
from models.onnx_build import GEM_P, lite0
from models.registry import weights_path
from models.train.copy_views import TrainingBatch, fit_square
from vision.copies.descriptor import WHITENING

TEMPERATURE: Final = 0.05
EVALUATION_PX: Final = 192  # as good as 224 on held-out photos, and a quarter cheaper


class CopyNetwork(nn.Module):
    """The network in training. pixels: float (n, 3, size, size), normalised as Lite0's card says. Returns (n, 256),
    rows of length 1."""

    def __init__(self, mean: NDArray[np.float32], projection: NDArray[np.float32]) -> None:
        super().__init__()
        self.trunk = lite0()
        self.mean = nn.Parameter(torch.from_numpy(mean.copy()))
        self.projection = nn.Parameter(torch.from_numpy(projection.copy()))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.project(self.pooled(pixels))

    def pooled(self, pixels: Tensor) -> Tensor:
        """Return (n, 1280), generalised means of the last feature map."""
        features = self.trunk.extract_features(pixels).float()
        pooled: Tensor = features.clamp(min=1e-6).pow(GEM_P).mean((2, 3)).pow(1 / GEM_P)
        return pooled

    def project(self, pooled: Tensor) -> Tensor:
        return functional.normalize((functional.normalize(pooled) - self.mean) @ self.projection)


class NegativeQueue:
    """Recent first views as negatives: their detached descriptors, and which photo each shows."""

    def __init__(self, batches: int) -> None:
        self._held: deque[tuple[Tensor, Tensor]] = deque(maxlen=batches)

    def add(self, descriptors: Tensor, photos: Tensor) -> None:
        self._held.append((descriptors.detach(), photos))

    def all(self) -> tuple[Tensor, Tensor]:
        """Return the descriptors (n, 256) and photos (n,). Raises IndexError while empty."""
        return torch.cat([rows for rows, _ in self._held]), torch.cat([photos for _, photos in self._held])

    def __len__(self) -> int:
        return len(self._held)

    def state(self) -> list[tuple[Tensor, Tensor]]:
        return list(self._held)

    def restore(self, state: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._held.extend(state)


def losses(descriptors: Tensor, batch: TrainingBatch, queue: NegativeQueue) -> tuple[Tensor, Tensor]:
    """Return InfoNCE over every pair of copies, and KoLeo. descriptors: (2 n, 256) in the batch's order."""
    device = descriptors.device
    shows = torch.from_numpy(batch.shows).to(device).float()
    hints = torch.from_numpy(batch.shows | batch.hints).to(device).float()
    count = len(descriptors)
    itself = torch.eye(count, dtype=torch.bool, device=device)
    copies = ((shows @ shows.T) > 0) & ~itself
    neutral = (((hints @ hints.T) > 0) & ~copies) | itself
    cosines = descriptors @ descriptors.T
    strangers = cosines.masked_fill(copies | neutral, -math.inf)
    if len(queue):
        older, photos = queue.all()
        here = torch.from_numpy(batch.photos).to(device)
        known = (hints @ (here[:, None] == photos[None]).float()) > 0
        strangers = torch.cat([strangers, (descriptors @ older.T).masked_fill(known, -math.inf)], dim=1)
    against = torch.logsumexp(strangers / TEMPERATURE, dim=1, keepdim=True)
    each = torch.logaddexp(cosines / TEMPERATURE, against) - cosines / TEMPERATURE
    contrast = (each * copies).sum(dim=1) / copies.sum(dim=1)
    nearest = strangers.max(dim=1).values
    spread = -torch.log((2 - 2 * nearest).clamp(min=1e-6).sqrt())
    return contrast.mean(), spread.mean()


def normalised(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Convert uint8 (n, h, w, 3) to the network's input."""
    value = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    return ((value - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def describe(network: CopyNetwork, pictures: Sequence[NDArray[np.uint8]], device: torch.device) -> NDArray[np.float32]:
    """Return pooled features (n, 1280) of pictures of any size, at the size that the product uses."""
    rows = []
    for start in range(0, len(pictures), 32):
        squares = np.stack([fit_square(picture, EVALUATION_PX) for picture in pictures[start : start + 32]])
        with torch.autocast(device.type, dtype=torch.bfloat16):
            rows.append(network.pooled(normalised(squares, device)).float().cpu().numpy())
    return np.concatenate(rows)


def starting_point() -> CopyNetwork:
    """Return the packaged network with the learnt whitening as its last layer."""
    tensors = load_file(weights_path(WHITENING))
    return CopyNetwork(tensors["mean"], tensors["projection"])


def continued(weights: Path) -> CopyNetwork:
    """Return the network of an earlier copy descriptor. Raises KeyError or ModelMissing if the file holds none."""
    tensors = load_file(weights)
    network = CopyNetwork(tensors["mean"], tensors["projection"])
    onnx_build.load_trunk(network.trunk, tensors)
    return network

"""The descriptor that photos are compared by, our own or an operator's, with the thresholds fitted for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vision.copies.copy_score import FusionModel, fusion_model
from vision.copies.descriptor import shared_model
from vision.copies.sscd import SscdFiles, read_thresholds, shared_sscd


class Descriptor(Protocol):
    """The interface of a descriptor; see `vision.copies.descriptor.DescriptorModel`. Descriptors of another `label` are
    not comparable."""

    label: str

    def describe(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]: ...

    def crowd(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Describing:
    """A descriptor with the model that combines its cosine and the other signals into a probability. `fusion` may raise
    ModelMissing or ModelCorrupt; only judging needs it."""

    descriptor: Descriptor
    fusion: Callable[[], FusionModel]


def describing(files: SscdFiles | None = None, threads: int = 1) -> Describing:
    """Return our own descriptor, or SSCD from `files`. Raises ModelMissing or ModelCorrupt."""
    if files is None:
        return Describing(shared_model(threads), fusion_model)
    model = shared_sscd(files.torchscript, files.whitening, threads)
    fusion = read_thresholds(files.thresholds, files.whitening)
    return Describing(model, lambda: fusion)

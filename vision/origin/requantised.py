"""Detects a JPEG that was compressed before: the first quantisation leaves its steps in the histograms of the second.

After Popescu and Farid, Statistical tools for digital forensics, 2004: multiples of the first step fall into the bins
of the second unevenly, so that single bins stand out of a curve that is otherwise smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

# The lowest frequencies (row, column) besides the mean: they have enough values for a histogram.
_FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (1, 2), (0, 3), (3, 0))


@dataclass(frozen=True, slots=True)
class RequantisedLimits:
    blocks_min: int = 300
    blocks_max: int = 4_000  # drawn evenly; more cost time and change nothing
    bins: int = 24
    count_min: float = 12.0  # bins with a lower expected count are left out
    bins_min: int = 4
    strongest: int = 3  # frequencies that count: the others may have had the same step twice


def unevenness(
    strip: NDArray[np.uint8], quantisation: tuple[int, ...], limits: RequantisedLimits = RequantisedLimits()
) -> float | None:
    """Return the mean squared deviation of bins from their neighbours' mean, in units of its variance under one
    compression: about 1 if there was no earlier one. None if there are too few values.

    strip: uint8 (h, w), grey at full size from a corner of the block grid. quantisation: 64 steps in natural order.
    """
    height, width = (edge // 8 * 8 for edge in strip.shape)
    blocks = strip[:height, :width].reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 64)
    blocks = blocks[:: max(1, len(blocks) // limits.blocks_max)]
    # Blocks clipped at white or black no longer have the values that were quantised.
    usable = blocks[(blocks.min(axis=1) > 0) & (blocks.max(axis=1) < 255)]
    if len(usable) < limits.blocks_min:
        return None
    steps = np.array([quantisation[8 * row + column] for row, column in _FREQUENCIES], dtype=np.float32)
    values = np.rint(usable.astype(np.float32) @ _PROJECTION / steps)
    scores = [score for score in (_uneven(column, limits) for column in values.T) if score is not None]
    if len(scores) < limits.strongest:
        return None
    return float(np.mean(sorted(scores)[-limits.strongest :]))


def _projection() -> NDArray[np.float32]:
    basis = dct(np.eye(8), axis=0, norm="ortho")
    columns = [np.outer(basis[row], basis[column]).ravel() for row, column in _FREQUENCIES]
    return np.stack(columns, axis=1).astype(np.float32)


_PROJECTION = _projection()


def _uneven(values: NDArray[np.float32], limits: RequantisedLimits) -> float | None:
    histogram = np.bincount(np.abs(values).astype(np.int64).clip(0, limits.bins + 1), minlength=limits.bins + 2)
    counts = histogram[1 : limits.bins + 1].astype(np.float64)
    before, here, behind = counts[:-2], counts[1:-1], counts[2:]
    # The histogram of one compression falls exponentially: each bin is the geometric mean of its neighbours.
    expected = np.sqrt((before + 1.0) * (behind + 1.0))
    enough = np.maximum(expected, here) >= limits.count_min
    if int(enough.sum()) < limits.bins_min:
        return None
    variance = expected + (before + behind) / 4.0 + 1.0
    return float(((here - expected) ** 2 / variance)[enough].mean())

"""Moire: interference between the grid that shows a picture (a screen's, a print's) and the grid that photographs it.

It appears in the power spectrum as narrow peaks away from the axes, often in one colour only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MoireLimits:
    """Limits of the spectrum's search, frequencies in cycles a pixel.

    side_px: side of the middle part of the working picture that is examined; a smaller picture is examined whole.
    """

    side_px: int = 512
    side_px_min: int = 96
    frequency_min: float = 0.08  # below this, pictures have structure of their own
    frequency_max: float = 0.48
    off_axis_min: float = 0.03  # edges of things, borders and the 8 x 8 blocks of JPEG lie on the axes
    peak_bins: int = 3
    around_bins: int = 25


@dataclass(frozen=True, slots=True)
class Peaks:
    """The strongest peak of each plane, in nepers of power above its surroundings."""

    luma: float
    red: float
    blue: float


def spectral_peaks(pixels: NDArray[np.uint8], limits: MoireLimits = MoireLimits()) -> Peaks | None:
    """Return the peaks of the planes, None if the picture is too small to have a spectrum. pixels: uint8 (h, w, 3),
    sRGB."""
    middle = _middle(pixels, limits)
    if middle is None:
        return None
    luma, red, blue = cv2.split(cv2.cvtColor(middle, cv2.COLOR_RGB2YCrCb))
    # JPEG keeps colour at half the resolution: a larger plane would hold nothing more.
    half = (luma.shape[1] // 2, luma.shape[0] // 2)
    small = [np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), dtype=np.uint8) for plane in (red, blue)]
    whole = np.asarray(luma, dtype=np.uint8)
    return Peaks(_peak(whole, limits, 1.0), _peak(small[0], limits, 2.0), _peak(small[1], limits, 2.0))


def _middle(pixels: NDArray[np.uint8], limits: MoireLimits) -> NDArray[np.uint8] | None:
    height, width = (min(edge, limits.side_px) & ~15 for edge in pixels.shape[:2])
    if min(height, width) < limits.side_px_min:
        return None
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


@lru_cache(maxsize=8)
def _window(height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(np.outer(np.hanning(height), np.hanning(width)), dtype=np.float32)


@lru_cache(maxsize=8)
def _mask(height: int, width: int, limits: MoireLimits, reduced: float) -> NDArray[np.bool_]:
    """Return the mask of frequencies to search in a half spectrum, rows in the order of the transform."""
    down, across = np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(down, across)
    inside: NDArray[np.bool_] = (radius > limits.frequency_min * reduced) & (radius < limits.frequency_max)
    off_axis: NDArray[np.bool_] = (down > limits.off_axis_min) & (across > limits.off_axis_min)
    return np.asarray(inside & off_axis, dtype=np.bool_)


def _peak(plane: NDArray[np.uint8], limits: MoireLimits, reduced: float) -> float:
    """Return the strongest peak of a plane. reduced: factor by which the plane is smaller than the picture."""
    height, width = plane.shape
    window = _window(height, width)
    level = float(plane.mean())
    spectrum = cv2.dft((plane - np.float32(level)) * window, flags=cv2.DFT_COMPLEX_OUTPUT)[:, : width // 2 + 1]
    power = spectrum[:, :, 0] ** 2 + spectrum[:, :, 1] ** 2
    # Adds a tenth of a level of quantisation noise: without it a flat colour plane is all peaks.
    log_power = cv2.log(power + np.float32(0.01 * 0.140625 * height * width))
    near = cv2.blur(log_power, (limits.peak_bins, limits.peak_bins))
    around = cv2.blur(log_power, (limits.around_bins, limits.around_bins))
    return float((near - around)[_mask(height, width, limits, reduced)].max())

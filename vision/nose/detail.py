"""How many pixels of real detail a nose has: an enlarged picture has more pixels than that, and no more detail."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.find import Box

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

EDGE_PX_MAX: Final = 512  # the middle of a larger nose is looked at
EDGE_PX_MIN: Final = 24  # the reduction that the search starts at: any nose is resolved there
STEPS_AN_OCTAVE: Final = 4
# Power between half and all of the Nyquist frequency over that of the octave below it: less means that the picture has
# more pixels than detail. Measured on real noses, as taken and enlarged (docs/noses.md).
OCTAVE_RATIO_MIN: Final = 0.12


def resolved_width_px(pixels: Pixels, bounds: Box) -> float:
    """Return the width in pixels that the nose would have in the smallest picture with all of its detail; at most its
    width as it stands.

    The picture around the nose, uint8 (h, w, 3), is reduced to `EDGE_PX_MIN` and then less and less, in steps of a
    quarter of an octave, as long as each has power above half of its Nyquist frequency. Whatever lies above the first
    gap is noise of the sensor or of the compression.
    """
    x0, y0, x1, y1 = bounds
    width = max(1.0, x1 - x0)
    half = min(width, EDGE_PX_MAX) / 2
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    left, top = max(0, round(middle[0] - half)), max(0, round(middle[1] - half))
    patch = pixels[top : max(0, round(middle[1] + half)), left : max(0, round(middle[0] + half))]
    edge = min(patch.shape[:2])
    if edge <= EDGE_PX_MIN:
        return width
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steps = int(np.log2(edge / EDGE_PX_MIN) * STEPS_AN_OCTAVE)
    resolved = EDGE_PX_MIN / edge
    for step in range(steps, -1, -1):
        factor = 2 ** (-step / STEPS_AN_OCTAVE)
        size = (round(grey.shape[1] * factor), round(grey.shape[0] * factor))
        reduced = grey if step == 0 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        if octave_ratio(np.asarray(reduced, np.float32)) < OCTAVE_RATIO_MIN:
            break
        resolved = factor
    return float(width * resolved)


def octave_ratio(grey: Floats) -> float:
    """Return the power between half and all of the Nyquist frequency over that between a quarter and half of it,
    without the camera's noise, float32 (h, w)."""
    height, width = grey.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    upper = power[(radius >= 0.25) & (radius < 0.5)].sum()
    lower = power[(radius >= 0.125) & (radius < 0.25)].sum()
    return float(upper / max(1e-6, float(lower)))

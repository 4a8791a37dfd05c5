"""Maps every nose into one frame with the nostrils at fixed places, so that two photos can be laid over each other."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.find import NoseFound

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

FRAME_PX = 320
NOSTRIL_DISTANCE = 0.37  # share of the frame; the whole rhinarium then just fits
NOSTRIL_ROW = 0.48


def frame_matrix(nose: NoseFound) -> Floats:
    """Return the similarity transform (2, 3) from picture pixels to frame pixels."""
    left, right = np.asarray(nose.left_nostril), np.asarray(nose.right_nostril)
    across = right - left
    scale = NOSTRIL_DISTANCE * FRAME_PX / float(np.hypot(*across))
    angle = -np.arctan2(across[1], across[0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([FRAME_PX / 2, NOSTRIL_ROW * FRAME_PX]) - turn @ ((left + right) / 2)
    return np.asarray(np.column_stack([turn, shift]), np.float32)


def into_frame(pixels: Pixels, matrix: Floats) -> Pixels:
    """Warp uint8 (h, w, 3) to uint8 (FRAME_PX, FRAME_PX, 3). A much larger photo is first reduced by averaging, or the
    beads would alias."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.6:
        factor = scale / 0.8
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
        to_small = np.array([small.shape[1] / width, small.shape[0] / height])
        pixels = np.asarray(small, np.uint8)
        matrix = np.asarray(np.column_stack([matrix[:, :2] / to_small, matrix[:, 2]]), np.float32)
    frame = cv2.warpAffine(
        pixels, matrix, (FRAME_PX, FRAME_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(frame, np.uint8)

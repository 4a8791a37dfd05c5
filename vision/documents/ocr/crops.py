"""Crops pieces of a page, upright, for a person to check beside the value that was read there."""

from __future__ import annotations

import cv2
import numpy as np

from vision.decode.image import preview_jpeg
from vision.documents.ocr.views import Pixels
from vision.documents.text.page import FieldReading, PageBox

MARGIN = 0.6  # share of the field's height, on every side: a crop without surroundings cannot be judged
LONG_EDGE_PX_MAX = 1024
_SHORT_EDGE_PX_MIN = 4


def crop(pixels: Pixels, field: FieldReading, margin: float = MARGIN) -> bytes:
    """Return the piece of the page that a field was read from, as a JPEG without metadata.

    pixels: uint8 (h, w, 3), the picture as it was read (`vision.decode.image.Picture.pixels`). If the page lay turned
    or askew in it, the piece is turned and straightened by the field's corners; otherwise it is the field's box.
    """
    height, width = pixels.shape[:2]
    corners = np.array(field.corners or _corners(field.box), dtype=np.float64) * (width, height)
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    wide, high = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    pad = margin * min(wide, high)
    right = across / max(wide, 1e-6) * pad
    lower = down / max(high, 1e-6) * pad
    grown = corners + np.array([-right - lower, right - lower, right + lower, lower - right])
    size = (
        max(_SHORT_EDGE_PX_MIN, min(LONG_EDGE_PX_MAX, round(wide + 2 * pad))),
        max(_SHORT_EDGE_PX_MIN, min(LONG_EDGE_PX_MAX, round(high + 2 * pad))),
    )
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], dtype=np.float32)
    onto = cv2.getPerspectiveTransform(grown.astype(np.float32), target)
    piece = cv2.warpPerspective(pixels, onto, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return preview_jpeg(np.asarray(piece, dtype=np.uint8), LONG_EDGE_PX_MAX, quality=90)


def _corners(box: PageBox) -> tuple[tuple[float, float], ...]:
    return ((box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom))

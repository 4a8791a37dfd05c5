"""The red ink of a page alone, as dark print on white: a stamp that `views.without_red` lifts is read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np

from vision.documents.ocr.views import PageView, Pixels

# Redder than green and blue by so much of 255 is red ink, from the first to the second ever darker.
_TINT: Final = 24.0
_INK: Final = 84.0


@dataclass(frozen=True, slots=True)
class RedInkLimits:
    """edge_px_max: the part of the page with red ink is scaled down to this; stamps are large. margin_ratio: white kept
    around it, of its longer edge, without which a line at the edge goes unread. ink_min: share of a pixel's range from
    which it counts as inked. specks: the outermost share of inked pixels on each side that is no ink but noise."""

    edge_px_max: int = 800
    margin_ratio: float = 0.06
    ink_min: float = 0.5
    specks: float = 0.002


def red_ink(view: PageView, limits: RedInkLimits | None = None) -> PageView | None:
    """Return the part of a view that has red ink, with nothing but that ink, dark on white; None without any."""
    bounds = limits if limits is not None else RedInkLimits()
    pixels = view.pixels.astype(np.int16)
    redder = pixels[..., 0] - np.maximum(pixels[..., 1], pixels[..., 2])
    ink = np.clip((redder - _TINT) / (_INK - _TINT), 0.0, 1.0).astype(np.float32)
    ys, xs = np.nonzero(ink > bounds.ink_min)
    if not len(xs):
        return None
    left, right = (int(np.quantile(xs, share)) for share in (bounds.specks, 1 - bounds.specks))
    top, bottom = (int(np.quantile(ys, share)) for share in (bounds.specks, 1 - bounds.specks))
    margin = round(bounds.margin_ratio * max(right - left, bottom - top)) + 4
    height, width = ink.shape
    left, top = max(0, left - margin), max(0, top - margin)
    right, bottom = min(width, right + margin + 1), min(height, bottom + margin + 1)
    grey = ((1 - ink[top:bottom, left:right]) * 255).astype(np.uint8)
    scale = min(1.0, bounds.edge_px_max / max(grey.shape))
    size = (max(1, round(scale * grey.shape[1])), max(1, round(scale * grey.shape[0])))
    grey = cast(Pixels, cv2.resize(grey, size, interpolation=cv2.INTER_AREA)) if scale < 1 else grey
    back = np.array([[1 / scale, 0, left], [0, 1 / scale, top], [0, 0, 1]])
    return PageView(np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2)), view.to_picture @ back)

"""The ink of stamps and watermarks alone, as dark print on white: red ink, which `views.without_red` lifts, blue ink
that runs through the print, and what is fainter than any print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.views import PageView, Pixels

_Ink = npt.NDArray[np.float32]
# One channel above both others by so much of 255 is ink of that colour, from the first to the second ever darker.
_TINT: Final = 24.0
_FULL: Final = 84.0
# Brightness as a share of the paper's around it between which something is a watermark, darker than paper and fainter
# than print.
_FAINT_MIN: Final = 0.5
_FAINT_MAX: Final = 0.93


@dataclass(frozen=True, slots=True)
class StampInkLimits:
    """edge_px_max: the part of the page with the ink is scaled down to this; stamps are large. margin_ratio: white kept
    around it, of its longer edge, without which a line at the edge goes unread. ink_min: share of full ink from which a
    pixel counts as inked. specks: the outermost share of inked pixels on each side that is no ink but noise.

    share_min, blue_share_max, faint_share_max: share of the page's pixels below which there is no stamp, and above
    which a whole form is printed in blue, or lies in shadow. stroke_ratio: of the page's shorter edge; a watermark's
    strokes are wider, the soft edges of print are not.

    broad_ratio: of the page's shorter edge; the strokes of a stamp across the page are broader, those of seals, frames
    and headings are not. broad_share_min: share of the page's pixels from which such strokes are read by themselves.
    broad_part_min: a lump of them smaller than this share of the largest is none. broad_edge_px: they are scaled to it.
    """

    edge_px_max: int = 800
    margin_ratio: float = 0.06
    ink_min: float = 0.5
    specks: float = 0.002
    share_min: float = 0.0015
    blue_share_max: float = 0.06
    faint_share_max: float = 0.12
    stroke_ratio: float = 0.004
    broad_ratio: float = 0.009
    broad_share_min: float = 0.002
    broad_part_min: float = 0.1
    broad_edge_px: int = 200


LIMITS: Final = StampInkLimits()


@dataclass(frozen=True, slots=True)
class InkLayers:
    """Views of a page with the ink of one colour alone. all: of the part that has it, dark on white; None without any.
    broad: of its broad strokes, level by their own direction and turned by quarters; () without any."""

    all: PageView | None
    broad: tuple[PageView, ...]


def red_layers(view: PageView, limits: StampInkLimits = LIMITS) -> InkLayers:
    """Return the views of red ink."""
    ink = _tinted(view.pixels, 0)
    return InkLayers(_alone(view, ink, limits), _broad(view, ink, limits))


def blue_layers(view: PageView, limits: StampInkLimits = LIMITS) -> InkLayers:
    """Return the views of blue ink; of `all` none if the form itself is printed in it."""
    ink = _tinted(view.pixels, 2)
    all_of_it = _alone(view, ink, limits) if _within(ink, limits, limits.blue_share_max) else None
    return InkLayers(all_of_it, _broad(view, ink, limits))


def _broad(view: PageView, tint: _Ink, limits: StampInkLimits) -> tuple[PageView, ...]:
    """Return the broad strokes alone. A stamp across the page stands askew, in a frame and over seals, and a detector
    of lines takes it for a drawing."""
    ink = (tint > limits.ink_min).astype(np.uint8)
    stroke = max(3, round(limits.broad_ratio * min(ink.shape)))
    broad = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((stroke, stroke), np.uint8))
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(broad)
    large = [n for n in range(1, len(sizes)) if sizes[n][4] >= limits.broad_part_min * sizes[1:, 4].max()]
    broad = np.isin(labels, large).astype(np.uint8)
    if float(broad.mean()) < limits.broad_share_min:
        return ()
    (x, y), (across, down), degrees = cv2.minAreaRect(cv2.findNonZero(broad))
    reach = np.ones((2 * stroke + 1, 2 * stroke + 1), np.uint8)
    dark = np.where((cv2.dilate(broad, reach) > 0) & (ink > 0), np.uint8(0), np.uint8(255))
    edge = limits.broad_edge_px
    scale = edge / (max(across, down) * (1 + 4 * limits.margin_ratio))
    views = []
    for quarter in range(4):
        turn = np.vstack([cv2.getRotationMatrix2D((x, y), degrees + 90 * quarter, scale), (0.0, 0.0, 1.0)])
        turn[:2, 2] += (edge / 2 - x, edge / 2 - y)
        grey = cv2.warpAffine(dark, turn[:2], (edge, edge), flags=cv2.INTER_AREA, borderValue=255)
        pixels = np.ascontiguousarray(np.repeat(np.asarray(grey, dtype=np.uint8)[..., None], 3, axis=2))
        views.append(PageView(pixels, view.to_picture @ np.linalg.inv(turn)))
    return tuple(views)


def faint_layer(view: PageView, limits: StampInkLimits = LIMITS) -> PageView | None:
    """Return the part of a view with what is fainter than print and drawn in wide strokes, a watermark, and nothing
    else; None without any."""
    grey = cv2.cvtColor(view.pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    small = cv2.resize(grey, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((15, 15), np.uint8)), (0, 0), 6)
    share = grey.astype(np.float32) / np.maximum(cv2.resize(paper, (width, height)).astype(np.float32), 1.0)
    stroke = max(3, round(limits.stroke_ratio * min(height, width)))
    faint = ((share > _FAINT_MIN) & (share < _FAINT_MAX)).astype(np.uint8)
    wide = cv2.morphologyEx(faint, cv2.MORPH_OPEN, np.ones((stroke, stroke), np.uint8))
    gaps = np.ones((2 * stroke + 1, 2 * stroke + 1), np.uint8)  # where print runs through it
    ink = _without_surroundings(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, gaps).astype(np.float32))
    return _alone(view, ink, limits) if _within(ink, limits, limits.faint_share_max) else None


def _without_surroundings(ink: _Ink) -> _Ink:
    """Return the ink without what reaches the edge of the picture: the desk below the paper, a shadow."""
    height, width = ink.shape
    small = cv2.resize(ink, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    joined = cv2.morphologyEx((small > 0.25).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    _, labels = cv2.connectedComponents(joined)
    at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = (np.isin(labels, at_edge) & (labels > 0)).astype(np.uint8)
    reach = cv2.resize(cv2.dilate(outside, np.ones((5, 5), np.uint8)), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.where(reach > 0, np.float32(0), ink)


def _tinted(pixels: Pixels, channel: int) -> _Ink:
    signed = pixels.astype(np.int16)
    first, second = (other for other in range(3) if other != channel)
    above = signed[..., channel] - np.maximum(signed[..., first], signed[..., second])
    return cast(_Ink, np.clip((above - _TINT) / (_FULL - _TINT), 0.0, 1.0).astype(np.float32))


def _within(ink: _Ink, limits: StampInkLimits, share_max: float) -> bool:
    return limits.share_min <= float(np.mean(ink > limits.ink_min)) <= share_max


def _alone(view: PageView, ink: _Ink, limits: StampInkLimits) -> PageView | None:
    """Return the inked part of the view as a view of its own."""
    ys, xs = np.nonzero(ink > limits.ink_min)
    if not len(xs):
        return None
    left, right = (int(np.quantile(xs, share)) for share in (limits.specks, 1 - limits.specks))
    top, bottom = (int(np.quantile(ys, share)) for share in (limits.specks, 1 - limits.specks))
    margin = round(limits.margin_ratio * max(right - left, bottom - top)) + 4
    height, width = ink.shape
    left, top = max(0, left - margin), max(0, top - margin)
    right, bottom = min(width, right + margin + 1), min(height, bottom + margin + 1)
    grey = cast(Pixels, ((1 - ink[top:bottom, left:right]) * 255).astype(np.uint8))
    scale = min(1.0, limits.edge_px_max / max(grey.shape))
    size = (max(1, round(scale * grey.shape[1])), max(1, round(scale * grey.shape[0])))
    if scale < 1:
        grey = cast(Pixels, cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    back = np.array([[1 / scale, 0, left], [0, 1 / scale, top], [0, 0, 1]])
    return PageView(np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2)), view.to_picture @ back)

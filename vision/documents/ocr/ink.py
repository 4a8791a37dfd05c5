"""Tells red seals from print in colour, and shows a page with its print alone: dark whatever its colour, without the
seals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.views import PageView, Pixels

Rect = tuple[int, int, int, int]  # left, top, right, bottom in pixels
Shares = npt.NDArray[np.float32]  # (h, w, 3): brightness as a share of the paper's, each channel for itself
_PAPER_STEP: Final = 8  # the paper's colour is estimated on a picture smaller by this


@dataclass(frozen=True, slots=True)
class InkLimits:
    """Limits by which ink is told from paper, and a seal from print. Shares are those of the paper's brightness.

    long_edge_px: size in which the page is examined. ink_share_max: darkest channel of ink. lost_share_min: red
    channel from which ink vanishes as the red is lifted. tint_min, tint_ratio_min: by how much ink in colour is
    darker in green or blue than in red, at least, and of its depth; edges of black print are grey.
    seal_hue_ratio: density in green by that in blue of a seal's red; orange is below, violet above.
    seal_edge_ratio: least and most side of a seal, of the page's shorter side: characters are smaller, frames and
    tables larger. seal_aspect_max: longer by shorter side. seal_gap_px: gaps in a worn seal that are closed.
    seal_margin_ratio: added around a seal, of its side. red_ratio_min: share of the page from which its red ink
    counts. print_ratio_min: share of all ink outside seals from which ink in colour is print that lifting would wipe
    out.
    """

    long_edge_px: int = 800
    ink_share_max: float = 0.8
    lost_share_min: float = 0.6
    tint_min: float = 0.06
    tint_ratio_min: float = 0.25
    seal_hue_ratio: tuple[float, float] = (0.6, 1.7)
    seal_edge_ratio: tuple[float, float] = (0.06, 0.45)
    seal_aspect_max: float = 2.6
    seal_gap_px: int = 7
    seal_margin_ratio: float = 0.12
    red_ratio_min: float = 0.0006
    print_ratio_min: float = 0.02


LIMITS: Final = InkLimits()


@dataclass(frozen=True, slots=True)
class RedInk:
    """The red ink of a page. seals: the boxes around its seals. lost_ratio: the share of all other ink that would
    vanish with the red. print_lost: that is print."""

    seals: tuple[Rect, ...]
    lost_ratio: float
    print_lost: bool


def red_ink(pixels: Pixels, limits: InkLimits = LIMITS) -> RedInk | None:
    """Return the red ink of the page, None if it has none: red paper is no ink.

    pixels: uint8 (h, w, 3). Ink counts against the paper around it, in each channel for itself. A seal is one connected
    shape far larger than a character and smaller than a table; all within its box belongs to it.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, limits.long_edge_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shares = _shares(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))
    darkest = shares.min(axis=2)
    ink = darkest < limits.ink_share_max
    coloured = shares[..., 0] - darkest > np.maximum(limits.tint_min, limits.tint_ratio_min * (1 - darkest))
    lost = ink & coloured & (shares[..., 0] > limits.lost_share_min)
    if lost.mean() < limits.red_ratio_min:
        return None
    # Print in orange or violet that a seal lies across would join it to a shape of no seal's size.
    green, blue = (_density(shares[..., channel]) for channel in (1, 2))
    low, high = limits.seal_hue_ratio
    seals = _seals(lost & (green > low * blue) & (green < high * blue), limits)
    outside = np.ones(lost.shape, dtype=bool)
    for left, top, right, bottom in seals:
        outside[top:bottom, left:right] = False
    others = int((ink & outside).sum())
    ratio = float((lost & outside).sum()) / others if others else 0.0
    enlarged = tuple(
        (round(x0 / scale), round(y0 / scale), round(x1 / scale), round(y1 / scale)) for x0, y0, x1, y1 in seals
    )
    return RedInk(enlarged, ratio, ratio >= limits.print_ratio_min)


def _seals(lost: npt.NDArray[np.bool_], limits: InkLimits) -> list[Rect]:
    """Return the boxes around red shapes of a seal's size. Pieces of a worn seal near one another are one seal."""
    height, width = lost.shape
    shorter = min(height, width)
    least, most = (ratio * shorter for ratio in limits.seal_edge_ratio)
    joined = cv2.dilate(lost.astype(np.uint8), np.ones((limits.seal_gap_px, limits.seal_gap_px), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes: list[Rect] = []
    for x, y, w, h, _ in stats[1:]:
        if least <= min(w, h) and max(w, h) <= min(most, limits.seal_aspect_max * min(w, h)):
            margin = round(limits.seal_margin_ratio * max(w, h))
            box = (int(x) - margin, int(y) - margin, int(x + w) + margin, int(y + h) + margin)
            for other in [other for other in boxes if _overlap(box, other)]:
                whole = (*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))
                if max(whole[2] - whole[0], whole[3] - whole[1]) <= 1.2 * most:
                    boxes.remove(other)
                    box = (whole[0], whole[1], whole[2], whole[3])
            boxes.append(box)
    return [(max(0, x0), max(0, y0), min(width, x1), min(height, y1)) for x0, y0, x1, y1 in boxes]


def _overlap(first: Rect, second: Rect) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def print_alone(view: PageView, red: RedInk | None) -> PageView:
    """Return the view in grey, its print dark whatever its colour and however pale, and without the seals.

    Outside the seals of `red` the darkest channel counts, so that orange, red and violet print is as dark as black.
    Inside, red is lifted as `without_red` does it; there, print in another colour than the seal's shows by how much
    more it darkens blue against green than the seal does, or the reverse: inks on paper add up as densities (Ruifrok
    and Johnston, "Quantification of histochemical staining by color deconvolution", 2001).
    """
    shares = _shares(view.pixels)
    shown = shares.min(axis=2)
    black, white = _stretch(shown)
    for left, top, right, bottom in red.seals if red is not None else ():
        inside = (slice(top, bottom), slice(left, right))
        shown[inside] = _under_seal(shares[inside])
    grey = (np.clip((shown - black) / (white - black), 0.0, 1.0) * 255).astype(np.uint8)
    return replace(view, pixels=np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2)))


# Of the paper's brightness: from the first on a pixel is paper rather than ink; with the second, print is pale.
_PAPER_FROM: Final = 0.93
_PALE_FROM: Final = 0.6
# On half the page's size: an area with this side that is darker than this on the mean is no print.
_SOLID_PX: Final = 25
_SOLID_BELOW: Final = 0.6


def print_is_pale(view: PageView) -> bool:
    """True if even the darkest tenth of the print is hardly darker than the paper."""
    return _depth(_shares(view.pixels[::2, ::2]).min(axis=2)) > _PALE_FROM


def _depth(darkest: npt.NDArray[np.float32]) -> float:
    """Return how dark print is: the share of the paper's brightness that its darkest tenth keeps; 0 without any. What
    is dark all over is the table at the paper's edge."""
    solid = (cv2.blur(darkest, (_SOLID_PX, _SOLID_PX)) < _SOLID_BELOW).astype(np.uint8)
    around = cv2.dilate(solid, np.ones((_SOLID_PX, _SOLID_PX), np.uint8)) > 0
    ink = darkest[(darkest < _PAPER_FROM) & ~around]
    return float(np.percentile(ink, 10)) if ink.size else 0.0


def _stretch(darkest: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the shares of the paper's brightness that become black and white: .2 and .8 as in `without_red`, nearer to
    white for pale print."""
    black = min(0.85, max(0.2, _depth(darkest[::2, ::2]) - 0.02))
    return black, max(0.8, min(0.96, black + 0.25))


# Densities above this are as dark as a picture in JPEG can tell: their noise would pass for another ink.
_DENSITY_MAX: Final = 2.0
# By how much more than a seal's ink, in density, print in another colour must darken a channel.
_OTHER_INK_MIN: Final = 0.25


def _under_seal(shares: Shares) -> npt.NDArray[np.float32]:
    """Return the brightness of print under a seal, as a share of the paper's. shares: (h, w, 3)."""
    red = shares[..., 0]
    green, blue = (_density(shares[..., channel]) for channel in (1, 2))
    low, high = LIMITS.seal_hue_ratio
    stained = (green + blue > 0.6) & (red > LIMITS.lost_share_min) & (green > low * blue) & (green < high * blue)
    if stained.sum() < 50:
        return np.asarray(shares.min(axis=2), dtype=np.float32)  # nothing of a seal there
    slope = float(np.median(blue[stained]) / max(0.1, float(np.median(green[stained]))))
    other = np.maximum(blue - slope * green, green - blue / max(0.1, slope))
    shown = np.minimum(red, np.where(other > _OTHER_INK_MIN, np.exp(-3.0 * other), 1.0))
    return np.asarray(shown, dtype=np.float32)


def _density(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the optical density, at most _DENSITY_MAX."""
    return np.asarray(np.minimum(-np.log(np.maximum(share, 1e-3)), _DENSITY_MAX), dtype=np.float32)


def _shares(pixels: Pixels) -> Shares:
    """Return the brightness of each channel as a share of the surrounding paper's, 0..1."""
    height, width = pixels.shape[:2]
    small = cv2.resize(
        pixels, (max(1, width // _PAPER_STEP), max(1, height // _PAPER_STEP)), interpolation=cv2.INTER_AREA
    )
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((9, 9), np.uint8)), (0, 0), 4)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    shares = np.clip(pixels.astype(np.float32) / np.maximum(paper.astype(np.float32), 1.0), 0.0, 1.0)
    return np.asarray(shares, dtype=np.float32)

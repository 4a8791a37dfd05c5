"""Tells by its form that a mark on a page is of large characters, though none of them was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.mark_shapes import Rect

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class GlyphLimits:
    """Limits of large characters, lengths in heights of the page's print. Set on drawn stamps of any ink over drawn and
    real pages (`fixtures.papers.overlays`), against rules, shades, seals, cups and rings of a pen on the same pages.

    side_min: both sides of the rectangle around the mark reach it. stroke: least and most median breadth of its
    strokes; rules, pens and the grain of a shade are thinner. stroke_ratio_max: that breadth by the shorter side.
    even_min: breadth of its thin strokes (first quartile) by that of its thick ones (third); speckled shades are less
    even. specks_max: pieces a squared height of ink. ink: least and most share of the rectangle.
    printed_max: how much more of the ink than of the area lies in lines that were read, of 1; print lies in them whole,
    a stamp as chance has it. off_ellipse_min: mean distance
    of its outer ink from an ellipse, by the radius; arcs and rims lie nearer.
    rule_heights: level and upright ink of that length is straight. straight_max, straight_ink_max: a mark that is
    straighter and has less ink than both is of rules.
    pale_straight_max: pale ink that is straighter may be the paper between rows of print in a shadow.
    thin_: the same where strokes are thin, as of outlined, worn or slender characters; there a mark must not be
    straight at all.
    """

    side_min: float = 2.0
    stroke: tuple[float, float] = (0.3, 2.5)
    stroke_ratio_max: float = 0.34
    even_min: float = 0.2
    specks_max: float = 0.9
    ink: tuple[float, float] = (0.09, 0.72)
    printed_max: float = 0.5
    off_ellipse_min: float = 0.013
    rule_heights: float = 1.6
    straight_max: float = 0.5
    straight_ink_max: float = 0.3
    pale_straight_max: float = 0.55
    thin_side_min: float = 2.4
    thin_stroke_min: float = 0.17
    thin_straight_max: float = 0.35
    thin_off_ellipse_min: float = 0.025
    thin_even_min: float = 0.25
    thin_specks_max: float = 2.0
    thin_ink_min: float = 0.14


LIMITS: Final = GlyphLimits()


@dataclass(frozen=True, slots=True)
class GlyphForm:
    """Measures of a mark, as the limits name them."""

    height: float
    length: float
    stroke: float
    even: float
    specks: float
    ink: float
    off_ellipse: float
    straight: float


def of_glyphs(
    ink: Mask, rect: Rect, print_px: float, printed: float, *, pale: bool, limits: GlyphLimits = LIMITS
) -> bool:
    """Return True if the mark may be large characters. printed: as `GlyphLimits.printed_max`. pale: it was told by
    being paler than print."""
    if min(rect[1]) < limits.side_min * print_px or printed > limits.printed_max:
        return False
    form = glyph_form(ink, rect, print_px, limits)
    if pale and form.straight > limits.pale_straight_max:
        return False
    return _broad(form, limits) or _thin(form, limits)


def _broad(form: GlyphForm, limits: GlyphLimits) -> bool:
    return (
        limits.stroke[0] <= form.stroke <= min(limits.stroke[1], limits.stroke_ratio_max * form.height)
        and form.even >= limits.even_min
        and form.specks <= limits.specks_max
        and limits.ink[0] <= form.ink <= limits.ink[1]
        and form.off_ellipse >= limits.off_ellipse_min
        and not (form.straight > limits.straight_max and form.ink < limits.straight_ink_max)
    )


def _thin(form: GlyphForm, limits: GlyphLimits) -> bool:
    return (
        form.height >= limits.thin_side_min
        and limits.thin_stroke_min <= form.stroke <= limits.stroke_ratio_max * form.height
        and form.straight <= limits.thin_straight_max
        and form.off_ellipse >= limits.thin_off_ellipse_min
        and form.even >= limits.thin_even_min
        and form.specks <= limits.thin_specks_max
        and limits.thin_ink_min <= form.ink <= limits.ink[1]
    )


def glyph_form(ink: Mask, rect: Rect, print_px: float, limits: GlyphLimits = LIMITS) -> GlyphForm:
    """Return the measures of the ink within its rectangle."""
    shorter, longer = sorted(rect[1])
    area = max(1.0, float(ink.sum()))
    closed = cast(Mask, cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)))
    long = max(9, round(limits.rule_heights * print_px))
    lines = np.zeros_like(ink)
    for size in ((long, 1), (1, long)):
        lines |= cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones(size, np.uint8)).astype(np.uint8)
    distance = cv2.distanceTransform(closed, cv2.DIST_L2, 3)
    ridge = distance[(distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))]
    thin, middle, thick = (float(value) for value in np.percentile(ridge, (25, 50, 75))) if ridge.size else (0, 0, 1)
    return GlyphForm(
        height=shorter / print_px,
        length=longer / print_px,
        stroke=2 * middle / print_px,
        even=thin / max(thick, 1e-6),
        specks=(cv2.connectedComponents(closed)[0] - 1) * print_px**2 / area,
        ink=area / max(1.0, shorter * longer),
        off_ellipse=_off_ellipse(ink),
        straight=float((lines & ink).sum()) / area,
    )


def _off_ellipse(ink: Mask) -> float:
    """Return how far the corners of the mark's hull lie from the ellipse that fits them best."""
    hull = cv2.convexHull(cv2.findNonZero(ink).reshape(-1, 2).astype(np.float32))
    if len(hull) < 8:
        return 1.0
    (cx, cy), (a, b), degrees = cv2.fitEllipse(hull)
    if min(a, b) < 2:
        return 1.0
    turn = np.radians(degrees)
    x, y = hull[:, 0, 0] - cx, hull[:, 0, 1] - cy
    u = (x * np.cos(turn) + y * np.sin(turn)) / (a / 2)
    v = (-x * np.sin(turn) + y * np.cos(turn)) / (b / 2)
    return float(np.abs(np.hypot(u, v) - 1).mean())

"""Tells whether a field's line is written by hand or printed, from the shapes on the picture.

A printer sets digits on one level, at one height, upright, and prints each of them again elsewhere on the page; a hand
does none of these. Every sign alone has honest doubles (a slanted font, a digit that the page prints once, a receipt
that was crumpled), so they are added up. Colour is no sign: blue and violet needles print on black forms, and pens
write in black. Measured figures: docs/papers.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.checks.forensics import Pixels
from vision.documents.kinds.catalogue import PaperKind
from vision.documents.text.page import FieldReading, PaperReading, Points, RefusedField
from vision.measurement import Unmeasured

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
_Rect = tuple[int, int, int, int]  # x, y, width, height in pixels


@dataclass(frozen=True, slots=True)
class HandLimits:
    """Limits of the examination. A ramp (from, to) turns a measure into a sign of 0..1.

    line_px: height to which a line is brought. margin_ratio: of it, looked at around the line. line_px_min: on the
    picture; smaller print has no shape left. aspect_max: length by height of a line; a longer one is no field.
    glyphs_min: of characters, below which level and height say nothing. glyphs_ratio: shapes that stand apart by
    digits; with fewer a pen's stroke joins them, with many more they are broken.
    digit_min: share of digits in a value from which it is judged as digits are.
    off_level: share of digits that stand on one line at one height. unsteady: their median distance from a straight
    line, above and below, by their height. uneven: by how much the heights of seven in ten differ, by height; slashes
    and 年月日 are the others. slanted: share of edges that run level or upright. unlike: likeness of the digits (their
    median) to the nearest other glyph of the page, from -1 to 1.
    unlevel_min: least sum of the first three: slanted figures that the page prints once are print if they stand in
    line; and figures in disorder that are not slanted at all are print that a rule or a pen's stroke touches. Only for
    others is the page searched for likenesses. digits_by_hand_min, words_by_hand_min: score from which a line is
    written by hand, set above the scores of almost all print (figures: docs/papers.md).
    """

    line_px: int = 48
    margin_ratio: float = 0.35
    line_px_min: float = 11.0
    aspect_max: float = 40.0
    glyphs_min: int = 3
    glyphs_ratio: tuple[float, float] = (0.7, 1.4)
    digit_min: float = 0.6
    off_level: tuple[float, float] = (1.0, 0.5)
    unsteady: tuple[float, float] = (0.015, 0.08)
    uneven: tuple[float, float] = (0.03, 0.1)
    slanted: tuple[float, float] = (0.27, 0.15)
    words_slanted: tuple[float, float] = (0.28, 0.16)
    unlike: tuple[float, float] = (0.95, 0.8)
    unlevel_min: float = 0.4
    digits_by_hand_min: float = 2.7
    words_by_hand_min: float = 2.2
    page_glyphs_min: int = 20
    page_glyphs_max: int = 4000


@dataclass(frozen=True, slots=True)
class HandLook:
    """Result for one line. score: 0 (print) to 6; by_hand: from the limit of its kind on. signs: what it adds up."""

    by_hand: bool
    score: float
    signs: Mapping[str, float]


def fields_by_hand(
    pixels: Pixels, reading: PaperReading, kind: PaperKind, limits: HandLimits | None = None
) -> tuple[RefusedField, ...]:
    """Return the amounts, dates, names and numbers of the reading that are written by hand, with the reason.

    pixels: uint8 (h, w, 3), the picture that was read.
    """
    page = PageShapes(pixels, limits if limits is not None else HandLimits())
    looks = ((field, page.look(field)) for field in reading.fields if _looked_at(field.name, kind))
    return tuple(
        RefusedField(field.name, f"it looks written by hand ({look.score:.1f})")
        for field, look in looks
        if isinstance(look, HandLook) and look.by_hand
    )


_LOOKED_AT: Final = frozenset({"amount", "capital_amount", "date", "name", "number", "tracking_number"})


def _looked_at(name: str, kind: PaperKind) -> bool:
    rule = kind.fields.get(name)
    if rule is not None:
        return not rule.signed and rule.format in _LOOKED_AT
    return name.endswith("_minor") or name == "date"


class PageShapes:
    """A picture and the shapes on it; what all fields need is made once, and only if a field asks for it."""

    def __init__(self, pixels: Pixels, limits: HandLimits) -> None:
        self._pixels = pixels
        self._limits = limits
        self._known: tuple[Floats, npt.NDArray[np.float64]] | None = None

    def look(self, field: FieldReading) -> HandLook | Unmeasured:
        """Return how the line of that field looks, or why that cannot be told."""
        height, width = self._pixels.shape[:2]
        box = field.box
        points: Points = field.corners or (
            (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)
        )  # fmt: skip
        digits = sum(character.isdigit() for character in field.value)
        if digits < self._limits.digit_min * len(field.value) or field.name == "capital_total_minor":
            digits = 0
        elif field.name.endswith("_minor") and field.value.endswith("00"):
            digits = max(1, digits - 2)  # whole amounts are written without the decimals, too
        return self.look_at([(x * width, y * height) for x, y in points], digits)

    def look_at(self, corners: Sequence[tuple[float, float]], digits: int) -> HandLook | Unmeasured:
        """Return how the line within four corners (pixels, clockwise from the text's own top left) looks. digits: how
        many it has at least, 0 for a line of words."""
        limits = self._limits
        line = _line(self._pixels, np.array(corners, dtype=np.float32), limits)
        if isinstance(line, Unmeasured):
            return line
        glyphs = line.glyphs()
        signs = _level(glyphs, limits)
        if digits and not digits * limits.glyphs_ratio[0] <= len(glyphs) <= 3 + digits * limits.glyphs_ratio[1]:
            return Unmeasured(f"{len(glyphs)} shapes stand apart there for {digits} digits")
        if not signs:
            return Unmeasured("too few characters stand apart there")
        if not digits:
            off = signs["off_level"] + signs["unsteady"]
            slanted = 2 * _ramp(line.axis_share(), limits.words_slanted)
            score = off + slanted
            return HandLook(score >= limits.words_by_hand_min, round(score, 3), {"level": off, "slanted": slanted})
        signs["slanted"] = _ramp(line.axis_share(), limits.slanted)
        score = sum(signs.values())
        suspicious = score - signs["slanted"] >= limits.unlevel_min and signs["slanted"] > 0
        if suspicious and score + 2 >= limits.digits_by_hand_min:
            signs["unlike"] = 2 * _ramp(self._likeness(line, glyphs), limits.unlike)
            score += signs["unlike"]
        by_hand = suspicious and score >= limits.digits_by_hand_min
        return HandLook(by_hand, round(score, 3), signs)

    def _likeness(self, line: _Line, glyphs: Sequence[_Rect]) -> float:
        """Return the median over the glyphs of the likeness to the nearest other glyph of the page, 1 if the page has
        too few to tell. A likeness within the line itself counts less: a hand repeats itself, too."""
        if self._known is None:
            self._known = _page_glyphs(self._pixels, self._limits)
        vectors, places = self._known
        if len(vectors) < self._limits.page_glyphs_min:
            return 1.0
        x0, y0, x1, y1 = line.bounds
        own = (places[:, 0] >= x0) & (places[:, 0] <= x1) & (places[:, 1] >= y0) & (places[:, 1] <= y1)
        mine = np.array([_shape(line.ink[y : y + h, x : x + w]) for x, y, w, h in glyphs], dtype=np.float32)
        if own.all():
            return 1.0
        elsewhere = float(np.median((mine @ vectors[~own].T).max(axis=1)))
        among = mine @ mine.T
        np.fill_diagonal(among, -1.0)
        return max(elsewhere, float(np.median(np.maximum(among.max(axis=1), elsewhere))) - 0.04)


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A line brought to one height. ink: 0..1, (h, w). grey: the same line's brightness. bounds: of the line on the
    picture. margin_px: around the line."""

    ink: Floats
    grey: Floats
    mask: Mask
    bounds: tuple[float, float, float, float]
    margin_px: int

    def glyphs(self) -> list[_Rect]:
        """Return the boxes of connected print as tall as digits are in this line."""
        high, wide = self.mask.shape
        _, _, stats, _ = cv2.connectedComponentsWithStats(self.mask, connectivity=8)
        own = [
            (int(x), int(y), int(w), int(h))
            for x, y, w, h, _ in stats[1:]
            if self.margin_px <= x + w / 2 <= wide - self.margin_px
            and self.margin_px <= y + h / 2 <= high - self.margin_px
            and y > 0
            and y + h < high
        ]
        if not own:
            return []
        tall = float(np.percentile([rect[3] for rect in own], 80))
        return [rect for rect in own if rect[3] >= 0.6 * tall and rect[2] < 1.5 * tall]

    def axis_share(self) -> float:
        """Return the share of the print's edges that run level or upright, within 7 degrees."""
        smooth = cv2.GaussianBlur(self.grey, (0, 0), 1.0)
        across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        strength = np.hypot(across, down) * (cv2.dilate(self.mask, np.ones((5, 5), np.uint8)) > 0)
        angle = np.abs(np.degrees(np.arctan2(down, across))) % 90
        level = np.minimum(angle, 90 - angle) < 7
        return float((strength * level).sum() / max(1e-6, float(strength.sum())))


def _line(pixels: Pixels, corners: Floats, limits: HandLimits) -> _Line | Unmeasured:
    wide = float(np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3])) / 2
    high = float(np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])) / 2
    if high < limits.line_px_min or wide < high / 4:
        return Unmeasured(f"the line is {high:.0f} px high, too small to tell a hand from print")
    if wide > limits.aspect_max * high:
        return Unmeasured("the line is too long for a field")
    scale = limits.line_px / high
    margin = round(limits.margin_ratio * limits.line_px)
    width, height = round(wide * scale), limits.line_px
    target = np.array(
        [[margin, margin], [margin + width, margin], [margin + width, margin + height], [margin, margin + height]],
        dtype=np.float32,
    )
    onto = cv2.getPerspectiveTransform(corners, target)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (width + 2 * margin, height + 2 * margin)
    piece = cv2.warpPerspective(pixels, onto, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(piece, (max(1, size[0] // 4), size[1] // 4), interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((9, 9), np.uint8)), (0, 0), 2)
    paper = np.maximum(cv2.resize(paper, size, interpolation=cv2.INTER_LINEAR).astype(np.float32), 1.0)
    share = np.asarray(np.clip(piece.astype(np.float32) / paper, 0.0, 1.0), dtype=np.float32)
    ink = np.asarray(1.0 - _print_alone(share), dtype=np.float32)
    mask = _mask(ink, limits.line_px)
    xs, ys = corners[:, 0], corners[:, 1]
    bounds = (float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
    return _Line(ink, np.asarray(255 * (1 - ink), dtype=np.float32), mask, bounds, margin)


# Brightness in red, as a share of the paper's, of red ink; and by how much its darkest channel is darker.
_RED_LIGHT: Final = 0.6
_RED_TINT: Final = 0.15


def _print_alone(share: Floats) -> Floats:
    """Return the brightness of the print, (h, w): without red where other print stands under it, else of the darkest
    channel."""
    darkest = share.min(axis=2)
    red = (share[..., 0] > _RED_LIGHT) & (share[..., 0] - darkest > _RED_TINT)
    other = (darkest < _RED_LIGHT) & ~red
    lift = red.mean() > 0.01 and other.sum() > 0.5 * red.sum()
    return np.asarray(share[..., 0] if lift else darkest, dtype=np.float32)


def _mask(ink: Floats, line_px: int) -> Mask:
    """Return the print as 0 and 1, without rules, broken strokes joined."""
    levels = np.asarray(ink * 255, dtype=np.uint8)
    cut, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = np.asarray(levels > max(cut, 30), dtype=np.uint8)
    for shape, wider in (((1, round(1.6 * line_px)), (5, 3)), ((round(1.5 * line_px), 1), (3, 5))):
        rules = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones(shape, np.uint8))
        mask = np.where(cv2.dilate(rules, np.ones(wider, np.uint8)) > 0, 0, mask).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 3), np.uint8)), dtype=np.uint8)


def _level(glyphs: Sequence[_Rect], limits: HandLimits) -> dict[str, float]:
    """Return the signs off_level, unsteady and uneven; none with too few glyphs."""
    if len(glyphs) < limits.glyphs_min:
        return {}
    x, y, w, h = np.array(sorted(glyphs), dtype=np.float64).T
    middle, top, bottom = x + w / 2, y, y + h
    tall = float(np.median(h))
    near = 0.07 * tall
    most = 0
    for slope in np.linspace(-0.05, 0.05, 11):
        above, below = top - slope * middle, bottom - slope * middle
        alike = (np.abs(above[:, None] - above) <= near) & (np.abs(below[:, None] - below) <= near)
        most = max(most, int(alike.sum(axis=1).max()))
    fit = np.c_[middle, np.ones_like(middle)]
    off = sum(
        float(np.median(np.abs(edge - fit @ np.linalg.lstsq(fit, edge, rcond=None)[0]))) for edge in (top, bottom)
    )
    spread = float(np.percentile(np.abs(h - tall), 70))
    return {
        "off_level": _ramp(most / len(glyphs), limits.off_level),
        "unsteady": _ramp(off / tall, limits.unsteady),
        "uneven": _ramp(spread / tall, limits.uneven),
    }


def _page_glyphs(pixels: Pixels, limits: HandLimits) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return the shapes of all glyphs of the page, (n, 576), and their middles, (n, 2)."""
    darkest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])  # 5 times as fast as min(axis=2)
    height, width = darkest.shape
    small = cv2.resize(darkest, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((9, 9), np.uint8)), (0, 0), 4)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    ink = np.clip(1.0 - darkest / np.maximum(paper, 1.0), 0.0, 1.0).astype(np.float32)
    strong = ink[ink > 0.12]
    cut = max(0.12, 0.45 * float(np.percentile(strong, 85))) if strong.size else 1.0
    mask = cv2.morphologyEx((ink > cut).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    rects = [
        (int(x), int(y), int(w), int(h))
        for x, y, w, h, area in stats[1:]
        if 8 <= h <= 140 and 2 <= w <= 1.3 * h and area >= 10
    ][: limits.page_glyphs_max]
    shapes = np.array([_shape(ink[y : y + h, x : x + w]) for x, y, w, h in rects], dtype=np.float32)
    return shapes, np.array([(x + w / 2, y + h / 2) for x, y, w, h in rects], dtype=np.float64).reshape(-1, 2)


def _shape(ink: Floats) -> Floats:
    """Return one glyph at a common height, smoothed, as a vector of length 576, mean 0 and norm 1: products of two are
    their correlation."""
    high, wide = ink.shape
    across = max(1, min(22, math.floor(22 * wide / high + 0.5)))
    glyph = cv2.resize(ink, (across, 22), interpolation=cv2.INTER_AREA)
    left = (24 - across) // 2
    glyph = cv2.copyMakeBorder(glyph, 1, 1, left, 24 - across - left, cv2.BORDER_CONSTANT, value=0)
    vector = cv2.GaussianBlur(glyph, (0, 0), 1.0).ravel()
    vector = vector - vector.mean()
    return np.asarray(vector / max(1e-6, float(np.linalg.norm(vector))), dtype=np.float32)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    start, end = ends
    return min(1.0, max(0.0, (value - start) / (end - start)))

"""Finds large marks over a page's print by their geometry: words in another ink, in pale grey or in broad strokes, rows
of dots or holes, and long strokes of a pen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.ocr.mark_glyphs import of_glyphs
from vision.documents.ocr.mark_shapes import Rect, harmless_shape
from vision.documents.ocr.views import PageView, Pixels, fall_degrees, levelled
from vision.documents.text.page import TextLine

Mask = npt.NDArray[np.uint8]  # (h, w): 1 where there is ink, else 0
_Plane = npt.NDArray[np.float32]
Quad = npt.NDArray[np.float32]  # (4, 2) corners in pixels
Way = Literal["ink", "pale", "broad", "dots", "strokes"]
_HUES: Final = 24


@dataclass(frozen=True, slots=True)
class MarkLimits:
    """Limits of the marks that are looked for.

    long_edge_px: the page is examined in this size. print_px_min: the height of print is taken to be at least this.
    tint_min, pale_min: optical density (natural logarithm of paper by ink) from which an ink is in colour, or darker
    than its paper; noise_ratio: at least so many deviations of the paper's grain. dark_min: density of print.
    hue_share_min: share of all coloured ink from which a hue is looked at by itself; hue_reach: bins of 15 degrees on
    each side of its peak.

    In heights of the page's print: gap_heights: pieces of one mark lie nearer; height_min: a mark is higher; glyph_min:
    the largest piece of it is; large_min: so high is a mark also where no print runs below it; stroke_min: broad
    strokes of dark ink. explained_ratio: share of a piece inside a line that was read from which it is print;
    line_height_max: print is at most so many heights of its line high. pieces_max: more are a pattern.
    area_ratio_max: of the page. stroke_max: half the breadth of its strokes,
    of its shorter side; thicker is no word but a shade or an area.
    marks_max: of one page, the largest.

    dot_px: least and most diameter of a dot. dots_min: fewer are none. dot_spread: of their diameters. dot_step: least
    and most distance of neighbours, in diameters.

    stroke_ratio_min: length of a pen's stroke, of the page's shorter edge. strokes_max: more are a pattern.
    stroke_degrees_min: from level and upright.
    stroke_dark_min: share of its length that is inked. stroke_clear_max: share of the ink beside it.
    """

    long_edge_px: int = 1000
    print_px_min: float = 9.0
    tint_min: float = 0.05
    pale_min: float = 0.035
    noise_ratio: float = 4.0
    dark_min: float = 0.55
    hue_share_min: float = 0.08
    hue_reach: int = 3
    gap_heights: float = 0.8
    height_min: float = 1.7
    glyph_min: float = 1.35
    large_min: float = 3.0
    stroke_min: float = 0.24
    explained_ratio: float = 0.6
    line_height_max: float = 1.45
    pieces_max: int = 160
    area_ratio_max: float = 0.3
    stroke_max: float = 0.17
    marks_max: int = 6
    dot_px: tuple[float, float] = (2.2, 12.0)
    dots_min: int = 28
    dot_spread: float = 0.3
    dot_step: tuple[float, float] = (1.1, 3.2)
    stroke_ratio_min: float = 0.36
    strokes_max: int = 6
    stroke_degrees_min: float = 7.0
    stroke_dark_min: float = 0.8
    stroke_clear_max: float = 0.35


LIMITS: Final = MarkLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A large mark. way: how it stands out. ink: of it alone, on `view`, the page levelled and reduced. rect: centre,
    sides and degrees of the rectangle around it there. across: print of the page runs below it. shape: why it is
    harmless ("" if nothing says so). glyphs: it has the form of large characters."""

    way: Way
    ink: Mask
    rect: Rect
    across: bool
    shape: str
    glyphs: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PageWithMarks:
    """The page levelled and reduced, and the marks on it, the largest first. print_px: height of its print there."""

    view: PageView
    print_px: float
    marks: tuple[Mark, ...]


def marked_page(
    plain: PageView, lines: Sequence[TextLine], codes: Sequence[Quad] = (), limits: MarkLimits = LIMITS
) -> PageWithMarks:
    """Return the marks on a page. lines: as read on `plain`. codes: corners of decoded codes there."""
    view, onto = _reduced(plain, lines, limits)
    boxes = [np.asarray(_mapped(onto, line.corners), dtype=np.float32) for line in lines if line.text.strip()]
    heights = [float(np.linalg.norm(box[3] - box[0])) for box in boxes]
    wide = [height for height, line in zip(heights, lines, strict=False) if len(line.text) > 1]
    print_px = max(limits.print_px_min, float(np.median(wide)) if wide else 0.0)
    page = _Sheet(view.pixels, boxes, heights, print_px, limits, [np.asarray(_mapped(onto, code)) for code in codes])
    marks = sorted(page.marks(), key=lambda mark: -mark.rect[1][0] * mark.rect[1][1])
    return PageWithMarks(view, print_px, tuple(marks[: limits.marks_max]))


def _reduced(
    plain: PageView, lines: Sequence[TextLine], limits: MarkLimits
) -> tuple[PageView, npt.NDArray[np.float64]]:
    """Return the page levelled by its lines and reduced, and the matrix from `plain` onto it."""
    height, width = plain.pixels.shape[:2]
    scale = min(1.0, limits.long_edge_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(plain.pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    up = np.diag([1 / scale, 1 / scale, 1.0])
    fall = fall_degrees(lines)
    view = levelled(PageView(small, up), fall) if 0.4 < abs(fall) < 30 else PageView(small, up)
    onto = np.linalg.inv(view.to_picture).astype(np.float64)
    return PageView(view.pixels, plain.to_picture @ view.to_picture), onto


def _mapped(onto: npt.NDArray[np.float64], corners: object) -> npt.NDArray[np.float32]:
    points = np.asarray(corners, dtype=np.float64)
    mapped = onto @ np.hstack([points, np.ones((len(points), 1))]).T
    return np.asarray((mapped[:2] / mapped[2]).T, dtype=np.float32)


class _Sheet:
    """One page in examination."""

    def __init__(
        self,
        pixels: Pixels,
        boxes: Sequence[Quad],
        heights: Sequence[float],
        print_px: float,
        limits: MarkLimits,
        codes: Sequence[npt.NDArray[np.float32]],
    ) -> None:
        self.limits, self.print_px, self.boxes = limits, print_px, boxes
        self.size = (pixels.shape[1], pixels.shape[0])
        self.density = densities(pixels)
        self.least = self.density.min(axis=2)
        self.tint, self.hue = _tints(self.density)
        self.region = self._region(codes)
        self.lines = np.zeros(pixels.shape[:2], dtype=np.uint8)  # 1 + 4 times the height of the line there, to 255
        for box, height in sorted(zip(boxes, heights, strict=True), key=lambda pair: -pair[1]):
            value = min(255, 1 + round(4 * height))
            cv2.fillConvexPoly(self.lines, _grown(box, 0.12 * height).round().astype(np.int32), value)
        paper = (self.region > 0) & (self.density.max(axis=2) < 0.12)
        self.grain = _grain(self.least, paper)
        self.tint_grain = _grain(self.tint, paper)

    def marks(self) -> Iterator[Mark]:
        yield from self._strokes()
        yield from self._dots()
        for way, ink in self._layers():
            yield from self._marks_of(way, ink)

    def _region(self, codes: Sequence[npt.NDArray[np.float32]]) -> Mask:
        """Return where the paper is for certain: the hull of its print with a margin, without codes."""
        region = np.zeros((self.size[1], self.size[0]), dtype=np.uint8)
        if not self.boxes:
            return region
        hull = cv2.convexHull(np.concatenate(list(self.boxes)).astype(np.float32))
        cv2.fillConvexPoly(region, hull.round().astype(np.int32), 1)
        margin = max(1, round(1.5 * self.print_px))
        region = cast(Mask, cv2.dilate(region, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)))
        for code in codes:
            cv2.fillConvexPoly(region, _grown(code, self.print_px).round().astype(np.int32), 0)
        return region

    # ---- layers

    def _layers(self) -> Iterator[tuple[Way, Mask]]:
        limits, inside = self.limits, self.region > 0
        coloured = inside & (self.tint > max(limits.tint_min, limits.noise_ratio * self.tint_grain))
        total = int(coloured.sum())
        left = coloured.copy()
        while total and left.sum() > max(limits.hue_share_min * total, 60):
            histogram = np.bincount(self.hue[left], weights=self.tint[left], minlength=_HUES)
            smooth = sum(np.roll(histogram, step) for step in (-1, 0, 1))
            peak = int(np.argmax(smooth))
            apart = np.abs((self.hue.astype(int) - peak + _HUES // 2) % _HUES - _HUES // 2)
            near = left & (apart <= limits.hue_reach)
            if near.sum() <= max(limits.hue_share_min * total, 60):
                break
            yield "ink", self._without_rules(near.astype(np.uint8))
            left &= apart > limits.hue_reach
        yield "pale", self._pale(inside & (self.tint < max(0.12, 3 * limits.tint_min)))
        stroke = max(3, round(limits.stroke_min * self.print_px))
        dark = (inside & (self.least > limits.dark_min)).astype(np.uint8)
        yield "broad", cast(Mask, cv2.morphologyEx(dark, cv2.MORPH_OPEN, _disk(stroke)))
        yield "ink", self._without_rules((inside & (self.least > 0.3)).astype(np.uint8))

    def _pale(self, inside: npt.NDArray[np.bool_]) -> Mask:
        limits = self.limits
        smooth = cv2.GaussianBlur(self.least, (0, 0), 1.0)
        print_near = cv2.dilate((self.least > limits.dark_min).astype(np.uint8), _disk(5))
        least = max(limits.pale_min, limits.noise_ratio * self.grain)
        pale = (inside & (smooth > least) & (print_near == 0)).astype(np.uint8)
        wide = cv2.morphologyEx(pale, cv2.MORPH_OPEN, _disk(3))
        closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, _disk(7))
        # What reaches the edge of the print is a shadow, or the desk below.
        _, labels = cv2.connectedComponents(closed)
        edge = (self.region > 0) & (cv2.erode(self.region, np.ones((5, 5), np.uint8)) == 0)
        at_edge = np.unique(np.concatenate([labels[edge], labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        return cast(Mask, np.where(np.isin(labels, at_edge), 0, closed).astype(np.uint8))

    def _without_rules(self, ink: Mask) -> Mask:
        """Return the ink without level and upright lines: rules, frames, bars of codes."""
        long = max(9, round(3 * self.print_px))
        rules = np.zeros_like(ink)
        thick = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((6, 6), np.uint8))
        thin = np.where(thick > 0, np.uint8(0), ink)
        for size in ((long, 1), (1, long)):
            lines = cv2.morphologyEx(thin, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, size))
            rules |= lines.astype(np.uint8)
        return np.where(cv2.dilate(rules, _disk(3)) > 0, np.uint8(0), ink)

    # ---- from ink to marks

    def _marks_of(self, way: Way, ink: Mask) -> Iterator[Mark]:
        limits, high = self.limits, self.print_px
        pieces = self._unexplained(ink, dark=way == "ink")
        if not pieces.any():
            return
        gap = max(3, round(limits.gap_heights * high)) | 1
        joined = cv2.dilate(pieces, _disk(gap))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        for label in range(1, count):
            x, y, w, h, _ = stats[label]
            if max(w, h) - gap < limits.height_min * high:
                continue
            part = np.zeros_like(pieces)
            window = (slice(y, y + h), slice(x, x + w))
            part[window] = pieces[window] * (labels[window] == label)
            mark = self._mark(way, part)
            if mark is not None:
                yield mark

    def _unexplained(self, ink: Mask, *, dark: bool) -> Mask:
        """Return the pieces of ink that are no characters of lines that were read."""
        limits = self.limits
        count, labels, stats, _ = cv2.connectedComponentsWithStats(ink)
        if count < 2:
            return ink
        heights = (self.lines.astype(np.float32) - 1) / 4
        inked = ink > 0
        sure = np.bincount(labels[inked], weights=(self.lines[inked] > 0), minlength=count)
        line = np.bincount(labels[inked], weights=np.maximum(heights[inked], 0), minlength=count)
        area = np.maximum(stats[:, 4], 1)
        line_height = line / np.maximum(sure, 1)
        # A letter of a line is as high as it at most; a rule or underline beside it is flat.
        printed = (sure / area > limits.explained_ratio) & (stats[:, 3] <= limits.line_height_max * line_height)
        flat = np.minimum(stats[:, 2], stats[:, 3]) <= 3
        small = stats[:, 4] < (6 if not dark else 0.12 * self.print_px**2)
        gone = printed | small | (flat & (np.maximum(stats[:, 2], stats[:, 3]) > 2 * self.print_px))
        gone[0] = True
        return cast(Mask, (~gone[labels]).astype(np.uint8))

    def _mark(self, way: Way, part: Mask) -> Mark | None:
        limits, high = self.limits, self.print_px
        count, _, stats, _ = cv2.connectedComponentsWithStats(part)
        if count - 1 > limits.pieces_max:
            return None
        tallest = float(np.minimum(stats[1:, 3], 1e9).max()), float(stats[1:, 2].max())
        if min(tallest) < 0.5 * high or max(tallest) < limits.glyph_min * high:
            return None
        points = cv2.findNonZero(part)
        rect = _rect_of(points)
        shorter, longer = sorted(rect[1])
        if shorter < limits.height_min * high or shorter * longer > limits.area_ratio_max * part.size:
            return None
        if float(cv2.distanceTransform(part, cv2.DIST_L2, 3).max()) > limits.stroke_max * shorter:
            return None
        hull = np.zeros_like(part)
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
        across = self._across(part, hull)
        if not across and shorter < limits.large_min * high:
            return None
        shape = harmless_shape(part, rect, high)
        # Ink of a stamp lies in lines and between them alike, ink of print in lines.
        print_below = int((hull & (self.lines > 0)).sum()) / max(1, int(hull.sum()))
        printed = int((part & (self.lines > 0)).sum()) / max(1, int(part.sum()))
        printed = (printed - print_below) / max(0.05, 1 - print_below)
        return Mark(
            way, part, rect, across, shape, not shape and of_glyphs(part, rect, high, printed, pale=way == "pale")
        )

    def _across(self, part: Mask, hull: Mask) -> bool:
        """Return True if print that was read runs through the mark: its ink lies in several places of a line's box."""
        reach = part & (self.lines > 0)
        return int(reach.sum()) > 0.12 * int(part.sum()) or int((hull & (self.lines > 0)).sum()) > 0.3 * int(hull.sum())

    # ---- dots and strokes

    def _dots(self) -> Iterator[Mark]:
        limits = self.limits
        level = max(0.12, limits.noise_ratio * self.grain)
        for ink in (
            ((self.region > 0) & (self.least > level)).astype(np.uint8),
            ((self.region > 0) & (self.least > 3 * level)).astype(np.uint8),
        ):
            dots = self._round_dots(ink)
            if dots is not None:
                _, closed = dots
                mark = self._mark("dots", closed)
                if mark is not None:
                    yield Mark("dots", closed, mark.rect, True, "")
                    return

    def _round_dots(self, ink: Mask) -> tuple[Mask, Mask] | None:
        limits = self.limits
        count, labels, stats, centres = cv2.connectedComponentsWithStats(ink)
        w, h, area = (stats[:, column].astype(np.float32) for column in (2, 3, 4))
        size = (w + h) / 2
        low, most = limits.dot_px
        fits = (size >= low) & (size <= most) & (np.maximum(w, h) <= 1.5 * np.minimum(w, h)) & (area > 0.5 * w * h)
        fits[0] = False
        if fits.sum() < limits.dots_min:
            return None
        numbers = np.flatnonzero(fits)
        # The size that most share: print has dots of a few sizes, a punch of one.
        best = max(
            (
                numbers[np.abs(size[numbers] / diameter - 1) < limits.dot_spread]
                for diameter in np.unique(size[numbers])
            ),
            key=len,
        )
        if len(best) < limits.dots_min:
            return None
        where, diameter = centres[best], float(np.median(size[best]))
        apart = np.linalg.norm(where[:, None] - where[None], axis=2) if len(best) < 1500 else None
        if apart is None:
            return None
        np.fill_diagonal(apart, np.inf)
        nearest = apart.min(axis=1)
        usual = nearest[(nearest > limits.dot_step[0] * diameter) & (nearest < limits.dot_step[1] * diameter)]
        if len(usual) < limits.dots_min:
            return None
        step = float(np.median(usual))
        # Neighbours in a grid: several at the same distance, not all on one level line as leaders are.
        near = (apart < 1.5 * step) & (apart > 0.6 * step)
        several = near.sum(axis=1) >= 2
        off_line = (near & (np.abs(where[:, None, 1] - where[None, :, 1]) > 0.5 * step)).sum(axis=1) >= 1
        kept = best[several & off_line]
        if len(kept) < limits.dots_min:
            return None
        part = np.isin(labels, kept).astype(np.uint8)
        closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, _disk(round(1.25 * step) | 1)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
        large = [n for n in range(1, count) if stats[n][4] >= 4 * step * step]
        closed = np.isin(labels, large).astype(np.uint8)
        return (part, closed) if closed.any() else None

    def _strokes(self) -> Iterator[Mark]:
        limits = self.limits
        grey = self.density.max(axis=2)
        thin = grey - cv2.morphologyEx(grey, cv2.MORPH_OPEN, _disk(11))
        ink = ((self.region > 0) & (thin > max(0.18, limits.noise_ratio * self.grain))).astype(np.uint8)
        shorter = min(self.size)
        least = limits.stroke_ratio_min * shorter
        segments = cv2.HoughLinesP(ink, 1, math.pi / 360, round(0.5 * least), minLineLength=least, maxLineGap=6)
        kept = np.zeros_like(ink)
        for x0, y0, x1, y1 in () if segments is None else segments[:300].reshape(-1, 4):
            degrees = abs(math.degrees(math.atan2(y1 - y0, x1 - x0))) % 90
            if min(degrees, 90 - degrees) < limits.stroke_degrees_min:
                continue
            if self._is_stroke(ink, (x0, y0, x1, y1)):
                cv2.line(kept, (int(x0), int(y0)), (int(x1), int(y1)), 1, 3)
        if not kept.any() or cv2.connectedComponents(kept)[0] - 1 > limits.strokes_max:
            return
        if int((kept & (self.lines > 0)).sum()) < 2 * self.print_px:
            return
        yield Mark("strokes", kept, _rect_of(cv2.findNonZero(kept)), True, "")

    def _is_stroke(self, ink: Mask, ends: tuple[int, int, int, int]) -> bool:
        """Return True if ink runs all along, with little beside it: rows of print are no stroke."""
        x0, y0, x1, y1 = ends
        length = math.hypot(x1 - x0, y1 - y0)
        steps = np.linspace(0, 1, max(2, round(length)))
        along = np.stack([x0 + steps * (x1 - x0), y0 + steps * (y1 - y0)], axis=1)
        normal = np.array([-(y1 - y0), x1 - x0]) / length

        def at(offset: float) -> npt.NDArray[np.bool_]:
            points = (along + offset * normal).round().astype(int)
            xs, ys = np.clip(points[:, 0], 0, self.size[0] - 1), np.clip(points[:, 1], 0, self.size[1] - 1)
            return cast(npt.NDArray[np.bool_], ink[ys, xs] > 0)

        on = at(0) | at(1) | at(-1)
        beside = (at(6).mean() + at(-6).mean() + at(9).mean() + at(-9).mean()) / 4
        limits = self.limits
        return float(on.mean()) >= limits.stroke_dark_min and float(beside) <= limits.stroke_clear_max


def _rect_of(points: cv2.typing.MatLike) -> Rect:
    """Return centre, sides and degrees of the smallest rectangle around the points."""
    (x, y), (wide, high), degrees = cv2.minAreaRect(points)
    return (float(x), float(y)), (float(wide), float(high)), float(degrees)


def densities(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the optical density of each channel against the paper around it, from 0 to 3."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((11, 11), np.uint8)), (0, 0), 4)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    share = (pixels.astype(np.float32) + 1) / np.maximum(paper + 1, 1)
    return np.asarray(np.clip(-np.log(np.maximum(share, 0.05)), 0, 3), dtype=np.float32)


def _tints(density: npt.NDArray[np.float32]) -> tuple[_Plane, npt.NDArray[np.int64]]:
    """Return how coloured the ink is, as a density, and its hue in bins."""
    smooth = cv2.GaussianBlur(density, (0, 0), 1.0)
    u = smooth[..., 1] - (smooth[..., 0] + smooth[..., 2]) / 2
    v = (smooth[..., 2] - smooth[..., 0]) * (math.sqrt(3) / 2)
    hue = ((np.arctan2(v, u) / (2 * math.pi) + 1) * _HUES).astype(np.int64) % _HUES
    return np.hypot(u, v).astype(np.float32), hue


def _grain(plane: _Plane, paper: npt.NDArray[np.bool_]) -> float:
    """Return the deviation of a plane on bare paper, after a little smoothing."""
    values = cv2.GaussianBlur(plane, (0, 0), 1.0)[paper]
    if values.size < 100:
        return 0.0
    middle = float(np.median(values))
    return 1.48 * float(np.median(np.abs(values - middle))) + middle / 4


def _grown(quad: npt.NDArray[np.float32], by: float) -> npt.NDArray[np.float32]:
    """Return the quad with each corner moved outwards."""
    middle = quad.mean(axis=0)
    away = quad - middle
    return np.asarray(middle + away + by * np.sign(away), dtype=np.float32)


def _disk(size: int) -> Mask:
    return cast(Mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))

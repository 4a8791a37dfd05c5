"""Detects digits of an amount or a date that look as if they had been changed on the picture.

Each glyph of a field is compared with up to `references_max` glyphs of like size around it, on seven signs that an edit
leaves: noise of the paper around it, sharpness of its edges, depth and tint of its ink, a step in the paper's
brightness, a trace of another JPEG history (ghosts: Farid, "Exposing digital forgeries from JPEG ghosts", 2009), and a
twin on the same picture that is more similar than two prints of one digit are (copy-move). A logistic model weighs
them; its cut-off is set so that honest pages are not accused (card paper_forensics). Trained by
`models/train/paper_forensics.py`.

Only pixels are examined. A picture drawn by a computer and never photographed has no noise and honest twins: there the
signs say little. A picture resized after the edit has lost the JPEG trace.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from models.registry import card, weights_path
from vision.measurement import Unmeasured

NAME: Final = "paper_forensics"
SIGNS: Final = ("noise", "sharpness", "ink", "tint", "paper_step", "ghost", "twin")
FEATURES: Final = (*SIGNS, *(f"log_{sign}" for sign in SIGNS), "sum_above_3")
_GHOST_QUALITIES: Final = (50, 58, 65, 70, 75, 80, 85, 90, 95)

# Least spread of noise, sharpness (both logarithms), ink (share), tint and paper step (levels): with a smaller one,
# neighbours that happen to be all alike would make any glyph stand out.
_SPREAD_FLOORS: Final = np.array([0.15, 0.08, 0.03, 3.0, 3.0])
_GHOST_SPREAD_FLOOR: Final = 0.08

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]  # left, top, right, bottom
_Rect = tuple[int, int, int, int]  # x, y, width, height in pixels


@dataclass(frozen=True, slots=True)
class ForensicLimits:
    """Limits of the examination. Lengths in pixels of the picture; heights are those of glyphs.

    edge_px_max: a larger picture is refused, since shrinking it here would wipe out the traces. reference_height_ratio:
    least and most height of a glyph to compare with, as a share of the field's. contrast_min: of print against paper,
    0..1. red_share_max: red share of a glyph's surroundings; above it a seal covers the glyph.
    """

    edge_px_max: int = 6000
    pixels_max: int = 24_000_000
    fields_max: int = 24
    glyphs_per_field_max: int = 40
    glyph_height_px_min: int = 10
    glyph_height_px_max: int = 160
    references_min: int = 12
    references_max: int = 60
    twin_candidates_max: int = 120
    reference_height_ratio: tuple[float, float] = (0.72, 1.35)
    contrast_min: float = 0.15
    red_share_max: float = 0.06
    z_max: float = 8.0


@dataclass(frozen=True, slots=True)
class GlyphSigns:
    """Signs of one glyph. field: the field it belongs to. box: in pixels. z: (len(SIGNS),), robust deviations from its
    neighbours, 0 to z_max."""

    field: str
    box: Box
    z: tuple[float, ...]

    def features(self) -> npt.NDArray[np.float64]:
        """Return the features in the order of FEATURES."""
        z = np.array(self.z, dtype=np.float64)
        return np.concatenate([z, np.log1p(z), [np.maximum(0.0, z - 3.0).sum()]])


@dataclass(frozen=True, slots=True)
class DigitsLook:
    """Result for one field. found: a digit looks changed. score: 0..1 of the most suspicious digit; found from the
    model's cut-off on. at: that digit's box as fractions of the picture. sign: the strongest sign against it, one of
    SIGNS."""

    found: bool
    score: float
    at: Box
    sign: str
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class ForensicModel:
    """The logistic model: weights (len(FEATURES),) and intercept. score_min: score from which a digit looks changed."""

    weights: npt.NDArray[np.float64]
    intercept: float
    score_min: float
    label: str

    def score(self, signs: GlyphSigns) -> float:
        """Return the probability, 0..1, that the glyph was changed."""
        margin = float(self.weights @ signs.features()) + self.intercept
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, margin))))


@cache
def forensic_model() -> ForensicModel:
    """Return the trained model. Raises ModelMissing, ModelCorrupt, ValueError if it was trained on other features."""
    return read_model(weights_path(NAME), card(NAME).label)


def read_model(path: Path, label: str) -> ForensicModel:
    """Read a model as the recipe writes it. Raises ValueError, KeyError if it does not fit these features."""
    return model_of(json.loads(path.read_text(encoding="utf-8")), label)


def model_of(content: Mapping[str, Any], label: str) -> ForensicModel:
    """Return the model in the file's JSON object; as `read_model`."""
    if tuple(content["features"]) != FEATURES:
        raise ValueError(f"the model was trained on other features: {content['features']}")
    weights = np.array(content["weights"], dtype=np.float64)
    return ForensicModel(weights, float(content["intercept"]), float(content["score_min"]), label)


def digits_look(
    pixels: Pixels,
    boxes: Mapping[str, Box],
    *,
    model: ForensicModel | None = None,
    limits: ForensicLimits | None = None,
) -> dict[str, DigitsLook | Unmeasured]:
    """Return the result of each field, by its name.

    pixels: uint8 (h, w, 3) sRGB as decoded, not rescaled. boxes: of the fields' values, as fractions 0..1 of the
    picture. Raises ValueError for an invalid box, or more fields than `fields_max`.
    """
    weighed = model if model is not None else forensic_model()
    height, width = pixels.shape[:2]
    results: dict[str, DigitsLook | Unmeasured] = {}
    for name, signs in glyph_signs(pixels, boxes, limits).items():
        if isinstance(signs, Unmeasured):
            results[name] = signs
            continue
        score, worst = max(((weighed.score(glyph), glyph) for glyph in signs), key=lambda pair: pair[0])
        left, top, right, bottom = worst.box
        at = (left / width, top / height, right / width, bottom / height)
        sign = SIGNS[int(np.argmax(worst.z))]
        results[name] = DigitsLook(score >= weighed.score_min, round(score, 4), at, sign, weighed.label)
    return results


def glyph_signs(
    pixels: Pixels, boxes: Mapping[str, Box], limits: ForensicLimits | None = None
) -> dict[str, list[GlyphSigns] | Unmeasured]:
    """Return the signs of every glyph of every field, which `digits_look` weighs. Arguments and errors as there."""
    bounds = limits if limits is not None else ForensicLimits()
    height, width = pixels.shape[:2]
    if len(boxes) > bounds.fields_max:
        raise ValueError(f"{len(boxes)} fields are more than {bounds.fields_max}")
    for name, (left, top, right, bottom) in boxes.items():
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError(f"the box of {name} is none: {(left, top, right, bottom)}")
    if max(height, width) > bounds.edge_px_max or height * width > bounds.pixels_max:
        return {
            name: Unmeasured(f"the picture is too large to look at closely: {width} x {height} px") for name in boxes
        }
    page = _Page(pixels, bounds)
    return {
        name: page.field(name, (left * width, top * height, right * width, bottom * height))
        for name, (left, top, right, bottom) in boxes.items()
    }


class _Page:
    """A picture prepared once for all its fields."""

    def __init__(self, pixels: Pixels, limits: ForensicLimits) -> None:
        self.limits = limits
        self.rgb: Floats = pixels.astype(np.float32)
        self.luma: Floats = np.asarray(self.rgb @ np.array([0.299, 0.587, 0.114], np.float32), dtype=np.float32)
        self.height, self.width = self.luma.shape
        red = self.rgb[..., 0] - np.maximum(self.rgb[..., 1], self.rgb[..., 2])
        self.red = red > 40
        self.high = self.luma - cv2.GaussianBlur(self.luma, (0, 0), 1.2)
        self.slope = np.hypot(
            cv2.Sobel(self.luma, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(self.luma, cv2.CV_32F, 0, 1, scale=0.125)
        )
        self._by_polarity: dict[bool, tuple[Floats, list[_Rect]]] = {}
        self._ghosts: Floats | None = None
        self._sums: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = (
            None  # cumulative sums of luma and of its square
        )
        self._known: dict[tuple[str, _Rect], npt.NDArray[np.float64]] = {}  # fields share their neighbours

    def field(self, name: str, box: Box) -> list[GlyphSigns] | Unmeasured:
        x0, y0, x1, y1 = (round(v) for v in box)
        inside = self.luma[y0:y1, x0:x1]
        if inside.size < 60:
            return Unmeasured("the field is too small on the picture")
        low, middle, high = np.percentile(inside, (5, 50, 98))
        light_ink = bool(high - middle > middle - low)
        ink, every = self._glyphs(light_ink)
        own = self._own(ink, (x0, y0, x1, y1))
        if not own:
            return Unmeasured("no digits stand out on the paper there")
        tall = float(np.median([rect[3] for rect in own]))
        if not self.limits.glyph_height_px_min <= tall <= self.limits.glyph_height_px_max:
            return Unmeasured(f"the digits are {tall:.0f} px high, too small or too large to compare")
        clear = [rect for rect in own if self._red_share(rect) <= self.limits.red_share_max]
        if not clear:
            return Unmeasured("a seal lies over the digits")
        references = self._references(every, clear, tall)
        if len(references) < self.limits.references_min:
            return Unmeasured(f"only {len(references)} other characters of that size to compare with")
        return self._compared(name, ink, clear[: self.limits.glyphs_per_field_max], references, every)

    def _glyphs(self, light_ink: bool) -> tuple[Floats, list[_Rect]]:
        """Return the ink 0..1 of every pixel, and the boxes of connected print."""
        if light_ink not in self._by_polarity:
            luma = 255.0 - self.luma if light_ink else self.luma
            small = cv2.resize(luma, (max(1, self.width // 8), max(1, self.height // 8)), interpolation=cv2.INTER_AREA)
            paper = cv2.GaussianBlur(cv2.dilate(small, np.ones((9, 9), np.uint8)), (0, 0), 4)
            paper = np.maximum(cv2.resize(paper, (self.width, self.height), interpolation=cv2.INTER_LINEAR), 1.0)
            ink = np.asarray(np.clip(1.0 - luma / paper, 0.0, 1.0), dtype=np.float32)
            strong = ink[ink > self.limits.contrast_min]
            cut = max(self.limits.contrast_min, 0.5 * float(np.percentile(strong, 90))) if strong.size else 1.0
            _, _, stats, _ = cv2.connectedComponentsWithStats((ink > cut).astype(np.uint8), connectivity=8)
            least = self.limits.glyph_height_px_min * self.limits.reference_height_ratio[0]
            rects = [
                (int(x), int(y), int(w), int(h))
                for x, y, w, h, area in stats[1:]
                if h >= least
                and w >= 3
                and area >= 12
                and h <= self.limits.glyph_height_px_max * 1.4
                and 4 < x < self.width - w - 5
                and 4 < y < self.height - h - 5
            ]
            self._by_polarity[light_ink] = (ink, rects)
        return self._by_polarity[light_ink]

    def _own(self, ink: Floats, box: _Rect) -> list[_Rect]:
        """Return the field's glyphs. If print is faint, its own contrast decides; runs of joined digits are cut
        evenly."""
        x0, y0, x1, y1 = box
        margin = max(2, (y1 - y0) // 6)
        top, left = max(6, y0 - margin), max(6, x0 - margin)
        part = ink[top : min(self.height - 6, y1 + margin), left : min(self.width - 6, x1 + margin)]
        if part.size == 0:
            return []
        cut = 0.5 * float(np.percentile(part, 97))
        if cut < self.limits.contrast_min / 2:
            return []
        _, _, stats, _ = cv2.connectedComponentsWithStats((part > cut).astype(np.uint8), connectivity=8)
        glyphs: list[_Rect] = []
        for x, y, w, h, _ in stats[1:]:
            middle_x, middle_y = left + x + w / 2, top + y + h / 2
            if (
                h < 0.5 * (y1 - y0)
                or h > 1.5 * (y1 - y0)
                or w < 2
                or not (x0 <= middle_x <= x1 and y0 <= middle_y <= y1)
            ):
                continue
            parts = max(1, round(w / (0.62 * h))) if w > 1.05 * h else 1
            step = w / parts
            glyphs += [(left + int(x + i * step), top + int(y), max(2, round(step)), int(h)) for i in range(parts)]
        return sorted(glyphs)

    def _red_share(self, rect: _Rect) -> float:
        x, y, w, h = rect
        return float(self.red[y - 4 : y + h + 4, x - 4 : x + w + 4].mean())

    def _references(self, every: Sequence[_Rect], own: Sequence[_Rect], tall: float) -> list[_Rect]:
        """Return glyphs of similar size, nearest first, none of them under a seal."""
        low, high = (ratio * tall for ratio in self.limits.reference_height_ratio)
        middle_x = float(np.mean([x + w / 2 for x, _, w, _ in own]))
        middle_y = float(np.mean([y + h / 2 for _, y, _, h in own]))
        fitting = [r for r in every if low <= r[3] <= high and 0.2 * r[3] <= r[2] <= 1.15 * r[3]]
        fitting.sort(key=lambda r: math.hypot((r[0] - middle_x) / 3, r[1] - middle_y))
        clear = (r for r in fitting if self._red_share(r) <= self.limits.red_share_max)
        return [rect for rect, _ in zip(clear, range(self.limits.references_max), strict=False)]

    def _compared(
        self, name: str, ink: Floats, own: Sequence[_Rect], references: Sequence[_Rect], every: Sequence[_Rect]
    ) -> list[GlyphSigns]:
        measured = np.array([self._local(ink, rect) for rect in own])
        known = np.array([self._once("local", rect, lambda r: np.array(self._local(ink, r))) for rect in references])
        middle = np.median(known, axis=0)
        spread = 1.4826 * np.median(np.abs(known - middle), axis=0)
        z = np.abs(measured - middle) / np.maximum(spread, _SPREAD_FLOORS)
        ghost = self._ghost(own, references)
        twin = self._twin(own, references, every)
        z = np.clip(np.column_stack([z, ghost, twin]), 0.0, self.limits.z_max)
        return [
            GlyphSigns(name, (x, y, x + w, y + h), tuple(round(float(v), 4) for v in row))
            for (x, y, w, h), row in zip(own, z, strict=True)
        ]

    def _once(
        self, what: str, rect: _Rect, measure: Callable[[_Rect], npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        if (what, rect) not in self._known:
            self._known[what, rect] = measure(rect)
        return self._known[what, rect]

    def _local(self, ink: Floats, rect: _Rect) -> list[float]:
        """Return noise, sharpness, ink, tint and paper step of one glyph."""
        x, y, w, h = rect
        pad = 3
        region = (slice(y - pad, y + h + pad), slice(x - pad, x + w + pad))
        shade = ink[region]
        contrast = float(np.percentile(shade, 92))
        printed = shade > 0.5 * contrast
        bare = cv2.dilate((shade > 0.25 * contrast).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        if bare.sum() < 10:
            bare = shade <= np.percentile(shade, 15)
        noise = math.log(float(np.std(self.high[region][bare])) + 0.3)
        depth = float(np.percentile(self.luma[region], 90) - np.percentile(self.luma[region], 8))
        sharpness = math.log((float(np.percentile(self.slope[region], 95)) + 0.5) / (depth + 4.0))
        colour = self.rgb[region][printed].mean(axis=0) if printed.any() else self.rgb[region].mean(axis=(0, 1))
        paper_colour = self.rgb[region][bare].mean(axis=0)
        tint = (colour[0] - colour[2]) - (paper_colour[0] - paper_colour[2])
        wide = (slice(max(0, y - 10), y + h + 10), slice(max(0, x - 10), x + w + 10))
        around = ink[wide] < 0.25 * contrast
        around[10 - pad : -(10 - pad), 10 - pad : -(10 - pad)] = False
        ring = self.luma[wide][around]
        step = float(
            self.luma[region][bare].mean() - (ring.mean() if ring.size > 20 else self.luma[region][bare].mean())
        )
        return [noise, sharpness, contrast, float(tint), step]

    def _ghost(self, own: Sequence[_Rect], references: Sequence[_Rect]) -> npt.NDArray[np.float64]:
        """Return, over all qualities, the most by which a glyph's loss under recompression exceeds its neighbours'."""
        if self._ghosts is None:
            source = np.clip(self.luma, 0, 255).round().astype(np.uint8)
            stack = []
            for quality in _GHOST_QUALITIES:
                _, encoded = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, quality])
                again = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.float32)
                stack.append(cv2.blur((source.astype(np.float32) - again) ** 2, (8, 8)))
            self._ghosts = np.stack(stack)
        curves = [self._once("ghost", rect, self._curve) for rect in (*own, *references)]
        table = np.array(curves)
        known = table[len(own) :]
        middle = np.median(known, axis=0)
        spread = np.maximum(1.4826 * np.median(np.abs(known - middle), axis=0), _GHOST_SPREAD_FLOOR)
        return np.asarray(np.max((table[: len(own)] - middle) / spread, axis=1), dtype=np.float64)

    def _curve(self, rect: _Rect) -> npt.NDArray[np.float64]:
        assert self._ghosts is not None
        x, y, w, h = rect
        loss = self._ghosts[:, y : y + h, x : x + w].mean(axis=(1, 2)).astype(np.float64)
        logs = np.log(loss + 0.05)
        return np.asarray(logs - logs.mean(), dtype=np.float64)

    def _twin(
        self, own: Sequence[_Rect], references: Sequence[_Rect], every: Sequence[_Rect]
    ) -> npt.NDArray[np.float64]:
        """Return by how much (log) a glyph's nearest patch on the page is nearer than that of most other glyphs."""
        candidates = [r for r in every if r[3] <= 2 * references[0][3]][: 40 * self.limits.twin_candidates_max]

        def nearest(rect: _Rect) -> npt.NDArray[np.float64]:
            return np.array(self._nearest(rect, candidates))

        known = np.array([self._once("twin", rect, nearest) for rect in references[:40]])
        floor = float(np.percentile(known, 8))
        return np.array([max(0.0, floor - self._nearest(rect, candidates)) * 4 for rect in own])

    def _nearest(self, rect: _Rect, candidates: Sequence[_Rect]) -> float:
        """Return the log of the least mean squared difference to another patch of that size, shifted by up to 2 px."""
        x, y, w, h = rect
        own = self.luma[y - 1 : y + h + 1, x - 1 : x + w + 1]
        own = own - own.mean()
        alike = [
            r
            for r in candidates
            if abs(r[2] - w) <= 2 and abs(r[3] - h) <= 2 and (abs(r[0] - x) > w // 2 or abs(r[1] - y) > h // 2)
        ]
        alike.sort(key=lambda r: abs(r[2] - w) + abs(r[3] - h))
        high, wide = own.shape
        corners = [(top + (r_h - h) // 2 - 1, left + (r_w - w) // 2 - 1) for left, top, r_w, r_h in alike]
        places = [
            (top - 2, left - 2)
            for top, left in corners[: self.limits.twin_candidates_max]
            if top >= 2 and left >= 2 and top + high + 2 <= self.height and left + wide + 2 <= self.width
        ]
        least = float(own.var())
        if places:
            # The mean square of (patch less its mean, less own) is var(patch) + var(own) - 2 cov, in all 25 shifts.
            fields = (self.luma[top : top + high + 4, left : left + wide + 4] for top, left in places)
            crossed = np.stack([cv2.matchTemplate(field, own, cv2.TM_CCORR) for field in fields]) / own.size
            apart = self._variances(np.array(places), high, wide) + least - 2.0 * crossed
            least = min(least, max(0.0, float(apart.min())))
        return math.log(least + 0.5)

    def _variances(self, places: npt.NDArray[np.intp], high: int, wide: int) -> npt.NDArray[np.float64]:
        """Return the variance of patches of that size at (top, left) and up to 4 px further: (n, 5, 5)."""
        if self._sums is None:
            sums = cv2.integral2(self.luma, sdepth=cv2.CV_64F, sqdepth=cv2.CV_64F)
            self._sums = np.asarray(sums[0], dtype=np.float64), np.asarray(sums[1], dtype=np.float64)
        tops = (places[:, 0, None] + np.arange(5))[:, :, None]
        lefts = (places[:, 1, None] + np.arange(5))[:, None, :]

        def mean(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            below, right = tops + high, lefts + wide
            inside = sums[below, right] - sums[tops, right] - sums[below, lefts] + sums[tops, lefts]
            return np.asarray(inside / (high * wide), dtype=np.float64)

        plain, squared = self._sums
        return mean(squared) - mean(plain) ** 2

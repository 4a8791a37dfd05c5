"""All looks at one page by one OCR process: the cheapest first, and no more than are needed to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from vision.documents.gate import read_once
from vision.documents.kinds.catalogue import Catalogue
from vision.documents.ocr.outlines import Quad, outlines, skew
from vision.documents.ocr.process import Worker
from vision.documents.ocr.views import (
    PageView,
    Pixels,
    edge_width_px,
    fall_degrees,
    flattened,
    levelled,
    red_share,
    turned,
    upright_share,
    whole,
    without_red,
)
from vision.documents.parse import parse, parse_as
from vision.documents.reconcile import alike, best, merit, settled
from vision.documents.several import several_papers
from vision.documents.text.layout import rows_of
from vision.documents.text.page import UNKNOWN, FieldReading, PageBox, PageText, PaperCode, PaperReading, TextLine
from vision.documents.text.script import in_one_script
from vision.measurement import Unmeasured

TINY, SMALL = "tiny", "small"


@dataclass(frozen=True, slots=True)
class Quality:
    """When a page counts as unreadable, and which passes over it there are.

    characters_min: fewer, and there is no paper to read. confidence_min: mean over characters; below it the words are
    guesses.
    upside_down_confidence: below it the page is tried the other way up (upright pages reach 0.97, turned ones 0.65).
    settled_confidence_min: of every field relied on, from which the page is not read with its red ink, too.
    red_share_min: share of red pixels from which red ink is lifted off. smear_px: edge width from which blur is named
    as the cause (in focus: 7 at most).
    askew_min (`outlines.skew`), fall_degrees_min: a page that could not be read whole as it lies is laid flat or
    levelled from there on.
    """

    characters_min: int = 8
    confidence_min: float = 0.75
    upside_down_confidence: float = 0.8
    settled_confidence_min: float = 0.9
    red_share_min: float = 0.0015
    smear_px: float = 9.0
    dark_luma: float = 50.0
    askew_min: float = 0.02
    fall_degrees_min: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """An upright view of the page, the same with red ink lifted off (the same again where there is none), what the
    tiny model reads there, and what that comes to."""

    plain: PageView
    view: PageView
    lines: list[TextLine]
    reading: PaperReading


class PageReader:
    """One page. `cpu_seconds` counts what its passes cost the OCR process."""

    def __init__(
        self,
        worker: Worker,
        pixels: Pixels,
        quality: Quality,
        labels: Mapping[str, str],
        today: date,
        catalogue: Catalogue,
    ) -> None:
        self._worker = worker
        self._picture = whole(pixels)
        self._quality = quality
        self._labels = labels
        self._today = today
        self._catalogue = catalogue
        self._codes: tuple[PaperCode, ...] = ()
        self._red = red_share(pixels) > quality.red_share_min
        self.cpu_seconds = 0.0

    def read(self) -> PaperReading | Unmeasured:
        """The tiny model finds how the page lies, and both models read it: what one of them reads surely and the sums
        of the paper do not prove, a name, a number, a date, nobody vouches for. Raises PageLost, ReaderUnavailable.
        """
        papers = outlines(self._picture.pixels)
        self._codes = self._codes_on(self._picture)
        look = self._best_look(papers)
        refused = self._unreadable(look.lines) or self._two_papers(look, papers)
        if refused is not None:
            return refused
        readings = [look.reading]
        # The plain view last: what is printed in red stands only there.
        for view in (look.view, look.plain) if self._red else (look.view,):
            readings.append(self._parsed(self._lines(view, SMALL), view, SMALL))
            if self._settled(readings[-1]):
                return self._compared(readings[-1], look, readings)
        return self._compared(best(readings, self._today, self._catalogue), look, readings)

    def _compared(self, chosen: PaperReading, look: _Look, readings: Sequence[PaperReading]) -> PaperReading:
        """With what both models read alike. The tiny model reads the page with its red ink as well where that helps: a
        name under a seal stands only there.
        """
        if chosen.kind == UNKNOWN:
            return chosen
        others = list(readings)
        if look.reading.kind != chosen.kind:
            others.append(self._taken_as(chosen.kind, look.lines, look.view))
        compared = replace(chosen, alike=alike(chosen, others))
        if self._red and read_once(compared):
            others.append(self._taken_as(chosen.kind, self._lines(look.plain, TINY), look.plain))
        return replace(chosen, alike=alike(chosen, others))

    def _taken_as(self, kind: str, lines: Sequence[TextLine], view: PageView) -> PaperReading:
        """What the tiny model read of the fields of that kind, whichever its own words point to."""
        page = self._page(lines, view, TINY)
        return parse_as(self._catalogue[kind], rows_of(page), page, self._today, self._codes)

    def _best_look(self, papers: Sequence[Quad]) -> _Look:
        """The page as it lies; laid flat by its outline, or levelled by its lines, where that reads better. What lies
        straight enough to be read whole is never resampled.
        """
        first = chosen = self._look(self._picture)
        if self._read_whole(first.reading):
            return first
        for view in self._alternatives(first, papers):
            other = self._look(view)
            if _rank(other) > _rank(chosen):
                chosen = other
            if self._read_whole(chosen.reading):
                break
        return chosen

    def _alternatives(self, first: _Look, papers: Sequence[Quad]) -> Iterator[PageView]:
        if len(papers) == 1 and skew(papers[0]) > self._quality.askew_min:
            flat = flattened(self._picture, papers[0])
            self._codes = self._codes or self._codes_on(flat)
            yield flat
        fall = fall_degrees(first.lines)
        if abs(fall) > self._quality.fall_degrees_min:
            yield levelled(first.plain, fall)

    def _read_whole(self, reading: PaperReading) -> bool:
        """Nothing that another view could add: what would settle it is there, or, for kinds that nothing settles, what
        they require.
        """
        if reading.kind != UNKNOWN and self._catalogue[reading.kind].settled_by is None:
            return not reading.missing_fields and all(check.passed for check in reading.checks)
        return settled(reading, 0.0, self._catalogue)

    def _look(self, frame: PageView) -> _Look:
        """The frame turned so that its print stands upright."""

        def look(quarter_turns: int) -> tuple[PageView, PageView, list[TextLine]]:
            plain_view = turned(frame, quarter_turns) if quarter_turns else frame
            view = without_red(plain_view) if self._red else plain_view
            return plain_view, view, self._lines(view, TINY)

        first = look(0)
        lines = first[2]
        turns: tuple[int, ...] = ()
        if upright_share(lines) > 0.5:
            turns = (1, 3)
        elif _characters(lines) >= self._quality.characters_min:
            turns = (2,) if _confidence(lines) < self._quality.upside_down_confidence else ()
        options = [first, *(look(quarter_turns) for quarter_turns in turns)]
        plain_view, view, lines = max(
            options, key=lambda option: _confidence(option[2]) * (1 - upright_share(option[2]))
        )
        return _Look(plain_view, view, lines, self._parsed(lines, view, TINY))

    def _lines(self, view: PageView, model: str) -> list[TextLine]:
        lines, cpu_seconds = self._worker.read(view.pixels, model)
        self.cpu_seconds += cpu_seconds
        return in_one_script(lines)

    def _codes_on(self, view: PageView) -> tuple[PaperCode, ...]:
        found, cpu_seconds = self._worker.codes(view.pixels)
        self.cpu_seconds += cpu_seconds
        return tuple(
            PaperCode(code.symbology, code.text, _around(self._on_picture(view, code.corners))) for code in found
        )

    def _page(self, lines: Sequence[TextLine], view: PageView, model: str) -> PageText:
        height, width = view.pixels.shape[:2]
        return PageText(width, height, tuple(lines), self._labels[model])

    def _parsed(self, lines: Sequence[TextLine], view: PageView, model: str) -> PaperReading:
        reading = parse(self._page(lines, view, model), self._today, self._catalogue, self._codes)
        if view.pixels.shape == self._picture.pixels.shape and np.array_equal(view.to_picture, np.eye(3)):
            return reading
        return replace(reading, fields=tuple(self._moved(field, view) for field in reading.fields))

    def _moved(self, field: FieldReading, view: PageView) -> FieldReading:
        """With its box on the picture as it was sent."""
        height, width = view.pixels.shape[:2]
        box = field.box
        corners = field.corners or (
            (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)
        )  # fmt: skip
        points = self._on_picture(view, [(x * width, y * height) for x, y in corners])
        return replace(field, box=_around(points), corners=points)

    def _on_picture(self, view: PageView, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        """Points of the view, in pixels, as fractions of the picture."""
        height, width = self._picture.pixels.shape[:2]
        return tuple((round(x / width, 5), round(y / height, 5)) for x, y in view.back(points))

    def _settled(self, reading: PaperReading) -> bool:
        return settled(reading, self._quality.settled_confidence_min, self._catalogue)

    def _two_papers(self, look: _Look, papers: Sequence[Quad]) -> Unmeasured | None:
        """Fields of two papers must never be mixed, so neither is read."""
        onto_view = np.linalg.inv(look.view.to_picture)
        regions = [_mapped(onto_view, quad) for quad in papers if len(papers) > 1]
        found = several_papers(self._page(look.lines, look.view, TINY), self._today, self._catalogue, regions)
        return Unmeasured(f"there are two papers in the picture ({found}); photograph one at a time") if found else None

    def _unreadable(self, lines: Sequence[TextLine]) -> Unmeasured | None:
        """Why nothing can be read, or None when there is text to work with."""
        pixels = self._picture.pixels
        characters, confidence = _characters(lines), _confidence(lines)
        if characters >= self._quality.characters_min and confidence >= self._quality.confidence_min:
            return None
        seen = f"{characters} characters at a mean confidence of {confidence:.2f}" if characters else "no text"
        width = edge_width_px(pixels)
        if self._quality.smear_px <= width < float("inf"):
            return Unmeasured(
                f"too blurred to read: edges are {width:.0f} px wide, {seen}; hold still and let the camera focus"
            )
        luma = float(np.percentile(pixels, 95))
        if luma < self._quality.dark_luma:
            return Unmeasured(
                f"too dark to read: the brightest parts are at {luma:.0f} of 255, {seen}; take the photo in more light"
            )
        return Unmeasured(f"no readable print was found: {seen}; send a photo of the whole paper, upright and in focus")


def _rank(look: _Look) -> tuple[float, ...]:
    return (*merit(look.reading), _confidence(look.lines))


def _characters(lines: Sequence[TextLine]) -> int:
    return sum(len(line.text) for line in lines)


def _confidence(lines: Sequence[TextLine]) -> float:
    """Mean over characters, 0 when there are none."""
    characters = _characters(lines)
    return sum(line.confidence * len(line.text) for line in lines) / characters if characters else 0.0


def _around(points: Sequence[tuple[float, float]]) -> PageBox:
    """The upright box around points, kept on the picture."""
    xs = [min(1.0, max(0.0, x)) for x, _ in points]
    ys = [min(1.0, max(0.0, y)) for _, y in points]
    return PageBox(round(min(xs), 4), round(min(ys), 4), round(max(xs), 4), round(max(ys), 4))


def _mapped(matrix: np.ndarray, quad: Quad) -> Quad:
    points = matrix @ np.hstack([quad, np.ones((4, 1), dtype=np.float32)]).T
    return np.asarray((points[:2] / points[2]).T, dtype=np.float32)

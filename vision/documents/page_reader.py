"""Reads one page by one OCR process, in as few attempts as it takes, the cheapest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from vision.documents.gate import read_once
from vision.documents.kinds.catalogue import Catalogue, PaperKind
from vision.documents.ocr.ink import print_alone, print_is_pale, red_ink
from vision.documents.ocr.mark_ink import Mark, PageWithMarks, marked_page
from vision.documents.ocr.mark_views import of_each, read_stretched, read_turned, side_by_side
from vision.documents.ocr.outlines import Quad, outlines, skew
from vision.documents.ocr.process import Worker
from vision.documents.ocr.stamp_ink import blue_layers, faint_layer, red_layers
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
from vision.documents.reconcile import best, confirmed_by_another_model, merit, settled, without_lost_signs
from vision.documents.several import SecondPaper, second_paper
from vision.documents.standing.marks import nearly_undone, says_no_harm
from vision.documents.standing.read import gravest_first, of_the_whole, paid_state, stamps_of, united
from vision.documents.standing.states import refund_is_of_a_part
from vision.documents.text.layout import rows_of
from vision.documents.text.page import (
    UNKNOWN,
    FieldReading,
    PageBox,
    PageText,
    PaperCode,
    PaperReading,
    Points,
    StandingSign,
    TextLine,
)
from vision.documents.text.script import in_one_script
from vision.measurement import Unmeasured

TINY, SMALL = "tiny", "small"
_CLOSER_MARKS_MAX = 2  # of one page; more large characters that were not read say no more


@dataclass(frozen=True, slots=True)
class Quality:
    """Limits of readable pages and of the further attempts to read one.

    characters_min: with fewer there is no paper to read. confidence_min: mean over characters; below it the words are
    guesses.
    upside_down_confidence: below it the page is tried the other way up (upright pages reach 0.97, turned ones 0.65).
    settled_confidence_min: if every relied-on field reaches it, the page is not read once more with its red ink.
    red_share_min: share of red pixels from which red ink is removed. smear_px: edge width from which blur is named
    as the cause (in focus: 7 at most).
    stamp_confidence_min: if a line of a stamp's ink alone falls below it, that ink is read turned by quarters as well.
    askew_min (`outlines.skew`), fall_degrees_min: a page that could not be read whole as it lies is laid flat or
    levelled from these on.
    """

    characters_min: int = 8
    confidence_min: float = 0.75
    upside_down_confidence: float = 0.8
    settled_confidence_min: float = 0.9
    red_share_min: float = 0.0015
    smear_px: float = 9.0
    dark_luma: float = 50.0
    stamp_confidence_min: float = 0.7
    askew_min: float = 0.02
    fall_degrees_min: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class _Attempt:
    """One attempt at the page. plain: an upright view of it. view: the same without seals or faintness (the same again
    if it has none, or if it reads better as it is). lines: what the tiny model reads there. reading: the paper that the
    lines amount to."""

    plain: PageView
    view: PageView
    lines: list[TextLine]
    reading: PaperReading


class PageReader:
    """Reads one page. `cpu_seconds` counts what its attempts cost the OCR process."""

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
        # Red paper is no ink, so the closer look decides; only pages with red in them pay for it.
        self._ink = red_ink(pixels) if red_share(pixels) > quality.red_share_min else None
        self._red = self._ink is not None
        self._print_in_colour = self._ink is not None and self._ink.print_lost
        self.cpu_seconds = 0.0

    def read(self) -> PaperReading | Unmeasured:
        """Find with the tiny model how the page lies, then read it with both models: a name, number or date that only
        one model has read, however surely, and that the sums of the paper do not prove, is unconfirmed. Raises
        PageLost, ReaderUnavailable."""
        papers = outlines(self._picture.pixels)
        self._codes = self._codes_on(self._picture)
        attempt = self._best_attempt(papers)
        refused = self._unreadable(attempt.lines)
        if refused is not None:
            return refused
        other = self._second_paper(attempt, papers)
        if other.kinds:
            return Unmeasured(f"there are two papers in the picture ({other.kinds}); photograph one at a time")
        readings = [attempt.reading]
        chosen = self._by_both_models(attempt, readings)
        signed = without_lost_signs(chosen, readings)
        standing = self._standing(chosen, attempt, readings)
        marks, unread = self._marks(attempt, chosen.kind) if not standing else ((), ())
        return replace(
            signed,
            standing=gravest_first([*standing, *marks]),
            marks_unread=unread,
            doubtful=(*signed.doubtful, *other.doubts(signed)),
        )

    def _by_both_models(self, attempt: _Attempt, readings: list[PaperReading]) -> PaperReading:
        """Return the most consistent reading, with what both models read alike. `readings` grows by those made here."""
        # The plain view comes last: only it shows what is printed in red.
        for view in (
            (attempt.view, attempt.plain) if self._red and attempt.view is not attempt.plain else (attempt.view,)
        ):
            readings.append(self._parsed(self._lines(view, SMALL), view, SMALL))
            if self._settled(readings[-1]):
                return self._compared(readings[-1], attempt, readings)
        return self._compared(best(readings, self._today, self._catalogue), attempt, readings)

    def _standing(
        self, chosen: PaperReading, attempt: _Attempt, readings: Sequence[PaperReading]
    ) -> tuple[StandingSign, ...]:
        """Return the signs that the readings of the page have, and those of its stamps."""
        standings = [reading.standing for reading in readings if reading.kind == chosen.kind]
        if attempt.reading.kind != chosen.kind != UNKNOWN:
            taken = self._taken_as(chosen.kind, attempt.lines, attempt.view)
            standings.append(tuple(self._moved_sign(sign, attempt.view) for sign in taken.standing))
        return gravest_first([*united(standings), *self._stamps(attempt, chosen.kind)])

    def _stamps(self, attempt: _Attempt, kind: str) -> tuple[StandingSign, ...]:
        """Read the ink of stamps alone: red, which is lifted for reading the print below it, blue, and what is fainter
        than print. The pages of apps have colours and shades, and no stamps; but states in red."""
        described, plain_view = self._catalogue.get(kind), attempt.plain
        stamped = described is None or not described.shows_state
        inks = [red_layers(plain_view)] if self._red else []
        inks += [blue_layers(plain_view)] if stamped else []
        read = [pair for ink in inks if ink.all is not None for pair in self._read_on_end(ink.all)]
        level = [faint_layer(plain_view) if stamped else None, *(view for ink in inks for view in ink.broad)]
        read += [(layer, self._lines(layer, TINY)) for layer in level if layer is not None]
        signs = [
            self._moved_sign(sign, view)
            for view, lines in read
            for sign in stamps_of(rows_of(self._page(lines, view, TINY)), described)
        ]
        paid = [
            _around(self._placed(_corners(box), view))
            for view, lines in (*read, (attempt.view, attempt.lines))
            if (box := paid_state(rows_of(self._page(lines, view, TINY)), described)) is not None
        ]
        total = attempt.reading.value("total_minor")
        split = refund_is_of_a_part(
            rows_of(self._page(attempt.lines, attempt.view, TINY)), int(total) if total.isdigit() else 0
        )
        return gravest_first(of_the_whole(signs, paid, split=split))

    def _marks(self, attempt: _Attempt, kind: str) -> tuple[tuple[StandingSign, ...], tuple[str, ...]]:
        """Return the signs in large marks over the print, whatever their ink, and which marks that may undo the bill
        were not read: dots in the form of characters, strokes of a pen across lines, words nearly read, large
        characters that nothing explains. An app's page has no such marks."""
        described = self._catalogue.get(kind)
        if described is not None and described.shows_state:
            return (), ()
        page = marked_page(attempt.plain, attempt.lines, self._codes_in(attempt.plain))
        signs: list[StandingSign] = []
        unread: list[str] = []
        large: list[Mark] = []
        printed = [line.text for line in attempt.lines]
        for mark in page.marks:
            if mark.way == "strokes":
                unread.append("strokes")
                continue
            if mark.shape == "fill":
                continue
            views = read_turned(page, mark)
            parts = of_each(views, self._lines(PageView(side_by_side(views), np.eye(3)), TINY))
            told = [
                self._moved_sign(sign, view)
                for view, lines in zip(views, parts, strict=True)
                for sign in stamps_of(rows_of(self._page(lines, view, TINY)), described)
            ]
            signs += told
            nearly = next((text for lines in parts if (text := nearly_undone(lines))), "")
            if not told and (nearly or mark.way == "dots"):
                unread.append(nearly or "dots")
            elif not told and mark.glyphs and not any(says_no_harm(lines, printed) for lines in parts):
                large.append(mark)
        for mark in large[:_CLOSER_MARKS_MAX]:
            more, doubt = self._closer(page, mark, printed, described)
            signs += more
            if doubt:
                unread.append(doubt)
        return tuple(signs), tuple(unread)

    def _closer(
        self, page: PageWithMarks, mark: Mark, printed: Collection[str], described: PaperKind | None
    ) -> tuple[list[StandingSign], str]:
        """Read large characters in the stretched plane of their ink with the better model. Return what they say, and
        the doubt that they leave, "" for none."""
        views = read_stretched(page, mark)
        parts = of_each(views, self._lines(PageView(side_by_side(views), np.eye(3)), SMALL))
        signs = [
            self._moved_sign(sign, view)
            for view, lines in zip(views, parts, strict=True)
            for sign in stamps_of(rows_of(self._page(lines, view, SMALL)), described)
        ]
        nearly = next((text for lines in parts if (text := nearly_undone(lines))), "")
        if signs or nearly:
            return signs, "" if signs else nearly
        return [], "" if any(says_no_harm(lines, printed) for lines in parts) else "large characters"

    def _codes_in(self, view: PageView) -> list[Quad]:
        """Return the corners of the decoded codes in pixels of the view."""
        height, width = self._picture.pixels.shape[:2]
        onto = np.linalg.inv(view.to_picture)
        scale = np.array([width, height], dtype=np.float32)
        return [_mapped(onto, np.asarray(_corners(code.box), dtype=np.float32) * scale) for code in self._codes]

    def _read_on_end(self, layer: PageView) -> list[tuple[PageView, list[TextLine]]]:
        """Read the ink of stamps, and turned by quarters if a line of it is unsure: a stamp may stand on end."""
        lines = self._lines(layer, TINY)
        turns = (1, 2, 3) if any(line.confidence < self._quality.stamp_confidence_min for line in lines) else ()
        views = [turned(layer, quarters) for quarters in turns]
        return [(layer, lines), *((view, self._lines(view, TINY)) for view in views)]

    def _compared(self, chosen: PaperReading, attempt: _Attempt, readings: Sequence[PaperReading]) -> PaperReading:
        """Return the reading with the fields that both models read identically. The tiny model also reads the page with
        its red ink if that helps: only there a name under a seal can be read."""
        if chosen.kind == UNKNOWN:
            return chosen
        others = list(readings)
        if attempt.reading.kind != chosen.kind:
            others.append(self._taken_as(chosen.kind, attempt.lines, attempt.view))
        compared = replace(chosen, alike=confirmed_by_another_model(chosen, others))
        if self._red and read_once(compared):
            others.append(self._taken_as(chosen.kind, self._lines(attempt.plain, TINY), attempt.plain))
        return replace(chosen, alike=confirmed_by_another_model(chosen, others))

    def _taken_as(self, kind: str, lines: Sequence[TextLine], view: PageView) -> PaperReading:
        """Read the tiny model's lines as a paper of that kind, whichever kind its own words point to."""
        page = self._page(lines, view, TINY)
        return parse_as(self._catalogue[kind], rows_of(page), page, self._today, self._codes)

    def _best_attempt(self, papers: Sequence[Quad]) -> _Attempt:
        """Return the attempt that reads best: the page as it lies, laid flat by its outline, or levelled by its lines.
        A page that lies straight enough to be read whole is never resampled."""
        first = chosen = self._attempt(self._picture)
        if self._read_whole(first.reading):
            return first
        for view in self._alternatives(first, papers):
            other = self._attempt(view)
            if _rank(other) > _rank(chosen):
                chosen = other
            if self._read_whole(chosen.reading):
                break
        return chosen

    def _alternatives(self, first: _Attempt, papers: Sequence[Quad]) -> Iterator[PageView]:
        if len(papers) == 1 and skew(papers[0]) > self._quality.askew_min:
            flat = flattened(self._picture, papers[0])
            self._codes = self._codes or self._codes_on(flat)
            yield flat
        fall = fall_degrees(first.lines)
        if abs(fall) > self._quality.fall_degrees_min:
            yield levelled(first.plain, fall)

    def _read_whole(self, reading: PaperReading) -> bool:
        """True if another view could add nothing: what would settle the reading is there, or, for kinds that nothing
        settles, what they require."""
        if reading.kind != UNKNOWN and self._catalogue[reading.kind].settled_by is None:
            return not reading.missing_fields and all(check.passed for check in reading.checks)
        return settled(reading, 0.0, self._catalogue)

    def _attempt(self, frame: PageView) -> _Attempt:
        """Read the frame turned so that its print stands upright."""

        def read_turned(quarter_turns: int) -> tuple[PageView, PageView, list[TextLine]]:
            plain_view = turned(frame, quarter_turns) if quarter_turns else frame
            return plain_view, *self._read_clearest(plain_view)

        first = read_turned(0)
        lines = first[2]
        turns: tuple[int, ...] = ()
        if upright_share(lines) > 0.5:
            turns = (1, 3)
        elif _characters(lines) >= self._quality.characters_min:
            turns = (2,) if _confidence(lines) < self._quality.upside_down_confidence else ()
        options = [first, *(read_turned(quarter_turns) for quarter_turns in turns)]
        plain_view, view, lines = max(
            options, key=lambda option: _confidence(option[2]) * (1 - upright_share(option[2]))
        )
        return _Attempt(plain_view, view, lines, self._parsed(lines, view, TINY))

    def _read_clearest(self, plain: PageView) -> tuple[PageView, list[TextLine]]:
        """Return the view in which the print shows best, and what the tiny model reads there. Only where that is little
        or unsure is another view read: the plain one after one without red ink, one with darker print after a pale
        one."""
        view = plain
        if self._print_in_colour:
            view = print_alone(plain, self._ink if plain is self._picture else red_ink(plain.pixels))
        elif self._red:
            view = without_red(plain)
        lines = self._lines(view, TINY)
        if self._legible(lines):
            return view, lines
        if view is plain and not print_is_pale(plain):
            return view, lines
        other = plain if view is not plain else print_alone(plain, None)
        others = self._lines(other, TINY)
        return (other, others) if _amount_read(others) > _amount_read(lines) else (view, lines)

    def _legible(self, lines: Sequence[TextLine]) -> bool:
        quality = self._quality
        return _characters(lines) >= quality.characters_min and _confidence(lines) >= quality.upside_down_confidence

    def _lines(self, view: PageView, model: str) -> list[TextLine]:
        lines, cpu_seconds = self._worker.read(view.pixels, model)
        self.cpu_seconds += cpu_seconds
        return in_one_script(lines)

    def _codes_on(self, view: PageView) -> tuple[PaperCode, ...]:
        codes, cpu_seconds = self._worker.codes(view.pixels)
        self.cpu_seconds += cpu_seconds
        return tuple(
            PaperCode(code.symbology, code.text, _around(self._on_picture(view, code.corners))) for code in codes
        )

    def _page(self, lines: Sequence[TextLine], view: PageView, model: str) -> PageText:
        height, width = view.pixels.shape[:2]
        return PageText(width, height, tuple(lines), self._labels[model])

    def _parsed(self, lines: Sequence[TextLine], view: PageView, model: str) -> PaperReading:
        reading = parse(self._page(lines, view, model), self._today, self._catalogue, self._codes)
        if view.pixels.shape == self._picture.pixels.shape and np.array_equal(view.to_picture, np.eye(3)):
            return reading
        return replace(
            reading,
            fields=tuple(self._moved(field, view) for field in reading.fields),
            standing=tuple(self._moved_sign(sign, view) for sign in reading.standing),
        )

    def _moved(self, field: FieldReading, view: PageView) -> FieldReading:
        """Return the field with its box on the picture as it was sent."""
        points = self._placed(field.corners or _corners(field.box), view)
        return replace(field, box=_around(points), corners=points)

    def _moved_sign(self, sign: StandingSign, view: PageView) -> StandingSign:
        """Return the sign with its box on the picture as it was sent."""
        return replace(sign, box=_around(self._placed(_corners(sign.box), view)))

    def _placed(self, corners: Points, view: PageView) -> Points:
        """Map fractions of a view to fractions of the picture."""
        height, width = view.pixels.shape[:2]
        return self._on_picture(view, [(x * width, y * height) for x, y in corners])

    def _on_picture(self, view: PageView, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        """Map points of the view, in pixels, to fractions of the picture."""
        height, width = self._picture.pixels.shape[:2]
        return tuple((round(x / width, 5), round(y / height, 5)) for x, y in view.back(points))

    def _settled(self, reading: PaperReading) -> bool:
        return settled(reading, self._quality.settled_confidence_min, self._catalogue)

    def _second_paper(self, attempt: _Attempt, papers: Sequence[Quad]) -> SecondPaper:
        """Return what tells of two papers in one picture: their fields must never be mixed, so neither is read."""
        onto_view = np.linalg.inv(attempt.view.to_picture)
        regions = [_mapped(onto_view, quad) for quad in papers if len(papers) > 1]
        return second_paper(self._page(attempt.lines, attempt.view, TINY), self._today, self._catalogue, regions)

    def _unreadable(self, lines: Sequence[TextLine]) -> Unmeasured | None:
        """Return why nothing can be read, or None if there is text to work with."""
        pixels = self._picture.pixels
        characters, confidence = _characters(lines), _confidence(lines)
        if characters >= self._quality.characters_min and confidence >= self._quality.confidence_min:
            return None
        shown = f"{characters} characters at a mean confidence of {confidence:.2f}" if characters else "no text"
        width = edge_width_px(pixels)
        if self._quality.smear_px <= width < float("inf"):
            return Unmeasured(
                f"too blurred to read: edges are {width:.0f} px wide, {shown}; hold still and let the camera focus"
            )
        luma = float(np.percentile(pixels, 95))
        if luma < self._quality.dark_luma:
            return Unmeasured(
                f"too dark to read: the brightest parts are at {luma:.0f} of 255, {shown}; take the photo in more light"
            )
        return Unmeasured(
            f"no readable print was found: {shown}; send a photo of the whole paper, upright and in focus"
        )


def _rank(attempt: _Attempt) -> tuple[float, ...]:
    return (*merit(attempt.reading), _confidence(attempt.lines))


def _characters(lines: Sequence[TextLine]) -> int:
    return sum(len(line.text) for line in lines)


def _amount_read(lines: Sequence[TextLine]) -> float:
    """Return the number of characters read, each as far as it is sure."""
    return sum(line.confidence * len(line.text) for line in lines)


def _confidence(lines: Sequence[TextLine]) -> float:
    """Return the mean over characters, 0 if there are none."""
    characters = _characters(lines)
    return sum(line.confidence * len(line.text) for line in lines) / characters if characters else 0.0


def _corners(box: PageBox) -> Points:
    return (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)


def _around(points: Sequence[tuple[float, float]]) -> PageBox:
    """Return the upright box around points, clipped to the picture."""
    xs = [min(1.0, max(0.0, x)) for x, _ in points]
    ys = [min(1.0, max(0.0, y)) for _, y in points]
    return PageBox(round(min(xs), 4), round(min(ys), 4), round(max(xs), 4), round(max(ys), 4))


def _mapped(matrix: np.ndarray, quad: Quad) -> Quad:
    points = matrix @ np.hstack([quad, np.ones((4, 1), dtype=np.float32)]).T
    return np.asarray((points[:2] / points[2]).T, dtype=np.float32)

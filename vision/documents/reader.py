"""Reads papers: OCR in processes of its own, tiny model first, the small one and other views of the page where the
reading does not add up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType

import numpy as np

from models.ocr_build import OCR_CARDS, default_target, model_name, verify
from models.registry import card
from vision.documents.page import Box, PageText, PaperReading, TextLine
from vision.documents.parse import parse
from vision.documents.pool import Pool, PoolLimits
from vision.documents.reconcile import best, settled
from vision.documents.views import Pixels, View, back, edge_width_px, red_share, turned, upright_share, without_red
from vision.documents.workers import PageLost, Worker, WorkerLimits
from vision.image import Picture
from vision.measurement import Unmeasured


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What reading one page may cost, and when its process is replaced.

    page_seconds_max: wall clock of one pass over the page; a page takes up to four. memory_bytes_max: resident size
    at which a process is killed; recycle_memory_bytes: at which it is replaced after its page (the engine's memory
    grows). queue_seconds_max: waiting for a free process.
    detection_edge_px_max: the page is scaled to this for finding lines; characters are read at full size.
    """

    start_seconds_max: float = 60.0
    page_seconds_max: float = 30.0
    queue_seconds_max: float = 300.0
    memory_bytes_max: int = 1536 << 20
    recycle_memory_bytes: int = 900 << 20
    recycle_pages: int = 300
    short_edge_px_min: int = 200
    detection_edge_px_max: int = 960
    threads: int = 1

    def pool(self) -> PoolLimits:
        """The part that concerns processes."""
        worker = WorkerLimits(self.start_seconds_max, self.page_seconds_max, self.memory_bytes_max)
        return PoolLimits(worker, self.queue_seconds_max, self.recycle_memory_bytes, self.recycle_pages)


@dataclass(frozen=True, slots=True)
class Quality:
    """When a page counts as unreadable, and when one pass over it is enough.

    characters_min: fewer, and there is no paper to read. confidence_min: mean over characters; below it the words are
    guesses.
    upside_down_confidence: below it the page is tried the other way up (upright pages reach 0.97, turned ones 0.65).
    settled_confidence_min: least confidence of a money field that the fast model may settle alone. red_share_min:
    share of red pixels from which red ink is lifted off. smear_px: edge width from which blur is named as the cause
    (in focus: 7 at most).
    """

    characters_min: int = 8
    confidence_min: float = 0.75
    upside_down_confidence: float = 0.8
    settled_confidence_min: float = 0.9
    red_share_min: float = 0.0015
    smear_px: float = 9.0
    dark_luma: float = 50.0


def _short(card_name: str) -> str:
    """tiny of pp-ocrv6-tiny: how requests to the OCR process call a model."""
    return card_name.rsplit("-", 1)[1]


_TINY, _SMALL = (_short(name) for name in OCR_CARDS)


class Reader:
    """Thread-safe context manager over `processes` OCR processes; each reads one page at a time, further pages wait.

    `today` gives the date against which a paper's date is judged. Raises models.errors.ModelMissing or ModelCorrupt
    when the model folders are not in order, before any process starts.
    """

    def __init__(
        self,
        models_dir: Path | None = None,
        limits: ReaderLimits | None = None,
        processes: int = 1,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        quality: Quality | None = None,
    ) -> None:
        folder = models_dir if models_dir is not None else default_target()
        verify(folder)
        self._limits = limits if limits is not None else ReaderLimits()
        self._quality = quality if quality is not None else Quality()
        self._today = today
        self._labels = {_short(name): card(name).label for name in OCR_CARDS}
        config = {
            "models_dir": str(folder.resolve()),
            "engines": {_short(name): [model_name(name, "det"), model_name(name, "rec")] for name in OCR_CARDS},
            "threads": self._limits.threads,
            "detection_edge_px_max": self._limits.detection_edge_px_max,
        }
        self._pool = Pool(config, self._limits.pool(), processes)
        self._lock = threading.Lock()
        self._cpu_seconds = 0.0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all processes."""
        self._pool.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the running OCR processes, for metrics."""
        return self._pool.pids

    @property
    def cpu_seconds(self) -> float:
        """Spent on pages so far, by all OCR processes, loading not counted."""
        with self._lock:
            return self._cpu_seconds

    def warm(self) -> None:
        """Starts every process and waits until its models are loaded. Raises ReaderUnavailable."""
        self._pool.warm()

    def read(self, picture: Picture) -> PaperReading | Unmeasured:
        """The paper in `picture` (decode it with a long edge of about 1,600 px), or why it cannot be read.

        Unmeasured: too small, blurred, dark, no print, or its OCR process hit a limit or died. Raises
        ReaderUnavailable when no process can be had.
        """
        height, width = picture.pixels.shape[:2]
        if min(height, width) < self._limits.short_edge_px_min:
            return Unmeasured(
                f"too small to read: {width} x {height} px; take the photo closer, with the whole page in it"
            )
        try:
            with self._pool.lend() as worker:
                return self._passes(worker, picture.pixels)
        except PageLost as error:
            return Unmeasured(f"the page could not be read to its end: {error.reason}")

    def _passes(self, worker: Worker, pixels: Pixels) -> PaperReading | Unmeasured:
        """Cheapest first; stops as soon as everything was found and agrees."""
        red = red_share(pixels) > self._quality.red_share_min
        plain_view, view, lines = self._upright(worker, pixels, red)
        readings = [self._parsed(lines, view, _TINY)]
        if settled(readings[0], self._quality.settled_confidence_min):
            return readings[0]
        refused = self._unreadable(lines, pixels)
        if refused is not None:
            return refused
        # The plain view last: what is printed in red stands only there.
        for look in (view, plain_view) if red else (view,):
            lines = self._lines(worker, look, _SMALL)
            readings.append(self._parsed(lines, look, _SMALL))
            if settled(readings[-1], self._quality.settled_confidence_min):
                return readings[-1]
        return best(readings, self._today())

    def _upright(self, worker: Worker, pixels: Pixels, red: bool) -> tuple[View, View, list[TextLine]]:
        """The picture turned so that its print stands upright; the same with red ink lifted off; what the tiny model
        reads there.
        """

        def look(quarter_turns: int) -> tuple[View, View, list[TextLine]]:
            plain_view = turned(pixels, quarter_turns) if quarter_turns else View(pixels)
            view = without_red(plain_view) if red else plain_view
            return plain_view, view, self._lines(worker, view, _TINY)

        first = look(0)
        lines = first[2]
        turns: tuple[int, ...] = ()
        if upright_share(lines) > 0.5:
            turns = (1, 3)
        elif _characters(lines) >= self._quality.characters_min:
            turns = (2,) if _confidence(lines) < self._quality.upside_down_confidence else ()
        options = [first, *(look(quarter_turns) for quarter_turns in turns)]
        return max(options, key=lambda option: _confidence(option[2]) * (1 - upright_share(option[2])))

    def _lines(self, worker: Worker, view: View, model: str) -> list[TextLine]:
        lines, cpu_seconds = worker.read(view.pixels, model)
        with self._lock:
            self._cpu_seconds += cpu_seconds
        return lines

    def _parsed(self, lines: Sequence[TextLine], view: View, model: str) -> PaperReading:
        height, width = view.pixels.shape[:2]
        reading = parse(PageText(width, height, tuple(lines), self._labels[model]), self._today())
        if view.quarter_turns == 0:
            return reading
        fields = tuple(replace(field, box=_box_back(field.box, view)) for field in reading.fields)
        return replace(reading, fields=fields)

    def _unreadable(self, lines: Sequence[TextLine], pixels: Pixels) -> Unmeasured | None:
        """Why nothing can be read, or None when there is text to work with."""
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


def _characters(lines: Sequence[TextLine]) -> int:
    return sum(len(line.text) for line in lines)


def _confidence(lines: Sequence[TextLine]) -> float:
    """Mean over characters, 0 when there are none."""
    characters = _characters(lines)
    return sum(line.confidence * len(line.text) for line in lines) / characters if characters else 0.0


def _box_back(box: Box, view: View) -> Box:
    """A box on a turned view as a box on the picture as taken; fractions, so sizes are 1."""
    corners = ((box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom))
    turned_back = back(corners, view.quarter_turns, 1.0, 1.0)
    xs = [round(x, 4) for x, _ in turned_back]
    ys = [round(y, 4) for _, y in turned_back]
    return Box(min(xs), min(ys), max(xs), max(ys))

"""Reads papers: OCR runs in separate processes, the tiny model first, the small one and other views of the page if the
reading does not add up (`vision.documents.page_reader`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType

from models.ocr_build import OCR_CARDS, default_target, model_name, verify
from models.registry import card
from vision.decode.image import Picture
from vision.documents.checks.digits import digits_check
from vision.documents.checks.handwriting import fields_by_hand
from vision.documents.checks.layers import layers_check
from vision.documents.checks.signed import signature_check
from vision.documents.kinds.catalogue import Catalogue, load_catalogue
from vision.documents.ocr.pool import Pool, PoolLimits
from vision.documents.ocr.process import PageLost, Worker, WorkerLimits
from vision.documents.ocr.views import Pixels
from vision.documents.page_reader import PageReader, Quality
from vision.documents.parse import parse_as
from vision.documents.text.layout import rows_of
from vision.documents.text.page import UNKNOWN, CheckReading, PageText, PaperReading
from vision.errors import ReaderUnavailable
from vision.measurement import Unmeasured


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Limits on the cost of reading one page, and on the age and size of its process.

    page_cpu_seconds_max: for one attempt at a page; a page takes up to four. stall_seconds_max: a process that neither
    uses CPU nor waits for any is killed after so long. memory_bytes_max: resident size at which a process is killed;
    recycle_memory_bytes: at which it is replaced after its page (the engine's memory grows).
    detection_edge_px_max: the page is scaled to this for finding lines; characters are read at full size.
    """

    start_cpu_seconds_max: float = 300.0
    page_cpu_seconds_max: float = 30.0
    stall_seconds_max: int = 60
    memory_bytes_max: int = 1536 << 20
    recycle_memory_bytes: int = 900 << 20
    recycle_pages: int = 300
    short_edge_px_min: int = 200
    detection_edge_px_max: int = 960
    threads: int = 1

    def pool(self) -> PoolLimits:
        """Return the limits that concern processes."""
        worker = WorkerLimits(
            self.start_cpu_seconds_max, self.page_cpu_seconds_max, self.stall_seconds_max, self.memory_bytes_max
        )
        return PoolLimits(worker, self.recycle_memory_bytes, self.recycle_pages)


def short_name(card_name: str) -> str:
    """Return tiny of pp-ocrv6-tiny: the name that requests to the OCR process use."""
    return card_name.rsplit("-", 1)[1]


def ocr_config(models_dir: Path, limits: ReaderLimits) -> dict[str, object]:
    """Return what an OCR process is told at its start, as `vision.documents.ocr.child` says."""
    return {
        "models_dir": str(models_dir.resolve()),
        "engines": {short_name(name): [model_name(name, "det"), model_name(name, "rec")] for name in OCR_CARDS},
        "threads": limits.threads,
        "detection_edge_px_max": limits.detection_edge_px_max,
    }


#: A check of the page as it was sent, for what only its pixels can tell. Returns None if they cannot.
PageCheck = Callable[[Pixels, PaperReading], CheckReading | None]


class Reader:
    """Thread-safe context manager over `processes` OCR processes; each reads one page at a time, further pages wait.

    `today` returns the date against which a paper's date is judged. `catalogue`: the known kinds, ours if None.
    `page_checks` are made for every paper of a known kind, after everything else. Raises models.errors.ModelMissing
    or ModelCorrupt if the model folders are incomplete or damaged, before any process starts.
    """

    def __init__(
        self,
        models_dir: Path | None = None,
        limits: ReaderLimits | None = None,
        processes: int = 1,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        quality: Quality | None = None,
        catalogue: Catalogue | None = None,
        page_checks: Sequence[PageCheck] = (digits_check,),
    ) -> None:
        folder = models_dir if models_dir is not None else default_target()
        verify(folder)
        self._limits = limits if limits is not None else ReaderLimits()
        self._quality = quality if quality is not None else Quality()
        self._today = today
        self._catalogue = catalogue if catalogue is not None else load_catalogue()
        self._page_checks = tuple(page_checks)
        self._labels = {short_name(name): card(name).label for name in OCR_CARDS}
        self._pool = Pool(ocr_config(folder, self._limits), self._limits.pool(), processes)
        self._lock = threading.Lock()
        self._cpu_seconds = 0.0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        self._pool.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the running OCR processes, for metrics."""
        return self._pool.pids

    @property
    def cpu_seconds(self) -> float:
        """CPU time spent on pages so far by all OCR processes, without loading."""
        with self._lock:
            return self._cpu_seconds

    def warm(self) -> None:
        """Start every process and wait until its models are loaded. Raises ReaderUnavailable."""
        self._pool.warm()

    def read(self, picture: Picture) -> PaperReading | Unmeasured:
        """Return the paper in `picture` (decode it with a long edge of about 1,600 px), or why it cannot be read.

        Unmeasured: too small, blurred, dark, no print, two papers, or its OCR process hit a limit or crashed on it. A
        process that was lost through no fault of the page is replaced, and the page is read again with no other beside
        it. Raises ReaderUnavailable if no process can be had, or if that one is lost, too.
        """
        height, width = picture.pixels.shape[:2]
        if min(height, width) < self._limits.short_edge_px_min:
            return Unmeasured(
                f"too small to read: {width} x {height} px; take the photo closer, with the whole page in it"
            )
        try:
            reading = self._twice(picture)
        except PageLost as error:
            return Unmeasured(f"the page could not be read to its end: {error.reason}")
        return (
            reading if isinstance(reading, Unmeasured) or reading.kind == UNKNOWN else self._checked(reading, picture)
        )

    def _twice(self, picture: Picture) -> PaperReading | Unmeasured:
        """Read the page, and once more if its process was lost through no fault of it. Raises PageLost for the page,
        ReaderUnavailable for the machine."""
        try:
            with self._pool.lend() as worker:
                return self._read_page(self._page_reader(worker, picture))
        except PageLost as lost:
            if not lost.again:
                raise
        try:
            with self._pool.lend_alone() as worker:
                return self._read_page(self._page_reader(worker, picture))
        except PageLost as lost:
            if lost.again and not lost.stalled:
                raise ReaderUnavailable(f"{lost.reason}, twice; is the machine out of memory?") from lost
            raise

    def _page_reader(self, worker: Worker, picture: Picture) -> PageReader:
        return PageReader(worker, picture.pixels, self._quality, self._labels, self._today(), self._catalogue)

    def _read_page(self, page_reader: PageReader) -> PaperReading | Unmeasured:
        try:
            return page_reader.read()
        finally:
            with self._lock:
                self._cpu_seconds += page_reader.cpu_seconds

    def _checked(self, reading: PaperReading, picture: Picture) -> PaperReading:
        """Return the reading with the checks that need more than the page's own text."""
        height, width = picture.pixels.shape[:2]
        kind = self._catalogue[reading.kind]
        today = self._today()

        def parsed(page: PageText) -> PaperReading:
            return parse_as(kind, rows_of(page), page, today)

        layers = (picture.text_layer, picture.data_layer)
        made = [layers_check(reading, kind, layers, width, height, parsed), signature_check(picture.signature)]
        made += [check(picture.pixels, reading) for check in self._page_checks]
        by_hand = fields_by_hand(picture.pixels, reading, kind)
        return replace(
            reading,
            checks=(*reading.checks, *(check for check in made if check is not None)),
            doubtful=(*reading.doubtful, *by_hand),
            handwritten=tuple(field.name for field in by_hand),
        )

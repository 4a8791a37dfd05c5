"""Reads papers: OCR in processes of its own, tiny model first, the small one and other views of the page where the
reading does not add up (`vision.documents.page_reader`).
"""

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
from vision.documents.checks.layers import layer_check
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
    """What reading one page may cost, and when its process is replaced.

    page_cpu_seconds_max: of one pass over the page; a page takes up to four. stall_seconds_max: a process that neither
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
        """The part that concerns processes."""
        worker = WorkerLimits(
            self.start_cpu_seconds_max, self.page_cpu_seconds_max, self.stall_seconds_max, self.memory_bytes_max
        )
        return PoolLimits(worker, self.recycle_memory_bytes, self.recycle_pages)


def _short(card_name: str) -> str:
    """tiny of pp-ocrv6-tiny: how requests to the OCR process call a model."""
    return card_name.rsplit("-", 1)[1]


#: Another look at the page as it was sent, for what only its pixels can tell. None where it cannot.
PageCheck = Callable[[Pixels, PaperReading], CheckReading | None]


class Reader:
    """Thread-safe context manager over `processes` OCR processes; each reads one page at a time, further pages wait.

    `today` gives the date against which a paper's date is judged. `catalogue`: the kinds that are known, ours unless
    given. `page_checks` are made of every paper of a known kind, after everything else. Raises
    models.errors.ModelMissing or ModelCorrupt when the model folders are not in order, before any process starts.
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

        Unmeasured: too small, blurred, dark, no print, two papers, or its OCR process hit a limit or crashed on it. A
        process that was lost for no fault of the page is replaced, and the page read again with nothing beside it.
        Raises ReaderUnavailable when no process can be had, or that one is lost, too.
        """
        height, width = picture.pixels.shape[:2]
        if min(height, width) < self._limits.short_edge_px_min:
            return Unmeasured(
                f"too small to read: {width} x {height} px; take the photo closer, with the whole page in it"
            )
        try:
            found = self._twice(picture)
        except PageLost as error:
            return Unmeasured(f"the page could not be read to its end: {error.reason}")
        return found if isinstance(found, Unmeasured) or found.kind == UNKNOWN else self._checked(found, picture)

    def _twice(self, picture: Picture) -> PaperReading | Unmeasured:
        """Raises PageLost for the page, ReaderUnavailable for the machine."""
        try:
            with self._pool.lend() as worker:
                return self._passes(self._passes_of(worker, picture))
        except PageLost as lost:
            if not lost.again:
                raise
        try:
            with self._pool.lend_alone() as worker:
                return self._passes(self._passes_of(worker, picture))
        except PageLost as lost:
            if lost.again and not lost.stalled:
                raise ReaderUnavailable(f"{lost.reason}, twice; is the machine out of memory?") from lost
            raise

    def _passes_of(self, worker: Worker, picture: Picture) -> PageReader:
        return PageReader(worker, picture.pixels, self._quality, self._labels, self._today(), self._catalogue)

    def _passes(self, passes: PageReader) -> PaperReading | Unmeasured:
        try:
            return passes.read()
        finally:
            with self._lock:
                self._cpu_seconds += passes.cpu_seconds

    def _checked(self, reading: PaperReading, picture: Picture) -> PaperReading:
        """With the checks that need more than the page's own text."""
        height, width = picture.pixels.shape[:2]
        kind = self._catalogue[reading.kind]
        today = self._today()

        def parsed(page: PageText) -> PaperReading:
            return parse_as(kind, rows_of(page), page, today)

        made = [layer_check(reading, kind, picture.text_layer, width, height, parsed)]
        made += [check(picture.pixels, reading) for check in self._page_checks]
        return replace(reading, checks=(*reading.checks, *(check for check in made if check is not None)))

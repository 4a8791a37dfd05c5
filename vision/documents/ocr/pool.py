"""A fixed number of OCR processes: each is lent to one page at a time and replaced when broken or worn.

Where processes cannot be started, for want of memory, processes or descriptors, none is tried again for a while that
doubles with each failure: pages that ask for one meanwhile are refused at once, so that a lasting want costs no CPU.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.documents.ocr.process import Worker, WorkerLimits
from vision.errors import ReaderUnavailable


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of the pool. recycle_*: a process is replaced after so many pages or at that size. start_pause_*: after
    the second start in a row that failed, until the next is tried; doubled with each further failure."""

    worker: WorkerLimits
    recycle_memory_bytes: int
    recycle_pages: int
    start_pause_seconds: float = 1.0
    start_pause_seconds_max: float = 60.0


class StartPause:
    """The pause after starts that failed in a row. Thread-safe. clock: monotonic seconds."""

    def __init__(self, seconds: float, seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._seconds_max = seconds_max
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = float("-inf")
        self._why = ""

    def failed(self, why: str) -> None:
        """Count a failure, and from the second in a row on begin a pause. Starts that fail while one lasts were begun
        before it and do not count."""
        with self._lock:
            now = self._clock()
            if now < self._until:
                return
            if self._failures:
                self._until = now + min(self._seconds * 2 ** min(self._failures - 1, 30), self._seconds_max)
            self._failures += 1
            self._why = why

    def over(self) -> None:
        """End the pause: a process has started."""
        with self._lock:
            self._failures, self._until = 0, float("-inf")

    def check(self) -> None:
        """Raise ReaderUnavailable while the pause lasts."""
        with self._lock:
            left = self._until - self._clock()
            if left > 0:
                raise ReaderUnavailable(f"no OCR process is started for another {left:.0f} s, after: {self._why}")


class Pool:
    """The OCR processes. Thread-safe. A place holds a running process, or None until one is needed."""

    def __init__(self, config: Mapping[str, Any], limits: PoolLimits, processes: int) -> None:
        if processes < 1:
            raise ValueError(f"at least one OCR process is needed, got {processes}")
        self._config = dict(config)
        self._limits = limits
        self._processes = processes
        self._scratch = tempfile.TemporaryDirectory(prefix="miaopei-ocr-", ignore_cleanup_errors=True)
        self._lock = threading.Lock()
        self._one_alone = threading.Lock()  # held while taking every place: two takers would each wait for the other's
        self._closed = False
        self._pause = StartPause(limits.start_pause_seconds, limits.start_pause_seconds_max)
        self._running: set[Worker] = set()
        self._places: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(processes):
            self._places.put(None)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the running processes."""
        with self._lock:
            return tuple(worker.pid for worker in self._running)

    def warm(self) -> None:
        """Start every process and wait until all are ready. Raises ReaderUnavailable, and OSError or RuntimeError if
        the system starts no process."""
        with self._one_alone:
            self._warm()

    def _warm(self) -> None:
        places = [self._take() for _ in range(self._processes)]
        try:
            for index, worker in enumerate(places):
                places[index] = worker or self._start()  # all load at once
            for worker in places:
                if worker is not None:
                    self._wait_ready(worker)
        finally:
            for worker in places:
                if worker is not None and not worker.alive():
                    self._end(worker)
                    worker = None
                self._places.put(worker)

    @contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend a process for one page. Any error meanwhile ends the process, so that no later page meets a half-read
        pipe.

        Raises ReaderUnavailable if none starts.
        """
        with self._lent(self._take()) as worker:
            yield worker

    @contextmanager
    def lend_alone(self) -> Iterator[Worker]:
        """Lend a fresh process for one page while no other page is being read. Raises ReaderUnavailable."""
        places: list[Worker | None] = []
        with self._one_alone:
            try:
                for _ in range(self._processes):
                    places.append(self._take())
                first = places.pop()
                self._end(first)
                with self._lent(None) as worker:
                    yield worker
            finally:
                for place in places:
                    self._places.put(place)

    @contextmanager
    def _lent(self, place: Worker | None) -> Iterator[Worker]:
        worker: Worker | None = None
        sound = False
        try:
            worker = place or self._start()
            self._wait_ready(worker)
            worker.page_begins()
            yield worker
            sound = True
        finally:
            if not sound:
                self._end(worker)
                worker = None
            elif worker is not None and self._worn(worker):
                self._end(worker)
                worker = self._successor()
            self._places.put(worker)

    def close(self) -> None:
        """End every process; the reader of a page in progress loses it."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for worker in running:
            self._end(worker)
        self._scratch.cleanup()

    def _take(self) -> Worker | None:
        # Waits without a limit: every page in progress has a limit of CPU time, so its place becomes free.
        place = self._places.get()
        if place is not None and not place.alive():
            self._end(place)  # it died between two pages
            return None
        return place

    def _start(self) -> Worker:
        """Start a process without waiting for it. Raises ReaderUnavailable during the pause after a start that failed,
        and OSError or RuntimeError if the system starts none."""
        with self._lock:
            if self._closed:
                raise ReaderUnavailable("the reader is closed")
            self._pause.check()
            try:
                scratch = Path(self._scratch.name)
                scratch.mkdir(mode=0o700, exist_ok=True)  # a cleaner of temporary files may have taken it
                worker = Worker(self._config, self._limits.worker, scratch)
            except (OSError, RuntimeError, MemoryError) as error:
                self._pause.failed(str(error))
                raise
            self._running.add(worker)
            return worker

    def _wait_ready(self, worker: Worker) -> None:
        """Wait until its models are loaded. Raises ReaderUnavailable."""
        if worker.ready:
            return  # no news of whether processes start
        try:
            worker.wait_ready()
        except ReaderUnavailable as error:
            if not self._closed:
                self._pause.failed(str(error)[:200])
            raise
        self._pause.over()

    def _successor(self) -> Worker | None:
        """Return a process that loads while nobody waits for it; None if none can be started now. The page was read:
        the next one meets the trouble, if it lasts."""
        try:
            return None if self._closed else self._start()
        except (ReaderUnavailable, OSError, RuntimeError, MemoryError):
            return None

    def _end(self, worker: Worker | None) -> None:
        if worker is None:
            return
        worker.kill()
        with self._lock:
            self._running.discard(worker)

    def _worn(self, worker: Worker) -> bool:
        limits = self._limits
        return worker.pages >= limits.recycle_pages or worker.memory_bytes() >= limits.recycle_memory_bytes

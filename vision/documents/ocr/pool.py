"""A fixed number of OCR processes: each is lent to one page at a time and replaced when broken or worn."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.documents.ocr.process import Worker, WorkerLimits
from vision.errors import ReaderUnavailable


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of the pool. recycle_*: a process is replaced after so many pages or at that size (the engine leaks
    memory)."""

    worker: WorkerLimits
    recycle_memory_bytes: int
    recycle_pages: int


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
        """Start every process and wait until all are ready. Raises ReaderUnavailable."""
        with self._one_alone:
            self._warm()

    def _warm(self) -> None:
        taken: list[Worker | None] = []
        try:
            for _ in range(self._processes):
                taken.append(self._take() or self._start())
            for worker in taken:
                if worker is not None:
                    worker.wait_ready()
        except ReaderUnavailable:
            for worker in taken:
                self._end(worker)
            taken = [None] * len(taken)
            raise
        finally:
            for worker in taken:
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
            worker.wait_ready()
            yield worker
            sound = True
        finally:
            if not sound:
                self._end(worker)
                worker = None
            elif worker is not None and self._worn(worker):
                self._end(worker)
                worker = None if self._closed else self._start()  # loads while nobody waits for it
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
        with self._lock:
            if self._closed:
                raise ReaderUnavailable("the reader is closed")
            worker = Worker(self._config, self._limits.worker, Path(self._scratch.name))
            self._running.add(worker)
            return worker

    def _end(self, worker: Worker | None) -> None:
        if worker is None:
            return
        worker.kill()
        with self._lock:
            self._running.discard(worker)

    def _worn(self, worker: Worker) -> bool:
        limits = self._limits
        return worker.pages_read >= limits.recycle_pages or worker.memory_bytes() >= limits.recycle_memory_bytes

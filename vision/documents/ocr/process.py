"""One OCR process from the parent's side: started, given requests under limits of CPU time and memory, killed if it
breaks one or stands still. The clock is no limit: on a busy machine a page takes as long as the process is kept from
running."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import psutil

import vision
from vision.decode.process import FROM_OUTSIDE
from vision.documents.ocr import child
from vision.documents.ocr.child import (
    CODE_CHARACTERS_MAX,
    CODES,
    CODES_MAX,
    EXIT_NO_RESOURCES,
    NO_RESOURCES_WORDS,
    frame_head,
)
from vision.documents.ocr.views import Corners
from vision.documents.text.page import TextLine
from vision.errors import ReaderUnavailable
from vision.lifetime import in_lasting_thread
from vision.progress import LOOK_SECONDS, ProcessProgress, sign_of

_POLL_SECONDS = 0.05
_REPLY_BYTES_MAX = 16 << 20
_LAST_WORDS_BYTES = 600


class PageLost(Exception):
    """The page's process was killed or died; it is gone, other pages are not affected.

    reason: which limit. again: as far as is known none of the page's own limits is the cause: it was killed or stopped
    from outside, or by the kernel for want of memory, or was refused something by the system, or it had grown on pages
    before this one, or it stood still (stalled).
    """

    def __init__(self, reason: str, *, again: bool = False, stalled: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again or stalled
        self.stalled = stalled


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Limits of one process. start_cpu_seconds_max: for import and loading. page_cpu_seconds_max: for one request.
    stall_seconds_max: time of neither using CPU nor waiting for any. memory: the process's resident size."""

    start_cpu_seconds_max: float
    page_cpu_seconds_max: float
    stall_seconds_max: int
    memory_bytes_max: int


class _Watch:
    """The limits of a process's current task."""

    def __init__(self, process_id: int, cpu_seconds_max: float, stall_seconds_max: int) -> None:
        self._process_id = process_id
        self._cpu_seconds_max = cpu_seconds_max
        self._began = sign_of([process_id]).cpu_seconds
        self._progress = ProcessProgress(stall_seconds_max)
        self._looked = time.monotonic()

    def spent(self) -> bool:
        return sign_of([self._process_id]).cpu_seconds - self._began > self._cpu_seconds_max

    def stalled(self) -> bool:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return self._progress.stalled(sign_of([self._process_id]))


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A decoded code. corners: in pixels, clockwise from its own top left."""

    symbology: str
    text: str
    corners: Corners


class Worker:
    """A running OCR process. Not thread-safe: one thread uses it at a time."""

    def __init__(self, config: Mapping[str, Any], limits: WorkerLimits, cache_dir: Path) -> None:
        self._limits = limits
        self._cache_dir = cache_dir
        self._ready = False
        self._words = ""
        self._readings = 0
        self._aged = False
        self.pages = 0  # that it was lent for; each is read several times
        # Its last words, in memory: a full disk must not end a process that has something to say.
        self._log = os.fdopen(os.memfd_create("miaopei-ocr-log", os.MFD_CLOEXEC), "r+b", buffering=0)
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        # Run the file itself: as a module of its package it would first import all that reads papers.
        command = [sys.executable, "-P", child.__file__, json.dumps(dict(config)), str(os.getpid())]
        try:
            self._process = in_lasting_thread(
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    env=_environment(cache_dir),
                    cwd=cache_dir,
                )
            )
        except BaseException:
            self._log.close()
            raise
        os.set_blocking(self._stdin().fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ready(self) -> bool:
        """True once its models are loaded."""
        return self._ready

    def memory_bytes(self) -> int:
        """Return the resident size, 0 if the process is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def wait_ready(self) -> None:
        """Block until the models are loaded, as long as the process makes progress. Raises ReaderUnavailable."""
        if self._ready:
            return
        try:
            header = self._reply(self._watch(self._limits.start_cpu_seconds_max), "loading the OCR models")
        except PageLost as error:
            raise ReaderUnavailable(f"the OCR process did not start: {error.reason}: {self._last_words()}") from error
        if header.get("ready") is not True:
            self.kill()
            raise ReaderUnavailable(f"the OCR process began with {header!r}")
        self._ready = True

    def page_begins(self) -> None:
        """Count the page that it is lent for now, and remember whether it has read others before."""
        self._aged = self._readings > 0
        self.pages += 1

    def read(self, pixels: npt.NDArray[np.uint8], model: str) -> tuple[list[TextLine], float]:
        """Return the lines of `pixels` (h, w, 3) sRGB by the model of that short name, and CPU seconds spent. Raises
        PageLost, ReaderUnavailable."""
        header = self._ask(pixels, model, "reading a page")
        self._readings += 1
        with contextlib.suppress(ValueError):  # closed meanwhile, with the whole reader
            self._log.truncate(0)  # what was said of a page that was read
        lines = [
            TextLine(text, confidence, cast(Corners, tuple((x, y) for x, y in corners)))
            for text, confidence, corners in header["lines"]
        ]
        return lines, float(header["cpu_seconds"])

    def codes(self, pixels: npt.NDArray[np.uint8]) -> tuple[list[FoundCode], float]:
        """Return QR and bar codes in `pixels`, and CPU seconds spent. Raises PageLost, ReaderUnavailable."""
        header = self._ask(pixels, CODES, "looking for codes")
        codes = [
            FoundCode(str(symbology), str(text)[:CODE_CHARACTERS_MAX], cast(Corners, tuple((x, y) for x, y in corners)))
            for symbology, text, corners in header["codes"][:CODES_MAX]
        ]
        return codes, float(header["cpu_seconds"])

    def _ask(self, pixels: npt.NDArray[np.uint8], model: str, doing: str) -> dict[str, Any]:
        self.wait_ready()
        watch = self._watch(self._limits.page_cpu_seconds_max)
        height, width = pixels.shape[:2]
        self._send(
            {"model": model, "height": height, "width": width}, np.ascontiguousarray(pixels).data.cast("B"), watch
        )
        return self._reply(watch, doing)

    def _watch(self, cpu_seconds_max: float) -> _Watch:
        return _Watch(self.pid, cpu_seconds_max, self._limits.stall_seconds_max)

    def kill(self) -> None:
        """End the process now; safe to call twice."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._words = self._last_words()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # unsent bytes to a process that is gone

    def _send(self, header: dict[str, Any], payload: memoryview, watch: _Watch) -> None:
        descriptor = self._stdin().fileno()
        for rest in (memoryview(frame_head(header, len(payload))), payload):
            while rest:
                self._check(watch, "sending a page")
                if select.select([], [descriptor], [], _POLL_SECONDS)[1]:
                    try:
                        rest = rest[os.write(descriptor, rest[: 1 << 20]) :]
                    except BrokenPipeError as error:
                        raise self._died("before its page") from error

    def _reply(self, watch: _Watch, doing: str) -> dict[str, Any]:
        received = bytearray()
        needed = 4
        stdout = self._process.stdout
        if stdout is None:
            raise ReaderUnavailable("the OCR process has no output pipe")
        descriptor = stdout.fileno()
        while len(received) < needed:
            self._check(watch, doing)
            if not select.select([descriptor], [], [], _POLL_SECONDS)[0]:
                continue
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise self._died(doing)
            received += piece
            if needed == 4 and len(received) >= 4:
                needed = 4 + int.from_bytes(received[:4], "big")
                if needed > _REPLY_BYTES_MAX:
                    raise self._lost("the OCR process sent more than a page can hold")
        header: dict[str, Any] = json.loads(received[4:needed])
        return header

    def _check(self, watch: _Watch, doing: str) -> None:
        if watch.spent():
            raise self._lost(f"{doing} took longer than allowed")
        memory = self.memory_bytes()
        if memory > self._limits.memory_bytes_max:
            self.kill()
            # In a process that has read before, part of it is theirs: a fresh one shows what this page alone takes.
            reason = f"{doing} took {memory >> 20} MiB of memory, more than allowed"
            raise PageLost(reason, again=self._aged)
        if watch.stalled():
            stopped = sign_of([self.pid]).stopped
            self.kill()
            if stopped:  # no page can do that: somebody did
                raise PageLost(f"the OCR process was stopped from outside {doing}", again=True)
            raise PageLost(f"the OCR process stood still {doing}", stalled=True)

    def _died(self, doing: str) -> PageLost:
        """Return the error for a process that closed its end. It is not the page's fault if a signal from outside ended
        it, or lack of memory, threads, descriptors or disk."""
        code = self._process.wait()
        refused = code == EXIT_NO_RESOURCES or any(words in self._last_words() for words in NO_RESOURCES_WORDS)
        outside = -code in FROM_OUTSIDE or refused
        self.kill()
        return PageLost(f"the OCR process died {doing} ({code})", again=outside)

    def _lost(self, reason: str) -> PageLost:
        self.kill()
        return PageLost(reason)

    def _stdin(self) -> Any:
        if self._process.stdin is None:
            raise ReaderUnavailable("the OCR process has no input pipe")
        return self._process.stdin

    def _last_words(self) -> str:
        try:
            log = self._log.fileno()
            begin = max(0, os.fstat(log).st_size - _LAST_WORDS_BYTES)
            return os.pread(log, _LAST_WORDS_BYTES, begin).decode(errors="replace")
        except (ValueError, OSError):  # closed, perhaps this moment by another thread
            return self._words


def _environment(cache_dir: Path) -> dict[str, str]:
    """Return only the variables that the process needs: no secrets, no proxies; downloads and their checks switched
    off."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ
    }
    return kept | {
        "HOME": str(cache_dir),
        "PYTHONPATH": str(Path(next(iter(vision.__path__))).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True",
        "PADDLE_PDX_CACHE_HOME": str(cache_dir / "paddlex"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }

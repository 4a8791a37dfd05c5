"""A machine that stops or starves an OCR process says nothing of the page; a page that ends it each time does."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pytest

from fixtures.papers import FLAT, render_parcel_slip
from models.ocr_build import default_target
from vision.decode.image import DecodeLimits, Decoder, Picture
from vision.documents import PaperReading, Reader, ReaderLimits
from vision.documents.ocr.child import EXIT_NO_RESOURCES, refused_by_system
from vision.documents.ocr.pool import Pool, PoolLimits, StartPause
from vision.documents.ocr.process import PageLost, Worker, WorkerLimits
from vision.documents.reader import ocr_config
from vision.errors import ReaderUnavailable
from vision.measurement import Unmeasured

TODAY = date(2026, 11, 22)
LIMITS = WorkerLimits(300, 30, stall_seconds_max=60, memory_bytes_max=2 << 30)


@pytest.fixture(scope="module")
def slip() -> Picture:
    with Decoder(DecodeLimits(), processes=1) as decoder:
        return decoder.decode(render_parcel_slip(45, capture=FLAT).jpeg, long_edge_px_max=1600)


def kind_of(reading: PaperReading | Unmeasured) -> str:
    return reading.kind if isinstance(reading, PaperReading) else reading.reason


@contextmanager
def each_process(reader: Reader, act: Callable[[int], object]) -> Iterator[set[int]]:
    """Do something to every OCR process as soon as it is there."""
    met: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for pid in set(reader.pids) - met:
                met.add(pid)
                act(pid)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield met
    finally:
        done.set()
        thread.join()


def test_a_page_whose_processes_are_all_stopped_from_outside_is_not_to_blame(slip: Picture) -> None:
    with Reader(limits=ReaderLimits(stall_seconds_max=1), today=lambda: TODAY) as reader:
        reader.warm()
        stop = each_process(reader, lambda pid: os.kill(pid, signal.SIGSTOP))
        with stop as stopped, pytest.raises(ReaderUnavailable):
            reader.read(slip)
        assert len(stopped) == 2
        assert kind_of(reader.read(slip)) == "parcel_slip"


def test_a_process_that_hardly_gets_a_cpu_is_waited_for(slip: Picture) -> None:
    """It has the lowest priority beside loops that never pause, for longer than it may stand still."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]

    def relieve() -> None:
        for process in busy:
            process.kill()
        for pid in reader.pids:
            os.setpriority(os.PRIO_PROCESS, pid, 0)

    try:
        with Reader(limits=ReaderLimits(stall_seconds_max=1), today=lambda: TODAY) as reader:
            with each_process(reader, lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19)) as slowed:
                relief = threading.Timer(4.0, relieve)
                relief.start()
                assert kind_of(reader.read(slip)) == "parcel_slip"
                relief.join()
            assert len(slowed) == 1, "it was never replaced"
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_a_process_that_the_system_refuses_memory_is_replaced_and_every_one_of_them_is_our_trouble(
    slip: Picture,
) -> None:
    def no_more(pid: int) -> None:
        present = psutil.Process(pid).memory_info().vms
        psutil.Process(pid).rlimit(psutil.RLIMIT_AS, (present, present))

    with Reader(today=lambda: TODAY) as reader:
        reader.warm()
        (first,) = reader.pids
        no_more(first)
        assert kind_of(reader.read(slip)) == "parcel_slip"
        assert reader.pids != (first,)
        no_more(reader.pids[0])
        with each_process(reader, no_more), pytest.raises(ReaderUnavailable):
            reader.read(slip)


def test_a_page_that_takes_too_much_memory_is_told_from_a_process_that_had_grown(tmp_path: Path) -> None:
    strip = np.full((64, 256, 3), 255, dtype=np.uint8)
    for grown in (False, True):
        worker = Worker(ocr_config(default_target(), ReaderLimits()), LIMITS, tmp_path)
        worker.wait_ready()
        if grown:
            worker.read(strip, "tiny")
        worker.page_begins()
        worker._limits = replace(LIMITS, memory_bytes_max=1 << 20)
        with pytest.raises(PageLost, match="more than allowed") as lost:
            worker.read(strip, "tiny")
        assert lost.value.again is grown


def test_a_place_is_kept_when_its_next_process_cannot_be_started(slip: Picture) -> None:
    """The page was read; the next process has no folder to run in."""
    with Reader(limits=ReaderLimits(recycle_pages=1), today=lambda: TODAY) as reader:
        reader.warm()
        folder = Path(reader._pool._scratch.name)
        shutil.rmtree(folder)
        folder.write_text("in its place")
        assert kind_of(reader.read(slip)) == "parcel_slip"
        assert reader.pids == ()
        folder.unlink()  # and not put back: a cleaner of temporary files took it, and it is made again
        assert kind_of(reader.read(slip)) == "parcel_slip", "it does not wait for a place for ever"


def test_processes_that_cannot_be_started_are_not_tried_for_every_page(tmp_path: Path) -> None:
    limits = PoolLimits(LIMITS, 1 << 30, 300, start_pause_seconds=3_600, start_pause_seconds_max=3_600)
    pool = Pool(ocr_config(tmp_path / "no models", ReaderLimits()), limits, processes=1)
    for _ in range(2):
        with pytest.raises(ReaderUnavailable, match="did not start"), pool.lend():
            raise AssertionError("no process can be lent")
    for _ in range(50):
        with pytest.raises(ReaderUnavailable, match="no OCR process is started for another"), pool.lend():
            raise AssertionError("no process can be lent")
    assert pool.pids == ()
    pool.close()


def test_the_pause_doubles_up_to_its_limit_and_a_start_ends_it() -> None:
    now = 0.0
    pause = StartPause(1.0, 60.0, clock=lambda: now)
    lengths = []
    for _ in range(9):
        pause.failed("no memory")
        began = now
        while True:
            try:
                pause.check()
            except ReaderUnavailable as error:
                assert "no memory" in str(error)  # noqa: PT017
                pause.failed("side by side")
                now += 0.5
            else:
                break
        lengths.append(now - began)
    assert lengths == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    pause.over()
    pause.failed("chance")
    pause.check()


def test_what_the_system_refuses_a_process_is_told_from_its_own_errors(tmp_path: Path) -> None:
    refused = [MemoryError(), OSError(errno.ENOSPC, "full"), OSError(errno.EMFILE, "files"), RuntimeError("bad_alloc")]
    own = [ValueError("7"), OSError("broken picture"), OSError(errno.EFBIG, "own limit"), IndexError()]
    assert [refused_by_system(error) for error in refused + own] == [True] * 4 + [False] * 4
    for code, word in (("raise OSError(28, 'No space left on device')", EXIT_NO_RESOURCES), ("raise KeyError(1)", 1)):
        program = f"""
import sys
from vision.documents.ocr import child
def broken(config):
    {code}
child._engines = broken
sys.exit(child.main())
"""
        run = [sys.executable, "-c", program, "{}", str(os.getpid())]
        ended = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, check=False)
        assert ended.returncode == word, ended.stderr


_TRIM = """
import numpy as np, psutil
from vision.documents.ocr.child import FreedMemory
freed_memory = FreedMemory(200 << 20)
sizes = np.random.default_rng(1).integers(20_000, 120_000, 5000)
kept, freed = [], []
for index, size in enumerate(sizes):
    (kept if index % 20 == 0 else freed).append(b"x" * int(size))
process = psutil.Process()
full = process.memory_info().rss
freed.clear()
before = process.memory_info().rss
FreedMemory(200 << 20).hand_back()
assert process.memory_info().rss > before - (1 << 20), "it has not grown since"
freed_memory.hand_back()
print(full, before, process.memory_info().rss)
"""


def test_memory_between_buffers_that_stay_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _TRIM], capture_output=True, check=True, text=True)
    full, before, after = (int(number) >> 20 for number in done.stdout.split())
    assert full - before < 100, "freed, and yet held"
    assert before - after > 150


_NO_THREAD = """
import resource, signal
from vision.lifetime import in_lasting_thread
signal.alarm(20)  # where it waits for ever
with open("/proc/self/statm") as file:
    present = int(file.read().split()[0]) * resource.getpagesize()
most = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (present + (1 << 20), most))
try:
    in_lasting_thread(lambda: None)
except RuntimeError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(in_lasting_thread(lambda: "started"))
"""


def test_where_no_thread_starts_nobody_waits_for_one() -> None:
    done = subprocess.run([sys.executable, "-c", _NO_THREAD], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n")[:2] == ["can't start new thread", "started"]

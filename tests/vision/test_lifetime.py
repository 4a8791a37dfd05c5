"""No child process of ours is left behind when its parent is killed, not even one that hears nothing any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from vision import lifetime

# Ends each of the programs below: its child is started in a thread that ends at once, as the threads that read papers
# may, and the child's id is printed. `start` returns what keeps the child, and that id.
IN_A_THREAD = """
import threading, time

kept = []
thread = threading.Thread(target=lambda: kept.extend(start()))
thread.start()
thread.join()
print(kept[1], flush=True)
time.sleep(3600)
"""
OCR = """
import sys
from pathlib import Path
from vision.documents.ocr.process import Worker, WorkerLimits

def start():
    config = {"engines": {}, "models_dir": "", "threads": 1, "detection_edge_px_max": 960}
    worker = Worker(config, WorkerLimits(600, 600, 600, 1 << 33), Path(sys.argv[1]))
    worker.wait_ready()
    return worker, worker.pid
"""
# The child matches for ages in one call of native code, which holds the interpreter's lock: no thread of its runs.
BUSY = """
import os, subprocess, sys
from vision.lifetime import in_lasting_thread

child = (
    "import re, sys; from vision.lifetime import end_with_parent; end_with_parent(int(sys.argv[1]));"
    "print('busy', flush=True); re.match('(a*)*b', 'a' * 64)"
)

def start():
    command = [sys.executable, "-c", child, str(os.getpid())]
    process = in_lasting_thread(lambda: subprocess.Popen(command, stdout=subprocess.PIPE))
    process.stdout.readline()
    return process, process.pid
"""
ZYGOTE = """
from vision.decode.process import DecodeLimits, DecoderProcess

def start():
    decoder = DecoderProcess(DecodeLimits())
    decoder._started()
    return decoder, decoder.process_id
"""


@contextmanager
def parent(program: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """Run the program; yields it and its child, which is killed at the end if it is left."""
    with subprocess.Popen(
        [sys.executable, "-c", program + IN_A_THREAD, str(folder)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        try:
            yield process, child
        finally:
            process.kill()
            if not gone(child):
                child.kill()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("program", [OCR, ZYGOTE], ids=["ocr", "decoder"])
def test_a_stopped_child_of_a_killed_parent_is_gone(program: str, tmp_path: Path) -> None:
    with parent(program, tmp_path) as (process, child):
        assert not gone(child)  # the thread that asked for it has ended, and it lives
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: child.status() == psutil.STATUS_STOPPED)
        process.kill()
        wait_until(lambda: gone(child))


def test_a_child_that_hangs_in_native_code_is_gone_with_its_parent(tmp_path: Path) -> None:
    with parent(BUSY, tmp_path) as (process, child):
        assert not gone(child)
        process.kill()
        wait_until(lambda: gone(child))


def test_a_child_whose_parent_went_before_it_could_ask_ends_at_once() -> None:
    code = "from vision.lifetime import end_with_parent; end_with_parent(1 << 22); print('still here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_what_is_raised_while_a_child_is_started_reaches_who_asked() -> None:
    with pytest.raises(FileNotFoundError):
        lifetime.in_lasting_thread(lambda: subprocess.Popen(["/no/such/program"]))


def test_a_forked_process_has_a_thread_of_its_own() -> None:
    here = lifetime.in_lasting_thread(os.getpid)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, str(lifetime.in_lasting_thread(os.getpid)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert (here, os.read(read, 20)) == (os.getpid(), str(pid).encode())

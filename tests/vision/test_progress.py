"""The kernel's figures tell a process that advances from one that waits for a CPU and one that is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import wait_until
from vision.progress import ProcessProgress, SignOfLife, sign_of


@contextmanager
def python(code: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_that_computes_gets_on_and_one_that_sleeps_does_not() -> None:
    with python("while True: pass") as busy, python("import time; time.sleep(10_000)") as idle:
        began = sign_of([busy])
        wait_until(lambda: sign_of([busy]).cpu_seconds > began.cpu_seconds)
        assert sign_of([busy]).held_up, "runnable, whether it has a core or not"
        assert not sign_of([busy]).stopped
        wait_until(lambda: not sign_of([idle]).held_up)
        os.kill(busy, signal.SIGSTOP)
        wait_until(lambda: not sign_of([busy]).held_up)
        assert sign_of([busy]).stopped
        assert not sign_of([idle]).stopped, "nobody stopped it: it sleeps by itself"


def test_a_process_that_is_gone_shows_nothing() -> None:
    with python("pass") as gone:
        pass
    assert sign_of([gone]) == SignOfLife(0.0, False)


def test_only_looks_in_a_row_that_show_nothing_count() -> None:
    progress = ProcessProgress(looks_max=3)
    still, waiting, further = SignOfLife(1.0, False), SignOfLife(1.0, True), SignOfLife(1.1, False)
    looks = [still, still, still, waiting, still, still, further, further, further]
    assert [progress.stalled(sign) for sign in looks] == [False] * 9
    assert progress.stalled(further)

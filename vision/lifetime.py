"""Ties a child process to its parent: when the parent ends, however it ends, the kernel kills the child.

The end of a pipe is noticed only by a child that reads from it; one that hangs in native code, or was stopped, would
stay for good. The kernel's signal (PR_SET_PDEATHSIG, prctl(2)) reaches it all the same. It is sent when the *thread*
that started the child ends, so children are started by a thread that lives as long as the process
(`in_lasting_thread`). Linux only, as the decoder is: elsewhere nothing is asked for.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(parent_id: int) -> None:
    """Have the kernel kill this process when the thread that started it ends. The child calls this first of all, and
    again after a change of user, which clears it.

    parent_id: the parent's process id as the parent knows it. If the parent has gone already, this process ends here.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_id:  # it went before the kernel was told
        os._exit(1)


def in_lasting_thread(work: Callable[[], T]) -> T:
    """Run `work`, which starts a child process, in the one thread that ends only with this process. Returns its result
    and raises what it raises; RuntimeError if the system starts no thread."""
    done: Future[T] = Future()
    _lasting_thread().put((work, done))
    return done.result()


_lock = threading.Lock()
_waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] | None = None


def _lasting_thread() -> queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]]:
    global _waiting
    with _lock:
        if _waiting is None:
            waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(waiting,), name="starts-children", daemon=True).start()
            _waiting = waiting  # only now: where the system starts no thread, nobody must wait for one
        return _waiting


def _serve(waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]]) -> None:
    while True:
        work, done = waiting.get()
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001  (handed to the caller, who raises it)
            done.set_exception(error)


def _after_fork() -> None:
    """A forked process has no threads but the one that forked, and perhaps a lock that nobody will open."""
    global _lock, _waiting
    _lock, _waiting = threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)

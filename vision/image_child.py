"""The decoding processes: a zygote that never reads a picture, and one short-lived child of it for every file.

The zygote imports Pillow and PDFium once, then waits. For each request it forks; the child lowers its own limits, reads one file, writes the
pixels and dies. So no byte of one claim's file is ever in the memory of another's decoder, a crash or an exhausted limit ends that one file only,
and a fork costs milliseconds where a fresh interpreter costs a quarter of a second.

Wire, one SOCK_SEQPACKET message each way. Request: JSON (`kind`, limits) and two descriptors, the file's bytes and the place for the answer.
Reply: JSON (`status` as of waitpid, `timed_out`, `cpu_seconds`). The answer itself the child writes into the second descriptor: 8 bytes of length,
that much JSON, and from HEADER_BYTES on the pixels. The zygote never parses what a child wrote.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from vision import image_pixels, pdf_pages

REQUEST_BYTES_MAX: Final = 65_536
HEADER_BYTES: Final = 65_536  # of an answer, before the pixels: room to describe 50 pages
_NOBODY: Final = 65_534
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def main(control_descriptor: int) -> None:
    """Serve requests until the other end of the control socket closes, which is how this process learns that its parent is gone."""
    control = socket.socket(fileno=control_descriptor)
    libc = ctypes.CDLL(None, use_errno=True)
    gc.collect()
    gc.freeze()  # the children share these pages: no collector should touch and so copy them
    control.send(b'{"ready":true}')
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, REQUEST_BYTES_MAX, 2)
        if not message:
            return
        request = json.loads(message)
        pid = os.fork()
        if pid == 0:
            control.close()
            _child(request, descriptors[0], descriptors[1], libc)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps(_wait(pid, float(request["wall_seconds_max"]), control)).encode())


def _wait(pid: int, wall_seconds_max: float, control: socket.socket) -> dict[str, Any]:
    """Wait for the child, kill it at its time limit, and end with it when the parent has gone."""
    deadline = time.monotonic() + wall_seconds_max
    watched = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(control, select.POLLIN | select.POLLHUP)
    timed_out = False
    events = dict(poll.poll(max(0.0, wall_seconds_max) * 1000))
    if watched not in events:
        os.kill(pid, signal.SIGKILL)
        timed_out = time.monotonic() >= deadline
    os.close(watched)
    _pid, status, usage = os.wait4(pid, 0)
    if control.fileno() in events:  # a parent that waits for its reply says nothing more: it has gone
        sys.exit(0)
    return {"status": status, "timed_out": timed_out, "cpu_seconds": usage.ru_utime + usage.ru_stime}


def _child(request: dict[str, Any], source: int, target: int, libc: ctypes.CDLL) -> NoReturn:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with os.fdopen(source, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        _confine(request, libc)
        _answer(request, data, target)
        code = 0
    finally:
        # Without the interpreter's farewell: an unforeseen error ends as a non-zero status, which the parent reports as decode_crashed.
        os._exit(code)


def _confine(request: dict[str, Any], libc: ctypes.CDLL) -> None:
    """Give up everything that decoding does not need. From here on the bytes may do what they like."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # under memory pressure the kernel should take this process first
    with open("/proc/self/statm") as file:
        present_bytes = int(file.read().split()[0]) * resource.getpagesize()
    cpu_seconds = int(request["cpu_seconds_max"])
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: int(request["answer_bytes_max"]),
        resource.RLIMIT_AS: present_bytes + int(request["memory_bytes_max"]),
        # No new descriptor means no file, no socket, no pipe. PDFium alone may open a few, to read the system's fonts.
        resource.RLIMIT_NOFILE: 16 if request["kind"] == "pdf" else 0,
    }
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))


def _answer(request: dict[str, Any], data: bytes, target: int) -> None:
    try:
        image_pixels.prepare(int(request["pixels_max"]))
        _write_pictures(target, _decoded(request, data))
    except image_pixels.Refused as refused:
        _write(target, {"refused": refused.args[0], "detail": refused.args[1]})
    except MemoryError:
        _write(target, {"refused": "decode_memory", "detail": "the file asks for more memory than one file may have"})


def _decoded(request: dict[str, Any], data: bytes) -> Iterator[image_pixels.Decoded]:
    if request["kind"] == "pdf":
        return pdf_pages.render(
            data, int(request["dpi"]), int(request["page_count_max"]), int(request["page_pixels_max"])
        )
    return iter(
        [image_pixels.decode(data, request["media_type"], int(request["long_edge_px_max"]), int(request["pixels_max"]))]
    )


def _write_pictures(target: int, pictures: Iterator[image_pixels.Decoded]) -> None:
    """Pixels go out picture by picture, so that a long PDF needs the memory of one page."""
    described = []
    offset = HEADER_BYTES
    for picture in pictures:
        _write_at(target, picture.pixels, offset)
        offset += len(picture.pixels)
        described.append(
            {
                "width_px": picture.width_px,
                "height_px": picture.height_px,
                "source_width_px": picture.source_width_px,
                "source_height_px": picture.source_height_px,
                "pixel_sha256": picture.pixel_sha256,
                "exif": picture.exif,
            }
        )
    _write(target, {"pictures": described})


def _write(target: int, plain: dict[str, Any]) -> None:
    text = json.dumps(plain).encode()
    _write_at(target, struct.pack(">Q", len(text)) + text, 0)


def _write_at(target: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written

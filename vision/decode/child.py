"""The decoding processes: a zygote that never reads a picture, and one short-lived child of it for every file.

The zygote imports Pillow and PDFium once, then waits. For each request it forks; the child lowers its own limits, reads
one file, writes the pixels and exits. So no byte of one claim's file is ever in the memory of another's decoder, a
crash or an exhausted limit ends that one file only, and a fork costs milliseconds where a fresh interpreter costs a
quarter of a second.

The protocol uses SOCK_SEQPACKET messages. Request: JSON (`kind`, limits) and two descriptors, one with the file's bytes
and one for the answer. Reply: JSON (`status` as of waitpid, `stalled`, `stopped`, `cpu_seconds`), after any number of
WORKING. The child writes its answer into the second descriptor: 8 bytes of length, that much JSON, and from
HEADER_BYTES on the pixels. The zygote never parses what a child wrote.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from vision.decode import confinement, credentials_child, heif, invoice_data, ofd, pdf_pages, pixels
from vision.lifetime import end_with_parent
from vision.progress import LOOK_SECONDS, ProcessProgress, sign_of

REQUEST_BYTES_MAX: Final = 65_536
HEADER_BYTES: Final = 65_536  # of an answer before its pixels: enough to describe 50 pages
EXIT_UNFORESEEN: Final = 70
EXIT_NOT_CONFINED: Final = 71
EXIT_NO_RESOURCES: Final = 72  # the system refused what a child needs: to begin, or room for its answer
WORKING: Final = b'{"working":true}'

_REFUSED: Final = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EAGAIN, errno.ENFILE})  # not EFBIG, its own limit
_NOBODY: Final = 65_534
_M_ARENA_MAX: Final = -8  # malloc.h


def main(control_descriptor: int, parent_id: int) -> None:
    """Serve requests until the other end of the control socket closes, or the process `parent_id` ends, which started
    this one."""
    end_with_parent(parent_id)
    control = socket.socket(fileno=control_descriptor)
    libc = ctypes.CDLL(None, use_errno=True)
    gc.collect()
    gc.freeze()  # the children share these pages: the collector must not touch them, which would copy them
    with contextlib.suppress(ConnectionError):  # the parent may go at any moment
        _serve(control, libc)


def _serve(control: socket.socket, libc: ctypes.CDLL) -> None:
    zygote_id = os.getpid()
    control.send(b'{"ready":true}')
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, REQUEST_BYTES_MAX, 2)
        if not message:
            return
        request = json.loads(message)
        # Before the fork, because a child can open no module; not at the start, because few files need them.
        if request["kind"] == "credentials":
            credentials_child.load()
        elif request["kind"] == "heif":
            heif.load()
        pid = os.fork()
        if pid == 0:
            control.close()
            _child(request, descriptors[0], descriptors[1], libc, zygote_id)
        for descriptor in descriptors:
            os.close(descriptor)
        ending = _wait(pid, int(request["stall_seconds_max"]), control)
        if ending is None:
            return
        control.send(json.dumps(ending).encode())


def _wait(pid: int, stall_seconds_max: int, control: socket.socket) -> dict[str, Any] | None:
    """Wait for the child and return how it ended, after killing it if it stood still; None if the parent has gone (the
    child is killed then, too).

    The kernel limits its CPU time; by the clock it may take as long as others keep it from running.
    """
    watched = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(
        control, select.POLLIN
    )  # the parent sends nothing while it waits, so this event means that it closed its end
    progress = ProcessProgress(stall_seconds_max)
    stalled = stopped = False
    events: set[int] = set()
    while not events and not stalled:
        events = {descriptor for descriptor, _event in poll.poll(LOOK_SECONDS * 1000)}
        if not events:
            sign = sign_of([pid])
            stalled = progress.stalled(sign)
            stopped = stalled and sign.stopped
            control.send(WORKING)
    if watched not in events:
        os.kill(pid, signal.SIGKILL)
    os.close(watched)
    _pid, status, usage = os.wait4(pid, 0)
    if control.fileno() in events:
        return None
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return {"status": status, "stalled": stalled, "stopped": stopped, "cpu_seconds": cpu_seconds}


def _child(request: dict[str, Any], source: int, target: int, libc: ctypes.CDLL, zygote_id: int) -> NoReturn:
    code = EXIT_NO_RESOURCES
    try:
        with os.fdopen(source, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        confined = confine(request, libc, zygote_id)
        code = EXIT_UNFORESEEN
        if confined:
            try:
                _answer(request, data, target)
            except OSError as error:  # a decoder's own errors about a file have no number
                code = EXIT_NO_RESOURCES if error.errno in _REFUSED else EXIT_UNFORESEEN
                raise
            code = 0
        else:
            code = EXIT_NOT_CONFINED
    finally:
        # Exit without the interpreter's cleanup: an unforeseen error becomes a status that the parent reports.
        os._exit(code)


def confine(request: dict[str, Any], libc: ctypes.CDLL, parent_id: int) -> bool:
    """Give up every right that decoding does not need. From here on the bytes may do what they like.

    request: `kind`, `cpu_seconds_max`, `memory_bytes_max`, `answer_bytes_max`, `syscall_filter_required`.
    parent_id: the process with which this one ends. Returns False if the system call filter is required and this kernel
    has none. Raises OSError if a limit cannot be set.
    """
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # under memory pressure the kernel should take this process first
    with open("/proc/self/statm") as file:
        present_bytes = int(file.read().split()[0]) * resource.getpagesize()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # libraries' warnings about hostile files do not belong in our log
    os.close(silence)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    end_with_parent(parent_id)  # after setuid, which clears it
    confinement.no_new_privileges(libc)
    threads = request["kind"] == "heif"  # libheif's decoder starts one for every picture
    if threads:
        libc.mallopt(_M_ARENA_MAX, 1)  # an arena of its own would reserve 64 MiB of address space for each thread
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: int(request["answer_bytes_max"]),
        resource.RLIMIT_AS: present_bytes + int(request["memory_bytes_max"]),
        resource.RLIMIT_NOFILE: 0,  # no new descriptor: no file, no socket, no pipe
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))
    cpu_seconds_max = int(request["cpu_seconds_max"])
    # SIGXCPU first, which distinguishes this ending from other kills; SIGKILL a second later if it is ignored.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds_max, cpu_seconds_max + 1))
    filtered = confinement.filter_system_calls(libc, threads=threads)
    return filtered or not request["syscall_filter_required"]


def _answer(request: dict[str, Any], data: bytes, target: int) -> None:
    try:
        pixels.prepare()
        if request["kind"] == "credentials":
            anchors, file = data[: int(request["anchors_bytes"])], data[int(request["anchors_bytes"]) :]
            _write_header(target, credentials_child.read_credentials(file, str(request["media_type"]), anchors))
            return
        _write_pictures(target, _decoded(request, data), marks=bool(request.get("marks")))
    except pixels.PictureRefused as refused:
        _write_header(target, {"refused": refused.args[0], "detail": refused.args[1]})
    except MemoryError:
        detail = "the file asks for more memory than one file may have"
        _write_header(target, {"refused": "decode_memory", "detail": detail})


def _decoded(request: dict[str, Any], data: bytes) -> Iterator[pixels.DecodedPixels]:
    if request["kind"] in ("pdf", "ofd"):
        page_count_max, page_pixels_max = int(request["page_count_max"]), int(request["page_pixels_max"])
        render = pdf_pages.render if request["kind"] == "pdf" else ofd.render
        return render(data, int(request["dpi"]), page_count_max, page_pixels_max)
    if request["kind"] == "xml":
        return iter([invoice_data.draw(data)])
    marks = bool(request.get("marks"))
    return iter([pixels.decode(data, request["media_type"], int(request["long_edge_px_max"]), marks=marks)])


def _write_pictures(target: int, pictures: Iterator[pixels.DecodedPixels], *, marks: bool = False) -> None:
    """Write the pixels picture by picture, so that a long PDF needs the memory of one page."""
    described = []
    offset = HEADER_BYTES
    for picture in pictures:
        _write_at(target, picture.pixels, offset)
        offset += len(picture.pixels)
        strip = picture.strip
        if strip is not None:
            _write_at(target, strip.levels, offset)
            offset += len(strip.levels)
        _write_at(target, picture.text_layer, offset)
        offset += len(picture.text_layer)
        _write_at(target, picture.data_layer, offset)
        offset += len(picture.data_layer)
        described.append(
            {
                "marks": picture.marks if marks else None,
                "strip": None
                if strip is None
                else {"width_px": strip.width_px, "height_px": strip.height_px, "quantisation": strip.quantisation},
                "width_px": picture.width_px,
                "height_px": picture.height_px,
                "source_width_px": picture.source_width_px,
                "source_height_px": picture.source_height_px,
                "pixel_sha256": picture.pixel_sha256,
                "exif": picture.exif,
                "text_layer_bytes": len(picture.text_layer),
                "data_layer_bytes": len(picture.data_layer),
                "signature": picture.signature,
                "notes": list(picture.notes),
            }
        )
    _write_header(target, {"pictures": described})


def _write_header(target: int, plain: dict[str, Any]) -> None:
    text = json.dumps(plain).encode()
    _write_at(target, struct.pack(">Q", len(text)) + text, 0)


def _write_at(target: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written

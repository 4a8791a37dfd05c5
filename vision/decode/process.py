"""The parent's side of the decoding processes: starts them, hands a file over, judges how it ended, validates the
answer.

Imports no decoder: a file's content is known here only through the child's answer, which is validated like any other
input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from vision.decode.exif import ExifReading, exif_reading
from vision.decode.file_reading import NOT_LOOKED, FileReading, read_marks_answer, strip_shape
from vision.decode.signature import NO_SIGNATURE, FileSignature, read_signature
from vision.decode.text_layer import BYTES_MAX, NO_LAYER, TextLayer, read_layer
from vision.errors import REFUSAL_CODES, DecoderUnavailable, ImageRefused, RefusalCode
from vision.lifetime import in_lasting_thread
from vision.progress import LOOK_SECONDS, ProcessProgress, sign_of

A = TypeVar("A")

MIB: Final = 1024 * 1024
# Equal to those in vision.decode.child, which this process must not import: it would load the decoders.
HEADER_BYTES: Final = 65_536
EXIT_NOT_CONFINED: Final = 71
EXIT_NO_RESOURCES: Final = 72
WORKING: Final = b'{"working":true}'

_REPLY_BYTES_MAX: Final = 65_536
FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_EDGE_PX_MAX: Final = 1_000_000_000  # a single row of more pixels than are ever allowed
_NOTES: Final = frozenset({"no_end_marker", "bad_metadata_checksum"})  # of vision.decode.repair, which loads a decoder
_ROOT: Final = Path(__file__).resolve().parents[2]
ANSWER_ERRORS: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from vision.decode.child import main;"
    " main(int(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits on one file's cost. Time is CPU time: a busy machine takes longer by the clock, and no file is to blame.

    cpu_seconds_max, heif_cpu_seconds_max: no picture that `formats.cost` lets in comes near them on a machine half as
    fast as the one of its figures. stall_seconds_max: a child that neither uses CPU nor waits for any is killed after
    so long. memory_bytes_max: what decoding allocates beyond the idle process. syscall_filter_required: decode nothing
    on a kernel without seccomp; without it the other limits still hold.
    """

    file_bytes_max: int = 25 * MIB
    cpu_seconds_max: int = 20
    heif_cpu_seconds_max: int = 30
    pdf_cpu_seconds_max: int = 30
    credentials_cpu_seconds_max: int = 3
    memory_bytes_max: int = 1024 * MIB
    pdf_pages_max: int = 50
    pdf_page_pixels_max: int = 4_000_000
    stall_seconds_max: int = 30
    syscall_filter_required: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One picture as a child returned it, validated. Fields as in `vision.decode.image.Picture`."""

    pixels: NDArray[np.uint8]
    source_width_px: int
    source_height_px: int
    pixel_sha256: str
    exif: ExifReading
    origin: FileReading = NOT_LOOKED
    text_layer: TextLayer = NO_LAYER
    data_layer: TextLayer = NO_LAYER
    signature: FileSignature = NO_SIGNATURE
    notes: tuple[str, ...] = ()


class ChildLost(Exception):
    """The child did not finish the file, and none of its own limits is the reason: it was killed or stopped from
    outside, or by the kernel for want of memory, or it stood still. The file gets another try in a fresh child with no
    other beside it."""

    def __init__(self, reason: str, *, stalled: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stalled = stalled

    def judged(self) -> ImageRefused | DecoderUnavailable:
        """Return the error after a second loss: only the file makes a child stand still twice; only the machine loses
        it twice."""
        if self.stalled:
            return ImageRefused("decode_timeout", "the decoder stood still on this file")
        return DecoderUnavailable(f"{self.reason}, twice; is the machine out of memory?")


class DecoderProcess:
    """One zygote and the socket to it. Used by one thread at a time."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False

    @property
    def process_id(self) -> int:
        """The zygote's process id; 0 before it is first needed and after `stop`."""
        return self._process.pid if self._process is not None else 0

    def launch(self) -> None:
        """Start the zygote, unless one lives, without waiting until it is ready."""
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return
        self.kill()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -I: neither PYTHONPATH nor the working directory decide what the decoder imports. The environment is bare, so
        # that it holds none of our secrets. Its own session: a Ctrl-C in a terminal is for us to handle.
        command = [sys.executable, "-I", "-c", _START, str(_ROOT), str(theirs.fileno()), str(os.getpid())]
        environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        with theirs, _closed_on_error(ours):
            self._process = in_lasting_thread(
                lambda: subprocess.Popen(
                    command,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # the decoder's tracebacks quote the file
                    cwd="/",
                    start_new_session=True,
                )
            )
        self._control = ours
        self._ready = False

    def stop(self) -> None:
        """Let the zygote end: it exits when its socket closes, and kills a child in progress."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """Kill a zygote that does not answer."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self.stop()

    def run(self, data: bytes, request: Mapping[str, object]) -> list[Decoded]:
        """Decode `data` in a fresh child. Raises ImageRefused for the file, DecoderUnavailable for the machine, and
        ChildLost if the cause is not yet known."""
        return self.work(data, request, read_answer)

    def work(self, data: bytes, request: Mapping[str, object], read: Callable[[int], A]) -> A:
        """Process `data` in a fresh child and return its answer as `read` validates it. Raises as `run` does."""
        limits = self._limits
        cpu_seconds_max = {
            "pdf": limits.pdf_cpu_seconds_max,
            "ofd": limits.pdf_cpu_seconds_max,
            "heif": limits.heif_cpu_seconds_max,
            "credentials": limits.credentials_cpu_seconds_max,
        }.get(str(request["kind"]), limits.cpu_seconds_max)
        whole = {
            **request,
            "cpu_seconds_max": cpu_seconds_max,
            "stall_seconds_max": limits.stall_seconds_max,
            "memory_bytes_max": limits.memory_bytes_max,
            "syscall_filter_required": limits.syscall_filter_required,
        }
        with _memory_file("miaopei-source") as source, _memory_file("miaopei-answer") as target:
            _write(source, data)
            reply = self._ask(json.dumps(whole).encode(), source, target)
            _check_ending(reply, cpu_seconds_max)
            return read(target)

    def _ask(self, message: bytes, source: int, target: int) -> dict[str, Any]:
        # A zygote that was killed from outside is replaced once; a second death is the machine's fault.
        for _attempt in range(2):
            try:
                control = self._started()
                socket.send_fds(control, [message], [source, target])
                reply = self._receive(control, "the decoding process does not answer")
            except ConnectionError:
                reply = b""
            if reply:
                return cast("dict[str, Any]", json.loads(reply))
            self.kill()
        raise DecoderUnavailable("the decoding process died twice; is the machine out of memory?")

    def _started(self) -> socket.socket:
        self.launch()
        control, process = self._control, self._process
        if control is None or process is None:
            raise DecoderUnavailable("the decoding process was stopped")
        if not self._ready:
            if not self._receive(control, "the decoding process does not get ready"):
                self.kill()
                raise DecoderUnavailable(f"the decoding process did not start (exit status {process.returncode})")
            self._ready = True
        return control

    def _receive(self, control: socket.socket, otherwise: str) -> bytes:
        """Return the zygote's next message, b"" if it is gone, waiting as long as it makes progress. The zygote reports
        every second or so that a child works, and kills a child that stands still; so if it is silent, it is itself
        stuck."""
        progress = ProcessProgress(self._limits.stall_seconds_max)
        control.settimeout(LOOK_SECONDS)
        while True:
            try:
                message = control.recv(_REPLY_BYTES_MAX)
            except TimeoutError:
                if progress.stalled(sign_of([self.process_id])):
                    self.kill()
                    raise DecoderUnavailable(otherwise) from None
                continue
            if message != WORKING:
                return message
            progress = ProcessProgress(self._limits.stall_seconds_max)


@contextlib.contextmanager
def _closed_on_error(end: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        end.close()
        raise


@contextlib.contextmanager
def _memory_file(name: str) -> Iterator[int]:
    """Open a file in memory and close it in the end, also where the system refuses a second one."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _check_ending(reply: Mapping[str, Any], cpu_seconds_max: int) -> None:
    """Raise the error that fits how the child ended; return if it ended well."""
    if reply["stopped"]:
        raise ChildLost("the decoder was stopped from outside")
    if reply["stalled"]:
        raise ChildLost("the decoder stood still", stalled=True)
    status = int(reply["status"])
    if status == 0:
        return
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_NOT_CONFINED:
        raise DecoderUnavailable("this kernel has no system call filter (seccomp); nothing is decoded without one")
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_NO_RESOURCES:
        raise ChildLost("the decoder was refused what it needs by the system")
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    spent = float(reply["cpu_seconds"]) >= cpu_seconds_max - 0.1
    if killer == signal.SIGXCPU or (killer == signal.SIGKILL and spent):
        raise ImageRefused("decode_timeout", f"decoding took more than {cpu_seconds_max} s of CPU")
    if killer in FROM_OUTSIDE:  # its own limits do not send these: somebody did, or the kernel for want of memory
        raise ChildLost(f"the decoder was killed ({signal.Signals(killer).name})")
    ending = f"signal {signal.Signals(killer).name}" if killer else f"exit status {os.waitstatus_to_exitcode(status)}"
    raise ImageRefused("decode_crashed", f"the decoder died on this file ({ending})")


def read_answer(target: int) -> list[Decoded]:
    """Validate what the child wrote: a compromised decoder may write anything, but only pixels and short texts pass.

    target: descriptor of the answer, laid out as `vision.decode.child` says. Raises ImageRefused, either the child's
    own or for an unusable answer.
    """
    try:
        answer = read_header(target)
        pictures: list[Decoded] = []
        offset = HEADER_BYTES
        for plain in answer["pictures"]:
            pictures.append(_checked(target, offset, plain))
            offset += pictures[-1].pixels.nbytes
            strip = pictures[-1].origin.strip
            offset += 0 if strip is None else strip.nbytes
            layers = [NO_LAYER, NO_LAYER]
            for index, name in enumerate(("text_layer_bytes", "data_layer_bytes")):
                layer_bytes = int(plain.get(name, 0))
                if layer_bytes:
                    layers[index] = _layer(target, offset, layer_bytes)
                    offset += layer_bytes
            signature = read_signature(plain.get("signature"))
            pictures[-1] = replace(pictures[-1], text_layer=layers[0], data_layer=layers[1], signature=signature)
        if not pictures:
            raise ValueError("no picture")
    except ANSWER_ERRORS as error:
        raise ImageRefused("decode_crashed", f"the decoder's answer cannot be used ({str(error)[:100]})") from None
    return pictures


def read_header(target: int) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises ImageRefused for a refusal, one of ANSWER_ERRORS for an unusable
    answer."""
    (length,) = struct.unpack(">Q", os.pread(target, 8, 0))
    if length > HEADER_BYTES - 8:
        raise ValueError("header too long")
    answer = json.loads(os.pread(target, length, 8))
    if "refused" in answer:
        code, detail = str(answer["refused"]), str(answer["detail"])[:300]
        if code not in REFUSAL_CODES:
            raise ValueError("unknown refusal")
        raise ImageRefused(cast("RefusalCode", code), detail)
    return cast("dict[str, Any]", answer)


def _checked(target: int, offset: int, plain: Mapping[str, Any]) -> Decoded:
    width_px, height_px = int(plain["width_px"]), int(plain["height_px"])
    source_width_px, source_height_px = int(plain["source_width_px"]), int(plain["source_height_px"])
    size = width_px * height_px * 3
    if min(width_px, height_px, source_width_px, source_height_px) < 1 or offset + size > os.fstat(target).st_size:
        raise ValueError("pixels missing")
    if max(source_width_px, source_height_px) > _EDGE_PX_MAX:
        raise ValueError("impossible size")
    digest = bytes.fromhex(plain["pixel_sha256"])
    if len(digest) != 32:
        raise ValueError("no digest")
    pixels = np.frombuffer(os.pread(target, size, offset), dtype=np.uint8).reshape(height_px, width_px, 3)
    return Decoded(
        pixels=pixels,
        source_width_px=source_width_px,
        source_height_px=source_height_px,
        pixel_sha256=digest.hex(),
        exif=exif_reading({str(name): str(text)[:300] for name, text in plain["exif"].items()}),
        origin=_origin(target, offset + size, plain),
        notes=tuple(note for note in plain.get("notes", ())[:4] if note in _NOTES),
    )


def _layer(target: int, offset: int, layer_bytes: int) -> TextLayer:
    if not 0 < layer_bytes <= BYTES_MAX:
        raise ValueError("a text layer over its limits")
    return read_layer(os.pread(target, layer_bytes, offset))


def _origin(target: int, offset: int, plain: Mapping[str, Any]) -> FileReading:
    if plain.get("marks") is None:
        return NOT_LOOKED
    marks = read_marks_answer(plain["marks"])
    if plain.get("strip") is None:
        return FileReading(marks, looked=True)
    height_px, width_px, quantisation = strip_shape(plain["strip"])
    levels = os.pread(target, height_px * width_px, offset)
    strip = np.frombuffer(levels, dtype=np.uint8).reshape(height_px, width_px)
    return FileReading(marks, strip, quantisation, looked=True)

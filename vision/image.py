"""Safe decoding: untrusted bytes in, clean pixels out.

This process never parses a picture. It looks at the first bytes (`sniff`), hands the file to a decoding process with hard limits
(`vision.image_child`) and checks the answer as it would check any other input.
"""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.errors import REFUSAL_CODES, DecoderUnavailable, ImageRefused, RefusalCode
from vision.provenance import ExifReading, exif_reading

MIB: Final = 1024 * 1024
HEADER_BYTES: Final = 65_536  # as in vision.image_child, which this process does not import: it would load the decoders
_ROOT: Final = Path(__file__).resolve().parent.parent
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from vision.image_child import main; main(int(sys.argv[2]))"
)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one file may cost. memory_bytes_max counts what decoding allocates beyond the idle process."""

    file_bytes_max: int = 25 * MIB
    pixels_max: int = 50_000_000
    cpu_seconds_max: int = 10
    wall_seconds_max: float = 30.0
    memory_bytes_max: int = 1024 * MIB
    pdf_pages_max: int = 50
    pdf_page_pixels_max: int = 4_000_000
    start_seconds_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    pixels: uint8, shape (height, width, 3), sRGB, C-contiguous, read-only; orientation applied, alpha flattened on white.
    source_width_px, source_height_px: of the file itself, after orientation; `pixels` may be smaller.
    pixel_sha256: hex SHA-256 of the file's canonical decode: the compressed picture alone, before orientation, colour profile and resizing
        (JPEG: scaled by its own transform to about 1,024 px; others: whole), as 8-bit RGB, with the source's size. It does not depend on
        `long_edge_px_max`, and it stays equal when metadata is stripped or rewritten without recompression; any recompression changes it.
        Stable for one version of the decoder (libjpeg-turbo, libwebp); a library of hashes says with which it was made.
    exif: what the file says about its origin (`vision.provenance`).
    """

    pixels: NDArray[np.uint8]
    source_width_px: int
    source_height_px: int
    media_type: str
    pixel_sha256: str
    exif: ExifReading


def sniff(head: bytes) -> str:
    """Media type by the first bytes (16 are enough): image/jpeg, image/png, image/webp, application/pdf, or "" for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""


def preview_jpeg(pixels: NDArray[np.uint8], long_edge_px_max: int = 1024, quality: int = 85) -> bytes:
    """A clean JPEG without metadata. pixels: uint8, shape (h, w, 3), sRGB."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_edge_px_max, long_edge_px_max), Image.Resampling.HAMMING)
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


class Decoder:
    """Decodes in other processes, at most `processes` files at a time. Thread-safe; a context manager.

    The decoding processes start at the first file that needs them and end with this one, however it ends.
    """

    def __init__(self, limits: DecodeLimits | None = None, processes: int = 2) -> None:
        self.limits = limits or DecodeLimits()
        self._lanes: queue.LifoQueue[_Lane] = queue.LifoQueue()
        self._all = [_Lane(self.limits) for _ in range(processes)]
        for lane in reversed(self._all):
            self._lanes.put(lane)
        self._closed = threading.Event()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding processes, after the files under way."""
        self._closed.set()
        for _ in self._all:
            self._lanes.get().stop()
        for lane in self._all:
            self._lanes.put(lane)

    def decode(self, data: bytes, long_edge_px_max: int = 1024) -> Picture:
        """One JPEG, PNG or WebP (first frame), never larger than `long_edge_px_max` (a little smaller where a JPEG scales so).

        Raises ImageRefused for the file, DecoderUnavailable for the machine.
        """
        media_type = self._admit(data)
        if media_type == "application/pdf":
            raise ImageRefused("unknown_format", "this is a PDF, not a photo; send JPEG, PNG or WebP")
        request = {"kind": "picture", "media_type": media_type, "long_edge_px_max": long_edge_px_max}
        pictures = self._run(data, request, answer_bytes_max=HEADER_BYTES + 3 * long_edge_px_max * long_edge_px_max)
        return _picture(pictures[0], media_type)

    def render_pdf(self, data: bytes, dpi: int = 150, page_count_max: int | None = None) -> list[Picture]:
        """Every page of a PDF; one with more pages than `page_count_max` (at most limits.pdf_pages_max) is refused.

        A page larger than limits.pdf_page_pixels_max at this `dpi` is rendered at less. Raises ImageRefused, DecoderUnavailable.
        """
        if self._admit(data) != "application/pdf":
            raise ImageRefused("unknown_format", "this is not a PDF")
        pages_max = min(page_count_max or self.limits.pdf_pages_max, self.limits.pdf_pages_max)
        request = {
            "kind": "pdf",
            "dpi": dpi,
            "page_count_max": pages_max,
            "page_pixels_max": self.limits.pdf_page_pixels_max,
        }
        pictures = self._run(
            data, request, answer_bytes_max=HEADER_BYTES + 4 * pages_max * self.limits.pdf_page_pixels_max
        )
        return [_picture(picture, "application/pdf") for picture in pictures]

    def _admit(self, data: bytes) -> str:
        if not data:
            raise ImageRefused("empty_file", "the file is empty; send it again")
        if len(data) > self.limits.file_bytes_max:
            raise ImageRefused("file_too_large", f"{len(data)} bytes; at most {self.limits.file_bytes_max} are read")
        media_type = sniff(data[:16])
        if not media_type:
            raise ImageRefused("unknown_format", "this is not a JPEG, PNG, WebP or PDF, whatever its name says")
        return media_type

    def _run(self, data: bytes, request: Mapping[str, object], answer_bytes_max: int) -> list[_Decoded]:
        lane = self._lanes.get()
        try:
            if self._closed.is_set():
                raise DecoderUnavailable("the decoder has been closed")
            return lane.run(data, {**request, "answer_bytes_max": answer_bytes_max})
        finally:
            self._lanes.put(lane)


@dataclass(frozen=True, slots=True)
class _Decoded:
    pixels: NDArray[np.uint8]
    source_width_px: int
    source_height_px: int
    pixel_sha256: str
    exif: ExifReading


def _picture(decoded: _Decoded, media_type: str) -> Picture:
    return Picture(
        pixels=decoded.pixels,
        source_width_px=decoded.source_width_px,
        source_height_px=decoded.source_height_px,
        media_type=media_type,
        pixel_sha256=decoded.pixel_sha256,
        exif=decoded.exif,
    )


class _Lane:
    """One zygote and the socket to it; used by one thread at a time."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def stop(self) -> None:
        if self._control is not None:
            self._control.close()  # the zygote ends on this, and takes a child under way with it
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def run(self, data: bytes, request: Mapping[str, object]) -> list[_Decoded]:
        limits = self._limits
        whole = {
            **request,
            "cpu_seconds_max": limits.cpu_seconds_max,
            "wall_seconds_max": limits.wall_seconds_max,
            "memory_bytes_max": limits.memory_bytes_max,
            "pixels_max": limits.pixels_max,
        }
        source = os.memfd_create("miaopei-source", os.MFD_CLOEXEC)
        target = os.memfd_create("miaopei-answer", os.MFD_CLOEXEC)
        try:
            _write(source, data)
            reply = self._ask(json.dumps(whole).encode(), source, target)
            _check_ending(reply, limits)
            return _read_answer(target)
        finally:
            os.close(source)
            os.close(target)

    def _ask(self, message: bytes, source: int, target: int) -> dict[str, Any]:
        # A zygote that died between two files (killed from outside) is replaced once; a second death is the machine's trouble.
        for attempt in (1, 2):
            control = self._started()
            try:
                socket.send_fds(control, [message], [source, target])
                control.settimeout(self._limits.wall_seconds_max + 5)
                reply = control.recv(65_536)
            except TimeoutError:
                self._kill()
                raise ImageRefused("decode_timeout", "decoding did not end in time") from None
            except OSError:
                reply = b""
            if reply:
                return cast("dict[str, Any]", json.loads(reply))
            self._kill()
            if attempt == 2:
                break
        raise DecoderUnavailable("the decoding process died twice; is the machine out of memory?")

    def _started(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._kill()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -I: neither PYTHONPATH nor the working directory decide what the decoder imports. A bare environment: no secret of ours is in it.
        command = [sys.executable, "-I", "-c", _START, str(_ROOT), str(theirs.fileno())]
        environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        with theirs:
            process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self._process, self._control = process, ours
        ours.settimeout(self._limits.start_seconds_max)
        try:
            ready = ours.recv(1024)
        except TimeoutError:
            ready = b""
        if not ready:
            self._kill()
            raise DecoderUnavailable(f"the decoding process did not start (exit status {process.returncode})")
        return ours

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self.stop()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _check_ending(reply: Mapping[str, Any], limits: DecodeLimits) -> None:
    """Turn how the child ended into ImageRefused, unless it ended well."""
    if reply["timed_out"]:
        raise ImageRefused("decode_timeout", f"decoding took longer than {limits.wall_seconds_max:g} s")
    status = int(reply["status"])
    if status == 0:
        return
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    spent = float(reply["cpu_seconds"]) >= limits.cpu_seconds_max - 0.1
    if killer == signal.SIGXCPU or (killer == signal.SIGKILL and spent):
        raise ImageRefused("decode_timeout", f"decoding took more than {limits.cpu_seconds_max} s of CPU")
    if killer == signal.SIGKILL:  # nobody here sent it: the kernel did, for want of memory
        raise ImageRefused("decode_memory", "the file asks for more memory than the machine has")
    ending = f"signal {signal.Signals(killer).name}" if killer else f"exit status {os.waitstatus_to_exitcode(status)}"
    raise ImageRefused("decode_crashed", f"the decoder died on this file ({ending})")


def _read_answer(target: int) -> list[_Decoded]:
    """Check what the child wrote: a taken-over decoder may write anything, but not more than pixels and a few short texts."""
    try:
        (length,) = struct.unpack(">Q", os.pread(target, 8, 0))
        if length > HEADER_BYTES - 8:
            raise ValueError("header too long")
        answer = json.loads(os.pread(target, length, 8))
        if "refused" in answer:
            code, detail = str(answer["refused"]), str(answer["detail"])[:300]
            if code not in REFUSAL_CODES:
                raise ValueError("unknown refusal")
            raise ImageRefused(cast("RefusalCode", code), detail)
        pictures: list[_Decoded] = []
        offset = HEADER_BYTES
        for plain in answer["pictures"]:
            width, height = int(plain["width_px"]), int(plain["height_px"])
            data = os.pread(target, width * height * 3, offset)
            if min(width, height) < 1 or len(data) != width * height * 3:
                raise ValueError("pixels missing")
            offset += len(data)
            pictures.append(
                _Decoded(
                    pixels=np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3),
                    source_width_px=int(plain["source_width_px"]),
                    source_height_px=int(plain["source_height_px"]),
                    pixel_sha256=bytes.fromhex(plain["pixel_sha256"]).hex(),
                    exif=exif_reading({str(name): str(text)[:300] for name, text in plain["exif"].items()}),
                )
            )
        if not pictures:
            raise ValueError("no picture")
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ImageRefused("decode_crashed", f"the decoder's answer cannot be used ({error})") from None
    return pictures

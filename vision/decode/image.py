"""Safe decoding: untrusted bytes in, clean pixels out.

This process never parses a picture. It checks the first bytes (`sniff`), hands the file to a decoding process with hard
limits (`vision.decode.child`) and validates the answer like any other input.
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from formats.sniff import DOCUMENTS, HEAD_BYTES, OFD, PDF, other_kind
from formats.sniff import media_type as sniff
from vision.decode.credentials import Credentials, read_credentials_answer
from vision.decode.exif import ExifReading
from vision.decode.file_reading import NOT_LOOKED, FileReading
from vision.decode.process import HEADER_BYTES, A, ChildLost, Decoded, DecodeLimits, DecoderProcess, read_answer
from vision.decode.signature import NO_SIGNATURE, FileSignature
from vision.decode.text_layer import BYTES_MAX, NO_LAYER, TextLayer
from vision.errors import DecoderUnavailable, ImageRefused

__all__ = ["DOCUMENTS", "HEAD_BYTES", "DecodeLimits", "Decoder", "Picture", "preview_jpeg", "sniff"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    pixels: uint8, shape (height, width, 3), sRGB, C-contiguous, read-only; orientation applied, alpha on white.
    source_width_px, source_height_px: of the file itself, after orientation; `pixels` may be smaller.
    pixel_sha256: hex SHA-256 of the file's canonical decode: the compressed picture alone, before orientation, colour
        profile and resizing (JPEG: scaled by its own transform to about 1,024 px; others: whole; HEIC: turned as it
        says), as 8-bit RGB, with the source's size. It does not depend on `long_edge_px_max`, and stays equal when
        metadata is stripped or rewritten without recompression; lossy recompression changes it. Equal for equal
        versions of the decoders.
        A page of a document has the hash of its rendering, which does depend on `dpi`.
    exif: what the file says about its origin (`vision.origin`). origin: further input of the signs, if asked for.
    text_layer: the text of a document's page as the file states it; empty for pictures and for pages without any.
    data_layer: what the invoice's data that a file carries beside its pages state; empty if there are none.
    signature: what the signature inside a document says about its parts.
    notes: what is wrong with a file that was decoded all the same: "no_end_marker" (a JPEG with all its data),
        "bad_metadata_checksum" (a PNG; the chunk was left out).
    """

    pixels: NDArray[np.uint8]
    source_width_px: int
    source_height_px: int
    media_type: str
    pixel_sha256: str
    exif: ExifReading
    origin: FileReading = NOT_LOOKED
    text_layer: TextLayer = NO_LAYER
    data_layer: TextLayer = NO_LAYER
    signature: FileSignature = NO_SIGNATURE
    notes: tuple[str, ...] = ()


# Equals vision.decode.strip's PIXELS_MAX, which this process must not import: it would load a decoder.
STRIP_BYTES_MAX: Final = 1_572_864
_PICTURES: Final = "JPEG, PNG, WebP, HEIC, AVIF"


def preview_jpeg(pixels: NDArray[np.uint8], long_edge_px_max: int = 1024, quality: int = 85) -> bytes:
    """Return a clean JPEG without metadata. pixels: uint8, shape (h, w, 3), sRGB."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_edge_px_max, long_edge_px_max), Image.Resampling.HAMMING)
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


class Decoder:
    """Decodes in other processes, at most `processes` files at a time. Thread-safe; a context manager.

    The decoding processes start on entering (or at the first file that needs one) and end with this process, however it
    ends. A file that kills its decoder harms no other file; if a decoder is killed from outside, no file is lost. Calls
    block until the file is done or its CPU time is up; from async code call them in a thread.
    """

    def __init__(self, limits: DecodeLimits | None = None, processes: int = 2) -> None:
        self.limits = limits or DecodeLimits()
        self._free: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()
        self._all = [DecoderProcess(self.limits) for _ in range(processes)]
        for process in reversed(self._all):
            self._free.put(process)
        self._one_alone = threading.Lock()  # two that each hold a process and wait for the other's would deadlock
        self._closed = threading.Event()

    def __enter__(self) -> Decoder:
        for process in self._all:
            process.launch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Process ids of the running zygotes."""
        return tuple(process.process_id for process in self._all if process.process_id)

    def close(self) -> None:
        """End the decoding processes once their current files are done."""
        self._closed.set()
        for _ in self._all:
            self._free.get().stop()
        for process in self._all:
            self._free.put(process)

    def decode(self, data: bytes, long_edge_px_max: int = 1024, *, marks: bool = False) -> Picture:
        """Decode one JPEG, PNG, WebP, HEIC or AVIF: of an animation the first frame, of a burst the picture that it is
        about. marks: also return what the signs of its origin need.

        long_edge_px_max: the picture is shrunk to this, never enlarged; a JPEG may come out up to an eighth smaller, if
        its own transform scales so. Raises ImageRefused for the file, DecoderUnavailable for the machine.
        """
        media_type = self._admit(data)
        if media_type in DOCUMENTS:
            raise ImageRefused("unknown_format", f"this is a document, not a photo; send {_PICTURES}")
        request: dict[str, object] = {
            "kind": "heif" if media_type == "image/heic" else "picture",
            "media_type": media_type,
            "long_edge_px_max": long_edge_px_max,
            "marks": marks,
        }
        room = HEADER_BYTES + 3 * long_edge_px_max * long_edge_px_max + (STRIP_BYTES_MAX if marks else 0)
        pictures = self._run(data, request, answer_bytes_max=room)
        return _picture(pictures[0], media_type)

    def credentials(self, data: bytes, anchors: bytes = b"") -> Credentials:
        """Return the content credentials (C2PA) that a file carries, checked in a decoding process without network or
        disk.

        anchors: trusted certificates in PEM; without any, every signer is untrusted. Raises ImageRefused if the check
        failed or took too long, DecoderUnavailable.
        """
        media_type = self._admit(data)
        request = {
            "kind": "credentials",
            "media_type": media_type,
            "anchors_bytes": len(anchors),
            "answer_bytes_max": HEADER_BYTES,
        }
        return self._work(anchors + data, request, read_credentials_answer)

    def render_pdf(self, data: bytes, dpi: int = 150, page_count_max: int | None = None) -> list[Picture]:
        """Render every page of a PDF; a PDF with more than `page_count_max` pages (at most limits.pdf_pages_max) is
        refused.

        A page that would have more than limits.pdf_page_pixels_max at this `dpi` is rendered at less. Raises
        ImageRefused, DecoderUnavailable.
        """
        if self._admit(data) != PDF:
            raise ImageRefused("unknown_format", "this is not a PDF")
        return self.render_document(data, dpi, page_count_max)

    def render_document(self, data: bytes, dpi: int = 150, page_count_max: int | None = None) -> list[Picture]:
        """Render every page of a PDF or OFD, or an XML e-invoice as a page; limits, and what is raised, as of
        `render_pdf`."""
        media_type = self._admit(data)
        if media_type not in DOCUMENTS:
            raise ImageRefused("unknown_format", "this is no document")
        pages_max = min(page_count_max or self.limits.pdf_pages_max, self.limits.pdf_pages_max)
        request = {
            "kind": {PDF: "pdf", OFD: "ofd"}.get(media_type, "xml"),
            "dpi": dpi,
            "page_count_max": pages_max,
            "page_pixels_max": self.limits.pdf_page_pixels_max,
        }
        pictures = self._run(
            data,
            request,
            answer_bytes_max=HEADER_BYTES + pages_max * (4 * self.limits.pdf_page_pixels_max + 2 * BYTES_MAX),
        )
        return [_picture(picture, media_type) for picture in pictures]

    def _admit(self, data: bytes) -> str:
        if not data:
            raise ImageRefused("empty_file", "the file is empty; send it again")
        if len(data) > self.limits.file_bytes_max:
            raise ImageRefused("file_too_large", f"{len(data)} bytes; at most {self.limits.file_bytes_max} are read")
        media_type = sniff(data[:HEAD_BYTES])
        if not media_type:
            kind = other_kind(data[:HEAD_BYTES])
            raise ImageRefused(
                "unknown_format", f"the file is {kind}, whatever its name says; send {_PICTURES}, PDF or OFD"
            )
        return media_type

    def _run(self, data: bytes, request: Mapping[str, object], answer_bytes_max: int) -> list[Decoded]:
        return self._work(data, {**request, "answer_bytes_max": answer_bytes_max}, read_answer)

    def _work(self, data: bytes, request: Mapping[str, object], read: Callable[[int], A]) -> A:
        """Process the file in a fresh child; if that was lost through no fault of the file, once more with no other
        file beside it. Raises ImageRefused, DecoderUnavailable."""
        try:
            with self._process() as process:
                return process.work(data, request, read)
        except ChildLost:
            try:
                with self._alone() as process:
                    return process.work(data, request, read)
            except ChildLost as again:
                raise again.judged() from again

    @contextlib.contextmanager
    def _alone(self) -> Iterator[DecoderProcess]:
        """Lend a decoding process while no other one works."""
        with self._one_alone, contextlib.ExitStack() as held:
            processes = [held.enter_context(self._process()) for _ in self._all]
            yield processes[0]

    @contextlib.contextmanager
    def _process(self) -> Iterator[DecoderProcess]:
        process = self._free.get()
        try:
            if self._closed.is_set():
                raise DecoderUnavailable("the decoder has been closed")
            yield process
        finally:
            self._free.put(process)


def _picture(decoded: Decoded, media_type: str) -> Picture:
    return Picture(
        pixels=decoded.pixels,
        source_width_px=decoded.source_width_px,
        source_height_px=decoded.source_height_px,
        media_type=media_type,
        pixel_sha256=decoded.pixel_sha256,
        exif=decoded.exif,
        origin=decoded.origin,
        text_layer=decoded.text_layer,
        data_layer=decoded.data_layer,
        signature=decoded.signature,
        notes=decoded.notes,
    )

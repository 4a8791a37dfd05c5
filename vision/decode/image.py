"""Safe decoding: untrusted bytes in, clean pixels out.

This process never parses a picture. It looks at the first bytes (`sniff`), hands the file to a decoding process with
hard limits (`vision.decode.child`) and checks the answer as it would check any other input.
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

from vision.decode.credentials import Credentials, read_credentials_answer
from vision.decode.exif import ExifReading
from vision.decode.file_reading import NOT_LOOKED, FileReading
from vision.decode.process import HEADER_BYTES, A, ChildLost, Decoded, DecodeLimits, DecoderProcess, read_answer
from vision.decode.text_layer import BYTES_MAX, NO_LAYER, TextLayer
from vision.errors import DecoderUnavailable, ImageRefused

__all__ = ["DecodeLimits", "Decoder", "Picture", "preview_jpeg", "sniff"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    pixels: uint8, shape (height, width, 3), sRGB, C-contiguous, read-only; orientation applied, alpha on white.
    source_width_px, source_height_px: of the file itself, after orientation; `pixels` may be smaller.
    pixel_sha256: hex SHA-256 of the file's canonical decode: the compressed picture alone, before orientation, colour
        profile and resizing (JPEG: scaled by its own transform to about 1,024 px; others: whole), as 8-bit RGB, with
        the source's size. It does not depend on `long_edge_px_max`, and stays equal when metadata is stripped or
        rewritten without recompression; lossy recompression changes it. Equal for equal versions of the decoders.
        A page of a PDF has the hash of its rendering, which does depend on `dpi`.
    exif: what the file says about its origin (`vision.origin`). origin: what the signs need besides, when
        asked for.
    text_layer: of a page of a PDF, its text as the file states it; empty for pictures and for pages without any.
    """

    pixels: NDArray[np.uint8]
    source_width_px: int
    source_height_px: int
    media_type: str
    pixel_sha256: str
    exif: ExifReading
    origin: FileReading = NOT_LOOKED
    text_layer: TextLayer = NO_LAYER


def sniff(head: bytes) -> str:
    """Media type by the first bytes (16 are enough): image/jpeg, image/png, image/webp, application/pdf; else ""."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""


# As vision.decode.strip's PIXELS_MAX, which this process must not import: it would load a decoder.
STRIP_BYTES_MAX: Final = 1_572_864

# What people send instead, to tell them by name. (first bytes, offset, name)
_OTHER_FORMATS: Final = (
    (b"ftyphei", 4, "a HEIC photo"),
    (b"ftypmif1", 4, "a HEIC photo"),
    (b"ftypavif", 4, "an AVIF picture"),
    (b"ftyp", 4, "a film"),
    (b"GIF8", 0, "a GIF"),
    (b"BM", 0, "a BMP"),
    (b"II*\0", 0, "a TIFF"),
    (b"MM\0*", 0, "a TIFF"),
    (b"PK\x03\x04", 0, "a ZIP archive or office document"),
    (b"<svg", 0, "an SVG drawing"),
    (b"<?xml", 0, "an XML file"),
    (b"<", 0, "a web page"),
)


def _other_format(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, offset, name in _OTHER_FORMATS:
        if (text if magic.startswith(b"<") else head[offset:]).startswith(magic):
            return name
    return "of an unknown format"


def preview_jpeg(pixels: NDArray[np.uint8], long_edge_px_max: int = 1024, quality: int = 85) -> bytes:
    """A clean JPEG without metadata. pixels: uint8, shape (h, w, 3), sRGB."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_edge_px_max, long_edge_px_max), Image.Resampling.HAMMING)
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


class Decoder:
    """Decodes in other processes, at most `processes` files at a time. Thread-safe; a context manager.

    The decoding processes start on entering (or at the first file that needs one) and end with this process, however it
    ends. A file that kills its decoder harms no other file; a decoder that is killed from outside costs no file. Calls
    block until the file is done or its CPU time is up; from async code call them in a thread.
    """

    def __init__(self, limits: DecodeLimits | None = None, processes: int = 2) -> None:
        self.limits = limits or DecodeLimits()
        self._lanes: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()
        self._all = [DecoderProcess(self.limits) for _ in range(processes)]
        for lane in reversed(self._all):
            self._lanes.put(lane)
        self._one_alone = threading.Lock()  # two that each hold a lane and wait for the other's would wait for ever
        self._closed = threading.Event()

    def __enter__(self) -> Decoder:
        for lane in self._all:
            lane.launch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Of the zygotes that run now."""
        return tuple(lane.process_id for lane in self._all if lane.process_id)

    def close(self) -> None:
        """End the decoding processes, after the files under way."""
        self._closed.set()
        for _ in self._all:
            self._lanes.get().stop()
        for lane in self._all:
            self._lanes.put(lane)

    def decode(self, data: bytes, long_edge_px_max: int = 1024, *, marks: bool = False) -> Picture:
        """One JPEG, PNG or WebP (its first frame). marks: hand on what the signs of its origin need, too.

        long_edge_px_max: the picture is shrunk to this, never enlarged; a JPEG may come up to an eighth smaller, where
        its own transform scales so. Raises ImageRefused for the file, DecoderUnavailable for the machine.
        """
        media_type = self._admit(data)
        if media_type == "application/pdf":
            raise ImageRefused("unknown_format", "this is a PDF, not a photo; send JPEG, PNG or WebP")
        request: dict[str, object] = {
            "kind": "picture",
            "media_type": media_type,
            "long_edge_px_max": long_edge_px_max,
            "marks": marks,
        }
        room = HEADER_BYTES + 3 * long_edge_px_max * long_edge_px_max + (STRIP_BYTES_MAX if marks else 0)
        pictures = self._run(data, request, answer_bytes_max=room)
        return _picture(pictures[0], media_type)

    def credentials(self, data: bytes, anchors: bytes = b"") -> Credentials:
        """The content credentials (C2PA) that a file carries, checked in a decoding process: no network, no disk.

        anchors: PEM certificates that are trusted; without any, every signer is untrusted. Raises ImageRefused where
        the check died or took too long, DecoderUnavailable.
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
        """Every page of a PDF; one with more pages than `page_count_max` (at most limits.pdf_pages_max) is refused.

        A page that has more than limits.pdf_page_pixels_max at this `dpi` is rendered at less. Raises ImageRefused,
        DecoderUnavailable.
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
            data,
            request,
            answer_bytes_max=HEADER_BYTES + pages_max * (4 * self.limits.pdf_page_pixels_max + BYTES_MAX),
        )
        return [_picture(picture, "application/pdf") for picture in pictures]

    def _admit(self, data: bytes) -> str:
        if not data:
            raise ImageRefused("empty_file", "the file is empty; send it again")
        if len(data) > self.limits.file_bytes_max:
            raise ImageRefused("file_too_large", f"{len(data)} bytes; at most {self.limits.file_bytes_max} are read")
        media_type = sniff(data[:16])
        if not media_type:
            kind = _other_format(data[:64])
            raise ImageRefused(
                "unknown_format", f"the file is {kind}, whatever its name says; send JPEG, PNG, WebP or PDF"
            )
        return media_type

    def _run(self, data: bytes, request: Mapping[str, object], answer_bytes_max: int) -> list[Decoded]:
        return self._work(data, {**request, "answer_bytes_max": answer_bytes_max}, read_answer)

    def _work(self, data: bytes, request: Mapping[str, object], read: Callable[[int], A]) -> A:
        """In a fresh child; where that was lost for no fault of the file, once more with nothing beside it. Raises
        ImageRefused, DecoderUnavailable.
        """
        try:
            with self._lane() as lane:
                return lane.work(data, request, read)
        except ChildLost:
            try:
                with self._alone() as lane:
                    return lane.work(data, request, read)
            except ChildLost as again:
                raise again.judged() from again

    @contextlib.contextmanager
    def _alone(self) -> Iterator[DecoderProcess]:
        """A lane, while no other works."""
        with self._one_alone, contextlib.ExitStack() as held:
            lanes = [held.enter_context(self._lane()) for _ in self._all]
            yield lanes[0]

    @contextlib.contextmanager
    def _lane(self) -> Iterator[DecoderProcess]:
        lane = self._lanes.get()
        try:
            if self._closed.is_set():
                raise DecoderUnavailable("the decoder has been closed")
            yield lane
        finally:
            self._lanes.put(lane)


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
    )

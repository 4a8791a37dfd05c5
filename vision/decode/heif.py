"""Decodes HEIC with libheif and libde265 (the package pi-heif), and reads what HEIC and AVIF say about a picture. Runs
inside the decoding child only.

libde265 starts a thread for every picture, so HEIC is decoded in a child of its own kind (`vision.decode.confinement`).
AVIF needs none: Pillow's decoder is told to use one thread, its own.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from PIL import Image

from formats import boxes
from formats.boxes import HeifItems
from vision.decode.colour import BROKEN, eight_bits, nclx_profile

EXIF_BYTES_MAX: Final = 1_048_576
XMP_BYTES_MAX: Final = 262_144
PROFILE_BYTES_MAX: Final = 4_194_304
_C2PA_BOX: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MEMORY: Final = re.compile(r"Memory allocation|Security limit", re.IGNORECASE)

_library: ModuleType | None = None


def load() -> None:
    """Import the library, once, in the process that forks: its children can open no file. It starts no thread here."""
    global _library
    if _library is None:
        import pi_heif

        pi_heif.options.DECODE_THREADS = 0  # tiles in the thread that asks; libde265 has one of its own all the same
        pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
        _library = pi_heif


@dataclass(frozen=True, slots=True)
class HeifRows:
    """The rows of a picture that libheif decoded. pixels: row by row, each `stride` bytes long. owner: holds
    their memory, which the view does not."""

    pixels: memoryview
    mode: str
    width: int
    height: int
    stride: int
    owner: object

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return the rows from `top` to above `bottom`."""
        part = bytes(self.pixels[top * self.stride : bottom * self.stride])
        return eight_bits(
            Image.frombuffer(self.mode, (self.width, bottom - top), part, "raw", self.mode, self.stride, 1)
        )


def decode(data: bytes) -> HeifRows:
    """Decode the primary picture of a HEIC file, turned and mirrored as the file says. Raises one of BROKEN,
    MemoryError."""
    if _library is None:
        raise RuntimeError("load() first")
    try:
        file: Any = _library.open_heif(data, convert_hdr_to_8bit=True, remove_stride=False)
        picture = file[file.primary_index]
        pixels = picture.data
    except RuntimeError as error:
        if _MEMORY.search(str(error)):
            raise MemoryError from None
        raise
    width, height = picture.size
    return HeifRows(memoryview(pixels), picture.mode, width, height, picture.stride, picture)


def exif_of(data: bytes, items: HeifItems) -> Image.Exif | None:
    """Return the EXIF of the primary picture. Its orientation is not applied: the file's own says how to turn the
    picture (ISO/IEC 23000-22, 7.3.6)."""
    for item in boxes.described_by(items, "Exif"):
        block = boxes.content(data, item, EXIF_BYTES_MAX)
        start = 4 + int.from_bytes(block[:4], "big")
        exif = Image.Exif()
        with contextlib.suppress(*BROKEN):
            exif.load(b"Exif\0\0" + block[start:])
            return exif
    return None


def xmp_of(data: bytes, items: HeifItems) -> bytes:
    """Return the XMP packet of the primary picture; b"" if there is none."""
    for item in boxes.described_by(items, "mime", "application/rdf+xml"):
        return boxes.content(data, item, XMP_BYTES_MAX)
    return b""


def has_credentials(data: bytes) -> bool:
    """True if the file carries content credentials (C2PA 2.2, A.3.4)."""
    with contextlib.suppress(ValueError):
        return any(
            box.kind == "uuid" and data[box.body : box.body + 16] == _C2PA_BOX
            for box in boxes.children(data, 0, len(data))
        )
    return False


def profile_of(data: bytes, items: HeifItems) -> bytes | None:
    """Return the colour profile of the primary picture, made here where the file describes its colours by numbers; None
    for sRGB."""
    numbers: bytes = b""
    for number in (items.primary, *items.tiles()[:1]):
        for start, end in items.property_of(number, "colr"):
            kind = data[start : start + 4]
            if kind in (b"prof", b"rICC") and end - start > 4:
                return data[start + 4 : min(end, start + PROFILE_BYTES_MAX)]
            if kind == b"nclx" and end - start >= 10 and not numbers:
                numbers = data[start + 4 : start + 8]
    if not numbers:
        return None
    return nclx_profile(int.from_bytes(numbers[:2], "big"), int.from_bytes(numbers[2:], "big"))

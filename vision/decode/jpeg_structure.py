"""Checks that a JPEG is complete. libjpeg fills missing parts with one colour and only warns; Pillow does not pass
warnings on.

Reads markers only (ISO/IEC 10918-1, annex B), never the entropy-coded data, so a 12-megapixel file costs about two
milliseconds. Runs inside the decoding child only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NO_END: Final = "the end of the picture is missing"
_SOS: Final = 0xDA
_EOI: Final = 0xD9
_DNL: Final = 0xDC
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
# Entropy-coded data ends at a marker that is neither a stuffed zero, nor a restart, nor fill.
_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """Structure of a JPEG.

    single_scan: one scan carries the whole picture, so rows come out as bytes go in. first_scan_end: offset of the
    marker that ends the first scan's data. problem: what is missing, in words, or "". breaks_off: the file ends inside
    or behind a scan's data without an end marker; whether all data are there is for the decoder to find out.
    """

    single_scan: bool
    first_scan_end: int
    problem: str
    breaks_off: bool = False


def examine(data: bytes) -> JpegStructure:
    """Return the structure of a whole file that begins with SOI. Never raises; a structure that cannot be followed is a
    `problem`."""
    position = 2
    progressive = False
    components: tuple[int, ...] = ()
    scans = 0
    first_scan_end = 0
    single_scan = False
    refined: dict[tuple[int, int], int] = {}  # (component, coefficient) -> lowest bit that has arrived
    while True:
        marker, position = _next_marker(data, position)
        if marker == -1:
            return JpegStructure(single_scan, first_scan_end, _NO_END, breaks_off=scans > 0)
        if marker == _EOI:
            break
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        segment = data[position + 2 : position + length]
        if length < 2 or len(segment) != length - 2:
            return JpegStructure(single_scan, first_scan_end, _NO_END)
        position += length
        if marker in _FRAMES and not components:
            progressive = marker in _PROGRESSIVE
            components = tuple(segment[6::3][: segment[5]]) if len(segment) > 5 else ()
        if marker != _SOS:
            continue
        scans += 1
        scan_end = _AFTER_SCAN.search(data, position)
        if scan_end is None:
            return JpegStructure(single_scan, first_scan_end, _NO_END, breaks_off=True)
        position = scan_end.start()
        listed = _note_scan(segment, progressive, refined)
        if scans == 1:
            first_scan_end = position
            single_scan = not progressive and set(components) <= listed
            if single_scan and data[position + 1] not in (_EOI, _DNL):
                return JpegStructure(single_scan, first_scan_end, "the picture data is interrupted")
    return JpegStructure(single_scan, first_scan_end, _missing(components, progressive, refined))


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Return (marker, offset behind it); (-1, ...) at the end of the data."""
    start = data.find(b"\xff", position)
    while 0 <= start < len(data) - 1 and data[start + 1] in (0x00, 0xFF):
        start = data.find(b"\xff", start + 1)
    if start < 0 or start >= len(data) - 1:
        return -1, len(data)
    return data[start + 1], start + 2


def _note_scan(segment: bytes, progressive: bool, refined: dict[tuple[int, int], int]) -> set[int]:
    count = segment[0] if segment else 0
    listed = set(segment[1 : 1 + 2 * count : 2])
    tail = segment[1 + 2 * count : 4 + 2 * count]
    if len(tail) == 3:
        first, last, low_bit = (tail[0], min(tail[1], 63), tail[2] & 15) if progressive else (0, 63, 0)
        for component in listed:
            for coefficient in range(first, last + 1):
                refined[component, coefficient] = low_bit
    return listed


def _missing(components: tuple[int, ...], progressive: bool, refined: dict[tuple[int, int], int]) -> str:
    if not components:
        return "the file describes no picture"
    needed = range(64) if progressive else range(1)
    if any(refined.get((component, coefficient), 1) != 0 for component in components for coefficient in needed):
        return "the picture's last scans are missing"
    return ""

"""Serves a file as it was sent, without its data about place and owner, to those who judge a claim and did not send it.

Positions, serial numbers, owner names, thumbnails and comments are overwritten in place; pixels are not touched, and
every offset and the length stay. Only known parts are kept: anything else that a format may carry besides its picture
is blanked unread, and so is whatever follows the end of the picture. JPEG (ITU T.81, Exif 2.32), PNG (W3C, third
edition), WebP (RFC 9649), HEIC and AVIF (ISO/IEC 23008-12). In a PDF the photos and the XMP packets that lie in it
uncompressed are blanked; compressed objects of a PDF stay as they are, and so do OFD and XML e-invoices, which a
machine made and no camera.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

from formats import boxes

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_STANDALONE: Final = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
_EXIF: Final = b"Exif\x00\x00"
_PNG_KEPT: Final = frozenset(b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP bKGD pHYs acTL fcTL fdAT".split())
_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_HEIF_PICTURES: Final = frozenset({"hvc1", "av01", "grid", "iden", "iovl"})
_HEIF_STRUCTURE: Final = frozenset({"hdlr", "pitm", "iinf", "iloc", "iref", "iprp", "idat", "dinf", "grpl"})
_HEIF_PROPERTIES: Final = frozenset(
    "ispe pixi colr irot imir clap pasp hvcC av1C auxC lsel a1op a1lx clli mdcv".split()  # noqa: SIM905
)
_XMP: Final = re.compile(rb"<\?xpacket begin.*?<\?xpacket end.*?\?>|<x:xmpmeta.*?</x:xmpmeta>", re.DOTALL)


def without_marks(data: bytes, media_type: str) -> bytes:
    """Returns the bytes with everything blanked that is not the picture. media_type: as sniffed; a file of any other
    type is blanked altogether."""
    match media_type:
        case "image/jpeg":
            return bytes(_jpeg(bytearray(data), 0))
        case "image/png":
            return bytes(_png(bytearray(data)))
        case "image/webp":
            return bytes(_webp(bytearray(data)))
        case "image/heic" | "image/avif":
            return bytes(_heif(bytearray(data)))
        case "application/pdf":
            return bytes(_pdf(bytearray(data)))
        case "application/ofd" | "application/xml":
            return data
    return bytes(len(data))


def _jpeg(data: bytearray, at: int) -> bytearray:
    """Blank a JPEG segment by segment up to the end of the picture, keeping the segments of the picture alone."""
    while at + 1 < len(data):
        if data[at] != 0xFF:
            return _blank(data, at, len(data))
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _EOI:
            return _blank(data, at + 2, len(data))
        if at + 4 > len(data):
            return _blank(data, at, len(data))
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if _carries(marker, bytes(data[at + 4 : at + 16])):
            orientation = _orientation(bytes(data[at + 4 : end]))
            _blank(data, at + 4, end)
            if orientation and end - at - 4 >= len(orientation):
                data[at + 4 : at + 4 + len(orientation)] = orientation
        at = _scan_end(data, end) if marker == _SOS else end
    return data


def _carries(marker: int, head: bytes) -> bool:
    """True if a segment is not part of the picture: application data other than JFIF, ICC and Adobe's transform."""
    if marker == _COM:
        return True
    kept = (marker == 0xE0 and head.startswith(b"JFIF")) or (marker == 0xE2 and head.startswith(b"ICC_PROFILE"))
    return 0xE0 <= marker <= 0xEF and not kept and not (marker == 0xEE and head.startswith(b"Adobe"))


def _scan_end(data: bytearray, at: int) -> int:
    """Returns the offset where the coded pixels end: at the next marker that does not belong to them."""
    while (marker := data.find(b"\xff", at)) >= 0 and marker + 1 < len(data):
        if data[marker + 1] != 0 and not 0xD0 <= data[marker + 1] <= 0xD7:
            return marker
        at = marker + 2
    return len(data)


def _orientation(segment: bytes) -> bytes:
    """Returns an Exif segment that holds the orientation alone, b"" where this one has none."""
    if not segment.startswith(_EXIF) or len(segment) < 16:
        return b""
    order = "<" if segment[6:8] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", segment, 10)
        (count,) = struct.unpack_from(f"{order}H", segment, 6 + first)
        for number in range(min(count, 200)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", segment, 8 + first + 12 * number)
            if (tag, kind) == (0x0112, 3) and 1 <= value <= 8:
                entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)
                return _EXIF + b"II*\x00\x08\x00\x00\x00" + entry
    except struct.error:
        return b""
    return b""


def _png(data: bytearray) -> bytearray:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        kind, end = bytes(data[at + 4 : at + 8]), at + 8 + length
        if end + 4 > len(data):
            break
        if kind not in _PNG_KEPT:
            # An unknown chunk that every reader may pass over, with a checksum that fits.
            data[at + 4 : at + 8] = b"zeRo"
            _blank(data, at + 8, end)
            data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
        if kind == b"IEND":
            break
    return _blank(data, at, len(data))


def _webp(data: bytearray) -> bytearray:
    at = 12
    while at + 8 <= len(data):
        kind, length = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        end = min(at + 8 + length, len(data))
        if kind not in _WEBP_KEPT:
            data[at : at + 4] = b"ZERO"
            _blank(data, at + 8, end)
        elif kind == b"VP8X" and at + 8 < len(data):
            data[at + 8] &= ~0x0C & 0xFF  # no Exif, no XMP
        at = end + length % 2
    return _blank(data, min(at, len(data)), len(data))


def _heif(data: bytearray) -> bytearray:
    """Blank all that is not structure or a coded picture. Thumbnails go, too: they may show what was cut off; so do
    names and descriptions of items, and boxes that are not known."""
    whole = bytes(data)
    try:
        items = boxes.read_items(whole)
        top = list(boxes.children(whole, 0, len(whole)))
    except ValueError:
        return _blank(data, 0, len(data))
    if items is None:
        return _blank(data, 0, len(data))
    thumbnails = {origin for kind, origin in items.references if kind == "thmb"}
    shown = bytearray(len(data))  # 1 where a byte belongs to a picture
    for item in items.items.values():
        if item.kind in _HEIF_PICTURES and item.number not in thumbnails:
            for start, length in item.extents:
                shown[start : start + length] = b"\1" * len(shown[start : start + length])
    for box in top:
        if box.kind == "meta":
            _heif_meta(data, whole, box, shown)
        elif box.kind != "ftyp":
            _keep(data, box.body, min(box.end, len(data)), shown)
            if box.kind != "mdat":
                data[box.start + 4 : box.start + 8] = b"free"
    return data


def _heif_meta(data: bytearray, whole: bytes, meta: boxes.FileBox, shown: bytearray) -> None:
    for box in boxes.children(whole, meta.body + 4, meta.end):
        if box.kind == "idat":
            _keep(data, box.body, box.end, shown)
        elif box.kind == "iinf":
            _heif_names(data, whole, box)
        elif box.kind == "iprp":
            _heif_properties(data, whole, box)
        elif box.kind not in _HEIF_STRUCTURE:
            _blank(data, box.body, box.end)
            data[box.start + 4 : box.start + 8] = b"free"


def _heif_names(data: bytearray, whole: bytes, box: boxes.FileBox) -> None:
    """Blank the names of items, which follow their kind; a content type stays. An item that is no picture becomes one
    of an unknown kind, which readers pass over: blank EXIF would be an error to some."""
    start = box.body + (6 if whole[box.body] == 0 else 8)
    for entry in boxes.children(whole, start, box.end):
        named = entry.body + (12 if whole[entry.body] < 3 else 14)
        if entry.kind == "infe" and whole[entry.body] >= 2:
            if whole[named - 4 : named].decode("latin-1") not in _HEIF_PICTURES:
                data[named - 4 : named] = b"zero"
            end = whole.find(b"\0", named, entry.end)
            data[named : max(named, end)] = b" " * (max(named, end) - named)


def _heif_properties(data: bytearray, whole: bytes, box: boxes.FileBox) -> None:
    for container in boxes.children(whole, box.body, box.end):
        if container.kind != "ipco":
            continue
        for entry in boxes.children(whole, container.body, container.end):
            if entry.kind not in _HEIF_PROPERTIES:
                _blank(data, entry.body, entry.end)
                data[entry.start + 4 : entry.start + 8] = b"free"


def _keep(data: bytearray, start: int, end: int, shown: bytearray) -> None:
    """Blank between two offsets what is not marked in `shown`."""
    for gap in re.finditer(rb"\0+", bytes(shown[start:end])):
        _blank(data, start + gap.start(), start + gap.end())


def _pdf(data: bytearray) -> bytearray:
    for match in re.finditer(rb"\xff\xe1(..)(?:Exif\x00\x00|http://ns\.adobe\.com)", bytes(data), re.DOTALL):
        _blank(data, match.start() + 4, min(match.start() + 2 + int.from_bytes(match[1]), len(data)))
    for match in _XMP.finditer(bytes(data)):
        data[match.start() : match.end()] = b" " * (match.end() - match.start())
    return data


def _blank(data: bytearray, start: int, end: int) -> bytearray:
    end = min(end, len(data))
    if start < end:
        data[start:end] = bytes(end - start)
    return data

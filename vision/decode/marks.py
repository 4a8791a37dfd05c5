"""Reads what a file's metadata say about how it was made, as a few short texts. Runs inside the decoding child only.

Positions, serial numbers, owner names, prompts and thumbnails stay here: of a prompt only the name of the program that
wrote it leaves, of a thumbnail only its similarity to the picture. Nothing is parsed as XML or JSON (no entity, no
nesting to explode), and nothing is inflated beyond `TEXT_BYTES_MAX`.

Sources: PNG (W3C, third edition, 11.3.3), JPEG (ISO/IEC 10918-1 annex B), XMP part 3, IPTC IIM 4.2, IPTC's vocabulary
Digital Source Type, C2PA 2.2 (embedding in JPEG, PNG, RIFF and BMFF), GB 45438-2025 (labels of generated content), and
the texts that the programs named write.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

from PIL import Image

from formats import boxes
from vision.decode import heif
from vision.decode.exif_dates import gps_days_later
from vision.decode.likeness import thumbnail_likeness

TEXT_BYTES_MAX: Final = 262_144  # of one text; a camera's XMP packet has some 3 kB, an editor's up to 100
SEGMENTS_MAX: Final = 2_000
MARK_CHARACTERS_MAX: Final = 160

_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_SOURCE_TYPE: Final = re.compile(rb"digitalsourcetype/([A-Za-z]{4,60})")
_CREATOR_TOOL: Final = re.compile(rb"""CreatorTool\s{0,9}(?:=\s{0,9}["']|>)([^"'<]{1,160})""")
_REMOTE_MANIFEST: Final = re.compile(rb"""dcterms:provenance\s{0,9}(?:=\s{0,9}["']|>)\s{0,9}https?://""")
# The label that GB 45438-2025 requires: {"AIGC": {"Label": "1", ...}}, in XMP also with escaped quotes.
_AIGC_LABEL: Final = re.compile(rb"""AIGC.{0,40}?Label(?:["']|&quot;|\s|:|=){1,12}([123])""", re.DOTALL)

# (key of the text or "", pattern of its beginning, program)
_PROMPTS: Final = (
    ("parameters", rb"(?s)Steps: \d+,.{0,200}?(?:Sampler|CFG scale)", "Stable Diffusion web UI"),
    ("prompt", rb'"class_type"', "ComfyUI"),
    ("workflow", rb'"nodes"', "ComfyUI"),
    ("invokeai_metadata", rb"", "InvokeAI"),
    ("invokeai_graph", rb"", "InvokeAI"),
    ("sd-metadata", rb"", "InvokeAI"),
    ("Dream", rb"-S ?\d", "InvokeAI"),
    ("fooocus_scheme", rb"", "Fooocus"),
    ("Comment", rb'"sampler"|"uncond"', "NovelAI"),
)
_IN_COMMENTS: Final = (
    (re.compile(rb"(?s)Steps: \d+,.{0,200}?(?:Sampler|CFG scale)"), "Stable Diffusion web UI"),
    (re.compile(rb'"class_type"'), "ComfyUI"),
)


def read_marks(data: bytes, media_type: str, exif: Image.Exif | None, small: Image.Image) -> dict[str, str]:
    """Return any of the marks below, each a text of at most MARK_CHARACTERS_MAX.

    data: the whole file. small: the decoded picture, not yet turned upright.

    modified_at, digitized_at: as in the file. gps_days_off: days by which the GPS date is later
    than the camera's, negative if earlier. processing_software,
    creator_tool, png_software, program: names of programs. generator: the program whose prompt is in the file.
    source_type: IPTC's word. aigc_label: 1, 2 or 3. c2pa: "embedded" or "remote". thumbnail: "likeness 0.97", or why
    there is none to compare.
    """
    marks: dict[str, str] = {}
    texts = _texts(data, media_type)
    for key, text in texts:
        if key == "c2pa":
            marks["c2pa"] = "embedded"
        elif key == "xmp":
            _read_xmp(text, marks)
        elif key == "iptc":
            _put(marks, "program", _iptc_program(text))
        elif key == "comment":
            _read_comment(text, marks)
        else:
            _read_png_text(key, text, marks)
    if exif is not None:
        _read_exif(exif, small, marks)
    return marks


def _put(marks: dict[str, str], name: str, text: str) -> None:
    if text and name not in marks:
        marks[name] = text[:MARK_CHARACTERS_MAX]


def _read_xmp(text: bytes, marks: dict[str, str]) -> None:
    if match := _SOURCE_TYPE.search(text):
        _put(marks, "source_type", match[1].decode("ascii"))
    if match := _CREATOR_TOOL.search(text):
        _put(marks, "creator_tool", match[1].decode("utf-8", "replace"))
    if match := _AIGC_LABEL.search(text):
        _put(marks, "aigc_label", match[1].decode("ascii"))
    if _REMOTE_MANIFEST.search(text):
        _put(marks, "c2pa", "remote")


def _read_comment(text: bytes, marks: dict[str, str]) -> None:
    plain = text.replace(b"\0", b"")  # UserComment may be UTF-16
    for pattern, program in _IN_COMMENTS:
        if pattern.search(plain):
            _put(marks, "generator", program)
    if match := _AIGC_LABEL.search(plain):
        _put(marks, "aigc_label", match[1].decode("ascii"))


def _read_png_text(key: str, text: bytes, marks: dict[str, str]) -> None:
    if key == "Software":
        _put(marks, "png_software", text[:MARK_CHARACTERS_MAX].decode("utf-8", "replace"))
    if key == "AIGC" and (match := re.search(rb"""Label\W{1,8}([123])""", text)):
        _put(marks, "aigc_label", match[1].decode("ascii"))
    for name, pattern, program in _PROMPTS:
        if key == name and re.search(pattern, text):
            _put(marks, "generator", program)


def _read_exif(exif: Image.Exif, small: Image.Image, marks: dict[str, str]) -> None:
    inner = exif.get_ifd(0x8769)
    _put(marks, "modified_at", tag_text(exif.get(0x0132)))
    _put(marks, "digitized_at", tag_text(inner.get(0x9004)))
    _put(marks, "processing_software", tag_text(exif.get(0x000B)))
    _put(marks, "gps_days_off", _gps_days_off(tag_text(inner.get(0x9003)), tag_text(exif.get_ifd(0x8825).get(29))))
    for tag in (exif.get(0x010E), inner.get(0x9286)):
        if isinstance(tag, str | bytes):
            raw = tag.encode("utf-8", "replace") if isinstance(tag, str) else tag
            _read_comment(raw[:TEXT_BYTES_MAX], marks)
    packet = exif.get(0x02BC)
    if isinstance(packet, bytes):
        _read_xmp(packet[:TEXT_BYTES_MAX], marks)
    _put(marks, "thumbnail", thumbnail_likeness(exif, small))


def _gps_days_off(taken: str, gps_date: str) -> str:
    """Return by how many days the satellites' date is later than the camera's, with a sign where it is earlier; "" if
    they cannot be compared."""
    days = gps_days_later(taken, gps_date)
    return "" if days is None else str(days)


def tag_text(value: Any) -> str:
    """Return a text tag up to its terminator, at most 300 characters; "" for anything else. Pillow reads all bytes as
    Latin-1, while programs write UTF-8."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    text = value.split("\0")[0].strip()[:300]
    try:
        return text if text.isascii() else text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _texts(data: bytes, media_type: str) -> Iterator[tuple[str, bytes]]:
    """Yield (key, text) of every piece of text metadata: xmp, iptc, comment, c2pa (no text), or a PNG text's
    own key."""
    if media_type == "image/jpeg":
        return _jpeg_texts(data)
    if media_type in ("image/heic", "image/avif"):
        return _heif_texts(data)
    return _png_texts(data) if media_type == "image/png" else _riff_texts(data)


def _jpeg_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 2
    for _ in range(SEGMENTS_MAX):
        start = data.find(b"\xff", position)
        if start < 0 or start + 4 > len(data):
            return
        marker = data[start + 1]
        if marker in (0xFF, 0x00):
            position = start + 1
            continue
        if marker in (0xDA, 0xD9):  # the picture begins, or ends
            return
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        segment = data[start + 4 : start + 2 + length]
        position = start + 2 + max(2, length)
        if marker == 0xE1 and segment.startswith(_XMP):
            yield "xmp", segment[len(_XMP) :]
        elif marker == 0xED and segment.startswith(_PHOTOSHOP):
            yield "iptc", segment
        elif marker == 0xEB and segment.startswith(b"JP") and b"c2pa" in segment[:200]:
            yield "c2pa", b""
        elif marker == 0xFE:
            yield "comment", segment


def _heif_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    items = boxes.read_items(data)
    if items is not None and (packet := heif.xmp_of(data, items)):
        yield "xmp", packet
    if heif.has_credentials(data):
        yield "c2pa", b""


def _iptc_program(segment: bytes) -> str:
    """Return dataset 2:65, Originating Program."""
    at = segment.find(b"\x1c\x02\x41")
    if at < 0:
        return ""
    length = int.from_bytes(segment[at + 3 : at + 5], "big")
    return segment[at + 5 : at + 5 + min(length, MARK_CHARACTERS_MAX)].decode("utf-8", "replace").strip()


def _png_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 8
    for _ in range(SEGMENTS_MAX):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind == b"caBX":
            yield "c2pa", b""
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            body = data[position + 8 : position + 8 + min(length, TEXT_BYTES_MAX)]
            key, text = _png_text(kind, body)
            yield ("xmp" if key == "XML:com.adobe.xmp" else key), text
        position += 12 + length


def _png_text(kind: bytes, body: bytes) -> tuple[str, bytes]:
    raw_key, _, rest = body.partition(b"\0")
    key = raw_key[:79].decode("latin-1")
    if kind == b"tEXt":
        return key, rest
    if kind == b"zTXt":
        return key, _inflated(rest[1:])
    compressed = rest[:1] == b"\x01"
    _language, _, after = rest[2:].partition(b"\0")
    _translated, _, text = after.partition(b"\0")
    return key, _inflated(text) if compressed else text


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, TEXT_BYTES_MAX)
    except zlib.error:
        return b""


def _riff_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 12
    for _ in range(SEGMENTS_MAX):
        if position + 8 > len(data):
            return
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if kind == b"XMP ":
            yield "xmp", data[position + 8 : position + 8 + min(length, TEXT_BYTES_MAX)]
        elif kind == b"C2PA":
            yield "c2pa", b""
        position += 8 + length + (length & 1)

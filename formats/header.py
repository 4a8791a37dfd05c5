"""Reads from the beginning of a picture file how large the picture is and how it is coded.

JPEG: ISO/IEC 10918-1 annex B. PNG: W3C, third edition. WebP: RFC 9649. HEIC and AVIF: `formats.boxes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from formats import boxes

# Enough for the metadata before the frame of nearly every photo: EXIF with its thumbnail (64 KB), XMP, colour profile,
# a depth map's index. Beyond it a file is judged where it is decoded.
HEADER_BYTES_MAX: Final = 262_144

Coding = Literal["baseline", "progressive", "png", "png_interlaced", "webp", "hevc", "hevc_tiles", "av1"]

_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Frames that no decoder here reads, by marker: lossless, hierarchical, arithmetic-coded.
_UNREAD_FRAMES: Final = {
    **dict.fromkeys((0xC3,), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "an arithmetic-coded JPEG"),
    **dict.fromkeys((0xCB, 0xCD, 0xCE, 0xCF), "an arithmetic-coded JPEG"),
}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_HEIF_CODINGS: Final[dict[str, Coding]] = {"hvc1": "hevc", "av01": "av1"}
_HEIF_UNREAD: Final = {
    "avc1": "a HEIF picture in H.264",
    "vvc1": "a HEIF picture in H.266",
    "jpeg": "a HEIF picture in JPEG",
    "j2k1": "a HEIF picture in JPEG 2000",
    "unci": "an uncompressed HEIF picture",
}


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The beginning of a picture file, in short.

    width_px, height_px: as coded, before the picture is turned. samples_per_px: coefficients that a JPEG has for each
    pixel (1.5 with colour at half resolution); channels of other pictures. bits: of one sample. unread: in words, the
    kind of picture that no decoder here reads; "" for all others.
    """

    coding: Coding
    width_px: int
    height_px: int
    samples_per_px: float = 3.0
    bits: int = 8
    unread: str = ""

    @property
    def pixels(self) -> int:
        """Pixels of the picture."""
        return self.width_px * self.height_px


def read_header(head: bytes, media_type: str) -> PictureHeader | None:
    """Return the header of a picture of that media type, or None if `head` does not reach far enough or cannot be
    followed: then the decoder judges."""
    try:
        match media_type:
            case "image/jpeg":
                return _jpeg(head)
            case "image/png":
                return _png(head)
            case "image/webp":
                return _webp(head)
            case "image/heic" | "image/avif":
                return _heif(head)
    except (ValueError, IndexError):
        return None
    return None


def _jpeg(head: bytes) -> PictureHeader | None:
    position = 2
    frame: PictureHeader | None = None
    components = 0
    while position + 4 <= len(head):
        if head[position] != 0xFF:
            return frame
        marker = head[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(head[position + 2 : position + 4], "big")
        segment = head[position + 4 : position + 2 + length]
        if len(segment) != length - 2:
            return frame
        if marker in _FRAMES and frame is None:
            frame, components = _jpeg_frame(marker, segment)
        if marker == 0xDA:
            # A first scan without all components: the others come later, so that all coefficients are held meanwhile.
            if frame is not None and frame.coding == "baseline" and segment[0] < components:
                return PictureHeader(
                    "progressive", frame.width_px, frame.height_px, frame.samples_per_px, frame.bits, frame.unread
                )
            return frame
        position += 2 + length
    return frame if frame is not None and (frame.unread or frame.coding == "progressive") else None


def _jpeg_frame(marker: int, segment: bytes) -> tuple[PictureHeader, int]:
    bits, count = segment[0], segment[5]
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    factors = [segment[7 + 3 * index] for index in range(count)]
    across, down = max((f >> 4 for f in factors), default=1), max((f & 15 for f in factors), default=1)
    samples = sum((f >> 4) * (f & 15) for f in factors) / max(1, across * down)
    unread = _UNREAD_FRAMES.get(marker, "")
    if not unread and bits != 8:
        unread = f"a JPEG of {bits} bits"
    if not unread and count not in (1, 3, 4):
        unread = f"a JPEG of {count} components"
    coding: Coding = "progressive" if marker in _PROGRESSIVE else "baseline"
    return PictureHeader(coding, width, height, samples, bits, unread), count


def _png(head: bytes) -> PictureHeader | None:
    if len(head) < 29 or head[12:16] != b"IHDR":
        return None
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(head[25])
    if channels is None:
        return None
    # Chunks that change what is held in memory stand before the pixels: tRNS makes three channels four.
    if head[25] in (0, 2, 3) and b"tRNS" in head[29 : head.find(b"IDAT")]:
        channels = 4
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return PictureHeader("png_interlaced" if head[28] else "png", width, height, channels, head[24])


def _webp(head: bytes) -> PictureHeader | None:
    kind, body = head[12:16], head[20:]
    if kind == b"VP8X" and len(body) >= 10:
        width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    elif kind == b"VP8L" and len(body) >= 5:
        packed = int.from_bytes(body[1:5], "little")
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b"VP8 " and len(body) >= 10:
        width, height = int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    else:
        return None
    return PictureHeader("webp", width, height, 4)


def _heif(head: bytes) -> PictureHeader | None:
    items = boxes.read_items(head)
    if items is None:
        return None
    codec = items.codec()
    coding = _HEIF_CODINGS.get(codec)
    width, height = boxes.size_px(head, items)
    if coding is None:
        name = _HEIF_UNREAD.get(codec, "a HEIF picture in another coding") if codec else ""
        return PictureHeader("hevc", width, height, unread=name) if name else None
    if not width or not height:
        return None
    if coding == "hevc" and len(items.tiles()) > 1:
        coding = "hevc_tiles"
    alpha = any(
        kind == "auxl" and items.primary in to and _is_alpha(head, items, origin)
        for (kind, origin), to in items.references.items()
    )
    bits = max(
        (head[start + 5] for start, end in items.property_of(items.primary, "pixi") if end - start > 5), default=8
    )
    return PictureHeader(coding, width, height, 4 if alpha else 3, bits)


def _is_alpha(data: bytes, items: boxes.HeifItems, number: int) -> bool:
    return any(
        b":alpha" in data[start:end] or b":auxid:1" in data[start:end]
        for start, end in items.property_of(number, "auxC")
    )

"""Recognises a file's type by its first bytes. Its name and its declared type are never believed; the worker finds out
if it decodes.
"""

from __future__ import annotations

from claims.claim import EvidenceKind

HEAD_BYTES = 16  # enough for every signature below
IMAGES = frozenset({"image/jpeg", "image/png", "image/webp"})
ACCEPTED: dict[EvidenceKind, frozenset[str]] = {
    EvidenceKind.PHOTO: IMAGES,
    EvidenceKind.NOSE: IMAGES,
    EvidenceKind.PAPER: IMAGES | {"application/pdf"},
}
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "application/pdf": "pdf"}


def media_type(head: bytes) -> str:
    """Returns the media type of a file that starts with `head`, or "" for a type that is not accepted."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""


# Names of other files that people send, with advice: by the brand of ISO base media files, and by first bytes.
_HEIC = "a HEIC photo; on an iPhone choose Settings, Camera, Formats, Most Compatible, or send it as JPEG"
_BRANDS = {b"hei": _HEIC, b"hev": _HEIC, b"mif": _HEIC, b"avi": "an AVIF picture; send it as JPEG"}


def in_words(head: bytes) -> str:
    """Returns in words what a file is that is not accepted, as far as its first bytes tell."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:11], "a film")
    if head.startswith(b"GIF8"):
        return "a GIF; send it as JPEG or PNG"
    return "none of these by its first bytes"

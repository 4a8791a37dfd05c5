"""What a file is, by its first bytes. The name and the declared type are never believed; whether it decodes is the
worker's question.
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
    """The media type of a file that starts with `head`, or "" when it is none that we take."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""

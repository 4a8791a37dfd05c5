"""What files are accepted as, judged by their first bytes: which kind they are, and what decoding them would cost. The
decoder judges by the same functions (`formats`); here nothing is decoded.
"""

from __future__ import annotations

from claims.claim import EvidenceKind
from formats.cost import too_costly
from formats.header import HEADER_BYTES_MAX, read_header
from formats.sniff import EXTENSIONS, HEAD_BYTES, PDF, PICTURES, media_type, other_kind

__all__ = ["ACCEPTED", "EXTENSIONS", "HEADER_BYTES_MAX", "HEAD_BYTES", "in_words", "media_type", "too_large", "unread"]

ACCEPTED: dict[EvidenceKind, frozenset[str]] = {
    EvidenceKind.PHOTO: PICTURES,
    EvidenceKind.NOSE: PICTURES,
    EvidenceKind.PAPER: PICTURES | {PDF},
}


def in_words(head: bytes) -> str:
    """Returns in words what a file is that is not accepted, and what to send instead."""
    kind = other_kind(head)
    if kind == "of an unknown format":
        return "none of these by its first bytes"
    if kind == "a film":
        return "a film; send a photo"
    return f"{kind}; send it as JPEG or PNG, or send a screenshot of it"


def unread(head: bytes, kind: str) -> str:
    """Returns in words the kind of picture that no decoder here reads; "" for all others. kind: the media type."""
    header = read_header(head, kind)
    return header.unread if header is not None else ""


def too_large(head: bytes, kind: str) -> str:
    """Returns in words why a picture would cost too much to decode; "" if it would not, or if `head` does not tell."""
    header = read_header(head, kind)
    return too_costly(header) if header is not None and not header.unread else ""

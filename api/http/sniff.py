"""Says which kinds of file are accepted as what, by their first bytes, and what a file is that is not. The decoder
judges by the same functions (`formats`); here nothing is decoded.
"""

from __future__ import annotations

from claims.claim import EvidenceKind
from formats.sniff import (
    ARCHIVE,
    DOCUMENTS,
    EXTENSIONS,
    FILM,
    HEAD_BYTES,
    PICTURES,
    UNKNOWN,
    XML_FILE,
    media_type,
    other_kind,
)

__all__ = ["ACCEPTED", "EXTENSIONS", "HEAD_BYTES", "in_words", "media_type"]

ACCEPTED: dict[EvidenceKind, frozenset[str]] = {
    EvidenceKind.PHOTO: PICTURES,
    EvidenceKind.NOSE: PICTURES,
    EvidenceKind.PAPER: PICTURES | DOCUMENTS,
}


def in_words(head: bytes) -> str:
    """Returns in words what a file is that is not accepted, and what to send instead."""
    kind = other_kind(head)
    if kind == UNKNOWN:
        return "none of these by its first bytes"
    if kind == FILM:
        return f"{kind}; send a photo"
    if kind == ARCHIVE:
        return f"{kind}; unpack it and send the files in it, an invoice as PDF or OFD"
    if kind == XML_FILE:
        return f"{kind} and no e-invoice; send the invoice as PDF or OFD"
    return f"{kind}; send it as JPEG or PNG, or send a screenshot of it"

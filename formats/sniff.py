"""Names a file's kind by its first bytes. Its name and its declared type are never believed."""

from __future__ import annotations

import re
from typing import Final

from formats.boxes import brands

HEAD_BYTES: Final = 512  # enough for every signature, the brands of a HEIF file, and the root of an XML e-invoice
_BRANDS_BYTES: Final = 64
PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic", "image/avif"})
PDF: Final = "application/pdf"
OFD: Final = "application/ofd"  # GB/T 33190-2016: a ZIP archive of XML
XML: Final = "application/xml"  # an e-invoice as data; any other XML is not taken
#: What is drawn page by page before it is read.
DOCUMENTS: Final = frozenset({PDF, OFD, XML})
EXTENSIONS: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/avif": "avif",
    PDF: "pdf",
    OFD: "ofd",
    XML: "xml",
}

# Brands of HEIF files (ISO/IEC 23008-12, annex B; AVIF 1.2, section 6). mif1 and msf1 say nothing about the coding.
_AVIF: Final = frozenset({"avif", "avis", "avio"})
_HEIC: Final = frozenset({"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"})
_HEIF: Final = frozenset({"mif1", "mif2", "msf1", "miaf"})

_ZIP: Final = b"PK\x03\x04"
# Names of the first entry of an OFD: its entry, or something of its first document.
_OFD_ENTRY: Final = re.compile(rb"(?:OFD\.xml|Doc[_-]?\d{1,4}(?:/|$))", re.IGNORECASE)
_ENTRY_NAME_OFFSET: Final = 30
# The root of an e-invoice, behind the XML declaration, comments and instructions.
_E_INVOICE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]{0,300}\?>\s*|<!--(?:(?!-->).){0,300}-->\s*){0,5}<(?:\w{1,20}:)?[eE]Invoice[\s/>]",
    re.DOTALL,
)

FILM: Final = "a film"
ARCHIVE: Final = "a ZIP archive or office document"
XML_FILE: Final = "an XML file"
UNKNOWN: Final = "of an unknown format"

# What people send instead, to be named in the refusal: (first bytes, offset, name)
_OTHERS: Final = (
    (b"ftypcrx ", 4, "a raw photo (CR3)"),
    (b"ftypjxl ", 4, "a JPEG XL picture"),
    (b"ftypjp2 ", 4, "a JPEG 2000 picture"),
    (b"ftyp", 4, FILM),
    (b"\0\0\0\x0cJXL ", 0, "a JPEG XL picture"),
    (b"\xff\x0a", 0, "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", 0, "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", 0, "a JPEG 2000 picture"),
    (b"\xff\xd8\xff\xf7", 0, "a JPEG-LS picture"),
    (b"II*\0\x10\0\0\0CR", 0, "a raw photo (CR2)"),
    (b"FUJIFILMCCD-RAW", 0, "a raw photo (RAF)"),
    (b"IIRO", 0, "a raw photo (ORF)"),
    (b"IIU\0", 0, "a raw photo (RW2)"),
    (b"II*\0", 0, "a TIFF picture or raw photo (DNG)"),
    (b"MM\0*", 0, "a TIFF picture or raw photo (DNG)"),
    (b"II+\0", 0, "a TIFF picture"),
    (b"8BPS", 0, "a Photoshop picture"),
    (b"GIF8", 0, "a GIF"),
    (b"BM", 0, "a BMP"),
    (b"\0\0\1\0", 0, "an icon"),
    (_ZIP, 0, ARCHIVE),
    (b"<svg", 0, "an SVG drawing"),
    (b"<?xml", 0, XML_FILE),
    (b"<", 0, "a web page"),
)


def media_type(head: bytes) -> str:
    """Return the media type of a file that begins with `head` (HEAD_BYTES are enough); "" for any other kind."""
    if head.startswith(b"\xff\xd8\xff") and head[3:4] != b"\xf7":
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(_ZIP) and _OFD_ENTRY.match(head, _ENTRY_NAME_OFFSET):
        return OFD
    if _E_INVOICE.match(head):
        return XML
    return _heif_type(brands(head[:_BRANDS_BYTES]))


def _heif_type(names: tuple[str, ...]) -> str:
    """The major brand decides; where it names no coding, the compatible brands do. A file that says neither is taken
    for HEIC: the decoder looks at the coding itself."""
    if not names or names[0] not in _AVIF | _HEIC | _HEIF:
        return ""
    for name in names:
        if name in _AVIF:
            return "image/avif"
        if name in _HEIC:
            return "image/heic"
    return "image/heic"


def other_kind(head: bytes) -> str:
    """Return in words what a file is that `media_type` does not know, as far as its first bytes tell."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, offset, name in _OTHERS:
        if (text if magic.startswith(b"<") else head[offset:]).startswith(magic):
            return name
    return UNKNOWN

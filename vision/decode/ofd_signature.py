"""Compares the digests that an OFD's signatures list with its parts (GB/T 33190-2016, 18). Runs inside the decoding
child only.

The signature itself is SM2 over these lists, by a certificate of one of the national authorities. Neither is checked:
no library that is kept up verifies SM2 here, and there is no list of authorities to trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection
from typing import Final

from vision.decode.archive import Archive, resolved
from vision.decode.signature import FileSignature
from vision.decode.xml_tree import XmlNode, read_xml

# Object identifiers and names of digests. MD5 stands in the standard; it proves nothing and is not computed.
_METHODS: Final = {
    "1.2.156.10197.1.401": "sm3",
    "sm3": "sm3",
    "1.2.156.10197.1.401.1": "sm3",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "sha256": "sha256",
    "sha-256": "sha256",
    "1.3.14.3.2.26": "sha1",
    "sha1": "sha1",
    "sha-1": "sha1",
}
#: Digests that this machine's OpenSSL has, made once before the fork.
AVAILABLE: Final = frozenset(name for name in set(_METHODS.values()) if name in hashlib.algorithms_available)
for _name in AVAILABLE:
    hashlib.new(_name, b"")
_SIGNATURES_MAX: Final = 16
_REFERENCES_MAX: Final = 4_000


def compare(archive: Archive, lists: Collection[str], shown: Collection[str]) -> FileSignature:
    """Return how the parts compare with what was signed.

    lists: paths of Signatures.xml, one a document. shown: paths of the parts that the pages were drawn from; each must
    be signed if any is. Raises ArchiveRefused, XmlRefused.
    """
    if any(path not in archive for path in lists):
        return FileSignature(present=True)
    files = [
        (resolved(location, _folder(path)))
        for path in lists
        for node in read_xml(archive.read(path)).all("Signature")
        if (location := node.attributes.get("BaseLoc", ""))
    ][:_SIGNATURES_MAX]
    if not files:
        return FileSignature()
    compared: set[str] = set()
    for path in files:
        references = next((node for node in read_xml(archive.read(path)).walk() if node.name == "References"), None)
        name = _METHODS.get("" if references is None else references.attributes.get("CheckMethod", "").lower(), "")
        if references is None or name not in AVAILABLE:
            return FileSignature(present=True)
        for reference in references.all("Reference")[:_REFERENCES_MAX]:
            part = resolved(reference.attributes.get("FileRef", ""), _folder(path))
            if part not in archive or hashlib.new(name, archive.read(part)).digest() != _stated(reference):
                return FileSignature(True, len(compared), part)
            compared.add(part.casefold())
    unsigned = next((part for part in shown if part.casefold() not in compared), "")
    return FileSignature(True, len(compared), unsigned)


def _stated(reference: XmlNode) -> bytes:
    value = reference.child("CheckValue")
    try:
        return base64.b64decode("" if value is None else "".join(value.text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _folder(path: str) -> str:
    return path.rpartition("/")[0]

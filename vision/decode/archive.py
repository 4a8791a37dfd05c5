"""Reads a ZIP archive of strangers, in memory alone. Runs inside the decoding child only."""

from __future__ import annotations

import codecs
import io
import posixpath
import zipfile
import zlib
from typing import Final

ENTRIES_MAX: Final = 2_000  # an e-invoice has about 20, a statement of 50 pages some 200
ENTRY_BYTES_MAX: Final = 16 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 96 * 1024 * 1024  # of all entries that are read

codecs.lookup("cp437")  # of old entry names; before the fork: a child can open no module
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_PIECE_BYTES: Final = 1 << 20


class ArchiveRefused(ValueError):
    """The archive, or an entry of it, is not read; the message says why."""


class Archive:
    """The entries of a ZIP archive by their path. Nothing is written anywhere; entries are unpacked as they are asked
    for, within limits that count what comes out, whatever the archive promises."""

    def __init__(self, data: bytes) -> None:
        """Raise ArchiveRefused for an archive that is broken, encrypted or ambiguous, or leads out of itself."""
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, EOFError):
            raise ArchiveRefused("the archive breaks off or is damaged") from None
        entries = self._file.infolist()
        if len(entries) > ENTRIES_MAX:
            raise ArchiveRefused(f"the archive has {len(entries)} entries; at most {ENTRIES_MAX} are read")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            if entry.is_dir():
                continue
            path = _inside(entry.filename)
            if path.casefold() in self._entries:
                raise ArchiveRefused(f"the archive has two entries called {path[:60]}")
            if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
                raise ArchiveRefused("the archive is encrypted or packed in a way that is not read")
            self._entries[path.casefold()] = entry
        self._unpacked_bytes = 0
        self._kept: dict[str, bytes] = {}

    def __contains__(self, path: str) -> bool:
        """True if there is an entry of that path, in capitals or not: programs differ in that."""
        return path.casefold() in self._entries

    def read(self, path: str) -> bytes:
        """Return the content of an entry. Raises ArchiveRefused if there is none, or it is broken or too large."""
        name = path.casefold()
        if name in self._kept:
            return self._kept[name]
        entry = self._entries.get(name)
        if entry is None:
            raise ArchiveRefused(f"{path[:80]} is not in the archive")
        pieces: list[bytes] = []
        size = 0
        try:
            with self._file.open(entry) as content:
                while piece := content.read(_PIECE_BYTES):
                    pieces.append(piece)
                    size += len(piece)
                    self._unpacked_bytes += len(piece)
                    if size > ENTRY_BYTES_MAX or self._unpacked_bytes > UNPACKED_BYTES_MAX:
                        raise ArchiveRefused(f"{path[:80]} unpacks to more than any paper has")
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OSError) as error:
            if isinstance(error, ArchiveRefused):
                raise
            raise ArchiveRefused(f"{path[:80]} is damaged") from None
        self._kept[name] = b"".join(pieces)
        return self._kept[name]


def resolved(reference: str, folder: str) -> str:
    """Return the path that a reference means in a file of `folder`: from the root if it begins with a slash. Raises
    ArchiveRefused if it leads out of the archive."""
    reference = reference.strip()
    return _inside(reference[1:] if reference.startswith("/") else posixpath.join(folder, reference))


def _inside(name: str) -> str:
    path = posixpath.normpath(name)
    if name.startswith("/") or "\\" in name or "\0" in name or path == "." or path.split("/")[0] == "..":
        raise ArchiveRefused(f"{name[:80]!r} leads out of the archive")
    return path

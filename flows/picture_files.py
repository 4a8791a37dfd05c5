"""Reads pictures from folders and tar files, one after another, and skips other files.

Nothing is unpacked to disk and no link is followed. Files that cannot be read are named with the reason, and reading
goes on; of an archive that ends too early everything before the break counts.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, Self, cast

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
REFERENCE_CHARS_MAX: Final = 500

RefusedWhy = Literal[
    "file_too_large",
    "link",  # symbolic or hard: it may lead anywhere
    "not_a_file",  # a device or a pipe under a picture's name
    "unreadable",
    "not_an_archive",
    "truncated_archive",
    "broken_archive",
]
# What Python's decompressors raise for a damaged or shortened stream.
_BROKEN: Final = (tarfile.TarError, EOFError, zlib.error, OSError)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture's file. reference: its name below the folder or in the archive. position: bytes of all sources up to
    its end."""

    reference: str
    data: bytes
    position: int


@dataclass(frozen=True, slots=True)
class FileRefused:
    """A file that is not read. detail: the reason in words."""

    reference: str
    why: RefusedWhy
    detail: str
    position: int


def bytes_of(sources: Sequence[Path]) -> int:
    """Returns the bytes to read, as far as sizes on disk tell, for a progress bar."""
    return sum(_size(path) for source in sources for path in _pictures_below(source))


def read(sources: Sequence[Path], file_bytes_max: int) -> Iterator[PictureFile | FileRefused]:
    """Yields every picture of the sources: by name in folders, in the stored order in archives. A source is a folder, a
    picture or a tar file (plain, gzip, bzip2 or xz)."""
    behind = 0
    for source in sources:
        for path in _pictures_below(source):
            if path.suffix.lower() in SUFFIXES:
                behind += _size(path)
                yield _file(
                    path, path.relative_to(source) if source.is_dir() else Path(path.name), behind, file_bytes_max
                )
            else:
                yield from _archive(path, behind, file_bytes_max)
                behind += _size(path)


def _pictures_below(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    for folder, names, files in os.walk(source):
        names.sort()
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        for name in sorted(files + links):
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(folder, name)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _file(path: Path, name: Path, behind: int, file_bytes_max: int) -> PictureFile | FileRefused:
    reference = printable(str(name))
    if path.is_symlink():
        return FileRefused(reference, "link", "links are not followed", behind)
    if not path.is_file():
        return FileRefused(reference, "not_a_file", "a folder, device or pipe under a picture's name", behind)
    try:
        with path.open("rb") as file:
            data = file.read(file_bytes_max + 1)
    except OSError as error:
        return FileRefused(reference, "unreadable", error.strerror or "cannot be opened", behind)
    if len(data) > file_bytes_max:
        return FileRefused(reference, "file_too_large", f"{_size(path)} bytes, at most {file_bytes_max}", behind)
    return PictureFile(reference, data, behind)


def _archive(path: Path, behind: int, file_bytes_max: int) -> Iterator[PictureFile | FileRefused]:
    name = printable(path.name)
    try:
        opened = path.open("rb")
    except OSError as error:
        yield FileRefused(name, "unreadable", error.strerror or "cannot be opened", behind)
        return
    with opened as file:
        begun, ended = False, [False]
        try:
            with tarfile.open(fileobj=file, mode="r|*", tarinfo=_noting_the_end(ended)) as tar:
                begun = True
                while (member := tar.next()) is not None:
                    # tarfile keeps members for seeking, which a stream cannot do: a million of them take a gigabyte.
                    cast(Any, tar).members.clear()
                    if Path(member.name).suffix.lower() in SUFFIXES and not member.isdir():
                        yield _member(tar, member, lambda: behind + file.tell(), file_bytes_max)
        except _BROKEN as error:
            if not begun:
                yield FileRefused(name, "not_an_archive", f"neither a picture nor a tar file: {error}", behind)
            else:
                cut = file.tell() >= _size(path)
                why: RefusedWhy = "truncated_archive" if cut else "broken_archive"
                yield FileRefused(name, why, f"{error}; what came before it is kept", behind + file.tell())
            return
        if not ended[0]:
            yield FileRefused(
                name, "truncated_archive", "no end mark; what came before it is kept", behind + file.tell()
            )


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, position: Callable[[], int], file_bytes_max: int
) -> PictureFile | FileRefused:
    reference = printable(member.name)
    if member.issym() or member.islnk():
        return FileRefused(reference, "link", "links are not followed", position())
    if not member.isfile():
        return FileRefused(reference, "not_a_file", "a device or pipe under a picture's name", position())
    if member.size > file_bytes_max:
        return FileRefused(reference, "file_too_large", f"{member.size} bytes, at most {file_bytes_max}", position())
    file = cast(IO[bytes], tar.extractfile(member))
    data = file.read()
    return PictureFile(reference, data, position())


def _noting_the_end(ended: list[bool]) -> type[tarfile.TarInfo]:
    """Returns a TarInfo class that notes in `ended` whether the archive's end mark was read: tarfile takes a missing
    mark for an end, too."""

    class Member(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
            try:
                return super().fromtarfile(tarfile_)
            except tarfile.HeaderError as error:
                # The one header error that is no error: a block of zeros. It has no public name.
                ended[0] = ended[0] or type(error).__name__ == "EOFHeaderError"
                raise

    return Member


def printable(name: str) -> str:
    """Returns a file name as text that any database takes: bytes that are not UTF-8 and control characters become
    U+FFFD."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    clean = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return clean if len(clean) <= REFERENCE_CHARS_MAX else "..." + clean[3 - REFERENCE_CHARS_MAX :]

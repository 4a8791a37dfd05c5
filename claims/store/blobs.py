"""Evidence files and previews in any fsspec store, each under the SHA-256 of its bytes.

A file is written under a temporary name and moved to its key when it is complete: nobody ever reads half a file, and
equal files are stored once. In a local folder, files and folders are their owner's alone. Blocking; async callers use a
thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Any, Final, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from claims.errors import FileTooLarge, NotFound, StoreError

FILE_BYTES_MAX: Final = 25 * 1024 * 1024
_OWNERS_FOLDER: Final = 0o700
_OWNERS_FILE: Final = 0o600
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")


class BlobWriter:
    """A file being written. Use as a context manager: kept when `commit` was called, else removed without a trace."""

    def __init__(self, filesystem: Any, root: str, bytes_max: int) -> None:
        self._filesystem = filesystem
        self._root = root
        self._bytes_max = bytes_max
        self._path = f"{root}/incoming/{secrets.token_hex(16)}"
        self._hash = hashlib.sha256()
        self._file: Any = None
        self.size_bytes = 0

    def __enter__(self) -> BlobWriter:
        if isinstance(self._filesystem, LocalFileSystem):
            _own_folder(self._root, f"{self._root}/incoming")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._path, flags, _OWNERS_FILE), "wb")
        else:
            self._filesystem.makedirs(f"{self._root}/incoming", exist_ok=True)
            self._file = self._filesystem.open(self._path, "wb")
        return self

    def write(self, chunk: bytes) -> None:
        """Write a chunk. Raises FileTooLarge as soon as the limit is passed; what was written so far is dropped on
        leaving the context."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._bytes_max:
            raise FileTooLarge(f"a file has at most {self._bytes_max} bytes")
        self._hash.update(chunk)
        self._file.write(chunk)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of what was written so far, lower-case hex."""
        return self._hash.hexdigest()

    def commit(self) -> str:
        """Make the file durable under its key, and return the key: lower-case hex SHA-256."""
        sha256 = self._hash.hexdigest()
        target = _path(self._root, sha256)
        local = isinstance(self._filesystem, LocalFileSystem)
        self._file.flush()
        if local:
            os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        if local:
            _own_folder(self._root, os.path.dirname(target))
            os.replace(self._path, target)
            _sync_folder(os.path.dirname(target))
        elif self._filesystem.exists(target):
            self._filesystem.rm(self._path)
        else:
            self._filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            self._filesystem.mv(self._path, target)
        return sha256

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._filesystem.rm(self._path)


class BlobStore:
    """A store of files by hash. url: a folder of any fsspec store, `file:///var/lib/miaopei/evidence`,
    `s3://bucket/evidence`, `memory://x`."""

    def __init__(self, url: str) -> None:
        self.url = url
        filesystem, root = fsspec.core.url_to_fs(url)
        self._filesystem: Any = filesystem
        self._root = str(root).rstrip("/")

    def writer(self, bytes_max: int = FILE_BYTES_MAX) -> BlobWriter:
        """Return a writer that hashes as it goes and refuses more than `bytes_max`."""
        return BlobWriter(self._filesystem, self._root, bytes_max)

    def put(self, data: bytes, bytes_max: int = FILE_BYTES_MAX) -> str:
        """Store bytes that are in memory already; returns the key. Raises FileTooLarge."""
        with self.writer(bytes_max) as writer:
            writer.write(data)
            return writer.commit()

    def read(self, sha256: str) -> bytes:
        """Return the whole file.

        Raises NotFound, also for what is no SHA-256, and StoreError when the bytes are not what they were.
        """
        with self.open(sha256) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"file {sha256} in the evidence store is damaged")
        return data

    @contextmanager
    def open(self, sha256: str) -> Iterator[IO[bytes]]:
        """Open the file to read from, a piece at a time; its hash is not checked.

        Raises NotFound, and OSError where the whole store is away, which says nothing about the file.
        """
        try:
            opened = self._filesystem.open(_path(self._root, sha256), "rb")
        except FileNotFoundError as missing:
            if not self._filesystem.exists(self._root):
                raise OSError(errno.ENODEV, "the evidence store is away") from missing
            raise NotFound(f"no file {sha256}") from missing
        with opened as file:
            yield cast(IO[bytes], file)

    def exists(self, sha256: str) -> bool:
        """Return True if the file is there. Raises NotFound for what is no SHA-256."""
        return bool(self._filesystem.exists(_path(self._root, sha256)))

    def delete(self, sha256: str) -> None:
        """Delete the file; it need not exist."""
        try:
            self._filesystem.rm(_path(self._root, sha256))
        except FileNotFoundError:
            return

    def folders(self) -> list[str]:
        """Return the first level of folders that files lie in: two hex digits each."""
        return sorted(name for name in self._names("") if _FOLDER.fullmatch(name))

    def older_than(self, folder: str, before: datetime) -> list[str]:
        """Return the keys in one of `folders` of files that were last written before then."""
        keys = []
        for second in self._names(folder):
            for path, came in self._files(f"{folder}/{second}"):
                key = path.rsplit("/", 1)[-1]
                if _KEY.fullmatch(key) and came < before:
                    keys.append(key)
        return sorted(keys)

    def sweep_incoming(self, before: datetime) -> int:
        """Delete files last written before then that never got their key: uploads whose process died. Returns how
        many."""
        old = [path for path, came in self._files("incoming") if came < before]
        for path in old:
            try:
                self._filesystem.rm(path)
            except FileNotFoundError:
                continue  # its writer was only slow
        return len(old)

    def _names(self, folder: str) -> list[str]:
        try:
            listed = self._filesystem.ls(f"{self._root}/{folder}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rstrip("/").rsplit("/", 1)[-1] for path in listed]

    def _files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Yield each file's path and when it was last written."""
        try:
            listed = self._filesystem.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return
        for entry in listed:
            if entry["type"] == "file":
                yield str(entry["name"]), _came(entry)


def _came(listed: Mapping[str, Any]) -> datetime:
    """Return when a listed file was last written, in the terms of local, object and memory stores."""
    for name in ("mtime", "LastModified", "last_modified", "created"):
        written = listed.get(name)
        if isinstance(written, datetime):
            return written if written.tzinfo is not None else written.replace(tzinfo=UTC)
        if isinstance(written, int | float):
            return datetime.fromtimestamp(written, UTC)
    raise StoreError(f"the evidence store does not say how old {listed.get('name')} is")


def _path(root: str, sha256: str) -> str:
    """Return the file's path, two levels of folders deep, so that no folder grows too large.

    Only a SHA-256 becomes a path: no name from outside ever does.
    """
    if not _KEY.fullmatch(sha256):
        raise NotFound("not the SHA-256 of a file")
    return f"{root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _own_folder(root: str, path: str) -> None:
    """Make `path`, at or below `root`, where it is missing; closed to others from the root down."""
    if os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(root), exist_ok=True)
    below = os.path.relpath(path, root).split(os.sep)
    for end in range(len(below) + 1):
        with suppress(FileExistsError):
            os.mkdir(os.path.join(root, *below[:end]), _OWNERS_FOLDER)


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

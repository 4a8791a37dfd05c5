"""Streams multipart bodies into the evidence store while their SHA-256 is computed.

Nothing is spooled and nothing is kept before the whole request is accepted: a refused request leaves no file behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.http import sniff
from api.http.body import drain, stream_upload
from api.http.problems import Problem
from api.limits import HttpLimits
from claims.claim import EvidenceKind
from claims.store import holding
from claims.store.blobs import BlobStore, BlobWriter
from formats.cost import too_costly
from formats.header import HEADER_BYTES_MAX, read_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FLUSH_BYTES = 1 << 20  # a thread hop for each network read would cost more than the write itself


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A received file. `part` is the part's name, `media_type` as sniffed."""

    part: str
    declared_name: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class Form:
    """A received form. `fields` are the parts that are not files, by name."""

    fields: dict[str, bytes]
    uploads: list[ReceivedFile]
    _writers: list[BlobWriter]

    async def keep(self) -> None:
        """Store every file under its hash. Call it once nothing can be refused any more, just before the rows are
        written."""
        for writer in self._writers:
            await run_in_threadpool(writer.commit)
        self._writers.clear()

    def content(self) -> dict[str, object]:
        """Returns the content that was sent, whatever boundary the client chose: names and SHA-256 (hex) of files and
        fields, JSON-ready. A repeated request has the same content."""
        parts = [[upload.part, upload.declared_name, upload.sha256] for upload in self.uploads]
        fields = {name: hashlib.sha256(value).hexdigest() for name, value in self.fields.items()}
        return {"files": parts, "fields": fields}


async def hold_files(conn: AsyncConnection, blobs: BlobStore, sha256s: Collection[str]) -> None:
    """Lock these files against deletion by an erasure of another claim. Call it when the rows that name them are
    written, just before the commit.

    Raises Problem `store_unavailable` when an erasure has just deleted one: the request is to be sent again, file and
    all.
    """
    await holding.hold(conn, sha256s)
    for sha256 in set(sha256s):
        if not await run_in_threadpool(blobs.exists, sha256):
            raise Problem("store_unavailable", "A file has just been deleted. Send it again.", {"Retry-After": "1"})


@asynccontextmanager
async def receive_form(
    request: Request,
    blobs: BlobStore,
    limits: HttpLimits,
    *,
    fields: Collection[str],
    kinds: Collection[EvidenceKind],
    files_max: int,
) -> AsyncIterator[Form]:
    """Receive the multipart body of `request`: fields named in `fields`, files in parts named by `kinds`.

    Raises Problem. Files that were not kept by `Form.keep` are discarded when the context ends, however it ends.
    """
    async with _reading(request, blobs, limits, frozenset(fields), frozenset(kinds), files_max) as reader:
        parser = MultipartParser(
            _boundary(request),
            reader.callbacks(),
            max_header_count=limits.part_headers_max,
            max_header_size=limits.part_header_bytes_max,
        )
        async for piece in stream_upload(request, limits):
            parser.write(piece)
            await reader.settle(FLUSH_BYTES)
        parser.finalize()
        if not reader.ended:
            raise Problem("malformed_multipart", "The body ends before its last boundary.")
        await reader.settle()
        yield reader.form()


@asynccontextmanager
async def receive_file(
    request: Request, blobs: BlobStore, limits: HttpLimits, *, kind: EvidenceKind, name: str
) -> AsyncIterator[Form]:
    """Receive the raw body of `request` as one file, with the guarantees of `receive_form`."""
    async with _reading(request, blobs, limits, frozenset(), frozenset({kind}), 1) as reader:
        reader.open(kind, name)
        async for piece in stream_upload(request, limits):
            reader.data(piece)
            await reader.settle(FLUSH_BYTES)
        reader.close()
        await reader.settle()
        yield reader.form()


@asynccontextmanager
async def _reading(
    request: Request,
    blobs: BlobStore,
    limits: HttpLimits,
    fields: frozenset[str],
    kinds: frozenset[EvidenceKind],
    files_max: int,
) -> AsyncIterator[_Reader]:
    # Leaving the stack removes every draft that was not committed; a few unlinks, so no thread is worth it.
    with ExitStack() as drafts:
        try:
            yield _Reader(blobs, limits, fields, kinds, files_max, drafts)
        except FormParserError as error:
            await drain(request, limits)
            raise Problem("malformed_multipart", str(error)) from error
        except Problem:
            await drain(request, limits)
            raise


def _boundary(request: Request) -> bytes:
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type != b"multipart/form-data":
        raise Problem("unsupported_content_type", "Send multipart/form-data.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem("malformed_multipart", "The content type names no boundary.")
    return boundary


@dataclass(slots=True)
class _File:
    kind: EvidenceKind
    declared_name: str
    writer: BlobWriter
    head: bytes = b""
    size_bytes: int = 0
    media_type: str = ""
    judged: bool = False


@dataclass(slots=True)
class _Reader:
    """Handles the parser's callbacks. Bytes gather in `pending` and are written to the store in `settle`, off the event
    loop."""

    blobs: BlobStore
    limits: HttpLimits
    known_fields: frozenset[str]
    kinds: frozenset[EvidenceKind]
    files_max: int
    drafts: ExitStack
    fields: dict[str, bytes] = field(default_factory=dict)
    files: list[_File] = field(default_factory=list)
    ended: bool = False
    _header_name: bytes = b""
    _header_value: bytes = b""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _file: _File | None = None
    _field: str = ""
    _pending: list[tuple[BlobWriter, bytes]] = field(default_factory=list)
    _pending_bytes: int = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self.close,
            "on_end": self._on_end,
        }

    def form(self) -> Form:
        uploads = [
            ReceivedFile(file.kind, file.declared_name, file.media_type, file.writer.sha256, file.size_bytes)
            for file in self.files
        ]
        return Form(self.fields, uploads, [file.writer for file in self.files])

    async def settle(self, bytes_min: int = 0) -> None:
        """Write the pending bytes, once there are at least `bytes_min`."""
        if self._pending_bytes >= bytes_min and self._pending:
            pending, self._pending, self._pending_bytes = self._pending, [], 0
            await run_in_threadpool(_write_all, pending)

    def open(self, kind: EvidenceKind, declared_name: str) -> None:
        if len(self.files) >= self.files_max:
            raise Problem("too_many_files", f"At most {self.files_max} more files are taken here.")
        writer = self.drafts.enter_context(self.blobs.writer(self.limits.file_bytes_max))
        self._file = _File(kind, declared_name, writer)
        self.files.append(self._file)

    def data(self, piece: bytes) -> None:
        if self._field:
            self.fields[self._field] += piece
            if sum(map(len, self.fields.values())) > self.limits.json_bytes_max:
                raise Problem("json_too_large", f"At most {self.limits.json_bytes_max} bytes of JSON.")
            return
        file = self._file
        assert file is not None, "data outside a part"
        file.size_bytes += len(piece)
        if file.size_bytes > self.limits.file_bytes_max:
            raise Problem("file_too_large", f"At most {self.limits.file_bytes_max} bytes a file.", part=file.kind)
        if not file.judged:
            file.head += piece[: HEADER_BYTES_MAX - len(file.head)]
            if not file.media_type and len(file.head) >= sniff.HEAD_BYTES:
                _sniff(file)
            if len(file.head) == HEADER_BYTES_MAX:
                _judge(file)
        self._pending.append((file.writer, piece))
        self._pending_bytes += len(piece)

    def close(self) -> None:
        """Finish the part."""
        self._field = ""
        file, self._file = self._file, None
        if file is None:
            return
        if not file.size_bytes:
            raise Problem("empty_file", "A file has no bytes.", part=file.kind)
        if not file.media_type:
            _sniff(file)
        if not file.judged:
            _judge(file)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if disposition != b"form-data" or not name:
            raise Problem("malformed_multipart", "A part has no name.")
        if name in self.known_fields:
            if name in self.fields:
                raise Problem("malformed_multipart", f"The part `{name}` comes twice.")
            self._field = name
            self.fields[name] = b""
        elif name in self.kinds:
            self.open(EvidenceKind(name), options.get(b"filename", b"").decode("utf-8", "replace"))
        else:
            expected = ", ".join(sorted(self.known_fields | self.kinds))
            raise Problem("unknown_part", f"Parts known here: {expected}.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.data(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


def _write_all(pending: list[tuple[BlobWriter, bytes]]) -> None:
    for writer, piece in pending:
        writer.write(piece)


def _sniff(file: _File) -> None:
    file.media_type = sniff.media_type(file.head)
    accepted = sniff.ACCEPTED[file.kind]
    if file.media_type not in accepted:
        sent = file.media_type or sniff.in_words(file.head)
        detail = f"A {file.kind} may be {', '.join(sorted(accepted))}; this file is {sent}."
        raise Problem("unsupported_media", detail, part=file.kind)


def _judge(file: _File) -> None:
    """Refuse what the decoder could not take, before anybody is told that it was accepted. What the first bytes do not
    tell is left to the decoder."""
    head, file.head, file.judged = file.head, b"", True
    header = read_header(head, file.media_type)
    if header is None:
        return
    if header.unread:
        detail = (
            f"This is {header.unread}, which cannot be read; send it as the phone's camera makes it, or a screenshot of"
            " it."
        )
        raise Problem("unsupported_media", detail, part=file.kind)
    if words := too_costly(header):
        raise Problem("picture_too_large", f"{words}.", part=file.kind)

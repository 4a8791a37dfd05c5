"""A PostgreSQL filled with drawn photos for `benchmarks.library`: bulk loading, index building, sizes.

The rows go into the product's own table and indexes, by COPY. Their keypoints and thumbnails are empty, as a search
reads them only for the rows that it returns; the size of real rows is measured apart (`row_bytes_real`).
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, DropIndex

from api.postgres import Postgres
from fixtures import caltech
from vision.copies.descriptor import DIMENSIONS
from vision.copies.fingerprint import Fingerprinter
from vision.copies.keypoints import Keypoints
from vision.library.photos import LibraryPhoto, publish
from vision.library.tables import PDQ_BITS, library_photos

HNSW_INDEXES: Final = ("ix_library_photos_pdq", "ix_library_photos_descriptor")
COPY_ROWS: Final = 25_000
CLAIM_PHOTOS: Final = 4  # rows that belong to one drawn claim


def photo_id(number: int) -> str:
    """Returns the photo id of the drawn row with this number, counted from 0."""
    return f"drawn-{number:010d}"


def owner_claim(number: int) -> str:
    """Returns the drawn claim that the row belongs to."""
    return f"claim-{number // CLAIM_PHOTOS:010d}"


@contextmanager
def server(home: Path) -> Iterator[Postgres]:
    """Starts PostgreSQL with the settings that docs/operating.md names for a large library."""
    memory_mib = psutil.virtual_memory().total // 2**20
    made = Postgres(home, durable=True, stop_seconds_max=300)
    made.start()
    try:
        for name, value in {
            "shared_buffers": f"{min(4096, memory_mib // 4)}MB",
            "max_wal_size": "8GB",
            "checkpoint_timeout": "30min",
            "jit": "off",
        }.items():
            made.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        made.stop()
        made.start()
        yield made
    finally:
        made.stop()


async def fill(
    conn: AsyncConnection,
    first: int,
    descriptors: NDArray[np.float16],
    hashes: NDArray[np.uint8],
    usable: NDArray[np.bool_],
    model: str,
) -> None:
    """Copies rows, numbered from `first`. descriptors: (n, 256). hashes: (n, 32). usable: (n,), True if the hash is
    kept."""
    raw = (await conn.get_raw_connection()).driver_connection
    assert raw is not None
    for start in range(0, len(descriptors), COPY_ROWS):
        for with_pdq in (True, False):
            rows = np.arange(start, min(start + COPY_ROWS, len(descriptors)))
            rows = rows[usable[rows] == with_pdq]
            if len(rows):
                names, content = _copy_content(
                    rows + first, descriptors[rows], hashes[rows] if with_pdq else None, model
                )
                await raw.copy_to_table("library_photos", source=io.BytesIO(content), columns=names, format="binary")


def _copy_content(
    numbers: NDArray[np.int64], descriptors: NDArray[np.float16], hashes: NDArray[np.uint8] | None, model: str
) -> tuple[list[str], bytes]:
    """Returns columns and rows in PostgreSQL's binary COPY format. Every field has a fixed length: rows are one
    array.
    """
    nothing = Keypoints(8, 8, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)).to_bytes()
    thumbnail = zlib.compress(bytes(64), 1)
    digests = [hashlib.sha256(f"drawn {number}".encode()).hexdigest() for number in numbers.tolist()]
    count = len(numbers)
    halves = np.empty(count, dtype=[("dim", ">i2"), ("unused", ">i2"), ("values", ">f2", (DIMENSIONS,))])
    halves["dim"], halves["unused"], halves["values"] = DIMENSIONS, 0, descriptors
    columns: dict[str, NDArray[Any]] = {
        "photo_id": np.array([photo_id(n) for n in numbers.tolist()], "S16"),
        "source": np.full(count, b"claim", "S5"),
        "owner_claim": np.array([owner_claim(n) for n in numbers.tolist()], "S16"),
        "owner_subject": np.array([f"subject-{n // CLAIM_PHOTOS:08d}" for n in numbers.tolist()], "S16"),
        "sha256": np.array(digests, "S64"),
        "pixel_sha256": np.array([digest[::-1] for digest in digests], "S64"),
        "phash": numbers.astype(">i8"),
        "dhash": numbers.astype(">i8"),
        "whash": numbers.astype(">i8"),
        "pdq_quality": np.full(count, 100 if hashes is not None else 0, ">i2"),
        "descriptor": halves,
        "descriptor_model": np.full(count, model.encode(), f"S{len(model.encode())}"),
        # numpy strips zeros off the end of byte strings: raw bytes are kept as void
        "keypoints": np.full(count, np.void(nothing)),
        "thumbnail": np.full(count, np.void(thumbnail)),
        "thumbnail_width": np.full(count, 8, ">i2"),
        "thumbnail_height": np.full(count, 8, ">i2"),
        "width_px": np.full(count, 8, ">i4"),
        "height_px": np.full(count, 8, ">i4"),
    }
    if hashes is not None:
        bits = np.empty(count, dtype=[("length", ">i4"), ("bytes", "u1", (PDQ_BITS // 8,))])
        bits["length"], bits["bytes"] = PDQ_BITS, hashes
        columns["pdq"] = bits
    layout: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, values in columns.items():
        layout += [(f"{name} length", ">i4"), (name, values.dtype)]
    rows = np.empty(count, dtype=layout)
    rows["fields"] = len(columns)
    for name, values in columns.items():
        rows[f"{name} length"] = values.dtype.itemsize
        rows[name] = values
    return list(columns), b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


async def drop_indexes(conn: AsyncConnection) -> None:
    """Drops the two HNSW indexes, as before a bulk load."""
    for index in library_photos.indexes:
        if index.name in HNSW_INDEXES:
            await conn.execute(DropIndex(index, if_exists=True))


async def build_indexes(conn: AsyncConnection, memory_mib: int) -> dict[str, float]:
    """Builds both HNSW indexes from a filled table, on all cores. Returns seconds by name."""
    seconds = {}
    await conn.execute(text(f"SET LOCAL maintenance_work_mem = '{memory_mib}MB'"))
    await conn.execute(text(f"SET LOCAL max_parallel_maintenance_workers = {max(0, (os.cpu_count() or 1) - 1)}"))
    await conn.execute(text("SET LOCAL statement_timeout = 0"))
    for index in sorted(library_photos.indexes, key=lambda index: str(index.name)):
        if index.name in HNSW_INDEXES:
            began = time.monotonic()
            await conn.execute(CreateIndex(index))
            seconds[str(index.name)] = round(time.monotonic() - began, 1)
    return seconds


async def sizes_mib(conn: AsyncConnection) -> dict[str, float]:
    """Returns the sizes of the table and of every index, in MiB."""
    rows = await conn.execute(
        text(
            "SELECT 'table' AS name, pg_table_size('library_photos') AS bytes UNION ALL"
            " SELECT indexname, pg_relation_size(indexname::regclass) FROM pg_indexes"
            " WHERE tablename = 'library_photos'"
        )
    )
    return {row.name: round(row.bytes / 2**20, 1) for row in rows}


async def prewarm(conn: AsyncConnection) -> None:
    """Reads the table and its HNSW indexes into shared memory, as after a restart."""
    await conn.execute(text("CREATE EXTENSION IF NOT EXISTS pg_prewarm"))
    for name in ("library_photos", "pk_library_photos", *HNSW_INDEXES):
        there = (await conn.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})).scalar_one()
        if there:  # a graph of many rows is not built
            await conn.execute(text("SELECT pg_prewarm(CAST(:name AS regclass))"), {"name": name})


async def row_bytes_real(conn: AsyncConnection, count: int) -> float:
    """Returns the bytes of a real photo's row with keypoints and thumbnail, toasted parts included, without indexes."""
    fingerprinter = Fingerprinter()
    photos = [
        LibraryPhoto(
            f"real-{photo.sha256}", "stock", fingerprinter.fingerprint(caltech.as_picture(photo.pixels), photo.sha256)
        )
        for photo, _ in zip(caltech.photos("train"), range(count), strict=False)
    ]
    before = (await conn.execute(text("SELECT pg_table_size('library_photos')"))).scalar_one()
    await publish(conn, photos)
    after = (await conn.execute(text("SELECT pg_table_size('library_photos')"))).scalar_one()
    return float(round((after - before) / count))

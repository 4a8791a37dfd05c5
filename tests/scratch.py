"""Folders for database servers that need not survive the tests, in memory where there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

MEMORY: Final = Path("/dev/shm")
FREE_BYTES_MIN: Final = 3 << 30  # several servers of up to 500 MB, and what the tests themselves take


@contextmanager
def server_folder() -> Iterator[Path]:
    """Yields an empty folder that every user may enter, deleted afterwards. A database's 300 files take 40 ms in
    memory, 600 ms on a disk. pytest's own temporary folder is closed to the account that PostgreSQL runs as.
    """
    folder = Path(tempfile.mkdtemp(prefix="miaopei-test-", dir=memory_folder()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def memory_folder() -> Path | None:
    """Returns the memory file system, or None (the usual place of temporary files) if it has no room to spare."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        return None
    room = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
    return MEMORY if room >= FREE_BYTES_MIN else None

"""A folder for the time of a measurement."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields a folder open to other users: PostgreSQL, which does not run as root, keeps its data in it."""
    home = Path(tempfile.mkdtemp(prefix="miaopei-bench-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)

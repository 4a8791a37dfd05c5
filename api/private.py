"""Makes files and folders of an installation that only their owner may read, whatever the starter's umask."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

UMASK: Final = 0o077
_FOLDER: Final = 0o700
_FILE: Final = 0o600
_PASSAGE: Final = 0o711


def open_home(home: Path) -> None:
    """Make the home folder and what is missing above it, and close what an earlier version left open in it.

    When root starts the stack, PostgreSQL runs as another user and passes through the home to its own folder, so a home
    that root makes may be entered, and nothing in it read.
    """
    made = [folder for folder in (home, *home.parents) if not folder.exists()]
    for folder in reversed(made):
        folder.mkdir(exist_ok=True)
        folder.chmod(_PASSAGE if os.geteuid() == 0 else _FOLDER)
    for entry in home.iterdir():
        with suppress(FileNotFoundError):  # another process's draft
            _close(entry)


def _close(entry: Path) -> None:
    status = entry.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.geteuid():
        return  # the database's folder belongs to its user and looks after itself
    is_folder = stat.S_ISDIR(status.st_mode)
    if is_folder and stat.S_IMODE(status.st_mode) == _PASSAGE:
        return  # another home in this one, the demo's
    if status.st_mode & UMASK:
        entry.chmod(_FOLDER if is_folder else _FILE)


def folder(path: Path) -> Path:
    """Returns `path`, made when missing; closed to others either way."""
    path.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    if path.stat().st_mode & UMASK:
        path.chmod(_FOLDER)
    return path


def appended(path: Path) -> IO[bytes]:
    """Returns the file, open for appending; closed to others from its first byte, and closed now where it was not."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _FILE)
    os.fchmod(descriptor, _FILE)
    return os.fdopen(descriptor, "ab")


def write(path: Path, text: str) -> None:
    """Replace the whole file at once."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(draft, path)


def write_once(path: Path, text: str) -> None:
    """Write the file unless it exists: of several processes that start at once one wins, and the file is never half
    written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    write(draft, text)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()

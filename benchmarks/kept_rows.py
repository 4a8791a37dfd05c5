"""Rows of a long measurement, kept in a file as they come: a run that is cut short goes on where it ended."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from api.commands.benches import CannotMeasure

ROOT: Final = Path(__file__).resolve().parents[1]
MEASURED: Final = ("vision", "models", "formats", "fixtures")
_CODE: Final = (".py", ".yaml", ".json", ".safetensors", ".onnx")
_SOURCE: Final = "source_sha256"


def source_digest(root: Path = ROOT, folders: Iterable[str] = MEASURED) -> str:
    """Returns the SHA-256 of what reads and what draws the pages: names and contents of code, tables and weights in the
    folders. Measured figures (`models/results`) and training code, which do neither, are left out."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in _CODE and path.is_file() and not name.startswith(("models/results/", "models/train/")):
                digest.update(f"{name}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


class KeptRows:
    """The rows of one file by name, one JSON line each, the first line naming the code. Without a file nothing is
    kept. Threads may share it."""

    def __init__(self, path: Path | None, source_sha256: str) -> None:
        """Raises CannotMeasure for a file that other code began, and for one that is none of ours."""
        self._path = path
        self._lock = threading.Lock()
        self._rows: dict[str, Mapping[str, Any]] = {}
        if path is None:
            return
        head = {_SOURCE: source_sha256}
        if path.exists() and path.stat().st_size:
            self._rows = _read(path, head)
        else:
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def get(self, name: str) -> Mapping[str, Any] | None:
        """Returns the row of this name, None if it is still to be measured."""
        return self._rows.get(name)

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """Keeps the row: it is in the file when this returns."""
        with self._lock:
            self._rows[name] = row
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": name, **row}, ensure_ascii=False) + "\n")


def _read(path: Path, head: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Returns the rows of the file. A last line without its end was being written when the run stopped: it is cut
    off."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        first, *lines = [json.loads(line) for line in whole.splitlines()]
        rows = {str(line.pop("name")): line for line in lines}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CannotMeasure(f"{path} holds no rows of this benchmark; give --rows another file") from error
    if first != head:
        raise CannotMeasure(f"{path} was begun by another version of the code; give --rows another file, or remove it")
    if len(whole) < len(data):
        path.write_bytes(whole)
    return rows

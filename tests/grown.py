"""A copy of the tree with an added file and a changed line, as after an addition to a registry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.planted.planting import copy_of


@contextmanager
def grown(new: Mapping[str, str], changed: Mapping[str, tuple[tuple[str, str], ...]]) -> Iterator[Path]:
    """Yields a changed copy of the tree. new: text by path. changed: replacements by path, each old text there once."""
    with copy_of() as tree:
        for path, text in new.items():
            assert not (tree / path).exists(), path
            (tree / path).write_text(text, encoding="utf-8")
        for path, edits in changed.items():
            source = (tree / path).read_text(encoding="utf-8")
            for old, replacement in edits:
                assert source.count(old) == 1, (path, old)
                source = source.replace(old, replacement)
            (tree / path).unlink()  # the copy's files are links: never write into one
            (tree / path).write_text(source, encoding="utf-8")
        yield tree


def environment(tree: Path, **more: str) -> dict[str, str]:
    """Returns the environment for a process of the tree, without the caller's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIAOPEI_", "PREFECT_"))}
    return {**kept, "PYTHONPATH": str(tree), **more}


def run_in(tree: Path, code: str, **more: str) -> str:
    """Returns the standard output of a program that imports the tree's own packages."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env=environment(tree, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

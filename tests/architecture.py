"""Figures of the import graph, of this tree or of a commit.

    python -m tests.architecture [--rev REV]

Prints one line of JSON. modules, packages: rooms of the house. arrows: imports of one module of the house by another.
upward: arrows between top packages that go up (`FLOORS`). circles: groups of siblings of which each reaches each other
one. to_cut: arrows whose removal ends the circles, as import-linter nominates them; listed under `cut`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).resolve().parents[1]
# From below. Training recipes live in `models` and stand above everything: nobody imports them.
FLOORS = (
    ("models", "formats"),
    ("claims", "vision"),
    ("flows", "fixtures"),
    ("api",),
    ("benchmarks",),
    ("models.train",),
)
PACKAGES = tuple(sorted(name for floor in FLOORS for name in floor if "." not in name))


def figures(graph: grimp.ImportGraph) -> dict[str, Any]:
    """Returns the figures of a graph that was built of `PACKAGES` without external packages."""
    arrows = [(importer, to) for importer in graph.modules for to in graph.find_modules_directly_imported_by(importer)]
    upward = sorted(f"{importer} -> {to}" for importer, to in arrows if _floor(importer) < _floor(to))
    packages = sorted(name for name in graph.modules if graph.find_children(name))
    cut = sorted(
        f"{importer} -> {to}" for package in packages for importer, to in graph.nominate_cycle_breakers(package)
    )
    return {
        "modules": len(graph.modules),
        "packages": len(packages),
        "arrows": len(arrows),
        "upward": len(upward),
        "circles": sum(len(list(_circles(graph, package))) for package in packages),
        "to_cut": len(cut),
        "up": upward,
        "cut": cut,
    }


def _floor(module: str) -> int:
    return max(
        number
        for number, names in enumerate(FLOORS)
        if any(module == name or module.startswith(f"{name}.") for name in names)
    )


def _circles(graph: grimp.ImportGraph, package: str) -> Iterator[frozenset[str]]:
    """Yields each largest group of children of `package` that all import each other, directly or not."""
    children = sorted(graph.find_children(package))
    reached = {child: _reached(graph, child, children) for child in children}
    left = set(children)
    while left:
        child = min(left)
        group = {child} | {other for other in reached[child] if child in reached[other]}
        left -= group
        if len(group) > 1:
            yield frozenset(group)


def _reached(graph: grimp.ImportGraph, start: str, children: list[str]) -> set[str]:
    """Returns the siblings that `start` imports, directly or through other siblings alone."""
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        importer = ahead.pop()
        for to in children:
            if to in reached or to == importer:
                continue
            if graph.direct_import_exists(importer=importer, imported=to, as_packages=True):
                reached.add(to)
                ahead.append(to)
    return reached - {start}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rev", help="a commit; default: the files as they are")
    rev = parser.parse_args().rev
    if rev is None:
        sys.stdout.write(json.dumps(figures(grimp.build_graph(*PACKAGES, cache_dir=None))) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", rev, *PACKAGES], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        # A process of its own: packages are looked for on the path, and this process has its own there.
        code = "import json, grimp, runpy, sys; told = runpy.run_path(sys.argv[1]); "
        code += "print(json.dumps(told['figures'](grimp.build_graph(*told['PACKAGES'], cache_dir=None))))"
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).resolve())],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            check=True,
        )


if __name__ == "__main__":
    main()

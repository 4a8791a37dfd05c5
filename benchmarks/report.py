"""Output of the benchmarks: a table of nested figures, the machine in words, progress on standard error."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table


def machine() -> str:
    """Returns cores, memory and processor kind in words."""
    return f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}"


def figures_table(title: str, figures: Mapping[str, Any]) -> None:
    """Print nested figures, one a row, named by their path."""
    table = Table("figure", "value", title=title)
    for name, value in _flat(figures, ""):
        table.add_row(name, str(value))
    Console().print(table)


def _flat(figures: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

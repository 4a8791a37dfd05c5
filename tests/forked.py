"""Sandbox servers in processes of their own, forked from one process that has their modules loaded: loading them takes
0.6 s of CPU each time. This module imports nothing heavy, for every one of those processes imports it."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from typing import Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["fixtures.sandbox_bank", "fixtures.sandbox_insurer", __name__])


def start(module: str, arguments: Sequence[str], variables: Mapping[str, str]) -> ForkServerProcess:
    """Start what `python -m module arguments` runs, with these variables added to its environment."""
    process = _CONTEXT.Process(target=_serve, args=(module, tuple(arguments), dict(variables)))
    process.start()
    return process


def _serve(module: str, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    sys.argv[:] = [module, *arguments]
    importlib.import_module(module).main()

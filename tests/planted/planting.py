"""Plants a fault in a copy of the tree and runs the state machine there. The working tree is only read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.planted.faults import ROOT, DoesNotApply, Fault

# Built, not committed: what vision needs to measure anything.
BUILT: Final = ("models/ocr", "models/onnx", "api/pages/static/vendor")
SECONDS_MAX: Final = 1_800


@dataclass(frozen=True, slots=True)
class HuntResult:
    """The result of hunting a fault. by: the violation's code, or the failed test; "" when all held. error: reason
    why the hunt could not run.
    """

    fault: str
    where: str
    by: str
    words: str
    runs: int
    steps: int
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.by) and not self.error


@contextlib.contextmanager
def copy_of(root: Path = ROOT) -> Iterator[Path]:
    """Yields a copy of the committed and new files of the tree, deleted at the end. Files are linked where the folder
    allows: replace files, never write into one."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, check=True, capture_output=True
    )
    target = Path(tempfile.mkdtemp(prefix="miaopei-planted-"))
    try:
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, copied = root / name, target / name
            if source.is_symlink() or not source.is_file():
                continue
            copied.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, copied)
            except OSError:
                shutil.copyfile(source, copied)
        for name in BUILT:
            if (root / name).is_dir() and not (target / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).symlink_to(root / name, target_is_directory=True)
            elif (root / name).is_dir():
                _link_missing(root / name, target / name)
        yield target
    finally:
        shutil.rmtree(target)


def plant(fault: Fault, tree: Path) -> None:
    """Changes the files of the copy. Raises DoesNotApply without any change."""
    changed: dict[str, str] = {}
    for edit in fault.edits:
        source = changed.get(edit.path) or (tree / edit.path).read_text(encoding="utf-8")
        changed[edit.path] = edit.apply(source)
    for path, text in changed.items():
        compile(text, path, "exec")
        (tree / path).unlink()  # the link, not the file that the working tree has
        (tree / path).write_text(text, encoding="utf-8")


def look(codes: Sequence[str], tree: Path, measured: Path, *, runs: int, seed: int) -> dict[str, Any]:
    """Returns the report of that tree's machine, as `python -m tests.machine --json` prints it. Raises RuntimeError
    with the end of its errors if it prints none.
    """
    command = [sys.executable, "-m", "tests.machine", "--json", "--no-shrink", "--codes", ",".join(codes)]
    command += ["--runs", str(runs), "--seed", str(seed), "--measured", str(measured)]
    done = subprocess.run(
        command, cwd=tree, env=_environment(tree), capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode not in (0, 1) or not lines:
        raise RuntimeError(f"the machine ended with {done.returncode}: {done.stderr[-1500:]}")
    try:
        report: dict[str, Any] = json.loads(lines[-1])
    except json.JSONDecodeError as error:
        raise RuntimeError(f"the machine said {lines[-1]!r}: {done.stderr[-1500:]}") from error
    return report


def run_test(test: str, tree: Path) -> str:
    """Returns the first test of that file that fails in that tree, "" when all pass. Raises RuntimeError when they
    cannot run.
    """
    command = [sys.executable, "-m", "pytest", test, "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    done = subprocess.run(
        command, cwd=tree, env=_environment(tree), capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, 1) or (done.returncode == 1 and not failed):
        raise RuntimeError(f"the tests ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    return failed[0].removeprefix("FAILED ").split(" - ")[0].split("::")[-1] if failed else ""


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def hunt_for(fault: Fault, measured: Path, *, runs: int, seed: int) -> HuntResult:
    """Copies the tree, plants the fault, hunts it and deletes the copy."""
    try:
        with copy_of() as tree:
            plant(fault, tree)
            if fault.test:
                began = time.monotonic()
                failed = run_test(fault.test, tree)
                return HuntResult(fault.name, fault.where, failed, "", 0, 0, time.monotonic() - began)
            report = look(fault.codes, tree, measured, runs=runs, seed=seed)
    except (DoesNotApply, RuntimeError, subprocess.TimeoutExpired) as error:
        return HuntResult(fault.name, fault.where, "", "", 0, 0, 0.0, error=f"{type(error).__name__}: {error}")
    broken = report["violation"]
    if broken is None:
        return HuntResult(
            fault.name, fault.where, "", "", report["runs"], sum(report["steps"].values()), report["seconds"]
        )
    return HuntResult(
        fault.name, fault.where, broken["code"], broken["words"], broken["run"], broken["step"], report["seconds"]
    )


def _link_missing(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        other = target / path.relative_to(source)
        if path.is_file() and not other.exists():
            other.parent.mkdir(parents=True, exist_ok=True)
            other.symlink_to(path)

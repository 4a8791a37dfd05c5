"""Jobs that load models: pictures imported into the library and described anew, and models trained by a recipe.

Everything heavy is imported by the job that needs it: the process that runs jobs starts without torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

import models
from flows.errors import ImportStopped, JobRefused
from flows.operations.job import JobCall, JobParameters, JobResult
from flows.operations.upkeep import NAMED_MAX, Nothing

if TYPE_CHECKING:
    from flows.library import Runner
    from flows.operations.growing import ImportProgress

_RECIPES: Final = Path(models.__file__).parent / "train"
# A recipe gets nothing that opens the store, the bank or Prefect.
_PASSED_ON: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHON",
    "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "NVIDIA_", "TORCH_",
)  # fmt: skip
TAIL_LINES: Final = 20  # of a recipe's output that its result shows
LINE_CHARACTERS_MAX: Final = 300


class ImportParameters(JobParameters):
    path: str = Field(
        min_length=1,
        max_length=4_096,
        title="Path",
        description="Folder, picture or tar file on the machine of the runner process",
    )
    source: Literal["web", "stock"] = Field(
        default="web", title="Source", description="Where these pictures are known from"
    )
    workers: int = Field(default=1, ge=1, le=64, title="Workers", description="Batches worked on at once")


async def import_library(call: JobCall, wanted: ImportParameters) -> JobResult:
    """Add pictures to the library. Continues where it stopped; skips pictures that the library has already."""
    path = Path(wanted.path)
    if not path.exists():
        raise JobRefused("no_such_path", "there is no such file or folder on the machine of the runner process")
    from flows.library import ImportTarget, InThisProcess
    from flows.operations.growing import grow_library

    @contextmanager
    def batches() -> Iterator[Runner]:
        yield InThisProcess(wanted.workers)

    def advance(at: ImportProgress) -> None:
        call.advance(at.bytes_done, at.bytes_total)

    target = ImportTarget(call.config.store, wanted.source, call.config.descriptor)
    try:
        grown = await grow_library(target, [path], batches, advance=advance)
    except ImportStopped as error:
        raise JobRefused("import_stopped", "batches fail one after another; run it again to go on") from error
    report = grown.report
    # By reason and not by name: a file's name may be somebody's.
    reasons = sorted({why.split(":")[0] for why in (report.refused | report.failed).values()})
    for why in reasons[:NAMED_MAX]:
        call.warn(f"pictures left out: {why}")
    return JobResult(
        f"{report.added} added, {report.known} known, {len(report.refused)} refused, {len(report.failed)} failed",
        {
            "added": report.added,
            "known": report.known,
            "refused": len(report.refused),
            "failed": len(report.failed),
            "reasons": reasons,
            "seconds": round(grown.seconds, 1),
        },
        good=not report.failed,
    )


async def refingerprint(call: JobCall, _wanted: Nothing) -> JobResult:
    """Describe the library anew after the descriptor was changed. Continues where it stopped."""
    from flows.operations.growing import describe_library_anew

    done = await describe_library_anew(call.config.store, call.config.descriptor, advance=call.advance)
    return JobResult(
        f"{done.described} described anew by {done.descriptor}, {len(done.left)} left",
        {"descriptor": done.descriptor, "described": done.described, "left": len(done.left)},
    )


def recipes() -> list[str]:
    """Returns the names of the training recipes, modules of `models.train` with a command of their own."""
    return sorted(
        path.stem for path in _RECIPES.glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    )


def _known(recipe: str) -> str:
    if recipe not in recipes():
        raise ValueError(f"is one of: {', '.join(recipes())}")
    return recipe


class RetrainParameters(JobParameters):
    recipe: Annotated[str, AfterValidator(_known)] = Field(
        title="Recipe", description="A recipe of models/train", json_schema_extra={"enum": list(recipes())}
    )
    arguments: tuple[Annotated[str, StringConstraints(min_length=1, max_length=500)], ...] = Field(
        default=(), max_length=20, title="Arguments", description="Of its command line, as its first lines name them"
    )


async def retrain(call: JobCall, wanted: RetrainParameters) -> JobResult:
    """Run a training recipe in a process of its own, without any secret; cancelled, it is stopped."""
    began, tail = time.monotonic(), deque[str](maxlen=TAIL_LINES)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"models.train.{wanted.recipe}", *wanted.arguments,
        cwd=Path(models.__file__).parent.parent,
        env={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(call.config.recipe_hours_max * 3_600):
            await _follow(process, call, tail)
            code = await process.wait()
    except TimeoutError:
        raise JobRefused("took_too_long", f"stopped after {call.config.recipe_hours_max:g} hours") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    data: dict[str, Any] = {
        "recipe": wanted.recipe, "exit_code": code, "seconds": round(time.monotonic() - began, 1), "tail": list(tail),
    }  # fmt: skip
    return JobResult(f"recipe {wanted.recipe} ended with exit code {code}", data, good=code == 0)


async def _follow(process: asyncio.subprocess.Process, call: JobCall, tail: deque[str]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # a line without an end, longer than the buffer
            continue
        if not line:
            return
        words = line.decode("utf-8", "replace").rstrip()[:LINE_CHARACTERS_MAX]
        if words:
            tail.append(words)
            call.info(words)

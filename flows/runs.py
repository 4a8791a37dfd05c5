"""A run of work and its presentation: the values that `flows.tracking` hands to `flows.prefect_runs`."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from claims.faults import fault
from flows.run_record import RunRecord, record_here

T = TypeVar("T")
OURS = "miaopei"  # the tag of every run of ours, by which retention and sweeps tell them from other people's
Row = dict[str, str | int | float]
OURS = "miaopei"  # the tag of every run of ours, by which retention and sweeps tell them from other people's


@dataclass(frozen=True, slots=True)
class RunLabel:
    """The presentation of one run. `items` is the run's only parameter, under the name `parameter`; `artifact_key`
    comes from the function below."""

    flow: str
    run: str
    tags: tuple[str, ...]
    items: tuple[str, ...]
    artifact_key: str
    parameter: str = "items"


@dataclass(frozen=True, slots=True)
class RunPage:
    """A Markdown page that a run leaves. key: as `artifact_key` makes it."""

    key: str
    markdown: str
    description: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The record of a finished run that stays in Prefect: one line, a table, and pages."""

    message: str
    rows: Sequence[Row]
    pages: Sequence[RunPage] = ()


class RunResult(Protocol):
    """The result of one item of a run: its outcome in a word, and its row of the run's table."""

    @property
    def outcome(self) -> str: ...

    def row(self) -> Row: ...


def summarise(results: Sequence[RunResult], pages: Sequence[RunPage] = ()) -> Summary:
    """Returns the counts by outcome, a row for each result, and the pages."""
    counts = Counter(result.outcome for result in results)
    message = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return Summary(message, [result.row() for result in results], pages)


class Work(Generic[T]):
    """A coroutine under way and its result, kept apart from what Prefect makes of the run.

    It starts at once: neither a slow server nor one that hangs until a timeout delays a claim. record: where its calls
    and lines are kept; None for nowhere.
    """

    def __init__(
        self,
        body: Callable[[], Coroutine[Any, Any, T]],
        summarise: Callable[[T], Summary],
        linked: Callable[[str], Awaitable[None]],
        record: RunRecord | None = None,
    ) -> None:
        self._summarise = summarise
        self.linked = linked
        self.record = record
        self._began = time.perf_counter()
        self._ended = self._began
        self.shown = False
        self.task = asyncio.create_task(_recorded(body, record))
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[T]) -> None:  # noqa: ARG002  (a callback's shape)
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._ended - self._began

    @property
    def stopped(self) -> bool:
        """True once the work was cancelled before its end."""
        return self.task.done() and self.task.cancelled()

    @property
    def failure(self) -> str:
        """Returns kind and place of the error that ended the work, "" for none. No words: Prefect would keep them."""
        if not self.task.done() or self.task.cancelled():
            return ""
        error = self.task.exception()
        return fault(error) if error is not None else ""

    @property
    def finished(self) -> bool:
        """True once the work has ended without an error."""
        return self.task.done() and not self.stopped and not self.failure

    async def ended(self, seconds: float | None = None) -> bool:
        """Wait for the work, at most so long; returns True once it has ended, however it did."""
        await asyncio.wait([self.task], timeout=seconds)
        return self.task.done()

    def summary(self) -> Summary:
        return self._summarise(self.task.result())


async def _recorded(body: Callable[[], Coroutine[Any, Any, T]], record: RunRecord | None) -> T:
    # In a task's own context: nothing of it is left to whoever started the work.
    record_here(record)
    if record is not None:
        structlog.contextvars.bind_contextvars(trace_id=record.trace_id)
    return await body()


class Runs(Protocol):
    """A place that shows runs. Every method raises RunLost, and nothing else of its own, when the server fails."""

    async def show(self, label: RunLabel, work: Work[T]) -> None:
        """Show the run until the work has ended, as failed where the work fails. The work's own errors are not raised
        here: whoever awaits the work has them."""
        ...


class RunRegister(Protocol):
    """Remembers which runs are shown as under way, so that somebody can end those whose process dies. Best effort: no
    method raises, and none makes the work wait for long."""

    async def began(self, run_id: str, label: RunLabel) -> None: ...

    async def ended(self, run_id: str, *, told: bool, message: str) -> None:
        """Forget a run that has ended. told: False if the server missed its end; it is told later then, with the
        message, "" for a failure."""
        ...


class NoRegister:
    """Remembers nothing: for processes without a store."""

    async def began(self, run_id: str, label: RunLabel) -> None: ...

    async def ended(self, run_id: str, *, told: bool, message: str) -> None: ...


def artifact_key(*parts: str) -> str:
    """Lower case, digits and dashes only, as Prefect's Artifacts page requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")

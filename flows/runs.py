"""A run of work and its presentation: the values that `flows.tracking` hands to `flows.prefect_runs`."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from claims.faults import fault
from flows.errors import WorkFailed

T = TypeVar("T")
Row = dict[str, str | int | float]
OURS = "miaopei"  # the tag of every run of ours, by which retention and sweeps tell them from other people's


@dataclass(frozen=True, slots=True)
class RunLabel:
    """The presentation of one run. `items` is the run's only parameter; `artifact_key` comes from the function
    below."""

    flow: str
    run: str
    tags: tuple[str, ...]
    items: tuple[str, ...]
    artifact_key: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The record of a finished run that stays in Prefect: one line, and a table."""

    message: str
    rows: Sequence[Row]


class RunResult(Protocol):
    """The result of one item of a run: its outcome in a word, and its row of the run's table."""

    @property
    def outcome(self) -> str: ...

    def row(self) -> Row: ...


def summarise(results: Sequence[RunResult]) -> Summary:
    """Returns the counts by outcome, and a row for each result."""
    counts = Counter(result.outcome for result in results)
    message = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return Summary(message, [result.row() for result in results])


class Work(Generic[T]):
    """A coroutine under way and its result, kept apart from what Prefect makes of the run.

    It starts at once: neither a slow server nor one that hangs until a timeout delays a claim.
    """

    def __init__(
        self,
        body: Callable[[], Coroutine[Any, Any, T]],
        summarise: Callable[[T], Summary],
        linked: Callable[[str], Awaitable[None]],
    ) -> None:
        self._summarise = summarise
        self._linked = linked
        self._began = time.perf_counter()
        self._ended = self._began
        self.shown = False
        self.task = asyncio.create_task(body())
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[T]) -> None:  # noqa: ARG002  (a callback's shape)
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._ended - self._began

    @property
    def finished(self) -> bool:
        """True once the work has ended without an error."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    async def call(self, run_id: str) -> None:
        """Run the body of a flow run: link it, then await the work to its end."""
        self.shown = True
        await self._linked(run_id)
        await asyncio.wait([self.task])
        error = self.task.exception()
        if error is not None:
            # Prefect shows the words of what ends a run, and its server keeps them.
            raise WorkFailed(fault(error)) from None

    def summary(self) -> Summary:
        return self._summarise(self.task.result())


class Runs(Protocol):
    """A place that shows runs. Every method raises RunLost, and nothing else of its own, when the server fails."""

    async def show(self, label: RunLabel, work: Work[T]) -> None:
        """Await the work inside a run, which is shown as failed where the work fails. The work's own errors are not
        raised here: whoever awaits the work has them."""
        ...

    async def mark_lost(self, run_id: str) -> None:
        """Show a run whose process died as crashed."""
        ...


def artifact_key(*parts: str) -> str:
    """Lower case, digits and dashes only, as Prefect's Artifacts page requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")

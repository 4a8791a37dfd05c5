"""The record of one run, kept in memory while its work is under way: calls of tasks, and lines for its log.

The work writes here and waits for nobody; whoever shows the run (`flows.prefect_runs`) reads it. Where nobody does,
there is no record, and recording costs a look at a context variable. Only codes, ids, numbers and kinds of errors get
in: no name, no file's name and no free text.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from claims.faults import fault

# The values of our own log lines that a run's log repeats, in this order. All are ids, codes, numbers, or errors in the
# words of `claims.faults`; a name that is not here stays in our own log.
LINE_VALUES: Final = (
    "claim", "key", "payout", "run_id", "flow", "task", "resource", "code", "outcome", "reason", "failures", "attempts",
    "seconds", "error",
)  # fmt: skip


# Errors, by the name of their class, that end a task without it having failed, and the state that Prefect shows then:
# the work is put off or held, somebody else has it, or what it rests on has changed meanwhile.
SHOWN_AS: Final = {
    "Postponed": "Postponed",
    "Held": "Held",
    "LeaseLost": "TakenOver",
    "CopyPaid": "OutOfDate",
    "CoverSpent": "OutOfDate",
    "OrderSpent": "OutOfDate",
    "FloodRuled": "OutOfDate",
    "CancelledError": "Stopped",
}


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """Limits on the record of one run. What is beyond them is counted, and the count is shown."""

    calls_max: int = 2_048
    lines_max: int = 500
    line_characters_max: int = 400


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The declaration of a task. key: tells this task from others of its flow. retries: further runs within one call,
    each after `retry_delay_seconds`, where `retry_if` says so of the error. timeout_seconds: of one run; None for
    none."""

    name: str
    key: str
    description: str = ""
    tags: tuple[str, ...] = ()
    retries: int = 0
    retry_delay_seconds: float = 0.0
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CallStep:
    """A state that a call of a task got into. state: as Prefect names it."""

    at: datetime
    state: str
    words: str = ""


@dataclass(slots=True)
class TaskCall:
    """One call of a task for one subject (a claim's id, a message's key). number: how often this run had called this
    task for this subject before. after: the call that this one followed."""

    task: TaskOptions
    subject: str
    number: int
    steps: list[CallStep]
    after: TaskCall | None = None
    id: UUID = field(default_factory=uuid4)
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    runs: int = 1
    stored: bool = False  # the result was taken from the store
    ended: bool = False

    @property
    def began_at(self) -> datetime:
        return self.steps[0].at

    @property
    def last(self) -> CallStep:
        return self.steps[-1]


@dataclass(frozen=True, slots=True)
class RunLine:
    """A line for a run's log. level: as `logging` counts. call: the call of a task under way, None for none."""

    at: datetime
    level: int
    text: str
    call: TaskCall | None = None


@dataclass(slots=True)
class RunRecord:
    """Calls and lines of one run, in order. trace_id: also stands in our own log's lines about this run."""

    limits: RecordLimits = field(default_factory=RecordLimits)
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    calls: list[TaskCall] = field(default_factory=list)
    lines: list[RunLine] = field(default_factory=list)
    calls_dropped: int = 0
    lines_dropped: int = 0
    _latest: dict[str, TaskCall] = field(default_factory=dict)  # by subject
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)  # by task and subject
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.perf_counter)

    @property
    def began_at(self) -> datetime:
        return self._began

    def now(self) -> datetime:
        """Returns the time. It never runs backwards, whatever happens to the wall clock during the run."""
        return self._began + timedelta(seconds=time.perf_counter() - self._clock)

    def begin(self, task: TaskOptions, subject: str) -> TaskCall | None:
        """Record that a task is called; returns None beyond the limit."""
        if len(self.calls) >= self.limits.calls_max:
            self.calls_dropped += 1
            return None
        number = self._counts.get((task.name, subject), 0)
        self._counts[task.name, subject] = number + 1
        call = TaskCall(task, subject, number, [CallStep(self.now(), "Running")], self._latest.get(subject))
        self.calls.append(call)
        self._latest[subject] = call
        return call

    def add_line(self, level: int, text: str, call: TaskCall | None = None) -> None:
        if len(self.lines) >= self.limits.lines_max:
            self.lines_dropped += 1
            return
        self.lines.append(RunLine(self.now(), level, text[: self.limits.line_characters_max], call))


_record: ContextVar[RunRecord | None] = ContextVar("the record of the current run", default=None)
_subject: ContextVar[str] = ContextVar("the subject that the current run works on", default="")
_call: ContextVar[TaskCall | None] = ContextVar("the call of a task under way", default=None)


def current_record() -> RunRecord | None:
    """Returns the record of the run under way, None where nobody shows it."""
    return _record.get()


def record_here(record: RunRecord | None) -> None:
    """Record what follows in this context there."""
    _record.set(record)


@contextlib.contextmanager
def working_on(subject: str) -> Iterator[None]:
    """Name the subject of the calls within: an id."""
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


@contextlib.contextmanager
def calling(task: TaskOptions) -> Iterator[TaskCall | None]:
    """Record one call of a task, from now until the block ends; what it raises ends the call as failed."""
    record = _record.get()
    call = record.begin(task, _subject.get()) if record is not None else None
    if record is None or call is None:
        yield None
        return
    token, began = _call.set(call), time.perf_counter()
    state, words = "Completed", ""
    try:
        yield call
        state = "Cached" if call.stored else "Completed"
    except BaseException as error:
        names = [kind.__name__ for kind in type(error).__mro__]
        state = next((SHOWN_AS[name] for name in names if name in SHOWN_AS), "Failed")
        words = fault(error)
        raise
    finally:
        _call.reset(token)
        call.wall_seconds = time.perf_counter() - began
        call.steps.append(CallStep(record.now(), state, words))
        call.ended = True


def add_line(level: int, text: str) -> None:
    """Add a line to the log of the run under way, where it is shown; ids, codes and numbers only."""
    if (record := _record.get()) is not None:
        record.add_line(level, text, _call.get())


def retried(error: BaseException, pause_seconds: float) -> None:
    """Record that the task under way failed and is tried again after a pause."""
    record, call = _record.get(), _call.get()
    if record is None or call is None:
        return
    words = fault(error)
    call.steps.append(CallStep(record.now(), "AwaitingRetry", words))
    record.add_line(logging.WARNING, f"{call.subject} {call.task.name}: again in {pause_seconds} s after {words}", call)


def retrying() -> None:
    """Record that the task under way begins once more."""
    record, call = _record.get(), _call.get()
    if record is not None and call is not None:
        call.runs += 1
        call.steps.append(CallStep(record.now(), "Retrying"))


def taken_from_store() -> None:
    """Record that the task under way computed nothing: its result was stored before."""
    if (call := _call.get()) is not None:
        call.stored = True


def spent(seconds: Mapping[str, float]) -> None:
    """Record the CPU seconds of the task under way. seconds: {"wall": .., "cpu": ..}."""
    if (call := _call.get()) is not None:
        call.cpu_seconds = seconds.get("cpu", 0.0)


_LEVELS: Final = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "warn": logging.WARNING,
    "error": logging.ERROR, "exception": logging.ERROR, "critical": logging.CRITICAL,
}  # fmt: skip


def collect(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: repeats a line of our own log, its values limited to LINE_VALUES, in the record of the
    run under way. The line itself is left as it is."""
    record = _record.get()
    level = _LEVELS.get(method, logging.INFO)
    if record is None or level < logging.INFO:
        return event
    told = {**event}
    if isinstance(raised := told.get("exc_info"), BaseException):
        told["error"] = raised
    values = [f"{name}={_plain(told[name])}" for name in LINE_VALUES if told.get(name) not in (None, "")]
    record.add_line(level, " ".join([str(told.get("event", "")), *values]), _call.get())
    return event


def _plain(value: object) -> str:
    return fault(value) if isinstance(value, BaseException) else str(value)

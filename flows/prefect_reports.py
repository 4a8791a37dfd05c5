"""A run's record in the form that Prefect's server takes: task runs as events, log lines, and pages. No request is made
here.

Prefect 3 runs tasks on the client's side and tells the server of them by events (`prefect.task-run.Completed`), which
its task run recorder turns into task runs; `prefect.utilities.engine.emit_task_run_state_change_event` shows their
form. An event carries its own time, so that a task run that is reported later has the times at which it happened.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from flows.run_record import SHOWN_AS, CallStep, RunRecord, TaskCall, TaskOptions

_TYPES: Final = {
    "Running": "RUNNING", "Retrying": "RUNNING", "AwaitingRetry": "SCHEDULED", "Completed": "COMPLETED",
    "Cached": "COMPLETED", "Failed": "FAILED", **dict.fromkeys(SHOWN_AS.values(), "CANCELLED"),
}  # fmt: skip
_ENDED: Final = ("COMPLETED", "FAILED", "CANCELLED")
_LEVELS: Final = {"COMPLETED": 20, "CANCELLED": 30, "FAILED": 40}
NAMED_MAX: Final = 10  # failed items that a batch's task run names
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportedTask:
    """One task run as the server will show it. steps: its states in order. after: the task run that it followed.
    subjects: how many items it stands for."""

    id: UUID
    task: TaskOptions
    name: str
    dynamic_key: str
    steps: Sequence[CallStep]
    after: UUID | None
    run_count: int
    wall_seconds: float
    cpu_seconds: float
    subjects: int = 1

    @property
    def ended(self) -> bool:
        return _TYPES[self.steps[-1].state] in _ENDED


@dataclass(slots=True)
class RunReport:
    """Report of a run, which remembers what of it was told already. graphs: True for a graph of tasks for each item,
    False for one for all."""

    flow: str
    run_id: UUID
    run_name: str
    record: RunRecord
    items: int
    graphs: bool
    _steps: dict[UUID, int] = field(default_factory=dict)
    _lines: int = 0
    _said: set[UUID] = field(default_factory=set)  # task runs whose end has a line
    _ids: dict[str, UUID] = field(default_factory=dict)  # of the task runs of a batch, by key

    def tasks(self, *, done: bool) -> list[ReportedTask]:
        """Returns the task runs so far, in the order in which they began. done: nothing further will happen."""
        if self.graphs:
            return [self._of_call(call) for call in self.record.calls]
        groups: dict[str, list[TaskCall]] = {}
        for call in self.record.calls:
            groups.setdefault(call.task.key, []).append(call)
        reported: list[ReportedTask] = []
        for calls in groups.values():
            reported.append(self._of_batch(calls, reported[-1].id if reported else None, done=done))
        return reported

    def events(self, *, done: bool) -> list[Json]:
        """Returns an event for each state that was not reported yet. What began and ended since the last report is told
        by its end alone, which carries both times: half the rows on the server."""
        events: list[Json] = []
        for task in self.tasks(done=done):
            before = self._steps.get(task.id, 0)
            short = before == 0 and task.ended and task.run_count == 1
            events.extend(
                self._event(task, number) for number in range(len(task.steps) - 1 if short else before, len(task.steps))
            )
            self._steps[task.id] = len(task.steps)
        return events

    def logs(self, *, done: bool) -> list[Json]:
        """Returns a line for each of the record's lines, and for each end of a task run, not reported yet."""
        ids = {call.id: self._ids.get(call.task.key, call.id) for call in self.record.calls}
        lines = [
            (line.at, line.level, line.text, ids.get(line.call.id) if line.call is not None else None)
            for line in self.record.lines[self._lines :]
        ]
        first = self._lines == 0 and not self._said
        self._lines = len(self.record.lines)
        if first:
            words = f"{self.items} item{'s' * (self.items != 1)}; our own log has trace_id={self.record.trace_id}"
            lines.insert(0, (self.record.began_at, 20, words, None))
        for task in self.tasks(done=done):
            if task.ended and task.id not in self._said:
                self._said.add(task.id)
                last = task.steps[-1]
                lines.append(
                    (last.at, _LEVELS[_TYPES[last.state]], f"{task.name}: {last.state}, {_words(task)}", task.id)
                )
        if done and (dropped := self.record.lines_dropped):
            lines.append((self.record.now(), 30, f"{dropped} further lines are in our own log only", None))
        if done and (dropped := self.record.calls_dropped):
            lines.append((self.record.now(), 30, f"{dropped} further calls of tasks are not shown", None))
        lines.sort(key=lambda line: line[0])
        return [
            {
                "name": f"miaopei.{self.flow}", "level": level, "message": text,
                "timestamp": at.isoformat(), "flow_run_id": str(self.run_id),
                "task_run_id": str(task_run) if task_run is not None else None,
            }
            for at, level, text, task_run in lines
        ]  # fmt: skip

    def _of_call(self, call: TaskCall) -> ReportedTask:
        name = call.task.name if self.items == 1 else f"{call.task.name} {call.subject}"
        if call.number:
            name += f" (again, {call.number})"
        after = call.after.id if call.after is not None else None
        key = f"{call.subject}-{call.number}"
        return ReportedTask(
            call.id, call.task, name, key, call.steps, after, call.runs, call.wall_seconds, call.cpu_seconds
        )

    def _of_batch(self, calls: Sequence[TaskCall], after: UUID | None, *, done: bool) -> ReportedTask:
        task, began = calls[0].task, min(call.began_at for call in calls)
        subjects = len({call.subject for call in calls})
        steps = [CallStep(began, "Running", f"{subjects} of {self.items} items so far")]
        if done:
            steps.append(CallStep(max(call.last.at for call in calls), *_batch_state(calls)))
        name = f"{task.name} ({subjects} items)"
        return ReportedTask(
            self._ids.setdefault(task.key, uuid4()), task, name, "batch", steps, after, 1,
            sum(call.wall_seconds for call in calls), sum(call.cpu_seconds for call in calls), subjects,
        )  # fmt: skip

    def _event(self, task: ReportedTask, number: int) -> Json:
        step = task.steps[number]
        kind = _TYPES[step.state]
        before = task.steps[number - 1] if number else None
        ended = kind in _ENDED
        words = _words(task) if ended and not step.words else step.words
        state: Json = {"type": kind, "name": step.state, "message": words or None, "state_details": {}, "data": None}
        task_run: Json = {
            "name": task.name, "task_key": task.task.key, "dynamic_key": task.dynamic_key,
            "tags": list(task.task.tags), "run_count": task.run_count, "flow_run_run_count": 1,
            "empirical_policy": {"retries": task.task.retries, "retry_delay": task.task.retry_delay_seconds},
            "task_inputs": {"wait_for": [{"input_type": "task_run", "id": str(task.after)}]} if task.after else {},
            "expected_start_time": task.steps[0].at.isoformat(), "start_time": task.steps[0].at.isoformat(),
        }  # fmt: skip
        if ended:
            task_run |= {"end_time": step.at.isoformat(), "total_run_time": _seconds(task.steps[0].at, step.at)}
        state_id = str(uuid4())
        return {
            "id": state_id,
            "occurred": step.at.isoformat(),
            "event": f"prefect.task-run.{step.state}",
            "resource": {
                "prefect.resource.id": f"prefect.task-run.{task.id}",
                "prefect.resource.name": task.name,
                "prefect.run-count": str(task.run_count),
                "prefect.state-message": words,
                "prefect.state-name": step.state,
                "prefect.state-timestamp": step.at.isoformat(),
                "prefect.state-type": kind,
                "prefect.orchestration": "client",
            },
            "related": [
                {
                    "prefect.resource.id": f"prefect.flow-run.{self.run_id}",
                    "prefect.resource.role": "flow-run",
                    "prefect.resource.name": self.run_name,
                }
            ],
            "payload": {
                "intended": {"from": _TYPES[before.state] if before else None, "to": kind},
                "initial_state": {"type": _TYPES[before.state], "name": before.state} if before else None,
                "validated_state": state,
                "task_run": task_run,
            },
        }


def batch_page(record: RunRecord, message: str, failed: Sequence[str]) -> str:
    """Returns the Markdown page of a batch: how it came out, and each task's items and seconds. failed: a line for each
    item that was not decided."""
    groups: dict[str, list[TaskCall]] = {}
    for call in record.calls:
        groups.setdefault(call.task.key, []).append(call)
    lines = [
        message, "", "| task | items | stored | failed | again | median s | longest s | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for calls in groups.values():
        walls = [call.wall_seconds for call in calls if call.ended]
        counts = (
            len({call.subject for call in calls}), sum(call.stored for call in calls),
            sum(call.last.state == "Failed" for call in calls),
            sum(call.runs - 1 + (call.number > 0) for call in calls),
        )  # fmt: skip
        seconds = (statistics.median(walls or [0.0]), max(walls or [0.0]), sum(call.cpu_seconds for call in calls))
        cells = [calls[0].task.name, *map(str, counts), *(f"{value:.3f}" for value in seconds)]
        lines.append(f"| {' | '.join(cells)} |")
    if failed:
        lines += ["", *(f"- {line}" for line in failed)]
    return "\n".join([*lines, "", f"Our own log: `trace_id={record.trace_id}`"])


def _batch_state(calls: Sequence[TaskCall]) -> tuple[str, str]:
    """Returns state and words of a batch's task run: failed where any item's failed, so that it is looked at."""
    counts = Counter(call.last.state if call.ended else "left" for call in calls)
    words = ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))
    failed = [call for call in calls if call.last.state == "Failed"]
    if failed:
        named = "; ".join(f"{call.subject}: {call.last.words}" for call in failed[:NAMED_MAX])
        return "Failed", f"{words}; {named}"
    return ("Cached" if set(counts) == {"Cached"} else "Completed"), words


def _words(task: ReportedTask) -> str:
    last = task.steps[-1]
    cpu = f", {task.cpu_seconds:.3f} s CPU" if task.cpu_seconds else ""
    told = f"{task.wall_seconds:.3f} s{cpu}" if last.state != "Cached" else "taken from the store"
    return f"{last.words}; {told}" if last.words else told


def _seconds(began: datetime, ended: datetime) -> float:
    return max(0.0, (ended - began).total_seconds())

"""A job that operators start, by hand or on a schedule: in Prefect's pages as a deployment, and by command.

Both call the same plain function, `Job.call`. What it says and returns is shown in Prefect: ids, codes, counts and
amounts, nobody's data.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.config import JobsConfig
from flows.errors import JobRefused
from flows.runs import Row

# The tag of deployments of ours that are no job: their pause is a brake (flows.operations.controls).
BRAKE: Final = "brake"
Say = Callable[[int, str], None]


class JobParameters(BaseModel):
    """Parameters of a job: the form in Prefect's pages, and the check of what comes from there or from a command."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=JobParameters)


@dataclass(frozen=True, slots=True)
class JobCall:
    """One call of a job. actor: who asked for it, as the audit chain names them. say: takes a level of `logging` and
    words. advance: takes what is done and the whole, in any unit."""

    config: JobsConfig
    actor: str
    say: Say
    advance: Callable[[float, float], None] = lambda _done, _total: None

    def info(self, words: str) -> None:
        self.say(logging.INFO, words)

    def warn(self, words: str) -> None:
        self.say(logging.WARNING, words)


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a job. good: False where it was done and what it found out is bad (a difference, a broken chain).
    data: plain JSON. rows: a table for people."""

    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Row] = ()
    good: bool = True


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The end of a job that was asked for, wherever it ran. run_id: of its run in Prefect, "" where it ran here. state:
    the name of its end state. result: as plain JSON, {} where there is none."""

    run_id: str
    state: str
    message: str
    result: Mapping[str, Any]

    @property
    def good(self) -> bool:
        return self.state == "Completed"


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """When a job runs by itself. cron: in UTC; or every: counted from midnight UTC. active: False for a schedule that
    an operator switches on. parameters: of these runs, over the defaults."""

    every: timedelta | None = None
    cron: str = ""
    active: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def words(self) -> str:
        """Returns the schedule in words of an operator."""
        if self.every is None:
            words = f"cron {self.cron} UTC"
        else:
            seconds = int(self.every.total_seconds())
            words = f"every {seconds // 60} min" if seconds % 60 == 0 else f"every {seconds} s"
        return words if self.active else f"{words}, off"


@dataclass(frozen=True, slots=True)
class Job(Generic[P]):
    """name: of the flow, the deployment and the command. description: Markdown. at_once_max: runs at the same time,
    None for any number."""

    name: str
    description: str
    parameters: type[P]
    work: Callable[[JobCall, P], Awaitable[JobResult]]
    tags: tuple[str, ...] = ()
    schedule: JobSchedule | None = None
    at_once_max: int | None = None

    @property
    def title(self) -> str:
        """Returns what it does, in the few words that its description opens with."""
        return self.description.split("**")[1].rstrip(".")

    def check(self, given: Mapping[str, Any]) -> P:
        """Returns the parameters. Raises JobRefused, in words that name each wrong one and quote none."""
        try:
            return self.parameters.model_validate(dict(given))
        except ValidationError as error:
            # Without the values: whatever somebody typed into a form by mistake stays out of Prefect.
            problems = [
                f"{'.'.join(map(str, problem['loc'])) or self.name}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            raise JobRefused("bad_parameters", "; ".join(problems)) from None

    async def call(self, call: JobCall, given: Mapping[str, Any]) -> JobResult:
        """Do the job. Raises JobRefused, and whatever its work raises."""
        return await self.work(call, self.check(given))

    def schema(self) -> dict[str, Any]:
        """Returns the schema of the parameters as Prefect's form wants it: fields in order, definitions beside."""
        made = self.parameters.model_json_schema(ref_template="#/definitions/{model}")
        fields = made.get("properties", {})
        return {
            "title": "Parameters",
            "type": "object",
            "properties": {name: {**kind, "position": place} for place, (name, kind) in enumerate(fields.items())},
            "required": made.get("required", []),
            "definitions": made.get("$defs", {}),
        }

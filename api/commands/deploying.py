"""`miaopei flows deploy`, `list` and `run`: jobs as deployments in Prefect, and by command."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.commands.opening import (
    JsonFlag,
    console,
    database,
    error_console,
    fail,
    operator,
    print_json,
    settings_beside_up,
    settling,
)
from api.settings import Settings

if TYPE_CHECKING:
    from flows.operations.following import ListedJob
    from flows.operations.job import Job, JobOutcome
    from flows.operations.jobs import Jobs

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())


def deploy(as_json: JsonFlag = False) -> None:
    """Register every job as a deployment in Prefect's server, with its form, schedule and limit. Again changes only
    what differs; a pause or a schedule that somebody set in Prefect's pages stays."""
    from flows.operations.deployments import Registered, register
    from flows.operations.following import prefect_client
    from flows.operations.jobs import jobs
    from flows.prefect_server import ANSWER_ERRORS

    config = settings_beside_up()
    known = jobs(_jobs_config(config))

    async def work() -> Registered | None:
        async with prefect_client(_prefect_config(config)) as client:
            return None if client is None else await register(client, known)

    try:
        done = asyncio.run(work())
    except ANSWER_ERRORS as error:
        raise fail(f"not everything is registered, run it again: {type(error).__name__}", code=1) from error
    if done is None:
        raise fail(_no_answer(config), code=1)
    plain = {"created": done.created, "updated": done.updated, "unchanged": done.unchanged, "removed": done.removed}
    if as_json:
        print_json(plain)
        return
    for what, names in plain.items():
        console.print(f"{what:<10} {len(names):>3}  {', '.join(names)}", highlight=False)


def list_jobs(as_json: JsonFlag = False) -> None:
    """List the jobs: what each does, its parameters and schedule, and, where Prefect answers, its next run."""
    from flows.operations.following import list_jobs as listed_jobs
    from flows.operations.following import prefect_client
    from flows.operations.jobs import jobs
    from flows.prefect_server import ANSWER_ERRORS

    config = settings_beside_up()
    known = jobs(_jobs_config(config))

    async def work() -> list[ListedJob]:
        async with prefect_client(_prefect_config(config)) as client:
            try:
                return await listed_jobs(client, known)
            except ANSWER_ERRORS:
                return await listed_jobs(None, known)

    listed = asyncio.run(work())
    if as_json:
        for item in listed:
            print_json(_plain(item))
        return
    table = Table("job", "does", "parameters", "schedule", "next run", "last")
    for item in listed:
        job = item.job
        parameters = ", ".join(job.parameters.model_fields)
        next_run = f"{item.next_run:%Y-%m-%d %H:%M} UTC" if item.next_run is not None else ""
        state = "paused" if item.paused else item.last_state
        table.add_row(job.name, escape(job.title), parameters, _schedule_words(job), next_run, state)
    console.print(table)


def run_job(
    name: Annotated[str, typer.Argument(help="Name of the job: `miaopei flows list`")],
    parameters: Annotated[
        list[str], typer.Option("--param", metavar="NAME=VALUE", help="A parameter; a list as JSON or with commas")
    ] = [],  # noqa: B006  (typer reads it, nobody changes it)
    here: Annotated[bool, typer.Option("--here", help="In this process, even where Prefect answers")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run a job: through Prefect, as "Run" in its pages does, or in this process while Prefect is away. Exit code 1
    when it failed or found something bad, 2 when it was refused."""
    from flows.errors import JobRefused
    from flows.operations.jobs import job_of, jobs

    config = settings_beside_up()
    known = jobs(_jobs_config(config))
    try:
        job = job_of(known, name)
        given = _given(job, parameters)
        job.check(given)
        with Progress(*_COLUMNS, console=error_console, transient=True) as progress:
            task = progress.add_task(name, total=None)

            def advance(done: float, total: float) -> None:
                progress.update(task, completed=done, total=total or None)

            def say(level: int, words: str) -> None:
                colour = "red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else "dim"
                progress.console.print(f"[{colour}]{escape(words)}[/{colour}]", highlight=False)

            outcome = None if here else asyncio.run(_through_prefect(config, known, job, given, say, advance))
            if outcome is None:
                with database(config) as dsn:
                    outcome = asyncio.run(_here(config, dsn, job.name, given, say, advance))
    except JobRefused as error:
        if as_json:
            print_json({"job": name, "state": "Refused", "code": error.code, "detail": error.words})
        raise fail(f"refused ({error.code}): {error.words}") from error
    _report(name, outcome, as_json)


async def _through_prefect(
    config: Settings,
    known: Jobs,
    job: Job[Any],
    given: Mapping[str, Any],
    say: Callable[[int, str], None],
    advance: Callable[[float, float], None],
) -> JobOutcome | None:
    """Returns how the run ended; None, with nothing done, where Prefect does not answer."""
    from flows.operations.following import ask, follow, prefect_client
    from flows.prefect_server import ANSWER_ERRORS

    async with prefect_client(_prefect_config(config)) as client:
        if client is None:
            error_console.print(f"{_no_answer(config)}: it runs here", highlight=False)
            return None
        try:
            run = await ask(client, known, job, given, getpass.getuser())
        except ANSWER_ERRORS as error:
            # It may have been made all the same, and would then be done twice: harmless for every job, but not silent.
            error_console.print(f"Prefect takes no run ({type(error).__name__}): it runs here", highlight=False)
            return None
        error_console.print(f"flow run {run.id}", highlight=False)
        return await follow(client, run.id, say=say, advance=advance)


async def _here(
    config: Settings,
    dsn: str,
    name: str,
    given: Mapping[str, Any],
    say: Callable[[int, str], None],
    advance: Callable[[float, float], None],
) -> JobOutcome:
    from flows.operations.job import JobCall, JobOutcome
    from flows.operations.jobs import jobs

    told = _jobs_config(config)
    store = replace(told.store, dsn=dsn)
    told = replace(told, store=store, settle=replace(told.settle, store=store))
    result = await jobs(told)[name].call(JobCall(told, operator(), say, advance), given)
    return JobOutcome("", "Completed" if result.good else "Failed", result.message, result.data)


def _report(name: str, outcome: JobOutcome, as_json: bool) -> None:
    if as_json:
        print_json({"job": name, "run": outcome.run_id, "state": outcome.state, "message": outcome.message,
                    "result": outcome.result})  # fmt: skip
    else:
        colour = "green" if outcome.good else "red"
        console.print(f"{name}: [{colour}]{outcome.state}[/{colour}] {escape(outcome.message)}", highlight=False)
    if outcome.state == "Refused":
        raise typer.Exit(2)
    if not outcome.good:
        raise typer.Exit(1)


def _given(job: Job[Any], parameters: Sequence[str]) -> dict[str, Any]:
    """Returns the parameters of `NAME=VALUE`. A value is JSON where it reads as such and the job takes more than text;
    a list may also be written with commas. Exits at one without a name."""
    properties = job.schema()["properties"]
    given: dict[str, Any] = {}
    for words in parameters:
        name, equals, value = words.partition("=")
        if not equals:
            raise fail(f"--param {name}: NAME=VALUE is wanted")
        kind = properties.get(name, {}).get("type", "string")
        if kind == "string":
            given[name] = value
        elif kind == "array" and not value.lstrip().startswith("["):
            given[name] = [part.strip() for part in value.split(",") if part.strip()]
        else:
            try:
                given[name] = json.loads(value)
            except ValueError as error:
                raise fail(f"--param {name}: a value of kind {kind} is wanted") from error
    return given


def _plain(item: ListedJob) -> dict[str, Any]:
    job = item.job
    return {"job": job.name, "description": job.description, "parameters": job.schema()["properties"],
            "schedule": _schedule_words(job), "registered": item.registered, "paused": item.paused,
            "schedule_active": item.schedule_active, "next_run": item.next_run, "last_state": item.last_state,
            "tags": list(job.tags)}  # fmt: skip


def _schedule_words(job: Job[Any]) -> str:
    return "" if job.schedule is None else job.schedule.words()


def _jobs_config(config: Settings) -> Any:
    from api.processes import jobs_config

    settling(config)  # a wrong rail is refused in words
    return jobs_config(config)


def _prefect_config(config: Settings) -> Any:
    from api.processes import prefect_config

    return prefect_config(config)


def _no_answer(config: Settings) -> str:
    if config.prefect_api_url:
        return "Prefect does not answer"
    return "no `miaopei up` runs in this home, and PREFECT_API_URL is not set"


def add_to(flows: typer.Typer) -> None:
    for name, command in (("deploy", deploy), ("list", list_jobs), ("run", run_job)):
        flows.command(name)(command)

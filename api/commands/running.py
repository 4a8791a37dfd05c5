"""`miaopei up`, its processes one by one, and the demo."""

from __future__ import annotations

import asyncio

import typer

from api import logs
from api.commands.opening import JsonFlag, console, error_console, fail, paper_kinds, settings, settling


def up() -> None:
    """Start the whole stack on this machine and keep it up until Ctrl-C."""
    from api.stack import PostgresFailed, Stack, StackFailed

    def started(stack: Stack) -> None:
        for name, url in stack.urls().items():
            console.print(f"{name:<10} {url}", highlight=False)
        if "prefect" in stack.processes:
            console.print(f"           its pages ask for what is in {stack.prefect_auth}", highlight=False)
        console.print(f"logs       {stack.logs}\nCtrl-C stops everything.", highlight=False)

    config = settings()
    # A wrong rail or kind of paper is refused here, not by a process that dies again and again.
    settling(config)
    paper_kinds(config)
    error_console.print("starting PostgreSQL, Prefect, API, worker, settle and refer", highlight=False)
    try:
        Stack(config).run(started)
    except (StackFailed, PostgresFailed) as error:
        raise fail(str(error), code=1) from error


def api() -> None:
    """Serve the HTTP API and the pages."""
    from api.serve import serve

    config = settings()
    paper_kinds(config)
    serve(config)


def worker() -> None:
    """Adjudicate due claims until SIGTERM."""
    from api.processes import worker_config
    from flows.worker import run

    logs.configure()
    asyncio.run(run(worker_config(settings())))


def settle() -> None:
    """Send approved payouts to the bank until SIGTERM."""
    from flows.settle import run

    logs.configure()
    asyncio.run(run(settling(settings())))


def refer() -> None:
    """Hand referrals to the partner insurers until SIGTERM."""
    from api.processes import refer_config
    from flows.refer import run

    logs.configure()
    asyncio.run(run(refer_config(settings())))


def runner() -> None:
    """Run the jobs that Prefect schedules, by a schedule or by "Run" in its pages, until SIGTERM."""
    from api.processes import runner_config
    from flows.operations.runner import run

    config = settings()
    if not config.prefect_api_url:
        raise fail("PREFECT_API_URL is not set: there is no server whose runs could be taken")
    settling(config)
    logs.configure()
    asyncio.run(run(runner_config(config)))


def demo(
    keep: bool = typer.Option(False, "--keep", help="Leave the stack up afterwards, until Ctrl-C"),
    as_json: JsonFlag = False,
) -> None:
    """Start everything, send real claims over HTTP, print what became of them; exit code 0 if all is as expected."""
    from api.commands.demo import run

    raise typer.Exit(run(settings(), keep=keep, as_json=as_json))


def add_to(app: typer.Typer) -> None:
    for command in (up, api, worker, settle, refer, runner, demo):
        app.command()(command)

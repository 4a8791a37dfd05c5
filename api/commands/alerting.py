"""`miaopei flows alerts` and `miaopei flows automations`: what somebody must look at, and who is told by Prefect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from api.commands.opening import JsonFlag, console, fail, print_json, settings, settings_beside_up, with_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from api.settings import Settings
    from claims.alerts import Alert
    from claims.store.alerts import AlertNotice
    from flows.operations.automations import AppliedAutomation

alerts_app = typer.Typer(help="Open alerts: what somebody must look at")
automations_app = typer.Typer(no_args_is_help=True, help="Prefect's automations, as they are in code")


@alerts_app.callback(invoke_without_command=True)
def list_alerts(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Include those that have ended")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List open alerts, the gravest first, with what became of their notices."""
    if context.invoked_subcommand is not None:
        return
    from claims.alerts import alert_text
    from claims.store import alerts

    async def work(conn: AsyncConnection) -> tuple[list[Alert], list[AlertNotice]]:
        listed = await (alerts.recent(conn) if every else alerts.opened(conn))
        return listed, await alerts.notices_of(conn, [alert.id for alert in listed])

    listed, notices = with_store(work)
    if as_json:
        for alert in listed:
            print_json(_plain(alert, [notice for notice in notices if notice.alert.id == alert.id]))
        return
    if not listed:
        console.print("no alert is open")
        return
    language = settings().notices.language
    table = Table(Column("alert", no_wrap=True), "severity", "what", "opened", "resolved", "told")
    for alert in listed:
        told = [_words(notice) for notice in notices if notice.alert.id == alert.id]
        times = [f"{at:%Y-%m-%d %H:%M}" if at is not None else "" for at in (alert.opened_at, alert.closed_at)]
        table.add_row(alert.name, alert.severity, alert_text(alert, language), *times, "\n".join(told))
    console.print(table)


@alerts_app.command("test")
def send_test(as_json: JsonFlag = False) -> None:
    """Send a test notice by each way that is set, and through Prefect; exit code 1 if one was not taken."""
    from api.processes import notice_config, prefect_config
    from flows.operations.trying import try_ways

    config = settings_beside_up()
    tried = asyncio.run(try_ways(notice_config(config), prefect_config(config)))
    if as_json:
        print_json([{"way": each.way, "taken": each.taken, "detail": each.detail} for each in tried])
    else:
        for each in tried:
            console.print(f"{each.way:<10} {'taken' if each.taken else f'[red]{each.detail}[/red]'}", highlight=False)
        if not tried:
            console.print("no way is set: MIAOPEI_NOTICES__WEBHOOK_URL, MIAOPEI_NOTICES__MAIL__HOST, PREFECT_API_URL")
    if not all(each.taken for each in tried):
        raise typer.Exit(1)


@automations_app.command("apply")
def apply_automations(as_json: JsonFlag = False) -> None:
    """Make Prefect's automations what the code says: again and again with the same result. One that somebody disabled
    stays disabled."""
    _show(_on_server(settings_beside_up(), apply=True), as_json)


@automations_app.command("list")
def list_automations(as_json: JsonFlag = False) -> None:
    """List the automations that the Prefect server has of ours."""
    _show(_on_server(settings_beside_up(), apply=False), as_json)


def _on_server(config: Settings, *, apply: bool) -> list[AppliedAutomation]:
    from api.processes import notice_config, prefect_config
    from flows.errors import InvalidNotices, PrefectAway

    if not config.prefect_api_url:
        raise fail("no Prefect server: no `miaopei up` runs in this home, and PREFECT_API_URL is not set")

    async def work() -> list[AppliedAutomation]:
        from flows.operations.automations import prefect_notices

        async with prefect_notices(prefect_config(config), notice_config(config)) as notices:
            return await (notices.apply() if apply else notices.listed())

    try:
        return asyncio.run(work())
    except PrefectAway as error:
        raise fail(f"the Prefect server at {config.prefect_api_url} does not answer: {error}", code=1) from error
    except InvalidNotices as error:
        raise fail(f"wrong settings: {error}") from error


def _show(applied: list[AppliedAutomation], as_json: bool) -> None:
    if as_json:
        for each in applied:
            print_json({"name": each.name, "change": each.change, "enabled": each.enabled,
                        "events": list(each.events), "notifies": each.notifies})  # fmt: skip
        return
    table = Table("automation", "change", "enabled", "notifies", "events")
    for each in applied:
        enabled, notifies = ("yes" if flag else "no" for flag in (each.enabled, each.notifies))
        table.add_row(each.name, each.change, enabled, notifies, "\n".join(each.events))
    console.print(table)


def _words(notice: AlertNotice) -> str:
    by = f" by {notice.sent_by}" if notice.sent_by else ""
    trouble = f" ({notice.last_error})" if notice.last_error else ""
    return f"{notice.moment} {notice.way}: {notice.state}{by}{trouble}"


def _plain(alert: Alert, notices: list[AlertNotice]) -> dict[str, object]:
    return {"id": alert.id, "name": alert.name, "subject": alert.subject, "severity": alert.severity.value,
            "figures": dict(alert.figures), "since": alert.since, "opened_at": alert.opened_at,
            "last_at": alert.last_at, "closed_at": alert.closed_at,
            "notices": [{"moment": each.moment.value, "way": each.way, "state": each.state, "attempts": each.attempts,
                         "sent_by": each.sent_by, "sent_at": each.sent_at, "last_error": each.last_error}
                        for each in notices]}  # fmt: skip


def add_to(flows: typer.Typer) -> None:
    flows.add_typer(alerts_app, name="alerts")
    flows.add_typer(automations_app, name="automations")

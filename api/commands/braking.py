"""`miaopei flows pause`, `resume`, `limit` and `held`: brakes on work, whether Prefect answers or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import JsonFlag, console, fail, operator, print_json, with_store
from claims.errors import InvalidBrake

if TYPE_CHECKING:
    from claims.store.brakes import Brake, WaitingBehind

Name = Annotated[
    str,
    typer.Argument(
        help="adjudicate, ocr, settle (or bank), refer, enrol, learn, product:KEY or insurer:KEY",
    ),
]
Reason = Annotated[str, typer.Option(help="Why, in a few words without anybody's data: for page and audit chain")]


def pause(name: Name, reason: Reason = "", as_json: JsonFlag = False) -> None:
    """Hold work of one name in every process: nothing new of it begins, and what waits goes on after `resume`."""
    _put(name, 0, reason, as_json)


def resume(name: Name, reason: Reason = "", as_json: JsonFlag = False) -> None:
    """Let work of one name go on, without a limit."""
    _put(name, None, reason, as_json)


def limit(
    name: Name,
    at_once_max: Annotated[int, typer.Argument(metavar="N", help="How many at once over all processes; 0 holds")],
    reason: Reason = "",
    as_json: JsonFlag = False,
) -> None:
    """Limit work of one name to so many claims, payouts or messages at once, over all processes."""
    _put(name, at_once_max, reason, as_json)


def held(as_json: JsonFlag = False) -> None:
    """List what is held or limited, since when, by whom and why, and how much waits behind it."""
    from claims.store import brakes

    async def work(conn: AsyncConnection) -> tuple[list[Brake], dict[str, WaitingBehind]]:
        pulled = await brakes.pulled(conn)
        return pulled, await brakes.waiting(conn, pulled, datetime.now(UTC))

    pulled, waiting = with_store(work)
    if as_json:
        for brake in pulled:
            print_json(_plain(brake, waiting[brake.name]))
        return
    if not pulled:
        console.print("nothing is held", highlight=False)
        return
    table = Table("work", "at once", "since", "by", "why", "waiting")
    for brake in pulled:
        at_once = "[red]held[/red]" if brake.at_once_max == 0 else str(brake.at_once_max)
        counted = ", ".join(f"{count} {_WAITING[queue]}" for queue, count in waiting[brake.name].by_queue.items())
        table.add_row(brake.name, at_once, f"{brake.at:%Y-%m-%d %H:%M:%S}", brake.actor, brake.reason, counted)
    console.print(table)


_WAITING = {"claims": "claims", "settle": "payouts", "refer": "notices", "enrol": "enrolments", "learn": "rulings"}


def _put(name: str, at_once_max: int | None, reason: str, as_json: bool) -> None:
    from claims.store import brakes

    async def work(conn: AsyncConnection) -> tuple[bool, Brake | None, WaitingBehind]:
        now = datetime.now(UTC)
        changed = await brakes.put(
            conn, name, at_once_max, now, source="command", actor=operator(), reason=reason.strip()
        )
        brake = await brakes.get(conn, brakes.named(name))
        waiting = await brakes.waiting(conn, [] if brake is None else [brake], now)
        return changed, brake, waiting.get(brakes.named(name), brakes.WaitingBehind())

    try:
        changed, brake, waiting = with_store(work)
    except InvalidBrake as error:
        raise fail(str(error)) from error
    if as_json:
        print_json(
            {"name": brakes.named(name), "changed": changed, "at_once_max": at_once_max, "waiting": waiting.total}
        )
        return
    stands = "goes on" if at_once_max is None else "held" if at_once_max == 0 else f"at most {at_once_max} at once"
    since = "" if changed or brake is None else f" already, since {brake.at:%Y-%m-%d %H:%M:%S} by {brake.actor}"
    console.print(f"{brakes.named(name)}: {stands}{since}; {waiting.total} waiting", highlight=False)


def _plain(brake: Brake, waiting: WaitingBehind) -> dict[str, object]:
    return {"name": brake.name, "at_once_max": brake.at_once_max, "held": brake.at_once_max == 0, "since": brake.at,
            "by": brake.actor, "source": brake.source, "reason": brake.reason,
            "waiting": {_WAITING[queue]: count for queue, count in waiting.by_queue.items()}}  # fmt: skip


def add_to(flows: typer.Typer) -> None:
    for name, command in (("pause", pause), ("resume", resume), ("limit", limit), ("held", held)):
        flows.command(name)(command)

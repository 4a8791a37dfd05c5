"""`miaopei reconcile`, `findings` and `recoveries`: books against bank, stopped claims, money to come back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import JsonFlag, console, fail, operator, print_json, settings, with_store
from claims.errors import Conflict, NotFound

if TYPE_CHECKING:
    from claims.store.findings import Finding
    from claims.store.recoveries import Recovery

T = TypeVar("T")

findings_app = typer.Typer(no_args_is_help=True, help="Payouts that bank and books disagree about: stopped claims")
recoveries_app = typer.Typer(no_args_is_help=True, help="Money that claimants owe back")

Every = Annotated[bool, typer.Option("--all", help="Those that are ended, too")]
RecoveryId = Annotated[str, typer.Argument(help="Id of the recovery")]


def reconcile_books(as_json: JsonFlag = False) -> None:
    """Hold the books against the bank, payout by payout, both ways, and keep what is found; exit code 1 at any
    difference.

    A claim with a difference is stopped; one that is no longer met ends. A list of the bank that cannot be read in full
    finds nothing and ends nothing (exit code 1).
    """
    import asyncio
    from dataclasses import replace

    from api.commands.opening import database, settling
    from flows.errors import RailError
    from flows.reconcile import Busy, reconcile_and_keep

    config = settings()
    told = settling(config)
    try:
        with database(config) as dsn:
            found = asyncio.run(reconcile_and_keep(replace(told, store=replace(told.store, dsn=dsn))))
    except RailError as error:
        raise fail(f"the bank's list cannot be read: {error}", code=1) from error
    except Busy as error:
        raise fail(f"{error}: try again in a moment", code=1) from error
    if as_json:
        print_json({"payouts": found.payouts, "payments": found.payments, "open": found.open_payouts,
                    "differences": [str(one) for one in found.differences]})  # fmt: skip
    else:
        console.print(f"{found.payouts} payouts, {found.payments} payments, {found.open_payouts} still open")
        if found.differences:
            table = Table("payout", "claim", "difference", "in words")
            for one in found.differences:
                table.add_row(one.payout_id, one.claim_id or "unknown", f"[red]{one.code}[/red]", one.detail)
            console.print(table)
    if not found.agrees:
        raise typer.Exit(1)


@findings_app.command("list")
def list_findings(every: Every = False, as_json: JsonFlag = False) -> None:
    """List differences between bank and books, the newest first."""
    from claims.store import findings

    async def work(conn: AsyncConnection) -> list[Finding]:
        return await findings.listed(conn, state="" if every else "open", limit=1000)

    listed = with_store(work)
    if as_json:
        for one in listed:
            print_json(_plain_finding(one))
        return
    table = Table("id", "claim", "payout", "difference", "in words", "state", "found")
    for one in listed:
        table.add_row(str(one.id), one.claim_id or "unknown", one.payout_id, one.code, one.detail, one.state,
                      f"{one.found_at:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    console.print(table)


@findings_app.command("lift")
def lift_finding(
    finding_id: Annotated[int, typer.Argument(help="Number of the finding")],
    note: Annotated[str, typer.Option(help="Why the claim may go on, for the audit chain")],
    as_json: JsonFlag = False,
) -> None:
    """Let a stopped claim go on."""
    from claims.store import findings

    _needed("--note", note)

    async def work(conn: AsyncConnection) -> Finding:
        return await findings.lift(conn, finding_id, note.strip(), datetime.now(UTC), actor=operator())

    lifted = _told(lambda: with_store(work))
    if as_json:
        print_json(_plain_finding(lifted))
    else:
        console.print(f"finding {lifted.id}: lifted; claim {lifted.claim_id or 'unknown'}", highlight=False)


@recoveries_app.command("list")
def list_recoveries(every: Every = False, as_json: JsonFlag = False) -> None:
    """Who owes what, the oldest first."""
    from claims.explain import money_text
    from claims.store import recoveries

    async def work(conn: AsyncConnection) -> list[Recovery]:
        return await recoveries.listed(conn, state="" if every else "open", limit=1000)

    listed = with_store(work)
    if as_json:
        for one in listed:
            print_json(_plain_recovery(one))
        return
    table = Table("id", "claim", "amount", "owed", "state", "opened", "by")
    for one in listed:
        table.add_row(one.id, one.claim_id, money_text(one.amount),
                      money_text(one.owed), one.state,
                      f"{one.opened_at:%Y-%m-%d %H:%M:%S}", one.opened_by)  # fmt: skip
    console.print(table)


@recoveries_app.command("repaid")
def mark_repaid(
    recovery_id: RecoveryId,
    reference: Annotated[str, typer.Option(help="Of the claimant's payment, as the bank shows it")],
    as_json: JsonFlag = False,
) -> None:
    """The claimant has paid back all that was owed. The same reference again changes nothing."""
    from claims.store import recoveries

    _needed("--reference", reference)

    async def work(conn: AsyncConnection) -> Recovery:
        return await recoveries.mark_repaid(conn, recovery_id, reference.strip(), datetime.now(UTC), actor=operator())

    _report(_told(lambda: with_store(work)), as_json)


@recoveries_app.command("write-off")
def write_off(
    recovery_id: RecoveryId,
    note: Annotated[str, typer.Option(help="Why, for the audit chain")],
    as_json: JsonFlag = False,
) -> None:
    """Give up what is still owed."""
    from claims.store import recoveries

    _needed("--note", note)

    async def work(conn: AsyncConnection) -> Recovery:
        return await recoveries.write_off(conn, recovery_id, note.strip(), datetime.now(UTC), actor=operator())

    _report(_told(lambda: with_store(work)), as_json)


def _report(done: Recovery, as_json: bool) -> None:
    from claims.explain import money_text

    if as_json:
        print_json(_plain_recovery(done))
        return
    owed = money_text(done.owed)
    console.print(f"recovery {done.id}: {done.state}, {owed} owed", highlight=False)


def _plain_recovery(one: Recovery) -> dict[str, object]:
    return {"id": one.id, "claim": one.claim_id, "state": one.state, "amount_minor": one.amount.minor,
            "owed_minor": one.owed.minor, "offset_minor": one.offset_minor, "repaid_minor": one.repaid_minor,
            "written_off_minor": one.written_off_minor, "currency": one.amount.currency,
            "opened_at": one.opened_at, "opened_by": one.opened_by, "closed_at": one.closed_at,
            "reference": one.reference, "note": one.note}  # fmt: skip


def _plain_finding(one: Finding) -> dict[str, object]:
    return {"id": one.id, "claim": one.claim_id, "payout": one.payout_id, "code": one.code, "detail": one.detail,
            "state": one.state, "found_at": one.found_at, "found_by": one.found_by, "ended_at": one.ended_at,
            "ended_by": one.ended_by, "note": one.note}  # fmt: skip


def _told(work: Callable[[], T]) -> T:
    try:
        return work()
    except NotFound as error:
        raise fail(str(error)) from error
    except Conflict as error:
        raise fail(str(error), code=1) from error


def _needed(option: str, text: str) -> None:
    if not text.strip():
        raise fail(f"{option} says why; it cannot be empty")


def add_to(app: typer.Typer) -> None:
    app.command("reconcile")(reconcile_books)
    app.add_typer(findings_app, name="findings")
    app.add_typer(recoveries_app, name="recoveries")

"""`miaopei reconcile`, `findings` and `recoveries`: the books compared with the bank, stopped claims, money to
recover."""

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

Every = Annotated[bool, typer.Option("--all", help="Include those that have ended")]
RecoveryId = Annotated[str, typer.Argument(help="Id of the recovery")]


def reconcile_books(as_json: JsonFlag = False) -> None:
    """Compare the books with the bank, payout by payout, both ways, and keep every difference; exit code 1 at any
    difference.

    A claim with a difference is stopped; a difference that no longer holds is ended. When the bank's list cannot be
    read in full, nothing is found and nothing is ended (exit code 1).
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
            report = asyncio.run(reconcile_and_keep(replace(told, store=replace(told.store, dsn=dsn))))
    except RailError as error:
        raise fail(f"the bank's list cannot be read: {error}", code=1) from error
    except Busy as error:
        raise fail(f"{error}: try again in a moment", code=1) from error
    if as_json:
        print_json({"payouts": report.payouts, "payments": report.payments, "open": report.open_payouts,
                    "differences": [str(difference) for difference in report.differences]})  # fmt: skip
    else:
        console.print(f"{report.payouts} payouts, {report.payments} payments, {report.open_payouts} still open")
        if report.differences:
            table = Table("payout", "claim", "difference", "in words")
            for difference in report.differences:
                table.add_row(
                    difference.payout_id,
                    difference.claim_id or "unknown",
                    f"[red]{difference.code}[/red]",
                    difference.detail,
                )
            console.print(table)
    if not report.agrees:
        raise typer.Exit(1)


@findings_app.command("list")
def list_findings(every: Every = False, as_json: JsonFlag = False) -> None:
    """List differences between bank and books, the newest first."""
    from claims.store import findings

    async def work(conn: AsyncConnection) -> list[Finding]:
        return await findings.listed(conn, state="" if every else "open", limit=1000)

    listed = with_store(work)
    if as_json:
        for finding in listed:
            print_json(_plain_finding(finding))
        return
    table = Table("id", "claim", "payout", "difference", "in words", "state", "found")
    for finding in listed:
        table.add_row(str(finding.id), finding.claim_id or "unknown", finding.payout_id, finding.code, finding.detail,
                      finding.state, f"{finding.found_at:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    console.print(table)


@findings_app.command("lift")
def lift_finding(
    finding_id: Annotated[int, typer.Argument(help="Number of the finding")],
    note: Annotated[str, typer.Option(help="Reason why the claim may go on, for the audit chain")],
    as_json: JsonFlag = False,
) -> None:
    """Lift a finding, so that its stopped claim goes on."""
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
    """List what claimants owe back, the oldest first."""
    from claims.explain import money_text
    from claims.store import recoveries

    async def work(conn: AsyncConnection) -> list[Recovery]:
        return await recoveries.listed(conn, state="" if every else "open", limit=1000)

    listed = with_store(work)
    if as_json:
        for recovery in listed:
            print_json(_plain_recovery(recovery))
        return
    table = Table("id", "claim", "amount", "owed", "state", "opened", "by")
    for recovery in listed:
        table.add_row(recovery.id, recovery.claim_id, money_text(recovery.amount),
                      money_text(recovery.owed), recovery.state,
                      f"{recovery.opened_at:%Y-%m-%d %H:%M:%S}", recovery.opened_by)  # fmt: skip
    console.print(table)


@recoveries_app.command("repaid")
def mark_repaid(
    recovery_id: RecoveryId,
    reference: Annotated[str, typer.Option(help="Reference of the claimant's payment, as the bank shows it")],
    as_json: JsonFlag = False,
) -> None:
    """Record that the claimant has paid back all that was owed. The same reference again changes nothing."""
    from claims.store import recoveries

    _needed("--reference", reference)

    async def work(conn: AsyncConnection) -> Recovery:
        return await recoveries.mark_repaid(conn, recovery_id, reference.strip(), datetime.now(UTC), actor=operator())

    _report(_told(lambda: with_store(work)), as_json)


@recoveries_app.command("write-off")
def write_off(
    recovery_id: RecoveryId,
    note: Annotated[str, typer.Option(help="Reason, for the audit chain")],
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


def _plain_recovery(recovery: Recovery) -> dict[str, object]:
    return {"id": recovery.id, "claim": recovery.claim_id, "state": recovery.state,
            "amount_minor": recovery.amount.minor, "owed_minor": recovery.owed.minor,
            "offset_minor": recovery.offset_minor, "repaid_minor": recovery.repaid_minor,
            "written_off_minor": recovery.written_off_minor, "currency": recovery.amount.currency,
            "opened_at": recovery.opened_at, "opened_by": recovery.opened_by, "closed_at": recovery.closed_at,
            "reference": recovery.reference, "note": recovery.note}  # fmt: skip


def _plain_finding(finding: Finding) -> dict[str, object]:
    return {"id": finding.id, "claim": finding.claim_id, "payout": finding.payout_id, "code": finding.code,
            "detail": finding.detail, "state": finding.state, "found_at": finding.found_at,
            "found_by": finding.found_by, "ended_at": finding.ended_at, "ended_by": finding.ended_by,
            "note": finding.note}  # fmt: skip


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

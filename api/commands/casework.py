"""`miaopei claims` and `erase`: claims and their decisions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import JsonFlag, console, fail, operator, paper_kinds, print_json, settings, with_store
from claims.errors import InFlight, InputsErased, NotFound

claims_app = typer.Typer(no_args_is_help=True, help="Claims and their decisions")

Language = Annotated[
    str, typer.Option("--language", help="Code of the language of the texts; unset: the default language")
]


@claims_app.command("list")
def list_claims(limit: int = typer.Option(50, min=1, max=1000), as_json: JsonFlag = False) -> None:
    """List the newest claims."""
    from claims.currencies import with_code
    from claims.store.views import list_claims as newest

    async def work(conn: AsyncConnection) -> None:
        rows = await newest(conn, limit=limit)
        if as_json:
            for row in rows:
                print_json({"id": row.id, "product": row.product,
                            "status": row.status, "amount_minor": row.amount.minor,
                            "currency": row.amount.currency, "submitted_at": row.submitted_at})  # fmt: skip
            return
        table = Table("claim", "product", "status", "amount", "submitted")
        for row in rows:
            submitted = f"{row.submitted_at:%Y-%m-%d %H:%M:%S}" if row.submitted_at else "draft"
            table.add_row(
                row.id,
                row.product,
                row.status,
                with_code(row.amount.minor, row.amount.currency, grouped=True),
                submitted,
            )
        console.print(table)

    with_store(work)


@claims_app.command("show")
def show(claim_id: str, language: Language = "", as_json: JsonFlag = False) -> None:
    """Show one claim: its statuses so far, every decision with its reasons, the seconds of each stage, and its run in
    Prefect."""
    from claims.catalogue import load_catalogue
    from claims.currencies import with_code
    from claims.explain import benefit_text, reason_text, status_text
    from claims.store import stage_results
    from claims.store.views import claim_view
    from claims.texts import DEFAULT, languages
    from claims.wire import to_plain

    lang = language or DEFAULT
    if lang not in languages():
        raise fail(f"the language is {' or '.join(languages())}")
    config = settings()
    kinds = paper_kinds(config)

    async def work(conn: AsyncConnection) -> None:
        view = await claim_view(conn, claim_id)
        stages = await stage_results.of_round(conn, claim_id, view.claim.round)
        run = view.claim.flow_run_id
        if run and config.prefect_pages:
            run = f"{config.prefect_pages}/runs/flow-run/{run}"
        decisions = [
            {"id": recorded.id, "seq": recorded.seq, **to_plain(recorded.decision)} for recorded in view.decisions
        ]
        if as_json:
            timeline = [{"status": event.status, "at": event.at, "actor": event.actor} for event in view.timeline]
            print_json({"id": view.claim.id, "status": view.claim.status, "timeline": timeline, "decisions": decisions,
                        "stages": {name: dict(done.seconds) for name, done in stages.items()},
                        "flow_run": run, "trace_id": view.claim.trace_id})  # fmt: skip
            return
        console.print(f"[bold]{view.claim.id}[/bold] {view.claim.product}: {status_text(view.claim.status, lang)}")
        for entry in view.timeline:
            console.print(f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.status}  {entry.note}", highlight=False)
        product = load_catalogue().get(view.claim.product)
        for row in view.decisions:
            made = row.decision
            paid = with_code(made.payout.minor, made.payout.currency, grouped=True)
            console.print(
                f"decision {row.seq}: [bold]{made.outcome}[/bold] {paid}"
                f" by {made.decided_by}, rules {made.rules_version}"
            )
            table = Table("reason", "in words")
            for reason in made.reasons:
                table.add_row(reason.code, reason_text(reason, lang, product, kinds))
            console.print(table)
            for line in made.benefit:
                console.print(f"  {benefit_text(line, lang)}", highlight=False)
        for name, done in sorted(stages.items(), key=lambda each: each[1].finished_at):
            wall, cpu = (done.seconds.get(kind, 0.0) for kind in ("wall", "cpu"))
            console.print(f"stage {name:<8} {wall:8.3f} s, CPU {cpu:8.3f} s", highlight=False)
        if run:
            console.print(f"flow run {run}", highlight=False, soft_wrap=True)
        if view.claim.trace_id:
            console.print(f"trace {view.claim.trace_id}", highlight=False)

    try:
        with_store(work)
    except NotFound as error:
        raise fail(str(error)) from error


@claims_app.command("replay")
def replay(claim_id: str, as_json: JsonFlag = False) -> None:
    """Decide again from the recorded facts; exit code 1 unless every decision agrees byte for byte."""
    from flows.operations.replaying import replay_claim

    try:
        results = with_store(lambda conn: replay_claim(conn, claim_id))
    except NotFound as error:
        raise fail(str(error)) from error
    except InputsErased as error:
        if as_json:
            print_json({"claim": claim_id, "erased": True, "detail": str(error)})
        raise fail(f"claim {claim_id}: {error}") from error
    for seq, agrees in results:
        if as_json:
            print_json({"claim": claim_id, "decision": seq, "agrees": agrees})
        else:
            console.print(f"decision {seq}: {'agrees byte for byte' if agrees else '[red]DIFFERS[/red]'}")
    if not results:
        raise fail(f"claim {claim_id} has no decision yet")
    if not all(agrees for _, agrees in results):
        raise typer.Exit(1)


def erase(
    claim: Annotated[str, typer.Option("--claim", help="Id of the claim")],
    reason: Annotated[str, typer.Option(help="Reason, for the audit chain; at most 500 characters")] = "",
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Rewrite tables of any size: each is locked for as long as it takes")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase the contents of a claim: files, hashes, texts, words, accounts. Outcome, amounts and audit chain stay.

    Then the database's own files are cleaned as far as the role may, and the command prints what stays where, and until
    when. Refused (exit code 1) while the claim is queued, leased, paying or before a person. Running it again finishes
    an erasure that was interrupted.
    """
    import asyncio

    from api.commands.opening import database
    from api.processes import scrub_limits
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from claims.store.scrubbing import left
    from flows.erasure import Erasure
    from flows.erasure import erase as erase_claim

    config = settings()

    async def run(dsn: str) -> Erasure:
        engine = connect(dsn, pool_size=2)
        try:
            blobs = BlobStore(config.evidence_url)
            limits = scrub_limits(config, rewrite_all=rewrite)
            actor = operator()
            return await erase_claim(engine, blobs, claim, actor=actor, reason=reason, scrub=limits)
        finally:
            await engine.dispose()

    try:
        with database(config) as dsn:
            done = asyncio.run(run(dsn))
    except NotFound as error:
        raise fail(str(error)) from error
    except InFlight as error:
        if as_json:
            print_json({"claim": claim, "erased": False, "code": error.code, "detail": str(error)})
        raise fail(f"not erased ({error.code}): {error}", code=1) from error
    if as_json:
        print_json({"claim": claim, "erased": True, "erased_at": done.erased_at, "first": done.first,
                    "library_photos": done.library_photos, "files_deleted": done.files_deleted,
                    "files_kept": done.files_kept, "cleaned": asdict(done.scrubbed),
                    "left": [asdict(remnant) for remnant in left(done.scrubbed)]})  # fmt: skip
        return
    outcome = "erased" if done.first else f"erased already on {done.erased_at:%Y-%m-%d %H:%M:%S}"
    console.print(
        f"claim {claim}: {outcome}; {done.files_deleted} files deleted, {done.files_kept} in use by others kept,"
        f" {done.library_photos} photos out of the library",
        highlight=False,
    )
    for remnant in left(done.scrubbed):
        console.print(f"  still in {remnant.where}: {remnant.until}", highlight=False)


def add_to(app: typer.Typer) -> None:
    app.add_typer(claims_app, name="claims")
    app.command("erase")(erase)

"""`miaopei audit`: checks that the audit chain is whole, and that it is still the chain whose tips were noted
elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import JsonFlag, console, error_console, fail, print_json, settings, with_store
from claims.errors import BrokenChain, InvalidTip
from claims.store.audit import Checked, check

audit_app = typer.Typer(no_args_is_help=True, help="The audit chain")
_NAMED_MAX = 20


@audit_app.command("verify")
def verify(
    expect: Annotated[
        list[str], typer.Option("--expect", metavar="SEQ:HASH", help="A tip noted elsewhere; may be repeated")
    ] = [],  # noqa: B006  (typer reads it, nobody changes it)
    tips: Annotated[
        list[Path], typer.Option("--tips", help="A file of tips, SEQ:HASH first on each line, compared besides our own")
    ] = [],  # noqa: B006
    as_json: JsonFlag = False,
) -> None:
    """Recompute the whole hash chain, look for contents that are missing without an erasure, and compare the chain with
    tips noted outside the database: those given, and those of the installation's own file where there is one.

    Exit code 1 at the first record that does not follow from the one before, at missing contents, and at a tip that the
    chain does not have or no longer has.
    """
    from flows.operations.auditing import ExpectedTips

    try:
        expected = ExpectedTips.read(settings().audit_tips, expect, tips)
    except InvalidTip as error:
        raise fail(str(error)) from error
    except OSError as error:
        raise fail(f"the tips cannot be read: {error}") from error

    async def work(conn: AsyncConnection) -> Checked:
        return await check(conn, expected.tips)

    try:
        done = with_store(work)
    except BrokenChain as error:
        if as_json:
            print_json({"whole": False, "broken": str(error)})
        raise fail(f"the chain is broken: {error}", code=1) from error
    files = [str(file) for file in expected.files]
    if as_json:
        print_json({"whole": done.whole, "records": done.tip.seq, "tip": done.tip.hash, "expect": str(done.tip),
                    "tips_compared": done.compared, "tips_files": files, "tips_unreadable": expected.unreadable,
                    "differing": done.differing, "contents_erased": done.erased,
                    "contents_missing": done.missing})  # fmt: skip
    else:
        _tell(done, files, expected.unreadable)
    if not done.whole:
        raise typer.Exit(1)


def _tell(done: Checked, files: Sequence[str], unreadable: int) -> None:
    console.print(f"{done.tip.seq} records, hashes unbroken, tip {done.tip}", highlight=False, soft_wrap=True)
    where = f", files {', '.join(files)}" if files else "; none is noted outside the database"
    odd = f", {unreadable} unreadable lines" if unreadable else ""
    console.print(f"{done.compared} noted tips compared{where}{odd}", highlight=False, soft_wrap=True)
    console.print(f"{done.erased} contents erased with their claims", highlight=False)
    for words in done.differing:
        error_console.print(f"[red]{words}[/red]", highlight=False)
    if done.missing:
        named = ", ".join(map(str, done.missing[:_NAMED_MAX])) + (" ..." if len(done.missing) > _NAMED_MAX else "")
        error_console.print(
            f"[red]{len(done.missing)} contents are missing that no erasure took: records {named}[/red]",
            highlight=False,
        )


def add_to(app: typer.Typer) -> None:
    app.add_typer(audit_app, name="audit")

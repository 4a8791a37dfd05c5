"""`miaopei tokens`: issue, revoke, rotate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import JsonFlag, console, error_console, fail, operator, print_json, settings, with_store
from api.http import tokens
from api.http.token_keys import rotate
from api.settings import Settings

tokens_app = typer.Typer(no_args_is_help=True, help="Bearer tokens")
_REASON_CHARACTERS_MAX = 500

RoleOption = Annotated[str, typer.Option(help="claimant, adjuster, partner, operator or platform")]


def _ring(config: Settings) -> tokens.KeyRing:
    return tokens.KeyRing(config.token_key, config.token_keys_old, config.home)


@tokens_app.command("issue")
def issue_token(
    role: RoleOption,
    subject: Annotated[str, typer.Option(help="claimant id, person, key of the partner, ...")],
    hours: Annotated[float | None, typer.Option(min=0.01, help="unset: MIAOPEI_TOKEN_HOURS")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print a signed bearer token, and on standard error the id by which it can be revoked."""
    config = settings()
    lasts = config.token_hours if hours is None else hours
    if lasts > config.token_hours_max:
        raise fail(f"a token lasts {config.token_hours_max:g} hours at most (MIAOPEI_TOKEN_HOURS_MAX)")
    now = datetime.now(UTC)
    try:
        ring = _ring(config)
        valid_for = timedelta(hours=lasts)
        written = tokens.issue(
            role, subject, key=ring.signing(), now=now, valid_for=valid_for, audience=config.token_audience
        )
        made = tokens.verify(written, keys=ring.verifying(now), now=now, audience=config.token_audience)
    except tokens.TokenRefused as error:
        raise fail(str(error)) from error
    if as_json:
        print_json({"token": written, "id": made.id, "key": made.key_id, "expires_at": made.expires_at.isoformat()})
        return
    console.print(written, highlight=False, soft_wrap=True)
    error_console.print(f"id {made.id}, until {made.expires_at:%Y-%m-%d %H:%M:%S} UTC", highlight=False)


@tokens_app.command("revoke")
def revoke_token(
    token_id: Annotated[str, typer.Argument(help="Id of one token; unset: all of --role and --subject")] = "",
    role: RoleOption = "",
    subject: Annotated[str, typer.Option(help="Subject whose tokens issued until now are all revoked")] = "",
    reason: Annotated[str, typer.Option(help="Reason, for the audit chain; at most 500 characters")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Revoke a token, or all tokens of a subject; page sessions that were opened with them end."""
    from claims.store import revocations

    if bool(token_id) == bool(role and subject) or bool(role) != bool(subject):
        raise fail("give the id of a token, or --role and --subject")
    if len(reason) > _REASON_CHARACTERS_MAX or not reason.isprintable():
        raise fail(f"a reason has at most {_REASON_CHARACTERS_MAX} printable characters")
    if token_id and not tokens.is_id(token_id):
        raise fail("that is no id of a token: 16 hex digits, as `tokens issue` prints them")
    try:
        what = token_id or str(tokens.Principal(tokens.Role(role), subject))
    except ValueError as error:
        raise fail(f"no such role: {role}") from error
    config, now = settings(), datetime.now(UTC)

    async def work(conn: AsyncConnection) -> None:
        await revocations.purge(conn, now)
        forget_at = now + timedelta(hours=config.token_hours_max)
        actor = operator()
        await revocations.revoke(conn, what, now, forget_at=forget_at, actor=actor, reason=reason)

    with_store(work)
    if as_json:
        print_json({"revoked": what, "issued_until": now.isoformat()})
    else:
        console.print(f"revoked: {what}", highlight=False)


@tokens_app.command("revoked")
def list_revoked(as_json: JsonFlag = False) -> None:
    """List what was revoked, the newest first."""
    from claims.store import revocations

    async def work(conn: AsyncConnection) -> None:
        rows = await revocations.newest(conn)
        if as_json:
            for row in rows:
                print_json({"revoked": row.what, "revoked_at": row.revoked_at, "by": row.revoked_by,
                            "reason": row.reason})  # fmt: skip
            return
        table = Table("revoked", "at", "by", "reason")
        for row in rows:
            table.add_row(row.what, f"{row.revoked_at:%Y-%m-%d %H:%M:%S}", row.revoked_by, row.reason)
        console.print(table)

    with_store(work)


@tokens_app.command("rotate")
def rotate_key(
    keep_hours: Annotated[
        float | None, typer.Option(min=0, help="Hours that older keys still verify; unset: MIAOPEI_TOKEN_HOURS_MAX")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign with a new key from now on. Older keys verify until their tokens have expired; `--keep-hours 0` ends every
    token and session at once. Running processes follow by themselves."""
    config = settings()
    if config.token_key:
        raise fail("the key is set by MIAOPEI_TOKEN_KEY: set a new one there and the old one in MIAOPEI_TOKEN_KEYS_OLD")
    keep = timedelta(hours=config.token_hours_max if keep_hours is None else keep_hours)
    try:
        new, old = rotate(config.home, datetime.now(UTC), keep)
    except tokens.TokenRefused as error:
        raise fail(str(error)) from error
    if as_json:
        print_json({"signing": new, "verifying": [new, *old]})
    else:
        console.print(f"signing with {new}; still verifying: {', '.join(old) or 'none'}", highlight=False)


def add_to(app: typer.Typer) -> None:
    app.add_typer(tokens_app, name="tokens")

"""Requests that may be repeated: one Idempotency-Key, one effect, one answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from api.http.context import Context
from api.http.problems import Problem
from api.http.tokens import Principal
from claims.store import idempotency
from claims.store.away import STORE_ERRORS
from claims.store.idempotency import Standing

KEY_CHARACTERS_MAX = 255
_KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARACTERS_MAX}}}")
_HEADER = Header(
    alias="Idempotency-Key",
    description="Yours to choose, 1 to 255 printable ASCII characters; repeat a request with the key it had at first.",
    examples=["order-2026111900417-rot"],
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a request that did something."""

    status: int
    body: BaseModel
    headers: dict[str, str] = field(default_factory=dict)


def _key(key: Annotated[str | None, _HEADER] = None) -> str:
    if key is None:
        raise Problem("idempotency_key_missing", "Send an Idempotency-Key of your own choice.")
    return _usable(key)


def _optional_key(key: Annotated[str | None, _HEADER] = None) -> str:
    return _usable(key) if key is not None else ""


def _usable(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Problem("idempotency_key_invalid", f"1 to {KEY_CHARACTERS_MAX} printable ASCII characters, no spaces.")
    return key


Key = Annotated[str, Depends(_key)]
OptionalKey = Annotated[str, Depends(_optional_key)]


async def _nothing() -> None:
    return


async def _no_check(_: AsyncConnection) -> None:
    return


async def once(
    context: Context,
    principal: Principal,
    key: str,
    fingerprint: str,
    write: Callable[[AsyncConnection], Awaitable[Reply]],
    *,
    check: Callable[[AsyncConnection], Awaitable[None]] = _no_check,
    keep: Callable[[], Awaitable[None]] = _nothing,
) -> Response:
    """Do it once: `check` (reads, refuses), `keep` (files), then `write`, whose rows and answer are committed together.

    Nothing is kept when `check` refuses; when `write` refuses after all (a race), the files that were kept lie under
    their hashes with no row that names them, which harms nobody. A refused request leaves its key free. An empty
    `key` means that the caller sent none. Raises Problem `in_flight` and `idempotency_key_reused`, and whatever the
    three functions raise.
    """
    if not key:
        return await _perform(context, principal, key, write, check, keep)
    seconds = context.limits.in_flight_seconds_max
    async with context.engine.begin() as conn:
        begun = await idempotency.begin(
            conn, str(principal), key, fingerprint, context.now(), lock_seconds=float(seconds)
        )
    if begun.standing is Standing.OTHER_REQUEST:
        raise Problem("idempotency_key_reused", "This key was used for a request with other contents.")
    if begun.standing is Standing.IN_FLIGHT:
        retry = {"Retry-After": str(context.limits.retry_after_seconds)}
        raise Problem("in_flight", "The first request with this key has not been answered yet.", retry)
    if begun.response is not None:
        headers = dict(begun.response.headers) | {"Idempotent-Replayed": "true"}
        return Response(begun.response.body, begun.response.status_code, headers, "application/json")
    try:
        return await _perform(context, principal, key, write, check, keep)
    except BaseException:
        # Whatever went wrong, the key is freed if the work did not commit; if the store is gone too, the key's time
        # runs out by itself.
        with suppress(*STORE_ERRORS):
            async with context.engine.begin() as conn:
                await idempotency.abandon(conn, str(principal), key)
        raise


async def _perform(
    context: Context,
    principal: Principal,
    key: str,
    write: Callable[[AsyncConnection], Awaitable[Reply]],
    check: Callable[[AsyncConnection], Awaitable[None]],
    keep: Callable[[], Awaitable[None]],
) -> Response:
    async with context.engine.connect() as conn:
        await check(conn)
    await keep()
    async with context.engine.begin() as conn:
        reply = await write(conn)
        body = reply.body.model_dump_json().encode()
        if key:
            response = idempotency.Response(reply.status, reply.headers, body)
            await idempotency.finish(conn, str(principal), key, response)
    return Response(body, reply.status, reply.headers, "application/json")

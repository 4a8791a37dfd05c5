"""Handles requests that may be repeated: one Idempotency-Key, one effect, one answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from api.http.access import allow
from api.http.context import Context, Ctx
from api.http.problems import Problem
from api.http.tokens import Principal, Role
from claims.store import idempotency
from claims.store.away import STORE_ERRORS
from claims.store.idempotency import Standing
from claims.wire import canonical

KEY_CHARACTERS_MAX = 255
_KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARACTERS_MAX}}}")
_HEADER = Header(
    alias="Idempotency-Key",
    description="A key of your choice, 1 to 255 printable ASCII characters; repeat a request with its first key.",
    examples=["order-2026111900417-rot"],
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request that wrote something."""

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


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that writes: the principal who sent it, and its Idempotency-Key, "" where none was sent."""

    context: Context
    principal: Principal
    key: str
    request: Request

    @property
    def actor(self) -> str:
        """Returns the principal's name in the audit chain and with the keys."""
        return str(self.principal)

    async def once(
        self,
        content: BaseModel | Mapping[str, object],
        write: Callable[[AsyncConnection], Awaitable[Reply]],
        *,
        check: Callable[[AsyncConnection], Awaitable[None]] = _no_check,
        keep: Callable[[], Awaitable[None]] = _nothing,
    ) -> Response:
        """Carry out the request once: `check` (reads, refuses), `keep` (files), then `write`, whose rows and answer are
        committed together. content: distinguishes this request from another under the same key; a mapping is
        JSON-ready.

        Nothing is kept when `check` refuses; when `write` refuses after all (a race), the files that were kept lie
        under their hashes with no row that names them, which harms nobody. A refused request leaves its key free.
        Raises Problem `in_flight` and `idempotency_key_reused`, and whatever the three functions raise.
        """
        if not self.key:
            return await self._perform(write, check, keep)
        seconds = self.context.limits.in_flight_seconds_max
        async with self.context.engine.begin() as conn:
            begun = await idempotency.begin(
                conn,
                self.actor,
                self.key,
                self._fingerprint(content),
                self.context.now(),
                lock_seconds=float(seconds),
            )
        if begun.standing is Standing.OTHER_REQUEST:
            raise Problem("idempotency_key_reused", "This key was used for a request with other contents.")
        if begun.standing is Standing.IN_FLIGHT:
            retry = {"Retry-After": str(self.context.limits.retry_after_seconds)}
            raise Problem("in_flight", "The first request with this key has not been answered yet.", retry)
        if begun.response is not None:
            headers = dict(begun.response.headers) | {"Idempotent-Replayed": "true"}
            return Response(begun.response.body, begun.response.status_code, headers, "application/json")
        try:
            return await self._perform(write, check, keep)
        except BaseException:
            # Whatever went wrong, the key is freed if the work did not commit; if the store is gone too, the key's
            # time runs out by itself.
            with suppress(*STORE_ERRORS):
                async with self.context.engine.begin() as conn:
                    await idempotency.abandon(conn, self.actor, self.key)
            raise

    def _fingerprint(self, content: BaseModel | Mapping[str, object]) -> str:
        """Returns the SHA-256 (hex) of method, path and content."""
        plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else dict(content)
        described = {"method": self.request.method, "path": self.request.url.path, "content": plain}
        return hashlib.sha256(canonical(described)).hexdigest()

    async def _perform(
        self,
        write: Callable[[AsyncConnection], Awaitable[Reply]],
        check: Callable[[AsyncConnection], Awaitable[None]],
        keep: Callable[[], Awaitable[None]],
    ) -> Response:
        async with self.context.engine.connect() as conn:
            await check(conn)
        await keep()
        async with self.context.engine.begin() as conn:
            reply = await write(conn)
            body = reply.body.model_dump_json().encode()
            if self.key:
                response = idempotency.Response(reply.status, reply.headers, body)
                await idempotency.finish(conn, self.actor, self.key, response)
        return Response(body, reply.status, reply.headers, "application/json")


def sent_by(*roles: Role) -> Any:
    """Returns a dependency that yields the KeyedRequest of a principal with one of `roles`; it refuses as `allow` does,
    and also refuses a request without a key."""
    allowed = allow(*roles)

    # The principal before the key: whoever may not call the route is not told about keys.
    def keyed(*, context: Ctx, principal: Principal = allowed, key: Key, request: Request) -> KeyedRequest:
        return KeyedRequest(context, principal, key, request)

    return Depends(keyed)


def _sent_with_or_without_a_key(*roles: Role) -> Any:
    allowed = allow(*roles)

    def keyed(*, context: Ctx, principal: Principal = allowed, key: OptionalKey, request: Request) -> KeyedRequest:
        return KeyedRequest(context, principal, key, request)

    return Depends(keyed)


SentByClaimant = Annotated[KeyedRequest, sent_by(Role.CLAIMANT)]
SentByClaimantKeyOptional = Annotated[KeyedRequest, _sent_with_or_without_a_key(Role.CLAIMANT)]
SentByAdjuster = Annotated[KeyedRequest, sent_by(Role.ADJUSTER)]
SentByPartner = Annotated[KeyedRequest, sent_by(Role.PARTNER)]
SentByHandler = Annotated[KeyedRequest, sent_by(Role.ADJUSTER, Role.PARTNER)]
SentByOperator = Annotated[KeyedRequest, sent_by(Role.OPERATOR)]
SentByStaff = Annotated[KeyedRequest, sent_by(Role.ADJUSTER, Role.OPERATOR)]
SentByPlatform = Annotated[KeyedRequest, sent_by(Role.PLATFORM)]

"""Limits the size and the slowness of request bodies.

uvicorn bounds neither. Every body is limited to a small JSON document unless the handler, once it knows the caller,
allows more; so nobody without a right to upload can make us read (or hold in memory) a large one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import Problem, of_schema
from api.limits import HttpLimits

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class Allowance:
    """The bytes that the current request may send, and those received so far."""

    bytes_max: int
    is_json: bool = True
    received: int = 0
    waited_seconds: float = 0.0
    complete: bool = False


class BodyGuard:
    """ASGI middleware that enforces the Allowance of each request: the size at once by Content-Length, then as the
    bytes arrive; the longest silence; the mean rate."""

    def __init__(self, app: ASGIApp, limits: HttpLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self.limits = limits
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        allowance = Allowance(self.limits.json_bytes_max)
        scope.setdefault("state", {})["body"] = allowance
        declared = Headers(scope=scope).get("content-length", "")
        declared_bytes = int(declared) if declared.isdecimal() else 0

        async def guarded() -> Message:
            if allowance.complete:
                return await receive()  # waiting for the disconnect, not for a body
            self._check_size(declared_bytes, allowance)
            asked_at = self.clock()
            try:
                async with asyncio.timeout(self.limits.body_idle_seconds_max):
                    message = await receive()
            except TimeoutError as error:
                raise Problem("slow_upload", "Nothing came for too long.", {"Connection": "close"}) from error
            allowance.waited_seconds += self.clock() - asked_at
            if message["type"] == "http.request":
                allowance.received += len(message.get("body", b""))
                allowance.complete = not message.get("more_body", False)
                self._check_size(allowance.received, allowance)
                self._check_rate(allowance)
            return message

        await self.app(scope, guarded, send)

    def _check_size(self, size: int, allowance: Allowance) -> None:
        if size > allowance.bytes_max:
            code = "json_too_large" if allowance.is_json else "request_too_large"
            raise Problem(code, f"At most {allowance.bytes_max} bytes are read here.", {"Connection": "close"})

    def _check_rate(self, allowance: Allowance) -> None:
        waited = allowance.waited_seconds
        if allowance.complete or waited <= self.limits.body_grace_seconds:
            return
        if allowance.received < waited * self.limits.body_bytes_per_second_min:
            detail = f"At least {self.limits.body_bytes_per_second_min} bytes a second are expected."
            raise Problem("slow_upload", detail, {"Connection": "close"})


async def stream_upload(request: Request, limits: HttpLimits) -> AsyncIterator[bytes]:
    """Yields the body in pieces, with the allowance of an upload. Raises Problem, and ClientDisconnect for a client
    that goes away."""
    allowance: Allowance = request.state.body
    allowance.bytes_max, allowance.is_json = limits.request_bytes_max, False
    async for piece in request.stream():
        if piece:
            yield piece


async def drain(request: Request, limits: HttpLimits) -> None:
    """Read and drop what is left of a refused upload, for a short while, so that the client is still listening when
    the answer comes.
    """
    try:
        async with asyncio.timeout(limits.drain_seconds_max):
            async for _ in request.stream():
                pass
    except (TimeoutError, Problem, ClientDisconnect, RuntimeError):
        return  # the refusal itself is what matters, and it is already on its way


def parse_json(kind: type[Model], data: bytes) -> Model:
    """Returns `data` parsed as `kind`. Raises Problem `of_schema`."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise of_schema(error) from error

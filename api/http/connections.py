"""Limits connections: how many one address may hold, and how long one may be silent; uvicorn limits neither.

A connection is idle while no whole request head has come and nothing is being answered. An address that opens more than
allowed loses its connection that has been idle longest: a crowd of silent connections displaces itself and nobody's
request.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Final, Protocol

import h11
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http import problems
from api.http.metrics import Metrics
from api.http.peers import Peers, group
from api.http.problems import KINDS, MEDIA_TYPE, Problem
from api.limits import HttpLimits

MACHINE_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_RETRY_AFTER_SECONDS: Final = 2


class Connection(Protocol):
    """One open connection, as `Connections` counts it."""

    peer: str

    def drop(self) -> None:
        """Close at once."""


class Connections:
    """The open connections of a listener. per_peer_max: 0 for no limit."""

    def __init__(self, connections_max: int, per_peer_max: int, metrics: Metrics) -> None:
        self._max = connections_max
        self._per_peer_max = per_peer_max
        self._metrics = metrics
        self._open: dict[Connection, None] = {}
        # In the order in which they became idle.
        self._idle: dict[Connection, None] = {}
        self._idle_of: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self._count_of: defaultdict[str, int] = defaultdict(int)

    def enter(self, connection: Connection) -> str:
        """Count a new connection, closing an idle one where there are too many. Returns the code of the refusal where
        none can be closed, else "". A blank `peer` has no limit of its own."""
        peer = connection.peer
        crowded = bool(peer and self._per_peer_max) and self._count_of.get(peer, 0) >= self._per_peer_max
        if crowded and not self._displace(self._idle_of[peer], "peer_limit"):
            return self._refuse("too_many_requests", "peer_limit")
        if len(self._open) >= self._max and not self._displace(self._idle, "total_limit"):
            return self._refuse("too_busy", "total_limit")
        self._open[connection] = None
        self._count_of[peer] += 1
        self.mark(connection, idle=True)
        self._metrics.connections_open.inc()
        return ""

    def mark(self, connection: Connection, *, idle: bool) -> None:
        """Record that a connection has become idle, or is no longer. It keeps its place where nothing changed."""
        if connection not in self._open or (connection in self._idle) is idle:
            return
        if idle:
            self._idle[connection] = self._idle_of[connection.peer][connection] = None
        else:
            del self._idle[connection], self._idle_of[connection.peer][connection]

    def leave(self, connection: Connection) -> None:
        """Forget a connection. Does nothing for one that is not counted."""
        if connection not in self._open:
            return
        self.mark(connection, idle=False)
        del self._open[connection]
        peer = connection.peer
        self._count_of[peer] -= 1
        if not self._count_of[peer]:
            del self._count_of[peer]
            self._idle_of.pop(peer, None)
        self._metrics.connections_open.dec()

    def close(self, connection: Connection, why: str) -> None:
        """Close one of our connections and count the reason."""
        self._metrics.connections_closed.labels(why).inc()
        self.leave(connection)
        connection.drop()

    def _displace(self, idle: dict[Connection, None], why: str) -> bool:
        oldest = next(iter(idle), None)
        if oldest is None:
            return False
        self.close(oldest, why)
        return True

    def _refuse(self, code: str, why: str) -> str:
        self._metrics.connections_closed.labels(why).inc()
        return code


def bounded_protocol(limits: HttpLimits, connections: Connections, peers: Peers) -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP/1.1 protocol, counted among `connections`, with a time limit on request heads (a client
    that dribbles its headers is cut off) and on answers that the client does not read."""

    class BoundedProtocol(H11Protocol):
        peer = ""
        _refused = False
        _head_timer: asyncio.TimerHandle | None = None
        _drain_timer: asyncio.TimerHandle | None = None
        _write_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            name = transport.get_extra_info("peername")
            host = str(name[0]) if isinstance(name, tuple) and name else ""
            self.peer = "" if not host or peers.is_proxy(host) else group(host)
            self.transport = transport
            code = connections.enter(self)
            if code:
                self._refused = True
                transport.write(_refusal(code))
                transport.close()
                return
            super().connection_made(transport)
            self._watch_head()

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            super().data_received(data)
            if self.conn.their_state is not h11.SEND_BODY:
                self._unwatch_draining()
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.leave(self)
            self._unwatch_head()
            self._unwatch_draining()
            self._unwatch_writing()
            if not self._refused:
                super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # Answered before the body was whole. The rest is unwanted, but closing at once would reset the connection
            # before the client has read why; uvicorn alone would go on swallowing it for ever.
            if self.conn.their_state is h11.SEND_BODY and self._drain_timer is None:
                self._drain_timer = self.loop.call_later(limits.drain_seconds_max, self._end, "unwanted_body")
            self._mark()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._write_timer is None:
                self._write_timer = self.loop.call_later(limits.write_idle_seconds_max, self._end, "slow_reader")

        def resume_writing(self) -> None:
            super().resume_writing()
            self._unwatch_writing()

        def drop(self) -> None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()  # nobody reads the rest
            else:
                self.transport.close()

        def _end(self, why: str) -> None:
            connections.close(self, why)

        def _watch_head(self) -> None:
            """Start or stop the timer that runs from the moment a head is due until it is whole; keep-alive between
            requests is uvicorn's own timer."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._unwatch_head()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.head_seconds_max, self._end, "slow_head")
            self._mark()

        def _unwatch_head(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _unwatch_draining(self) -> None:
            if self._drain_timer is not None:
                self._drain_timer.cancel()
                self._drain_timer = None

        def _unwatch_writing(self) -> None:
            if self._write_timer is not None:
                self._write_timer.cancel()
                self._write_timer = None

        def _mark(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            connections.mark(self, idle=self.conn.their_state is h11.IDLE and not answering)

    return BoundedProtocol


class CrowdGuard:
    """ASGI middleware: answers 503 `too_busy` beyond a number of requests at once, except to health and metrics
    requests. The connections themselves are limited a little higher, so that there is room for these."""

    def __init__(self, app: ASGIApp, limits: HttpLimits) -> None:
        self.app = app
        self._max = limits.connections_max - limits.connections_reserved
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in MACHINE_PATHS:
            await self.app(scope, receive, send)
            return
        if self._now >= self._max:
            retry = {"Retry-After": str(_RETRY_AFTER_SECONDS), "Connection": "close"}
            refusal = problems.response(Request(scope), Problem("too_busy", "Try again in a moment.", retry))
            await refusal(scope, receive, send)
            return
        self._now += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._now -= 1


class MachinesOnly:
    """ASGI application of the listener for machines: any other path is not found."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in MACHINE_PATHS:
            refusal = problems.response(Request(scope), Problem("not_found", "This listener is for machines."))
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _refusal(code: str) -> bytes:
    """Returns a whole response for a connection that is not accepted."""
    kind = KINDS[code]
    content = json.dumps(problems.body(code, "Too many connections.", "")).encode()
    head = (
        f"HTTP/1.1 {kind.status} {kind.title}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(content)}\r\n"
        f"Retry-After: {_RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content

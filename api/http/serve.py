"""The API as a process: uvicorn with the limits that it does not have by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.app import create_app
from api.http.limits import HttpLimits
from api.logs import configure
from api.settings import Settings


def config(settings: Settings, app: Any = None) -> uvicorn.Config:
    """uvicorn's configuration for `settings`; `app` defaults to the product's own."""
    limits = settings.http
    return uvicorn.Config(
        app if app is not None else create_app(settings),
        host=settings.http_host,
        port=settings.http_port,
        http=bounded_protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.shutdown_seconds_max,
        limit_concurrency=limits.connections_max,
        h11_max_incomplete_event_size=limits.head_bytes_max,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,  # `api.logs` has the only say in what a log holds
        log_level="warning",
    )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first, for at most `shutdown_seconds_max`."""
    configure()
    uvicorn.Server(config(settings)).run()


def bounded_protocol(limits: HttpLimits) -> type[asyncio.Protocol]:
    """uvicorn's HTTP/1.1 protocol with a time limit on request heads: a client that dribbles its headers is cut off."""

    class BoundedProtocol(H11Protocol):
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch_head()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # Answered before the body was whole, so the rest is unwanted; uvicorn alone would go on swallowing it.
            if self.conn.their_state is h11.SEND_BODY:
                self.transport.close()

        def _watch_head(self) -> None:
            """A timer runs from the first moment a head is due until it is whole; keep-alive between requests is
            uvicorn's own timer.
            """
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._unwatch_head()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.head_seconds_max, self.transport.close)

        def _unwatch_head(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return BoundedProtocol

"""Runs the API and its pages as a process: uvicorn with limits that it lacks, and a second listener for machines."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from api.http.app import create_app
from api.http.connections import Connections, MachinesOnly, bounded_protocol
from api.http.metrics import Metrics
from api.http.peers import Peers
from api.logs import configure
from api.pages.routes import add_pages
from api.settings import Settings

_MACHINES_HOST = "127.0.0.1"
log = structlog.get_logger("api.http")


def config(settings: Settings, app: Any = None) -> uvicorn.Config:
    """Returns uvicorn's configuration for `settings`; `app` defaults to the product's own."""
    limits = settings.http
    app = app if app is not None else add_pages(create_app(settings))
    connections = Connections(limits.connections_max, limits.connections_per_peer_max, _metrics(app))
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        http=bounded_protocol(limits, connections, Peers(limits)),
        ws="none",
        loop="asyncio",
        lifespan="on",
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.shutdown_seconds_max,
        h11_max_incomplete_event_size=limits.head_bytes_max,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,  # `api.logs` alone configures logging
        log_level="warning",
    )


class Server(uvicorn.Server):
    """uvicorn's server, which also listens for machines where a port is set for them. `machines_port`: that port once
    it has started; 0 for none."""

    def __init__(self, settings: Settings, app: Any = None) -> None:
        super().__init__(config(settings, app))
        self._settings = settings
        self.machines_port = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self._settings.http_machines_port
        if port is None or not self.started:
            return
        limits = self._settings.http
        # At most the reserve, from any address: only this machine reaches the listener.
        connections = Connections(max(limits.connections_reserved, 1), 0, _metrics(self.config.app))
        kind: Any = bounded_protocol(limits, connections, Peers(limits))

        def protocol() -> asyncio.Protocol:
            made = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
            made.app = MachinesOnly(made.app)
            listening: asyncio.Protocol = made
            return listening

        try:
            server = await asyncio.get_running_loop().create_server(protocol, _MACHINES_HOST, port)
        except OSError as error:
            log.error("machines_port_taken", port=port, error=error)
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        self.servers.append(server)
        self.machines_port = server.sockets[0].getsockname()[1]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first, for at most `shutdown_seconds_max`."""
    configure()
    Server(settings).run()


def _metrics(app: Any) -> Metrics:
    """Returns the application's own metrics, or some that nobody reads."""
    held = getattr(getattr(app, "state", None), "metrics", None)
    return held if isinstance(held, Metrics) else Metrics()

"""Proxies in front of a real Prefect server, as operators put them there, and broken as they break."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import websockets

# Of one hop alone, and of the body as it came: httpx has unpacked it.
_HOP = {b"connection", b"transfer-encoding", b"content-encoding", b"content-length", b"keep-alive", b"host", b"upgrade"}


class Front:
    """A reverse proxy below a path prefix: the server is at `url` with its `/api`. Requests and websockets.

    away: answers 503 to all. failing: share of the requests answered 500: exactly, or by chance where `dice` are given;
    where `health_told` none of those for the server's health is. version: told in place of the
    server's own. auth: `user:password` that the proxy asks for.
    """

    def __init__(
        self, server_url: str, *, prefix: str = "", auth: str = "", tls: tuple[Path, Path] | None = None
    ) -> None:
        self.server_url = server_url
        self.prefix = prefix
        self.auth = auth
        self.version = ""
        self.away = False
        self.failing = 0.0
        self.dice: random.Random | None = None
        self.health_told = False
        self._spared = 0
        self.requests = self.failed = self.sockets = 0
        self._tls = tls
        self._client: httpx.AsyncClient | None = None
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[Front]:
        """Serves on a free port of loopback, in a thread."""
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl_certfile": str(self._tls[0]), "ssl_keyfile": str(self._tls[1])}
        listening = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}{self.prefix}/api"
        server = uvicorn.Server(uvicorn.Config(self, log_level="error", lifespan="off", date_header=False, **tls))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield self
        finally:
            server.should_exit = server.force_exit = True
            thread.join()
            listening.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        refused = self._refused(scope)
        if scope["type"] == "websocket":
            if refused:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._socket(scope, receive, send)
        elif refused:
            await _answer(send, refused, b"{}")
        else:
            await self._forward(scope, receive, send)

    def _refused(self, scope: Any) -> int:
        """Returns the status by which the proxy itself answers; 0 for a request that goes on."""
        if not scope["path"].startswith(f"{self.prefix}/api"):
            return 404
        wanted = b"Basic " + base64.b64encode(self.auth.encode())
        if self.auth and dict(scope["headers"]).get(b"authorization") != wanted:
            return 401
        self.requests += 1
        if self.away:
            return 503
        if not self._fails():
            return 0
        if self.health_told and scope["path"].endswith("/health"):
            self._spared += 1
            return 0
        self.failed += 1
        return 500

    def _fails(self) -> bool:
        if self.dice is not None:
            return self.dice.random() < self.failing
        return self.failed + self._spared < self.failing * self.requests

    def _target(self, scope: Any) -> str:
        path = scope["path"].removeprefix(f"{self.prefix}/api")
        query = scope["query_string"].decode()
        return f"{self.server_url}{path}" + (f"?{query}" if query else "")

    async def _forward(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        if self.version and scope["path"].endswith("/admin/version"):
            await _answer(send, 200, f'"{self.version}"'.encode())
            return
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=30)
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP]
        reply = await self._client.request(scope["method"], self._target(scope), content=body, headers=headers)
        kept = [(name.lower(), value) for name, value in reply.headers.raw if name.lower() not in _HOP]
        await _answer(send, reply.status_code, reply.content, kept)

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        self.sockets += 1
        url = self._target(scope).replace("http", "ws", 1)
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name == b"authorization"}
        async with websockets.connect(url, subprotocols=scope["subprotocols"], additional_headers=headers) as inner:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": inner.subprotocol})

            async def up() -> None:
                while (message := await receive())["type"] == "websocket.receive":
                    await inner.send(message.get("text") or message["bytes"])

            async def down() -> None:
                with contextlib.suppress(websockets.ConnectionClosed):
                    async for message in inner:
                        text = message if isinstance(message, str) else message.decode()
                        await send({"type": "websocket.send", "text": text})

            await asyncio.wait([asyncio.create_task(up()), asyncio.create_task(down())], return_when="FIRST_COMPLETED")


async def _answer(send: Any, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


class Balancer:
    """A balancer that gives each new connection to the next server, whatever is spoken on it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self.connections = dict.fromkeys(ports, 0)
        self.port = 0

    @contextmanager
    def serving(self) -> Iterator[Balancer]:
        loop, ready = asyncio.new_event_loop(), threading.Event()
        turn = itertools.cycle(self.ports)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            port = next(turn)
            self.connections[port] += 1
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        async def serve() -> None:
            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        loop.create_task(serve())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()

"""The sandbox bank behind a door that answers oddly on request, in a process of its own.

    python -m tests.machine.bank --state bank.sqlite3 --token SECRET --ready-file FILE

`POST /odd` with `{"answers": [..]}` sets the answers to the next requests about single payouts, one name each; an empty
list ends it. `ANSWERS` tells what the bank really does with a request; the bank's own book is the sandbox's and pays an
id at most once.
"""

from __future__ import annotations

import argparse
import socket
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from fixtures.listening import announce
from fixtures.sandbox_bank import create_app

# Name: does the bank do what it was asked for, and what does it answer: a status and a body, or "" for half a body;
# %id is the payout that was asked about.
ANSWERS: Final[Mapping[str, tuple[bool, int, str]]] = MappingProxyType(
    {
        "unavailable": (False, 503, '{"code": "unavailable"}'),
        "in_progress": (True, 409, '{"code": "in_progress", "detail": "being worked on"}'),
        "in_progress_not_made": (False, 409, '{"code": "in_progress", "detail": "being worked on"}'),
        "too_early": (False, 425, '{"code": "too_early"}'),
        "too_many": (False, 429, '{"code": "too_many_requests"}'),
        "accepted": (True, 202, '{"code": "accepted"}'),
        "redirect": (True, 307, ""),
        "not_json": (True, 201, "paid"),
        "other_id": (
            True,
            201,
            '{"id": "another", "state": "paid", "amount_minor": 1, "currency": "CNY", "account": "x"}',
        ),
        "still_in_progress": (
            True,
            200,
            '{"id": "%id", "state": "in_progress", "amount_minor": 1, "currency": "CNY", "account": "x"}',
        ),
        "refused_at_first": (True, 422, '{"code": "account_closed"}'),
        "forbidden": (True, 403, '{"code": "forbidden"}'),
        "bare_404": (True, 404, "no such page"),
        "lost": (True, 200, ""),
    }
)


class HalfBody(Response):
    """A reply whose body breaks off in the middle; the server drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"id": "', "more_body": True})


def odd_bank(state: Path, token: str) -> FastAPI:
    """Returns the bank over the state file at `state`, with odd answers on request."""
    inner = httpx.AsyncClient(transport=httpx.ASGITransport(create_app(state, token)), base_url="http://bank")
    app = FastAPI(openapi_url=None)
    coming: deque[str] = deque()

    @app.post("/odd")
    async def odd(request: Request) -> dict[str, int]:
        names = (await request.json())["answers"]
        if unknown := [name for name in names if name and name not in ANSWERS]:
            raise ValueError(f"no such answers: {unknown}")
        coming.clear()
        coming.extend(names)
        return {"answers": len(coming)}

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def door(path: str, request: Request) -> Response:
        about_one = path.startswith("payouts/") or (path == "payouts" and request.method == "POST")
        name = coming.popleft() if about_one and coming else ""
        does, status, body = ANSWERS[name] if name else (True, 0, "")
        reply = None
        if does:
            headers = {key: value for key, value in request.headers.items() if key not in ("host", "content-length")}
            reply = await inner.request(
                request.method,
                f"/{path}",
                params=dict(request.query_params),
                content=await request.body(),
                headers=headers,
            )
        if reply is not None and not name:
            return Response(reply.content, reply.status_code, media_type=reply.headers.get("content-type"))
        if name == "lost":
            return HalfBody()
        if name == "redirect":
            return Response("", 307, {"Location": "/elsewhere"})
        payout_id = path.removeprefix("payouts/") if request.method == "GET" else (await request.json()).get("id", "")
        return Response(body.replace("%id", payout_id), status, media_type="application/problem+json")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A bank that pays nobody and answers oddly, on loopback.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    # The protocol is named: asyncio sends small packets at once (TCP_NODELAY) only then. Else every answer waits for
    # an acknowledgement, 40 ms.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.bind(("127.0.0.1", 0))
    opened.listen(64)
    announce("odd bank", opened, options.ready_file)
    config = uvicorn.Config(odd_bank(options.state, options.token), log_level="critical")
    uvicorn.Server(config).run(sockets=[opened])


if __name__ == "__main__":
    main()

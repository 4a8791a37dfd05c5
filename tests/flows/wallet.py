"""A rail that is not the product's: its file as somebody would write it, and the whole wallet that it talks to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "s3cret"
RAIL = '''"""`wallet`: the payout rail of a wallet whose transfers are put under an id of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx
from pydantic import SecretStr

from claims.money import Money
from flows.errors import RailError
from flows.rails.rail import Instruction, NotKnown, Paid, RailKind, RailSettings, Refused, Unclear

FINAL_REFUSALS = frozenset({"wallet_frozen"})


class WalletSettings(RailSettings):
    endpoint: str
    secret: SecretStr
    seconds_max: float = 5.0


class WalletRail:
    def __init__(self, settings: WalletSettings) -> None:
        headers = {"X-Secret": settings.secret.get_secret_value()}
        self._client = httpx.AsyncClient(
            base_url=settings.endpoint, headers=headers, timeout=settings.seconds_max, trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, instruction: Instruction) -> Paid | Refused | Unclear:
        amount = instruction.amount
        body = {"cents": amount.minor, "currency": amount.currency, "to": instruction.account}
        reply = await self._reply("PUT", instruction.payout_id, body)
        return Unclear(instruction.payout_id, "put, and gone since") if isinstance(reply, NotKnown) else reply

    async def ask(self, payout_id: str) -> Paid | Refused | NotKnown | Unclear:
        return await self._reply("GET", payout_id, None)

    async def payments(self) -> AsyncIterator[Paid]:
        try:
            response = await self._client.get("/transfers")
        except httpx.HTTPError as error:
            raise RailError("the wallet's list cannot be read") from error
        if response.status_code != 200:
            raise RailError("the wallet's list cannot be read")
        for row in response.json():
            if row["state"] == "done":
                yield _paid(row)

    async def _reply(self, method: str, payout_id: str, body: object) -> Paid | Refused | NotKnown | Unclear:
        try:
            response = await self._client.request(method, f"/transfers/{payout_id}", json=body)
        except httpx.HTTPError as error:
            return Unclear(payout_id, type(error).__name__)
        if response.status_code == 404:
            return NotKnown(payout_id)
        if response.status_code != 200:
            return Unclear(payout_id, f"the wallet answered {response.status_code}")
        row = response.json()
        if row["state"] in FINAL_REFUSALS:
            return Refused(payout_id, row["state"], "")
        return _paid(row) if row["state"] == "done" else Unclear(payout_id, row["state"])


def _paid(row: dict[str, object]) -> Paid:
    return Paid(str(row["id"]), f"W-{row['id']}", Money(int(str(row["cents"])), str(row["currency"])), str(row["to"]))


KIND = RailKind(name="wallet", settings=WalletSettings, open=WalletRail)
'''


class Wallet(BaseHTTPRequestHandler):
    """The wallet's server: stores transfers by id and requires the secret. loses_replies: it makes the transfer and
    closes the connection."""

    transfers: dict[str, dict[str, Any]]
    loses_replies: bool

    def do_PUT(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payout_id = self.path.rpartition("/")[2]
        if self.headers["X-Secret"] != SECRET:
            return self._answer(401, {})
        state = "wallet_frozen" if asked["to"].startswith("closed-") else "done"
        transfer = self.transfers.setdefault(payout_id, {"id": payout_id, **asked, "state": state})
        if type(self).loses_replies:
            self.close_connection = True
            return None
        return self._answer(200, transfer)

    def do_GET(self) -> None:
        if self.headers["X-Secret"] != SECRET:
            return self._answer(401, {})
        if self.path == "/transfers":
            return self._answer(200, list(self.transfers.values()))
        kept = self.transfers.get(self.path.rpartition("/")[2])
        return self._answer(404, {}) if kept is None else self._answer(200, kept)

    def log_message(self, *_: Any) -> None: ...

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running_wallet() -> Iterator[tuple[str, type[Wallet]]]:
    """Yield the address of a wallet, and its handler, which holds its transfers."""
    handler = type("OneWallet", (Wallet,), {"transfers": {}, "loses_replies": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()

"""A payout rail is one new file and one line of registration: added to a copy of the tree and chosen by the setting, it
pays a claim to the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from claims.claim import Status
from tests.grown import environment, grown

pytestmark = pytest.mark.anyio
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
        response = await self._client.get("/transfers")
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
CHANGED = {
    "flows/rails/registry.py": (
        (
            "from flows.rails.rail import ChosenRail",
            "from flows.rails import wallet\nfrom flows.rails.rail import ChosenRail",
        ),
        ("            http.KIND,\n", "            http.KIND,\n            wallet.KIND,\n"),
    )
}


class Wallet(BaseHTTPRequestHandler):
    """The wallet's server: stores payouts by id and requires the secret."""

    transfers: dict[str, dict[str, Any]]

    def do_PUT(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payout_id = self.path.rpartition("/")[2]
        state = "wallet_frozen" if asked["to"].startswith("closed-") else "done"
        self._answer(200, self.transfers.setdefault(payout_id, {"id": payout_id, **asked, "state": state}))

    def do_GET(self) -> None:
        if self.path == "/transfers":
            return self._answer(200, list(self.transfers.values()))
        kept = self.transfers.get(self.path.rpartition("/")[2])
        return self._answer(404, {}) if kept is None else self._answer(200, kept)

    def log_message(self, *_: Any) -> None: ...

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status if self.headers["X-Secret"] == "s3cret" else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def wallet() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    handler = type("OneWallet", (Wallet,), {"transfers": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.transfers  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


async def test_a_rail_in_a_file_of_its_own_pays_and_is_reconciled(
    world: Any, wallet: tuple[str, dict[str, dict[str, Any]]], wait_until: Any, tmp_path: Path
) -> None:
    url, transfers = wallet
    paid_id, payout_id = await world.approve("anna", 2_950)
    refused_id, _ = await world.approve("bert", 1_000, "closed-1")
    settings = {
        "MIAOPEI_HOME": str(tmp_path / "home"),
        "MIAOPEI_DATABASE_URL": world.dsn,
        "MIAOPEI_RAIL": json.dumps({"kind": "wallet", "options": {"endpoint": url, "secret": "s3cret"}}),
    }

    async def settled() -> bool:
        statuses = await world.statuses()
        return (statuses[paid_id], statuses[refused_id]) == (Status.PAID, Status.PAYOUT_FAILED)

    with grown({"flows/rails/wallet.py": RAIL}, CHANGED) as tree:
        cli = [sys.executable, "-m", "api.cli"]
        told = environment(tree, **settings)
        with subprocess.Popen([*cli, "settle"], cwd=tree, env=told) as process:
            try:
                await wait_until(settled)
            finally:
                process.send_signal(signal.SIGTERM)
        assert process.returncode == 0
        done = subprocess.run(
            [*cli, "reconcile", "--json"], cwd=tree, env=told, capture_output=True, text=True, check=True
        )
    assert transfers[payout_id] == {
        "id": payout_id,
        "cents": 2_950,
        "currency": "CNY",
        "to": "6222anna",
        "state": "done",
    }
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["differences"], report["payments"], report["open"]) == ([], 1, 0)

"""A payout rail is one new file and one line of registration: added to a copy of the tree and chosen by the setting, it
pays a claim to the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claims.claim import Status
from tests.flows.wallet import RAIL, SECRET, running_wallet
from tests.grown import environment, grown

pytestmark = pytest.mark.anyio
CHANGED = {
    "flows/rails/registry.py": (
        (
            "from flows.rails.rail import ChosenRail",
            "from flows.rails import wallet\nfrom flows.rails.rail import ChosenRail",
        ),
        ("            http.KIND,\n", "            http.KIND,\n            wallet.KIND,\n"),
    )
}


@pytest.fixture
def wallet() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    with running_wallet() as (url, handler):
        yield url, handler.transfers


async def test_a_rail_in_a_file_of_its_own_pays_and_is_reconciled(
    world: Any, wallet: tuple[str, dict[str, dict[str, Any]]], wait_until: Any, tmp_path: Path
) -> None:
    url, transfers = wallet
    paid_id, payout_id = await world.approve("anna", 2_950)
    refused_id, _ = await world.approve("bert", 1_000, "closed-1")
    settings = {
        "MIAOPEI_HOME": str(tmp_path / "home"),
        "MIAOPEI_DATABASE_URL": world.dsn,
        "MIAOPEI_RAIL": json.dumps({"kind": "wallet", "options": {"endpoint": url, "secret": SECRET}}),
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

"""The whole stack in real processes, each killed in the middle of a batch: nothing paid twice, nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.client import ApiClient, ApiRefused, FileToSend
from api.http.tokens import Role
from api.processes import settle_config
from api.sandbox import Sandbox
from claims.store.engine import connect
from fixtures import demo_world
from flows.reconcile import reconcile
from tests.waiting import PATIENCE_SECONDS

CLAIMS = 10
# None of them is sent by another test of this stack.
PICTURES = (
    *(f"{name}.png" for name in ("brick", "grass", "gravel", "coins", "moon", "camera", "page", "cell", "astronaut")),
    "china.jpg",
)
SETTLED_SECONDS_MAX = PATIENCE_SECONDS


def test_whatever_is_killed_every_claim_is_decided_and_every_payout_leaves_once(sandbox: Sandbox) -> None:
    asyncio.run(_play(sandbox))


async def _play(sandbox: Sandbox) -> None:
    now = datetime.now(UTC)
    policies = [
        demo_world.DemoPolicy(f"pol-kills-{n}", "cosmetics_allergy", f"kills-{n}", f"claimant {n}")
        for n in range(CLAIMS)
    ]
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "shop")) as platform:
        for policy in policies:
            await platform.post("/v1/policies", demo_world.policy_body(policy, now))
    await sandbox.age_policies()
    chaos = asyncio.create_task(_kill_each(sandbox))
    ids = await asyncio.gather(*(_send(sandbox, policy, number, now) for number, policy in enumerate(policies)))
    await chaos
    statuses = await _settled(sandbox, ids)

    assert sorted(statuses.values()) == ["paid"] * CLAIMS, statuses
    assert len(set(ids)) == CLAIMS
    assert sandbox.stack is not None
    books = await _patiently(lambda: reconcile(settle_config(sandbox.stack.settings)))
    assert books.differences == ()
    assert books.payouts == books.payments >= CLAIMS


async def _send(sandbox: Sandbox, policy: demo_world.DemoPolicy, number: int, now: datetime) -> str:
    """Sends the same request with the same key until it is answered, as an app does."""
    claim = demo_world.DemoClaim("killed around", policy.id, "allergy", 4_000, (), frozenset())
    photo = FileToSend("photo", f"{number}.jpg", demo_world.sample_photo(PICTURES[number]))
    body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{number}"}
    await asyncio.sleep(number * 0.4)  # so that the kills fall before, into and after the sending
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        answer = await _patiently(
            lambda: claimant.upload("/v1/claims", [photo], {"claim": body}, key=f"claim-{number}")
        )
    return str(answer["id"])


async def _kill_each(sandbox: Sandbox) -> None:
    assert sandbox.stack is not None
    stack = sandbox.stack
    for name in ("worker", "api", "settle"):
        await asyncio.sleep(1.5)
        os.kill(stack.processes[name].pid, signal.SIGKILL)
        await asyncio.sleep(0.3)
        stack.processes[name].start()
    await asyncio.sleep(0.5)
    port = sandbox.kill_bank()
    await asyncio.sleep(1.0)
    sandbox.start_bank(port)
    assert stack.postgres is not None
    assert stack.postgres.process is not None
    os.kill(stack.postgres.process.pid, signal.SIGKILL)
    await asyncio.sleep(0.5)
    stack.postgres.start()  # on this thread: the server ends with the thread that started it


async def _settled(sandbox: Sandbox, ids: list[str]) -> dict[str, str]:
    """Returns each claim's status from the store once none waits for a machine."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while True:
        statuses = await _patiently(lambda: _statuses(sandbox, ids))
        if not set(statuses.values()) & {"submitted", "approved"} or time.monotonic() > deadline:
            return statuses
        await asyncio.sleep(0.5)


async def _statuses(sandbox: Sandbox, ids: list[str]) -> dict[str, str]:
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    try:
        async with engine.connect() as conn:
            rows = await conn.execute(text("SELECT id, status FROM claims WHERE id = ANY(:ids)"), {"ids": ids})
            return {row.id: row.status for row in rows}
    finally:
        await engine.dispose()


async def _patiently(attempt: Callable[[], Awaitable[Any]], seconds_max: float = PATIENCE_SECONDS) -> Any:
    """Repeats the attempt until it is answered: a killed server refuses or breaks connections, or answers 5xx, for a
    while.

    A request that was under way when the API died holds its idempotency key for up to a minute: 409 until then.
    """
    deadline = time.monotonic() + seconds_max
    while True:
        try:
            return await attempt()
        except (httpx.TransportError, OSError, ApiRefused, DBAPIError) as error:
            if isinstance(error, ApiRefused) and error.status not in (409, 500, 502, 503):
                raise
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.3)

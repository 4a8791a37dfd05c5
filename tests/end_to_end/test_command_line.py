"""The commands an operator types about a claim, against the store of a running stack."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from api.client import ApiClient, FileToSend
from api.http.tokens import Role
from api.sandbox import Sandbox
from api.stack import environment
from fixtures import demo_world
from tests import forked
from tests.waiting import PATIENCE_SECONDS


def miaopei(sandbox: Sandbox, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Runs the command; returns its exit code, the JSON lines printed, and standard error."""
    assert sandbox.stack is not None
    done = forked.miaopei(*arguments, env={**os.environ, **environment(sandbox.stack.settings)})
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, rows, done.stderr


@pytest.fixture(scope="module")
def claim_id(sandbox: Sandbox) -> str:
    """Returns the id of a claim that was decided and paid."""
    policy = demo_world.DemoPolicy("pol-typed", "fresh_food_rot", "typed", "命令")
    now = datetime.now(UTC)

    async def play() -> str:
        async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "shop")) as platform:
            await platform.post("/v1/policies", demo_world.policy_body(policy, now))
        await sandbox.age_policies()
        claim = demo_world.DemoClaim("typed", policy.id, "rot", 4_000, (), frozenset())
        photo = FileToSend("photo", "a.jpg", demo_world.sample_photo("retina.jpg"))
        async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
            sent = await claimant.submit_claim(demo_world.claim_body(claim, policy, now), [photo])
            shown = await claimant.wait_while(
                sent, frozenset({"submitted", "approved"}), timeout_seconds=PATIENCE_SECONDS
            )
        assert shown["status"] == "paid", shown["decision"]["reasons"][0]
        return sent

    return asyncio.run(play())


def test_a_claim_is_listed_shown_and_replayed_byte_for_byte(sandbox: Sandbox, claim_id: str) -> None:
    code, listed, _ = miaopei(sandbox, "claims", "list", "--json")
    assert code == 0
    assert claim_id in {row["id"] for row in listed}
    code, shown, _ = miaopei(sandbox, "claims", "show", claim_id, "--json")
    assert code == 0
    (claim,) = shown
    assert [entry["status"] for entry in claim["timeline"]][-2:] == ["approved", "paid"]
    (decision,) = claim["decisions"]
    assert decision["outcome"] == "pay"
    code, replayed, _ = miaopei(sandbox, "claims", "replay", claim_id, "--json")
    assert code == 0
    assert [row["agrees"] for row in replayed] == [True]


def test_the_books_agree_with_the_bank_and_the_chain_is_whole(sandbox: Sandbox, claim_id: str) -> None:
    assert claim_id
    code, (books,), _ = miaopei(sandbox, "reconcile", "--json")
    assert code == 0
    assert books["differences"] == []
    assert books["payouts"] >= 1
    code, (chain,), _ = miaopei(sandbox, "audit", "verify", "--json")
    assert code == 0
    assert chain["records"] > 0


def test_a_claim_that_is_not_there_is_an_error_in_words(sandbox: Sandbox) -> None:
    for command in ("show", "replay"):
        code, _, error = miaopei(sandbox, "claims", command, "C-nowhere")
        assert code == 2
        assert "no claim C-nowhere" in error

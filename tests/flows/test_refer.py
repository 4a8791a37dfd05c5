"""Referrals from a real store to a real partner insurer: signed, repeated until taken, and without personal data."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from claims.store import referrals
from flows import refer

pytestmark = pytest.mark.anyio


async def state(world: Any, referral_id: str) -> str:
    async with world.engine.connect() as conn:
        return (await referrals.get(conn, referral_id)).state


async def test_a_referral_reaches_the_insurer_with_reasons_and_links_and_no_personal_data(
    world: Any, insurer: Any, run_process: Any, wait_until: Any
) -> None:
    claim_id, referral_id = await world.refer("anna", "photo_from_web", "patient_is_not_insured")

    async def delivered() -> bool:
        return await state(world, referral_id) == "delivered"

    async with run_process(lambda stop: refer.run(world.refer_config(insurer.url), stop)):
        await wait_until(delivered)
    (notice,) = insurer.get("/referrals")
    assert (notice["referral_id"], notice["claim_id"], notice["deliveries"]) == (referral_id, claim_id, 1)
    assert [reason["code"] for reason in notice["reasons"]] == ["photo_from_web", "patient_is_not_insured"]
    assert notice["evidence"][0]["url"].startswith(f"http://api.example/v1/claims/{claim_id}/evidence/%E6%8D%9F")
    assert notice["decision_url"] == f"http://api.example/v1/referrals/{referral_id}/decision"
    told = str({key: value for key, value in notice.items() if key != "reasons"})
    for private in ("张伟", "6222", "device-", "anna", "坏了"):
        assert private not in told
    assert "value" not in notice["reasons"][1], "this reason's value is a name"


async def test_an_insurer_that_refuses_or_is_down_gets_the_notice_later_and_once(
    world: Any, insurer: Any, run_process: Any, wait_until: Any
) -> None:
    insurer.faults(refuse_next=2)
    _, first = await world.refer("anna", "photo_from_web")

    async def both() -> bool:
        return {await state(world, first), await state(world, second)} == {"delivered"}

    async with run_process(lambda stop: refer.run(world.refer_config(insurer.url), stop)):
        second = first
        await wait_until(both)
        insurer.kill()
        _, second = await world.refer("bert", "photo_from_web")
        insurer.start()
        await wait_until(both)
    assert [notice["deliveries"] for notice in insurer.get("/referrals")] == [1, 1]


async def test_a_notice_signed_with_another_secret_or_changed_on_the_way_is_refused(insurer: Any) -> None:
    from datetime import UTC, datetime

    from claims.money import Money
    from flows.config import PartnerConfig
    from flows.errors import DeliveryFailed
    from flows.partners.notice import Notice, deliver, headers

    now = datetime.now(UTC)
    notice = Notice("r1", "c1", "p", "rot", Money(1, "CNY"), "refer", (), (), "u", "d", now, now)
    wrong = "whsec_" + base64.b64encode(b"another secret altogether").decode()
    url = f"{insurer.url}/webhooks"
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(DeliveryFailed, match="401"):
            await deliver(client, PartnerConfig("anshun", url, wrong), notice, now)
        changed = notice.body().replace(b'"amount_minor":1', b'"amount_minor":9')
        assert (await client.post(url, content=changed, headers=headers(notice, wrong, now))).status_code == 401
    assert insurer.get("/referrals") == []


async def test_a_referral_to_an_insurer_without_an_address_waits(
    world: Any, insurer: Any, run_process: Any, wait_until: Any
) -> None:
    from dataclasses import replace

    from sqlalchemy import select

    from claims.store.tables import outbox

    _, referral_id = await world.refer("anna", "photo_from_web")
    config = replace(world.refer_config(insurer.url), partners={})

    async def tried() -> bool:
        async with world.engine.connect() as conn:
            return "no address" in (await conn.execute(select(outbox.c.last_error))).scalar_one()

    async with run_process(lambda stop: refer.run(config, stop)):
        await wait_until(tried)
    assert await state(world, referral_id) == "open"

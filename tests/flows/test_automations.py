"""Notices of alerts through a real Prefect server, and from our own process where Prefect does not send them: one for
each, whoever sends, taken by a real web server and a real mail server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks.webhooks import Webhook

from claims.store import alerts, heartbeats, payouts
from claims.store.tables import payouts as payout_rows
from flows import refer
from flows.config import MailConfig, NoticeConfig, PrefectConfig, WatchConfig
from flows.operations.automations import CODE_TAG, PrefectNotices, prefect_notices
from flows.operations.notices import token_of
from flows.operations.trying import try_ways
from flows.operations.watch import Watch, watching
from flows.queues import utc_now
from flows.runs import OURS
from tests.flows.conftest import SECRET, World
from tests.prefect_server import PrefectServer
from tests.receiver import Receiver, receiving
from tests.waiting import until

pytestmark = pytest.mark.anyio
UNCLEAR = "miaopei.payout.unclear"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture
def told(receiver: Receiver) -> Receiver:
    """Returns the receiver, which has taken nothing yet and takes everything."""
    receiver.answer(200)
    for name in ("posts", "mails"):
        (receiver.folder / name).unlink(missing_ok=True)
    return receiver


@pytest.fixture
def prefect(prefect_api_url: str) -> PrefectConfig:
    return PrefectConfig(api_url=prefect_api_url, retry_after_seconds=0.5)


NOBODY = PrefectConfig()


def config(told: Receiver, **changes: Any) -> WatchConfig:
    notices = NoticeConfig(
        webhook_url=told.url, webhook_secret=SECRET, retry_seconds=0.2, retry_seconds_max=2, timeout_seconds=5
    )
    return WatchConfig(replace(notices, **changes), resolve_after_seconds=0, every_seconds=0.2, holds_seconds=0)


@pytest.fixture
async def server(prefect: PrefectConfig, told: Receiver) -> AsyncIterator[PrefectNotices]:
    async with prefect_notices(prefect, config(told).notices) as notices:
        yield notices


async def unclear(world: World, number: int = 1) -> str:
    """Makes a payout that the bank was asked for two hours ago; returns its id."""
    _, payout_id = await world.approve(f"claimant-{number}", account="6222000011112222")
    asked = utc_now() - timedelta(hours=2)
    async with world.engine.begin() as conn:
        await conn.execute(update(payout_rows).where(payout_rows.c.id == payout_id).values(created_at=asked))
        await payouts.mark_sent(conn, payout_id, asked)
    return payout_id


async def notices(engine: AsyncEngine, way: str = "webhook") -> list[alerts.AlertNotice]:
    async with engine.connect() as conn:
        opened = await alerts.recent(conn)
        return [each for each in await alerts.notices_of(conn, [alert.id for alert in opened]) if each.way == way]


async def look_until(watch: Watch, done: Callable[[list[alerts.AlertNotice]], bool], way: str = "webhook") -> None:
    """Looks again and again, as the process does, until the notices by one way are so."""

    async def enough() -> bool:
        assert await watch.look()
        return done(await notices(watch.engine, way))

    await until(enough, pause_seconds=0.2)


def all_sent(standing: list[alerts.AlertNotice]) -> bool:
    return bool(standing) and all(each.state == "sent" for each in standing)


async def automations(api_url: str) -> dict[str, dict[str, Any]]:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as client:
        answer = await client.post("/automations/filter", json={})
        return {each["name"]: each for each in answer.raise_for_status().json()}


async def test_automations_become_what_the_code_says_and_applying_again_changes_nothing(
    server: PrefectNotices, prefect: PrefectConfig
) -> None:
    first = await server.apply()
    assert {each.change for each in first} <= {"created", "unchanged"}
    assert {each.change for each in await server.apply()} == {"unchanged"}
    before = await automations(prefect.api_url)
    names = {each.name for each in first}
    assert {"Miaopei: payout.unclear", "Miaopei: run late", "Miaopei: run crashed", "Miaopei: run failed"} <= names

    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        deleted, disabled, changed = (before[f"Miaopei: {name}"] for name in ("ocr.down", "books.differ", "run late"))
        (await client.delete(f"/automations/{deleted['id']}")).raise_for_status()
        (await client.patch(f"/automations/{disabled['id']}", json={"enabled": False})).raise_for_status()
        edited = {name: changed[name] for name in ("name", "tags", "trigger", "enabled")}
        edited |= {"actions": [{"type": "do-nothing"}], "description": "mine"}
        (await client.put(f"/automations/{changed['id']}", json=edited)).raise_for_status()
        for name, tags in (("Miaopei: earlier", [CODE_TAG]), ("somebody's own", [OURS])):
            made = {**edited, "name": name, "tags": tags}
            (await client.post("/automations/", json=made)).raise_for_status()

    done = {each.name: each for each in await server.apply() if each.change != "unchanged"}
    assert {name: each.change for name, each in done.items()} == {
        "Miaopei: ocr.down": "created",
        "Miaopei: run late": "updated",
        "Miaopei: earlier": "removed",
    }
    after = await automations(prefect.api_url)
    assert "somebody's own" in after
    assert not after["Miaopei: books.differ"]["enabled"], "one that is disabled stays so"
    assert after["Miaopei: run late"]["id"] == changed["id"]
    assert {each.name for each in await server.listed()} == names
    assert not await server.ready("miaopei.books.differ")
    assert await server.ready(UNCLEAR)
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        (await client.patch(f"/automations/{disabled['id']}", json={"enabled": True})).raise_for_status()
    assert {each.change for each in await server.apply()} == {"unchanged"}


async def test_a_test_notice_goes_by_each_way_that_is_set(prefect: PrefectConfig, told: Receiver) -> None:
    mail = MailConfig("127.0.0.1", told.smtp_port, "miaopei@insurer.example", ("ops@insurer.example",), security="none")
    tried = await try_ways(config(told, mail=mail).notices, prefect)
    assert {each.way: each.taken for each in tried} == {"webhook": True, "mail": True, "prefect": True}, tried
    assert len(told.posts("miaopei.notice.test")) == 2
    assert len(told.mails()) == 1


async def test_an_unclear_payout_is_told_of_once_through_prefect_and_once_more_when_it_is_clear(
    world: World, prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    await server.apply()
    payout_id = await unclear(world)
    async with watching(world.engine, config(told), prefect) as watch:
        await look_until(watch, all_sent)
        for _ in range(3):
            await watch.look()
        (notice,) = await notices(world.engine)
        (post,) = told.posts(taken=False)
        assert notice.sent_by == "prefect"
        assert post["headers"]["authorization"] == f"Bearer {token_of(SECRET)}"
        assert SECRET not in json.dumps(post)
        body = json.loads(post["body"])
        assert (body["type"], body["data"]["subject"], body["data"]["id"]) == (UNCLEAR, payout_id, notice.message_id)
        assert "6222000011112222" not in post["body"]
        assert "claimant-1" not in post["body"]

        async with world.engine.begin() as conn:
            await payouts.mark_paid(conn, payout_id, "B-1", utc_now())
        await look_until(watch, lambda standing: len(standing) == 2 and all_sent(standing))
        assert len(told.posts(f"{UNCLEAR}.resolved", taken=False)) == 1
        assert len(told.posts(taken=False)) == 2
        async with world.engine.connect() as conn:
            assert await alerts.opened(conn) == []
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        asked = {"filter": {"resource": {"id": [f"miaopei.payout.{payout_id}"]}}}
        kinds: set[str] = set()

        async def both() -> bool:
            page = (await client.post("/events/filter", json=asked)).raise_for_status().json()
            kinds.update(each["event"] for each in page["events"])
            return kinds >= {UNCLEAR, f"{UNCLEAR}.resolved"}

        await until(both, pause_seconds=0.5)


async def test_runs_of_ours_that_crash_fail_or_are_late_are_told_of_and_no_others(
    prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    await server.apply()
    states = {"Crashed": "CRASHED", "Failed": "FAILED", "Late": "SCHEDULED"}
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        flow = (await client.post("/flows/", json={"name": "adjudicate"})).raise_for_status().json()["id"]
        for tags in ([OURS, "claim:clm_1"], ["somebody-elses"]):
            for name, kind in states.items():
                made = {"flow_id": flow, "name": f"{name} clm_1 {tags[0]}", "tags": tags}
                run = (await client.post("/flow_runs/", json=made)).raise_for_status().json()["id"]
                state = {"type": kind, "name": name, "message": "张伟的话"}
                changed = {"state": state, "force": True}
                (await client.post(f"/flow_runs/{run}/set_state", json=changed)).raise_for_status()

    async def told_of_all() -> bool:
        return all(told.posts(f"prefect.flow-run.{name}") for name in states)

    await until(told_of_all, pause_seconds=0.2)
    posts = [json.loads(post["body"]) for post in told.posts()]
    assert sorted(post["data"]["name"] for post in posts) == [f"{name} clm_1 {OURS}" for name in sorted(states)]
    assert all("adjudicate" in post["text"] for post in posts)
    assert "张伟" not in json.dumps(posts, ensure_ascii=False), "a state's message may quote anything"


async def test_a_receiver_that_refuses_prefect_is_tried_again_by_us_with_growing_pauses(
    world: World, prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    await server.apply()
    told.answer(500)
    await unclear(world)
    async with watching(world.engine, config(told), prefect) as watch:
        await look_until(watch, lambda standing: bool(standing) and standing[0].attempts >= 3)
        tries = [post["at"] for post in told.posts(taken=False)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(tries[1:])]
        assert pauses == sorted(pauses), pauses
        told.answer(200)
        await look_until(watch, all_sent)
        await watch.look()
    (notice,) = await notices(world.engine)
    (post,) = told.posts()
    assert notice.sent_by == "miaopei"
    Webhook(SECRET).verify(post["body"], post["headers"])
    ids = {json.loads(each["body"])["data"]["id"] for each in told.posts(taken=False)}
    assert ids == {notice.message_id}, "a receiver can tell repeats"


async def test_a_disabled_automation_leaves_the_notice_to_us(
    world: World, prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    await server.apply()
    standing = (await automations(prefect.api_url))["Miaopei: payout.unclear"]
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        (await client.patch(f"/automations/{standing['id']}", json={"enabled": False})).raise_for_status()
        try:
            await unclear(world)
            async with watching(world.engine, config(told), prefect) as watch:
                await look_until(watch, all_sent)
        finally:
            (await client.patch(f"/automations/{standing['id']}", json={"enabled": True})).raise_for_status()
    assert [each.sent_by for each in await notices(world.engine)] == ["miaopei"]
    assert len(told.posts(taken=False)) == 1


async def test_a_block_of_the_operators_is_what_automations_notify_by(
    world: World, prefect: PrefectConfig, told: Receiver
) -> None:
    """Prefect has no block for a mail server; the one for Slack takes any address that Apprise knows."""
    address = f"mailto://127.0.0.1:{told.smtp_port}?from=prefect@insurer.example&to=ops@insurer.example&mode=insecure"
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
        kind = (await client.get("/block_types/slug/slack-webhook")).raise_for_status().json()["id"]
        asked = {"block_schemas": {"block_type_id": {"any_": [kind]}}}
        schema = (await client.post("/block_schemas/filter", json=asked)).raise_for_status().json()[0]["id"]
        made = {"name": "ops", "data": {"url": address}, "block_type_id": kind, "block_schema_id": schema}
        (await client.post("/block_documents/", json=made)).raise_for_status()
    chosen = config(told, block="slack-webhook/ops", webhook_url="")
    async with prefect_notices(prefect, chosen.notices) as server:
        assert (await try_ways(chosen.notices, prefect))[0].taken
        assert all(each.notifies for each in await server.listed())
    await unclear(world)
    async with watching(world.engine, chosen, prefect) as watch:
        await look_until(watch, all_sent)
    assert [each.sent_by for each in await notices(world.engine)] == ["prefect"]
    assert ["payout" in letter["subject"] for letter in told.mails()] == [False, True]
    assert told.mails()[1]["to"] == ["ops@insurer.example"]
    assert told.posts(taken=False) == []


@pytest.mark.parametrize("block", ["slack-webhook/nobody", "no-such-type/ops", "secret/plain"])
async def test_a_block_that_is_not_there_or_cannot_notify_is_refused_in_words(
    prefect: PrefectConfig, told: Receiver, block: str
) -> None:
    if block == "secret/plain":
        async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as client:
            kind = (await client.get("/block_types/slug/secret")).raise_for_status().json()["id"]
            asked = {"block_schemas": {"block_type_id": {"any_": [kind]}}}
            schema = (await client.post("/block_schemas/filter", json=asked)).raise_for_status().json()[0]["id"]
            made = {"name": "plain", "data": {"value": "x"}, "block_type_id": kind, "block_schema_id": schema}
            (await client.post("/block_documents/", json=made)).raise_for_status()
    (tried,) = await try_ways(config(told, block=block, webhook_url="").notices, prefect)
    assert not tried.taken
    assert block in tried.detail


async def test_mail_goes_out_in_the_chosen_language_once_the_mail_server_is_back(world: World, told: Receiver) -> None:
    mail = MailConfig("127.0.0.1", told.smtp_port, "miaopei@insurer.example", ("a@x.example", "b@x.example"),
                      security="none")  # fmt: skip
    only = config(told, webhook_url="", mail=mail, language="zh", public_url="https://claims.example")
    payout_id = await unclear(world)
    told.kill()
    async with watching(world.engine, only, NOBODY) as watch:
        await look_until(watch, lambda standing: bool(standing) and standing[0].attempts >= 1, "mail")
        told.start()
        told.answer(500)
        await look_until(watch, lambda standing: standing[0].attempts >= 3, "mail")
        (waiting,) = await notices(world.engine, "mail")
        assert "451" in waiting.last_error
        told.answer(200)
        await look_until(watch, all_sent, "mail")
        await watch.look()
    (letter,) = told.mails()
    assert letter["to"] == ["a@x.example", "b@x.example"]
    assert letter["subject"].startswith(f"[Miaopei] 告警: 付款 {payout_id}")
    assert "https://claims.example/operations" in letter["text"]
    assert letter["message_id"] == f"<{waiting.message_id}@insurer.example>"
    assert told.posts(taken=False) == []


async def test_while_prefect_is_killed_the_process_tells_of_it_by_itself_and_never_again_when_it_is_back(
    world: World, prefect_server: PrefectServer, prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    await server.apply()
    prefect_server.kill()
    try:
        await unclear(world)
        async with world.engine.begin() as conn:
            await heartbeats.beat(conn, "worker@here:1-aa", "worker", {}, utc_now() - timedelta(minutes=5))
        running = replace(world.refer_config("http://127.0.0.1:9"), prefect=prefect, watch=config(told))
        stop = asyncio.Event()
        process = asyncio.create_task(refer.run(running, stop))

        async def both() -> bool:
            assert not process.done()
            return len(told.posts()) >= 2 and all_sent(await notices(world.engine))

        await until(both)
    finally:
        prefect_server.start()

    async def events_sent() -> bool:
        assert not process.done()
        return all_sent(await notices(world.engine, "prefect"))

    await until(events_sent, pause_seconds=0.2)
    await asyncio.sleep(3)  # time enough for an automation that should not fire
    stop.set()
    await process
    assert sorted(json.loads(post["body"])["type"] for post in told.posts(taken=False)) == [
        UNCLEAR,
        "miaopei.process.silent",
    ]
    for post in told.posts():
        Webhook(SECRET).verify(post["body"], post["headers"])
    assert {each.sent_by for each in await notices(world.engine)} == {"miaopei"}


async def test_a_prefect_that_is_killed_with_a_notice_in_hand_leaves_it_to_us(
    world: World, prefect_server: PrefectServer, prefect: PrefectConfig, told: Receiver, server: PrefectNotices
) -> None:
    """It took the event, and its receiver never heard of it: after a while we send."""
    await server.apply()
    told.kill()
    await unclear(world)
    async with watching(world.engine, config(told, confirm_seconds=2), prefect) as watch:
        await watch.look()
        prefect_server.kill()  # for good: no test follows that needs it
        told.start()
        await look_until(watch, all_sent)
    assert [each.sent_by for each in await notices(world.engine)] == ["miaopei"]
    assert len(told.posts(UNCLEAR)) == 1


@pytest.mark.parametrize("status", [200, 500])
async def test_a_server_that_answers_nonsense_keeps_no_notice_back(
    world: World, told: Receiver, tmp_path: Path, status: int
) -> None:
    """It may be another version, a proxy's page, or broken in half."""
    with receiving(tmp_path) as nonsense:
        nonsense.answer(status)
        await unclear(world)
        there = PrefectConfig(api_url=nonsense.url, retry_after_seconds=0.1)
        async with watching(world.engine, config(told), there) as watch:
            await look_until(watch, all_sent)
            await watch.look()
        assert nonsense.posts(taken=False), "it was asked"
    assert [each.sent_by for each in await notices(world.engine)] == ["miaopei"]
    assert len(told.posts(taken=False)) == 1


async def test_a_clock_that_jumps_for_a_moment_opens_nothing(world: World, told: Receiver) -> None:
    await world.approve("claimant-1")
    async with watching(world.engine, replace(config(told), holds_seconds=30), NOBODY) as watch:
        await watch.look()
        watch.now = lambda: utc_now() + timedelta(days=400)
        await watch.look()
        watch.now = utc_now
        await watch.look()
    async with world.engine.connect() as conn:
        assert await alerts.recent(conn) == []


def test_what_a_worker_opens_gets_no_password(tmp_path: Path) -> None:
    from api.environments import of_process
    from api.settings import Settings

    set_up = {"webhook_url": "http://x.example", "webhook_secret": SECRET}
    settings = Settings(home=tmp_path, notices=set_up)  # type: ignore[arg-type]
    told = {
        name for name in ("api", "worker", "settle", "refer", "prefect") if SECRET in str(of_process(settings, name))
    }
    assert told == {"settle", "refer"}

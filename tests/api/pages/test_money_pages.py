"""Verdicts after payment on the case page; operators handle stopped claims and recoveries."""

from __future__ import annotations

from datetime import UTC, datetime
from zlib import crc32

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.alerts import KINDS, Met
from claims.store import alerts, brakes, findings, intake, recoveries
from claims.store.alerts import AlertPolicy
from claims.store.findings import Difference
from tests.api.http.world import Api
from tests.api.pages import seeding
from tests.api.pages.test_pages_http import Seat, sign_in


@pytest.fixture
def appealed(site: Api, request: pytest.FixtureRequest) -> str:
    """Makes a claim that was paid and is appealed; returns its id."""
    name = f"{crc32(request.node.name.encode())}"
    seeding.register(site, f"clm-{name}", f"pol-{name}")
    claim_id = seeding.claim(site, f"clm-{name}", f"pol-{name}", seed=int(name) % 89)
    seeding.record(site, claim_id)
    seeding.pay_out(site, claim_id)

    async def appeal(conn: AsyncConnection) -> None:
        now = datetime.now(UTC)
        await intake.appeal(conn, claim_id, f"clm-{name}", "again", now, actor=f"claimant:clm-{name}", partner="anshun")

    seeding.stored(site, appeal)
    return claim_id


def verdict(site: Api, claim_id: str, **fields: str) -> httpx.Response:
    adjuster = sign_in(site, "adjuster", "zhang")
    case = f"/cases/{seeding.referral_of(site, claim_id)}"
    adjuster.post(f"{case}/take")
    return adjuster.post(f"{case}/verdict", currency="CNY", **fields)


def owed(site: Api, claim_id: str) -> list[recoveries.Recovery]:
    async def work(conn: AsyncConnection) -> list[recoveries.Recovery]:
        return await recoveries.of_claim(conn, claim_id)

    return seeding.stored(site, work)


def operator(site: Api) -> Seat:
    return sign_in(site, "operator", "ops")


def test_lowering_a_paid_claim_says_what_is_missing_and_then_asks_for_the_rest(site: Api, appealed: str) -> None:
    adjuster = sign_in(site, "adjuster", "zhang")
    shown = adjuster.client.get(f"/cases/{seeding.referral_of(site, appealed)}").text
    assert "Payments so far" in shown
    refused = verdict(site, appealed, verdict="approve", amount="1.00", note="")
    assert refused.status_code == 422
    assert "Tick the box" in refused.text
    assert owed(site, appealed) == []
    taken = verdict(site, appealed, verdict="approve", amount="1.00", note="", recover="yes")
    assert taken.status_code == 303
    (recovery,) = owed(site, appealed)
    claimant = sign_in(site, "claimant", recovery.claimant_id)
    assert "still have to be paid back" in claimant.client.get(f"/claims/{appealed}").text
    page = operator(site).client.get("/operations").text
    assert f"/operations/recoveries/{recovery.id}/repayment" in page
    repaid = operator(site).post(f"/operations/recoveries/{recovery.id}/repayment", reference="IN-9")
    assert repaid.headers["location"] == "/operations"
    assert owed(site, appealed)[0].state == "repaid"
    late = operator(site).post(f"/operations/recoveries/{recovery.id}/write-off", note="gone")
    assert late.status_code == 409
    assert 'role="alert"' in late.text


def test_an_operator_sees_a_stopped_claim_and_lets_it_go_on(site: Api, appealed: str) -> None:
    async def stop(conn: AsyncConnection) -> None:
        difference = Difference(f"po-{appealed}", appealed, "account_differs", "the bank paid to another account")
        await findings.record(conn, difference, datetime.now(UTC), actor="flow:reconcile")

    seeding.stored(site, stop)
    adjuster = sign_in(site, "adjuster", "zhang")
    assert "account_differs" in adjuster.client.get(f"/cases/{seeding.referral_of(site, appealed)}").text

    async def opened(conn: AsyncConnection) -> list[findings.Finding]:
        return await findings.listed(conn, claim_id=appealed)

    (finding,) = seeding.stored(site, opened)
    seat = operator(site)
    assert f"/operations/findings/{finding.id}/lifting" in seat.client.get("/operations").text
    without_a_word = seat.post(f"/operations/findings/{finding.id}/lifting", note="  ")
    assert without_a_word.status_code == 409
    assert seat.post(f"/operations/findings/{finding.id}/lifting", note="asked the bank").status_code == 303
    assert seeding.stored(site, opened) == []


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ("Alerts", "no final answer of the bank for 2 h 0 min", "Ask the bank")),
     ("zh", ("告警", "银行已有 2 小时 0 分钟 没有给出最终答复", "请向银行查询"))],
)  # fmt: skip
def test_an_operator_sees_open_alerts_and_what_to_do(site: Api, language: str, words: tuple[str, ...]) -> None:
    async def keep(conn: AsyncConnection, *met: Met) -> None:
        policy = AlertPolicy({}, resolve_after_seconds=0.0, repeat_seconds=86_400.0)
        await alerts.keep(conn, met, (), datetime.now(UTC), policy, ())

    unclear = Met(KINDS["payout.unclear"], "po-1", {"age_seconds": 7_200, "claim": "clm-1"})
    seat = operator(site)
    headers = {"accept-language": language}
    assert 'id="alerts"' not in seat.client.get("/operations", headers=headers).text
    seeding.stored(site, lambda conn: keep(conn, unclear))
    try:
        for path in ("/operations", "/operations/figures"):
            page = seat.client.get(path, headers=headers).text
            assert 'id="alerts"' in page
            for word in words:
                assert word in page
    finally:
        seeding.stored(site, keep)


def test_the_operators_page_says_what_is_held_since_when_by_whom_and_why_in_both_languages(site: Api) -> None:
    def put(name: str, at_once_max: int | None) -> None:
        async def work(conn: AsyncConnection) -> None:
            await brakes.put(
                conn, name, at_once_max, datetime.now(UTC), source="command", actor="operator:eve", reason="drill <b>"
            )

        seeding.stored(site, work)

    seat = operator(site)
    assert 'id="brakes"' not in seat.client.get("/operations").text
    put("bank", 0)
    put("product:pet_medical", 2)
    put("insurer:heyuan", 0)
    english = seat.client.get("/operations").text
    chinese = seat.client.get("/operations", headers={"Accept-Language": "zh"}).text
    for name in ("bank", "product:pet_medical", "insurer:heyuan"):
        put(name, None)
    for words in ("Held or limited by operators", "Held", "at most 2 at a time", "operator:eve", "drill &lt;b&gt;"):
        assert words in english
    assert "0 payouts" in english
    for words in ("人工暂停或限流", "已暂停", "同时最多 2 件", "付款", "insurer:heyuan"):
        assert words in chinese
    assert 'id="brakes"' not in seat.client.get("/operations").text

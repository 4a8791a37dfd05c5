"""Rate limits by subject and by address, and revoked or rotated tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.http import tokens
from api.http.metrics import Metrics
from api.http.peers import Peers
from api.http.rates import Rates
from api.http.token_keys import rotate
from api.limits import HttpLimits, RateLimits
from api.settings import Settings
from claims.store import revocations
from claims.store.engine import connect
from tests.api.http.world import Api, jpeg, key, parts, register, running, statement


@contextmanager
def limited(settings: Settings, **rates: int) -> Iterator[Api]:
    http = replace(settings.http, rates=RateLimits(**rates))
    with running(settings.model_copy(update={"http": http})) as api:
        yield api


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return True


def throttled(api: Api) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["kind"], sample.labels["by"]): sample.value
        for family in text_string_to_metric_families(api.anonymous().get("/metrics").text)
        for sample in family.samples
        if sample.name == "miaopei_http_throttled_total"
    }


def test_who_asks_too_often_waits_and_others_do_not(settings: Settings) -> None:
    with limited(settings, requests_by_subject=5) as api:
        a, b = api.as_("claimant", "clm-a"), api.as_("claimant", "clm-b")
        answers = [a.get("/v1/claims") for _ in range(7)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert all(refused(answer) for answer in answers[5:])
        assert b.get("/v1/claims").is_success
        assert refused(api.as_("claimant", "clm-a").get("/v1/claims")), "another token of the same subject"
        assert throttled(api) == {("requests", "subject"): 3}


def test_an_address_is_limited_whoever_asks_from_it_but_not_machines(settings: Settings) -> None:
    with limited(settings, requests_by_address=5) as api:
        answers = [api.as_("claimant", f"clm-{number}").get("/v1/claims") for number in range(6)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert refused(answers[5])
        assert api.as_("operator", "ops").get("/v1/operations").is_success
        assert register(api)["id"] == "pol-1"


def test_claims_and_uploads_are_counted_apart_from_other_requests(settings: Settings) -> None:
    with limited(settings, claims_by_subject=2, uploads_by_subject=1) as api:
        register(api)
        client = api.as_("claimant", "clm-a")

        def post(number: int) -> httpx.Response:
            return client.post("/v1/claims", files=parts(statement(), jpeg(number)), headers=key())

        draft = client.post("/v1/claims", json=statement(), headers=key()).json()["id"]
        assert post(1).status_code == 202
        assert refused(post(2))
        path = f"/v1/claims/{draft}/evidence/a.jpg"
        assert client.put(path, params={"kind": "photo"}, content=jpeg()).is_success
        assert refused(client.put(path, params={"kind": "photo"}, content=jpeg()))
        assert client.get("/v1/claims").is_success
        assert len(client.get("/v1/claims").json()["claims"]) == 2


def test_bad_tokens_are_counted_by_address_and_hold_up_no_good_one(settings: Settings) -> None:
    with limited(settings, token_failures_by_address=3) as api:
        guessing = [
            api.anonymous().get("/v1/claims", headers={"Authorization": f"Bearer {number}"}) for number in range(5)
        ]
        assert [answer.status_code for answer in guessing] == [401, 401, 401, 429, 429]
        assert refused(api.anonymous().get("/v1/claims"))
        assert api.as_("claimant", "clm-a").get("/v1/claims").is_success


def test_signing_in_is_limited_by_address_and_tells_so_on_a_page(settings: Settings) -> None:
    with limited(settings, sign_ins_by_address=2) as api:
        client = api.anonymous()
        client.headers["Accept-Language"] = "en"
        answers = [client.post("/sign-in", data={"csrf": "x", "token": "y"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        assert "Too many requests" in answers[2].text
        assert answers[2].headers["Retry-After"]
        assert client.get("/healthz").is_success


def revoke(api: Api, what: str) -> None:
    async def write() -> None:
        engine, now = connect(api.settings.database_url), datetime.now(UTC)
        async with engine.begin() as conn:
            await revocations.revoke(conn, what, now, forget_at=now + timedelta(hours=1), actor="operator:ops")
        await engine.dispose()

    asyncio.run(write())


def code(client: httpx.Client) -> Any:
    answer = client.get("/v1/claims")
    return answer.status_code if answer.is_success else answer.json()["code"]


def test_a_revoked_token_lets_nobody_in_and_other_tokens_of_the_subject_still_do(api: Api) -> None:
    stolen, other = api.as_("claimant", "clm-a"), api.as_("claimant", "clm-a")
    ring, now = tokens.KeyRing("", (), api.settings.home), datetime.now(UTC)
    written = str(stolen.headers["Authorization"]).removeprefix("Bearer ")
    token = tokens.verify(written, keys=ring.verifying(now), now=now)
    assert code(stolen) == 200
    revoke(api, token.id)
    assert (code(stolen), code(other)) == ("token_revoked", 200)
    revoke(api, "claimant:clm-a")
    assert (code(stolen), code(other)) == ("token_revoked", "token_revoked")
    assert code(api.as_("claimant", "clm-a")) == 200, "one that is issued afterwards"
    assert code(api.as_("claimant", "clm-b")) == 200


def test_a_rotation_reaches_a_running_server(api: Api) -> None:
    before = api.as_("claimant", "clm-a")
    rotate(api.settings.home, datetime.now(UTC), timedelta(hours=1))
    assert (code(before), code(api.as_("claimant", "clm-a"))) == (200, 200)
    rotate(api.settings.home, datetime.now(UTC), timedelta(0))
    assert (code(before), code(api.as_("claimant", "clm-a"))) == ("token_invalid", 200)


FORWARDED = [
    # trusted, in a row, peer, X-Forwarded-For, address
    ("", 1, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
    ("192.0.2.7, 10.0.0.0/8", 1, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
    ("192.0.2.7, 10.0.0.0/8", 1, "10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
    ("192.0.2.7, 10.0.0.0/8", 1, "10.1.1.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
    ("192.0.2.7, 10.0.0.0/8", 1, "10.1.1.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
    ("192.0.2.7, 10.0.0.0/8", 2, "10.1.1.1", ["1.1.1.1, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
    ("192.0.2.7, 10.0.0.0/8", 2, "10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
    ("192.0.2.7, 10.0.0.0/8", 1, "10.1.1.1", [], "10.1.1.1"),
    ("192.0.2.7, 10.0.0.0/8", 1, "10.1.1.1", ["unknown"], "10.1.1.1"),
    ("192.0.2.7, 10.0.0.0/8", 1, "::ffff:10.1.1.1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
    ("", 1, "2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
    ("", 1, "fe80::1%eth0", [], "fe80::/64"),
]


@pytest.mark.parametrize(("trusted", "in_a_row", "peer", "forwarded", "address"), FORWARDED)
def test_the_address_is_the_peers_unless_a_trusted_proxy_tells_another(
    trusted: str, in_a_row: int, peer: str, forwarded: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "client": (peer, 1), "headers": headers}
    assert Peers(HttpLimits(trusted_proxies=trusted, proxies_in_a_row=in_a_row)).address(scope) == address


def test_counters_are_bounded_and_forgotten() -> None:
    limits = HttpLimits(rates=RateLimits(counters_max=50))
    rates = Rates(limits, Metrics())

    async def ask() -> int:
        for number in range(500):
            await rates.signed_in(tokens.Principal(tokens.Role.CLAIMANT, f"clm-{number}"))
        return len(rates._storage.storage)

    assert asyncio.run(ask()) <= 51


@pytest.mark.parametrize(
    "wrong",
    [
        {"trusted_proxies": "10.0.0.0/8, not a network"},
        {"proxies_in_a_row": 0},
        {"connections_reserved": 512},
        {"rates": {"claims_by_subject": -1}},
    ],
)
def test_limits_that_make_no_sense_are_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="http"):
        Settings(http=wrong)  # type: ignore[arg-type]


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_HTTP__RATES__CLAIMS_BY_SUBJECT", "7")
    monkeypatch.setenv("MIAOPEI_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("MIAOPEI_TOKEN_KEYS_OLD", '["abc"]')
    read = Settings()
    assert (read.http.rates.claims_by_subject, read.http.rates.claims_by_address) == (7, RateLimits().claims_by_address)
    assert [str(proxy) for proxy in read.http.proxies()] == ["10.0.0.0/8", "::1/128"]
    assert read.token_keys_old == ("abc",)

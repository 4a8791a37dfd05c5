from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from claims.decision import Outcome
from claims.store import idempotency
from claims.store.engine import connect
from tests.api.http.world import Api, decide, jpeg, key, parts, policy, register, rows, statement, submit

ONE = {"Idempotency-Key": "order-417"}


def test_a_repeated_request_gives_the_first_answer_again_and_does_nothing(api: Api) -> None:
    register(api)
    client, files = api.as_("claimant", "clm-a"), parts(statement(), jpeg(1), jpeg(2))
    first = client.post("/v1/claims", files=files, headers=ONE)
    again = client.post("/v1/claims", files=files, headers=ONE)  # httpx chooses another boundary
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content, again.headers["Location"]) == (
        202,
        first.content,
        first.headers["Location"],
    )
    assert rows(api, "SELECT (SELECT count(*) FROM claims), (SELECT count(*) FROM jobs)") == [(1, 1)]


def test_a_key_with_other_contents_is_refused(api: Api) -> None:
    register(api)
    client, claim = api.as_("claimant", "clm-a"), statement()
    assert client.post("/v1/claims", files=parts(claim, jpeg(1)), headers=ONE).status_code == 202
    for answer in (
        client.post("/v1/claims", files=parts(claim, jpeg(2)), headers=ONE),
        client.post("/v1/claims", files=parts(claim, jpeg(1), jpeg(2)), headers=ONE),
        client.post("/v1/claims", files=parts(claim | {"amount_minor": 1}, jpeg(1)), headers=ONE),
        client.post("/v1/claims", json=claim, headers=ONE),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.blobs()) == 1


def test_a_key_of_one_caller_means_nothing_to_another(api: Api) -> None:
    register(api)
    register(api, policy_id="pol-b", claimant_id="clm-b")
    own = api.as_("claimant", "clm-a").post("/v1/claims", files=parts(statement(), jpeg()), headers=ONE)
    other = api.as_("claimant", "clm-b").post("/v1/claims", files=parts(statement("pol-b"), jpeg()), headers=ONE)
    assert (own.status_code, other.status_code) == (202, 202)
    assert own.json()["id"] != other.json()["id"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "schlüssel"])
def test_an_unusable_key_is_refused(api: Api, bad: str) -> None:
    headers = {"Idempotency-Key": bad.encode("latin-1")}
    answer = api.as_("claimant", "clm-a").post("/v1/claims", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


def test_whoever_may_not_call_a_route_is_told_so_before_anything_of_keys(api: Api) -> None:
    callers = (api.as_("adjuster", "li"), api.as_("claimant", "clm-a"))
    codes = [client.post("/v1/claims", json={}).json()["code"] for client in callers]
    assert codes == ["forbidden", "idempotency_key_missing"]


def test_every_post_that_creates_asks_for_a_key(api: Api) -> None:
    asked = {
        ("platform", "shop"): ["/v1/policies", "/v1/pets", "/v1/pets/p/noses"],
        ("claimant", "clm-a"): ["/v1/claims", "/v1/claims/c/evidence", "/v1/claims/c/appeal"],
        ("adjuster", "wang"): ["/v1/claims/c/review"],
        ("partner", "anshun"): ["/v1/referrals/r/decision"],
    }
    for (role, subject), paths in asked.items():
        client = api.as_(role, subject)
        for path in paths:
            answer = client.post(path)
            assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing"), path


def test_a_refused_request_leaves_its_key_free(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    wrong = client.post("/v1/claims", files=parts(statement(peril="theft"), jpeg()), headers=ONE)
    assert wrong.status_code == 422
    right = client.post("/v1/claims", files=parts(statement(), jpeg()), headers=ONE)
    assert right.status_code == 202
    assert "Idempotent-Replayed" not in right.headers


def test_a_request_whose_first_is_in_flight_is_told_to_wait_and_takes_over_a_dead_one(api: Api) -> None:
    register(api)
    client = api.as_("platform", "shop")
    terms = policy("pol-2")

    async def put(until_seconds: float) -> None:
        """Stores the first request as a process that died (or is still working on it) left it."""
        engine = connect(api.settings.database_url)
        async with engine.begin() as conn:
            await conn.exec_driver_sql("DELETE FROM idempotency_keys")
            begun = await idempotency.begin(
                conn, "platform:shop", ONE["Idempotency-Key"], mark, datetime.now(UTC), lock_seconds=until_seconds
            )
            assert begun.standing is idempotency.Standing.FRESH
        await engine.dispose()

    client.post("/v1/policies", json=terms, headers=ONE)
    ((mark,),) = rows(api, "SELECT request_sha256 FROM idempotency_keys WHERE key = 'order-417'")
    asyncio.run(put(60.0))
    waiting = client.post("/v1/policies", json=terms, headers=ONE)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "in_flight")
    assert int(waiting.headers["Retry-After"]) >= 1
    other = client.post("/v1/policies", json=terms | {"insured_name": "王"}, headers=ONE)
    assert other.json()["code"] == "idempotency_key_reused"
    asyncio.run(put(-1.0))
    assert client.post("/v1/policies", json=terms, headers=ONE).status_code == 201


def test_of_many_equal_requests_at_once_one_works_and_the_others_wait_or_repeat(api: Api) -> None:
    register(api)
    client, files = api.as_("claimant", "clm-a"), parts(statement(), jpeg())
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/claims", files=files, headers=ONE)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert rows(api, "SELECT (SELECT count(*) FROM claims), (SELECT count(*) FROM jobs)") == [(1, 1)]


def test_a_repeated_verdict_pays_once(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.REFER)
    verdict = {"verdict": "approve", "amount_minor": 100, "currency": "CNY", "note": ""}
    adjuster = api.as_("adjuster", "wang")
    first = adjuster.post(f"{href}/review", json=verdict, headers=ONE)
    again = adjuster.post(f"{href}/review", json=dict(reversed(verdict.items())), headers=ONE)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert rows(api, "SELECT count(*) FROM payouts") == [(1,)]


def test_submit_and_withdraw_honour_a_key_and_need_none(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    href = client.post("/v1/claims", json=statement(), headers=key()).json()["href"]
    client.put(f"{href}/evidence/a.jpg", params={"kind": "photo"}, content=jpeg())
    assert [client.post(f"{href}/submit", headers=ONE).status_code for _ in range(2)] == [202, 202]
    withdrawn = {"Idempotency-Key": "enough"}
    assert [client.post(f"{href}/withdraw", headers=withdrawn).status_code for _ in range(2)] == [200, 200]
    assert datetime.now(UTC) - timedelta(minutes=5) < rows(api, "SELECT closed_at FROM claims")[0][0]

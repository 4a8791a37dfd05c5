"""Every route by every possible caller. A new route without a line here fails the first test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from api.http import tokens
from api.http.app import create_app
from api.settings import Settings
from claims.decision import Outcome
from tests.api.http.world import SUSPICION, Api, decide, jpeg, key, parts, policy, register, statement, submit

CALLERS = ("anonymous", "claimant A", "claimant B", "adjuster", "partner A", "partner B", "operator", "platform")
PUBLIC = "200 200 200 200 200 200 200 200"

# One status for each caller, in the order of CALLERS. The claim, the policy and the pet are claimant A's; the claim is
# referred to partner A. 4xx other than 401, 403 and 404 mean that the caller got past the door and was told what is
# wrong with an empty request.
MATRIX = {
    #                                                    anon A   B   adj pA  pB  op  platform
    ("POST", "/v1/policies"): "401 403 403 403 403 403 403 422",
    ("PUT", "/v1/policies/{policy_id}"): "401 403 403 403 403 403 403 422",
    ("GET", "/v1/policies/{policy_id}"): "401 200 404 403 403 403 403 200",
    ("POST", "/v1/pets"): "401 403 403 403 403 403 403 422",
    ("PUT", "/v1/pets/{pet_id}"): "401 403 403 403 403 403 403 422",
    ("GET", "/v1/pets/{pet_id}"): "401 200 404 403 403 403 403 200",
    ("POST", "/v1/pets/{pet_id}/noses"): "401 403 403 403 403 403 403 415",
    ("POST", "/v1/claims"): "401 415 415 403 403 403 403 403",
    ("GET", "/v1/claims"): "401 200 200 403 403 403 403 403",
    ("GET", "/v1/claims/{claim_id}"): "401 200 404 200 200 404 403 403",
    ("POST", "/v1/claims/{claim_id}/evidence"): "401 415 404 403 403 403 403 403",
    ("POST", "/v1/claims/{claim_id}/submit"): "401 409 404 403 403 403 403 403",
    ("POST", "/v1/claims/{claim_id}/appeal"): "401 422 422 403 403 403 403 403",
    ("PUT", "/v1/claims/{claim_id}/evidence/{name}"): "401 409 404 403 403 403 403 403",
    ("GET", "/v1/claims/{claim_id}/evidence/{name}"): "401 200 404 200 200 404 403 403",
    ("GET", "/v1/claims/{claim_id}/evidence/{name}/preview"): "401 404 404 404 404 404 403 403",
    ("GET", "/v1/claims/{claim_id}/matches/{photo_id}/preview"): "401 403 403 404 404 404 403 403",
    ("GET", "/v1/claims/{claim_id}/matches"): "401 403 403 200 200 404 403 403",
    ("GET", "/v1/claims/{claim_id}/matches/{evidence_id}/{photo_id}/overlay"): "401 403 403 404 404 404 403 403",
    ("POST", "/v1/claims/{claim_id}/rulings"): "401 403 403 422 422 422 403 403",
    ("POST", "/v1/claims/{claim_id}/rulings/{ruling_id}/taking-back"): "401 403 403 422 422 422 403 403",
    ("GET", "/v1/floods"): "401 403 403 200 403 403 403 403",
    ("GET", "/v1/floods/{flood_id}/pictures/{photo_id}"): "401 403 403 404 403 403 403 403",
    ("POST", "/v1/floods/{flood_id}/ruling"): "401 403 403 422 403 403 403 403",
    ("GET", "/v1/queue"): "401 403 403 200 403 403 403 403",
    ("POST", "/v1/claims/{claim_id}/review"): "401 403 403 422 403 403 403 403",
    ("GET", "/v1/referrals"): "401 403 403 403 200 200 403 403",
    ("POST", "/v1/referrals/{referral_id}/decision"): "401 403 403 403 422 422 403 403",
    ("GET", "/v1/recoveries"): "401 403 403 200 403 403 200 403",
    ("POST", "/v1/recoveries/{recovery_id}/repayment"): "401 403 403 403 403 403 422 403",
    ("POST", "/v1/recoveries/{recovery_id}/write-off"): "401 403 403 422 403 403 422 403",
    ("GET", "/v1/findings"): "401 403 403 200 403 403 200 403",
    ("POST", "/v1/findings/{finding_id}/lifting"): "401 403 403 403 403 403 422 403",
    ("GET", "/v1/operations"): "401 403 403 403 403 403 200 403",
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    # Last, since it ends the claim for the others.
    ("POST", "/v1/claims/{claim_id}/withdraw"): "401 200 404 403 403 403 403 403",
}


def routes(settings: Settings) -> set[tuple[str, str]]:
    listed = set()
    for path, operations in create_app(settings).openapi()["paths"].items():
        listed |= {(method.upper(), path) for method in operations}
    return listed


def test_every_route_is_in_the_matrix(settings: Settings) -> None:
    assert routes(settings) == set(MATRIX)


def callers(api: Api) -> dict[str, httpx.Client]:
    return {
        "anonymous": api.anonymous(),
        "claimant A": api.as_("claimant", "clm-a"),
        "claimant B": api.as_("claimant", "clm-b"),
        "adjuster": api.as_("adjuster", "wang"),
        "partner A": api.as_("partner", "anshun"),
        "partner B": api.as_("partner", "heyuan"),
        "operator": api.as_("operator", "ops"),
        "platform": api.as_("platform", "shop"),
    }


def world(api: Api) -> dict[str, str]:
    """Returns the ids of claimant A's policy, pet and claim, referred to partner A; claimant B has a policy too."""
    register(api)
    register(api, policy_id="pol-b", claimant_id="clm-b")
    pet = {"claimant": {"id": "clm-a", "name": "李晓雯"}, "name": "豆豆", "species": "dog"}
    assert api.as_("platform", "shop").put("/v1/pets/pet-a", json=pet).is_success
    claim = submit(api)
    decide(api, claim["id"], Outcome.REFER, SUSPICION)
    case = api.as_("adjuster", "wang").get("/v1/queue").json()["cases"][0]
    return {
        "policy_id": "pol-1",
        "pet_id": "pet-a",
        "claim_id": claim["id"],
        "referral_id": case["referral_id"],
        "name": "photo-1.jpg",
        "photo_id": "p-unknown",
        "evidence_id": "E-unknown",
        "recovery_id": "r-unknown",
        "finding_id": "1",
        "flood_id": "F-unknown",
        "ruling_id": "R-unknown",
    }


def test_each_route_answers_each_caller_as_the_matrix_says(api: Api) -> None:
    names, clients = world(api), callers(api)
    wrong = []
    for (method, template), expected in MATRIX.items():
        path = template.format(**names)
        params = {"kind": "photo"} if method == "PUT" and "/evidence/" in path else None
        for caller, status in zip(CALLERS, expected.split(), strict=True):
            headers = key() if method == "POST" else {}
            answer = clients[caller].request(method, path, headers=headers, params=params)
            if answer.status_code != int(status):
                wrong.append((method, template, caller, answer.status_code, status))
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
    assert wrong == []


def test_a_whole_request_for_something_of_somebody_else_finds_nothing_and_changes_nothing(api: Api) -> None:
    names, clients = world(api), callers(api)
    claim, referral = f"/v1/claims/{names['claim_id']}", f"/v1/referrals/{names['referral_id']}"
    before = clients["adjuster"].get(claim).json()
    verdict = {"verdict": "refuse", "note": "no"}
    b, partner_b = clients["claimant B"], clients["partner B"]
    photo = parts(None, jpeg(5))
    answers: list[httpx.Response] = [
        b.post("/v1/claims", files=parts(statement("pol-1"), jpeg()), headers=key()),
        b.post(f"{claim}/evidence", files=photo, headers=key()),
        b.put(f"{claim}/evidence/x.jpg", params={"kind": "photo"}, content=jpeg()),
        b.post(f"{claim}/submit"),
        b.post(f"{claim}/withdraw", json={"note": "mine"}),
        b.post(f"{claim}/appeal", json={"note": "mine"}, headers=key()),
        partner_b.post(f"{referral}/decision", json=verdict, headers=key()),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert {answer.json()["detail"] for answer in answers} == {"No such thing, or not yours."}
    unknown = b.get("/v1/claims/C-unknown").json()
    foreign = b.get(claim).json()
    assert {**foreign, "trace_id": ""} == {**unknown, "trace_id": ""}
    assert clients["adjuster"].get(claim).json() == before


def test_a_pet_of_somebody_else_cannot_be_insured_or_taken_over(api: Api) -> None:
    world(api)
    platform = api.as_("platform", "shop")
    terms = policy("pol-c", "clm-b", product="pet_medical", pet_id="pet-a")
    assert platform.post("/v1/policies", json=terms, headers=key()).json()["code"] == "unknown_pet"
    pet = {"claimant": {"id": "clm-b", "name": "王"}, "name": "豆豆", "species": "dog"}
    assert platform.put("/v1/pets/pet-a", json=pet).json()["code"] == "conflict"


def test_a_bad_token_is_told_from_an_expired_one(api: Api) -> None:
    signing = tokens.load_key("", api.settings.home)
    past = datetime.now(UTC) - timedelta(hours=2)
    expired = tokens.issue("claimant", "clm-a", key=signing, now=past, valid_for=timedelta(hours=1))
    forged = tokens.issue("claimant", "clm-a", key=b"x" * 32, now=datetime.now(UTC))
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "unauthenticated"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "unauthenticated"),
        ({"Authorization": "Bearer"}, "unauthenticated"),
        ({"Authorization": f"Bearer {expired}"}, "token_expired"),
        ({"Authorization": f"Bearer {forged}"}, "token_invalid"),
        ({"Authorization": "Bearer a.b.c"}, "token_invalid"),
    ]
    for headers, code in cases:
        answer = api.anonymous().get("/v1/claims", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    missing = api.anonymous().get("/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = api.anonymous().delete("/v1/claims")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"]


def test_every_route_of_the_api_asks_who_calls(settings: Settings) -> None:
    document = create_app(settings).openapi()
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            assert all(operation.get("security") for operation in operations.values()), path

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from claims.decision import Ground, Outcome, Reason
from tests.api.http.world import SUSPICION, Api, decide, jpeg, key, parts, policy, register, rows, statement, submit

UNREADABLE = Reason("photo_unreadable", Ground.EVIDENCE, Outcome.ASK, "", "", "E-1")
WAITING = Reason("waiting_period_not_over", Ground.CONTRACT, Outcome.DECLINE, "day 3", "> day 30", clause="1.2")
CLEAR = Reason("photo_unseen", Ground.CLEAR, Outcome.PAY, "", "")


def test_a_claim_with_photos_is_taken_in_and_due_at_once(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    answer = client.post("/v1/claims", files=parts(statement(), jpeg(1), jpeg(2)), headers=key())
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["href"]
    claim = client.get(answer.json()["href"]).json()
    assert claim["status"] == "submitted"
    assert [file["name"] for file in claim["evidence"]] == ["photo-1.jpg", "photo-2.jpg"]
    assert [entry["status"] for entry in claim["timeline"]] == ["draft", "submitted"]
    assert rows(api, "SELECT state, round FROM jobs") == [("due", 1)]
    assert len(api.blobs()) == 2
    assert client.get(claim["evidence"][1]["href"]).content == jpeg(2)


def test_a_claim_in_pieces_is_a_draft_until_it_is_submitted(api: Api) -> None:
    register(api)
    client = api.as_("claimant", "clm-a")
    draft = client.post("/v1/claims", json=statement(product=None), headers=key())
    assert (draft.status_code, draft.json()["status"]) == (201, "draft")
    href = draft.json()["href"]
    assert client.post(f"{href}/submit").json()["code"] == "no_files"
    for _ in range(2):  # a repeated upload changes nothing
        stored = client.put(f"{href}/evidence/rot.jpg", params={"kind": "photo"}, content=jpeg(1))
        assert (stored.status_code, stored.json()["name"]) == (200, "rot.jpg")
    replaced = client.put(f"{href}/evidence/rot.jpg", params={"kind": "photo"}, content=jpeg(2))
    assert replaced.json()["sha256"] != stored.json()["sha256"]
    assert client.post(f"{href}/submit").status_code == 202
    assert client.post(f"{href}/submit").json()["code"] == "invalid_transition"
    late = client.put(f"{href}/evidence/late.jpg", params={"kind": "photo"}, content=jpeg(3))
    assert (late.status_code, late.json()["code"]) == (409, "invalid_transition")
    claim = client.get(href).json()
    assert (claim["status"], claim["round"], len(claim["evidence"])) == ("submitted", 1, 1)


REFUSED_AT_THE_DOOR: list[tuple[dict[str, Any], int, str]] = [
    ({"policy_id": "pol-unknown"}, 404, "not_found"),
    ({"policy_id": "pol-b"}, 404, "not_found"),  # somebody else's
    ({"product": "earthquake"}, 422, "unknown_product"),
    ({"product": "return_freight"}, 422, "product_mismatch"),
    ({"peril": "theft"}, 422, "peril_not_of_product"),
    ({"currency": "USD"}, 422, "currency_mismatch"),
    ({"currency": "yuan"}, 422, "invalid_request"),
    ({"amount_minor": -1}, 422, "invalid_request"),
    ({"amount_minor": 0}, 422, "invalid_request"),
    ({"amount_minor": 1.5}, 422, "invalid_request"),
    ({"amount_minor": "5980"}, 422, "invalid_request"),
    ({"amount_minor": 10**13}, 422, "invalid_request"),
    ({"amount_minor": True}, 422, "invalid_request"),
    ({"occurred_at": "2026-11-20T09:30:00"}, 422, "invalid_request"),  # no offset
    ({"occurred_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, 422, "event_in_future"),
    ({"payee_account": ""}, 422, "invalid_request"),
    ({"description": "a\x00b"}, 422, "invalid_request"),
    ({"description": "x" * 4001}, 422, "invalid_request"),
    ({"amount": 5980}, 422, "invalid_request"),  # a member nobody knows
]


def test_what_cannot_be_a_claim_is_refused_at_the_door_and_leaves_nothing(api: Api) -> None:
    register(api)
    register(api, policy_id="pol-b", claimant_id="clm-b")
    client = api.as_("claimant", "clm-a")
    for changed, status, code in REFUSED_AT_THE_DOOR:
        for answer in (
            client.post("/v1/claims", files=parts(statement(**changed), jpeg()), headers=key()),
            client.post("/v1/claims", json=statement(**changed), headers=key()),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, code), changed
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["trace_id"] == answer.headers["Trace-Id"]
    assert rows(api, "SELECT count(*) FROM claims") == [(0,)]
    assert api.blobs() == []


def test_an_expired_policy_is_no_error_but_a_claim_to_decide(api: Api) -> None:
    ended = datetime.now(UTC) - timedelta(days=30)
    register(api, starts_at=(ended - timedelta(days=365)).isoformat(), ends_at=ended.isoformat())
    assert submit(api)["status"] == "submitted"


def test_a_claimant_sees_a_decision_in_words_and_nothing_of_other_people(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.REFER, SUSPICION)
    claim = api.as_("claimant", "clm-a").get(href, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).json()
    reason = claim["decision"]["reasons"][0]
    assert (claim["status"], claim["decision"]["outcome"]) == ("referred", "refer")
    assert reason["code"] == "photo_of_another_claim"
    assert "C20260101" not in api.as_("claimant", "clm-a").get(href).text
    assert (reason["value"], reason["threshold"], reason["detail"]) == ("", "", "")
    assert any("\u4e00" <= letter <= "\u9fff" for letter in reason["text"] + claim["status_text"])
    seen_by_adjuster = api.as_("adjuster", "wang").get(href).json()["decision"]["reasons"][0]
    assert (seen_by_adjuster["value"], seen_by_adjuster["detail"]) == ("0.99", "claim C20260101-aa")


def test_more_information_is_added_and_the_claim_submitted_again(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.ASK, UNREADABLE)
    client = api.as_("claimant", "clm-a")
    assert client.get(href).json()["next_steps"] == ["add_evidence", "withdraw"]
    files = [("note", (None, "光线更好的一张", "text/plain")), *parts(None, jpeg(7))]
    answer = client.post(f"{href}/evidence", files=files, headers=key())
    assert (answer.status_code, answer.json()["round"]) == (202, 2)
    claim = client.get(href).json()
    assert [file["name"] for file in claim["evidence"]] == ["photo-1.jpg", "photo-1-2.jpg"]
    assert claim["timeline"][-1]["note"] == "光线更好的一张"
    too_early = client.post(f"{href}/evidence", files=parts(None, jpeg(8)), headers=key())
    assert too_early.json()["code"] == "invalid_transition"
    assert len(api.blobs()) == 2


def test_a_declined_claim_is_appealed_to_a_person_who_may_approve_it(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    claimant, adjuster = api.as_("claimant", "clm-a"), api.as_("adjuster", "wang")
    review = {"verdict": "approve", "amount_minor": 4_980, "currency": "CNY", "note": "相符"}
    early = adjuster.post(f"{href}/review", json=review, headers=key())
    assert early.json()["code"] == "invalid_transition"
    decide(api, href.rsplit("/", 1)[1], Outcome.DECLINE, WAITING)
    declined = claimant.get(href).json()
    assert (declined["status"], declined["decision"]["reasons"][0]["clause"]) == ("declined", "1.2")
    assert declined["next_steps"] == ["appeal"]
    assert claimant.post(f"{href}/appeal", json={"note": "  "}, headers=key()).json()["code"] == "invalid_request"
    assert claimant.post(f"{href}/appeal", json={"note": "请人工复核"}, headers=key()).status_code == 202
    case = adjuster.get("/v1/queue").json()["cases"][0]
    assert (case["cause"], case["claim_href"]) == ("appeal", href)
    above = adjuster.post(case["decision_href"], json=review | {"amount_minor": 5_981}, headers=key())
    assert (above.status_code, above.json()["code"]) == (422, "decision_not_allowed")
    wrong = adjuster.post(case["decision_href"], json=review | {"currency": "USD"}, headers=key())
    assert (wrong.status_code, wrong.json()["code"]) == (422, "currency_mismatch")
    done = adjuster.post(case["decision_href"], json=review, headers=key())
    assert (done.status_code, done.json()["status"], done.json()["payout_minor"]) == (200, "approved", 4_980)
    again = adjuster.post(case["decision_href"], json=review, headers=key())
    assert again.json()["code"] == "invalid_transition"
    paid = claimant.get(href).json()
    assert (paid["payout_minor"], paid["payouts"][0]["state"], paid["decision"]["decided_by"]) == (
        4_980,
        "reserved",
        "person",
    )
    assert rows(api, "SELECT count(*) FROM payouts") == [(1,)]
    queue = adjuster.get("/v1/queue").json()
    assert (queue["cases"], queue["fitting"], queue["counts"]["total"]) == ([], 0, 0)


def test_a_partner_decides_the_cases_referred_to_it_and_no_others(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.REFER, SUSPICION)
    own, other = api.as_("partner", "anshun"), api.as_("partner", "heyuan")
    case = own.get("/v1/referrals").json()["referrals"][0]
    assert case["first_reason"] == "photo_of_another_claim"
    assert other.get("/v1/referrals").json() == {"referrals": [], "fitting": 0}
    verdict = {"verdict": "refuse", "note": "照片属于另一件理赔。"}
    assert other.post(case["decision_href"], json=verdict, headers=key()).status_code == 404
    assert other.get(href).status_code == 404
    assert own.get(href).status_code == 200
    answer = own.post(case["decision_href"], json=verdict, headers=key())
    assert (answer.status_code, answer.json()["status"]) == (200, "declined")
    assert own.post(case["decision_href"], json=verdict, headers=key()).json()["code"] == "conflict"


@pytest.mark.parametrize(
    "verdict",
    [
        {"verdict": "approve"},
        {"verdict": "refuse"},
        {"verdict": "ask", "note": " "},
        {"verdict": "refuse", "note": "no", "amount_minor": 1, "currency": "CNY"},
        {"verdict": "pay", "note": "yes"},
    ],
)
def test_half_a_verdict_is_refused(api: Api, verdict: dict[str, Any]) -> None:
    answer = api.as_("adjuster", "wang").post("/v1/claims/C1/review", json=verdict, headers=key())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_claim_is_withdrawn_once_and_for_all(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    client = api.as_("claimant", "clm-a")
    assert client.post(f"{href}/withdraw", json={"note": "已退款"}).json()["status"] == "withdrawn"
    assert client.post(f"{href}/withdraw").json()["code"] == "invalid_transition"
    assert client.get(href).json()["next_steps"] == []
    assert rows(api, "SELECT state FROM jobs") == [("done",)]


def test_a_paid_claim_cannot_be_withdrawn(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.PAY, CLEAR, payout_minor=5_980)
    answer = api.as_("claimant", "clm-a").post(f"{href}/withdraw")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")


def test_the_appeal_of_a_decided_claim_is_withdrawn_and_the_decision_stands(api: Api) -> None:
    register(api)
    href = submit(api)["href"]
    decide(api, href.rsplit("/", 1)[1], Outcome.DECLINE, CLEAR)
    client = api.as_("claimant", "clm-a")
    assert client.post(f"{href}/appeal", json={"note": "请人工复核"}, headers=key()).status_code == 202
    assert client.get(href).json()["next_steps"] == ["withdraw_appeal"]
    assert client.post(f"{href}/withdraw").json()["status"] == "declined"
    assert client.get(href).json()["next_steps"] == ["appeal"]
    assert api.as_("adjuster", "wang").get("/v1/queue").json()["cases"] == []


def test_a_person_is_told_that_the_order_was_paid_and_pays_no_more_than_is_left_of_it(api: Api) -> None:
    register(api)
    register(api, policy_id="pol-2", claimant_id="clm-b")
    paid = submit(api, order_number="3206118244019255")
    decide(api, paid["id"], Outcome.PAY, CLEAR, payout_minor=3_000)
    second = submit(api, "clm-b", jpeg(5), policy_id="pol-2", order_number="3206-1182-4401-9255")
    decide(api, second["id"], Outcome.REFER, SUSPICION)
    adjuster = api.as_("adjuster", "wang")
    review = {"verdict": "approve", "amount_minor": 2_980, "currency": "CNY", "note": ""}

    def approve(**changes: Any) -> Any:
        return adjuster.post(f"{second['href']}/review", json=review | changes, headers=key())

    told = approve().json()
    assert (told["code"], paid["id"] in told["detail"]) == ("copy_paid", True)
    above = approve(amount_minor=2_981, although_copy_paid=True)
    assert (above.status_code, above.json()["code"]) == (409, "order_value_paid")
    assert approve(although_copy_paid=True).json()["payout_minor"] == 2_980


def test_claims_are_listed_newest_first_and_paged(api: Api) -> None:
    register(api)
    made = [submit(api)["id"] for _ in range(3)]
    client = api.as_("claimant", "clm-a")
    first = client.get("/v1/claims", params={"limit": 2}).json()["claims"]
    rest = client.get("/v1/claims", params={"before": first[-1]["created_at"]}).json()["claims"]
    assert [row["id"] for row in first + rest] == made[::-1]
    assert client.get("/v1/claims", params={"status": "paid"}).json() == {"claims": []}
    assert client.get("/v1/claims", params={"before": "2026-01-01T00:00:00"}).json()["code"] == "invalid_request"


def test_a_claim_carries_the_trace_it_came_with(api: Api) -> None:
    register(api)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = key() | {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    client = api.as_("claimant", "clm-a")
    answer = client.post("/v1/claims", files=parts(statement(), jpeg()), headers=headers)
    assert answer.headers["Trace-Id"] == trace
    assert client.get(answer.json()["href"]).json()["trace_id"] == trace


def test_policies_and_pets_are_registered_and_changed_by_the_platform(api: Api) -> None:
    platform = api.as_("platform", "shop")
    claimant = {"id": "clm-a", "name": "李晓雯"}
    pet = platform.post(
        "/v1/pets", json={"id": "pet-1", "claimant": claimant, "name": "豆豆", "species": "dog"}, headers=key()
    )
    assert (pet.status_code, pet.json()["enrolment"]["state"]) == (201, "none")
    terms = policy(product="pet_medical", pet_id="pet-1")
    assert platform.post("/v1/policies", json=terms, headers=key()).status_code == 201
    changed = {name: value for name, value in terms.items() if name != "id"} | {"insured_name": "王"}
    assert platform.put("/v1/policies/pol-1", json=changed).json()["insured_name"] == "王"
    kept = rows(api, "SELECT credit_attributes FROM claimants")
    assert platform.put("/v1/pets/pet-1", json={"claimant": claimant, "name": "豆", "species": "dog"}).is_success
    assert rows(api, "SELECT credit_attributes FROM claimants") == kept != [({},)]
    cat = {"claimant": claimant, "name": "咪咪", "species": "cat"}
    assert platform.put("/v1/pets/pet-1", json=cat).json()["born_on"] is None
    assert platform.put("/v1/pets/pet-1", json=cat | {"born_on": "2024-02-29"}).json()["born_on"] == "2024-02-29"
    assert platform.put("/v1/pets/pet-1", json=cat).json()["born_on"] == "2024-02-29"
    assert platform.put("/v1/pets/pet-1", json=cat | {"born_on": "2023-02-29"}).json()["code"] == "invalid_request"
    for wrong, code in (
        ({"product": "earthquake"}, "unknown_product"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"pet_id": "pet-2"}, "unknown_pet"),
        ({"ends_at": terms["starts_at"]}, "invalid_request"),
        ({"sum_insured_minor": -1}, "invalid_request"),
        ({"product": "return_freight"}, "conflict"),
    ):
        answer = platform.post("/v1/policies", json=terms | wrong, headers=key())
        assert answer.json()["code"] == code, wrong
    assert api.as_("claimant", "clm-a").get("/v1/policies/pol-1").json()["number"] == "NO-pol-1"
    assert api.as_("claimant", "clm-b").get("/v1/policies/pol-1").status_code == 404


def test_enrolment_photos_are_stored_and_put_to_the_worker(api: Api) -> None:
    platform = api.as_("platform", "shop")
    claimant = {"id": "clm-a", "name": "李晓雯"}
    platform.put("/v1/pets/pet-1", json={"claimant": claimant, "name": "豆豆", "species": "dog"})
    answer = platform.post(
        "/v1/pets/pet-1/noses", files=parts(None, jpeg(1), jpeg(2), jpeg(3), part="nose"), headers=key()
    )
    assert answer.status_code == 202
    payload = rows(api, "SELECT topic, payload FROM outbox")
    assert payload == [("enrol", {"pet_id": "pet-1", "sha256s": answer.json()["sha256s"]})]
    assert len(api.blobs()) == 3
    assert platform.get("/v1/pets/pet-1").json()["enrolment"]["state"] == "pending"
    unknown = platform.post("/v1/pets/pet-9/noses", files=parts(None, jpeg(1), part="nose"), headers=key())
    assert unknown.status_code == 404

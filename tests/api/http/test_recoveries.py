"""A person's verdict after payment, and what operators do about money that is to come back, over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from claims.decision import Ground, Outcome, Reason
from claims.store import findings, payouts
from claims.store.engine import connect
from claims.store.findings import Difference
from tests.api.http.test_operations import series
from tests.api.http.world import Api, decide, key, register, rows, submit

CLEAR = Reason("photo_unseen", Ground.CLEAR, Outcome.PAY, "", "")


def in_store(api: Api, work: Any) -> Any:
    async def run() -> Any:
        engine = connect(api.settings.database_url)
        try:
            async with engine.begin() as conn:
                return await work(conn)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def paid(api: Api, minor: int = 5_000) -> str:
    """A claim that was paid and is appealed."""
    register(api)
    claim_id = str(submit(api)["id"])
    decide(api, claim_id, Outcome.PAY, CLEAR, payout_minor=minor)
    ((payout_id,),) = rows(api, "SELECT id FROM payouts")
    in_store(api, lambda conn: payouts.mark_paid(conn, payout_id, "B-1", datetime.now(UTC)))
    appealed = api.as_("claimant", "clm-a").post(
        f"/v1/claims/{claim_id}/appeal", json={"note": "too little"}, headers=key()
    )
    assert appealed.is_success
    return claim_id


@pytest.mark.parametrize("role", ["adjuster", "partner"])
@pytest.mark.parametrize(
    "verdict",
    [
        {"verdict": "approve", "amount_minor": 2_000, "currency": "CNY"},
        {"verdict": "refuse", "note": "not covered after all"},
    ],
)
def test_less_than_was_paid_is_never_answered_with_silence(api: Api, role: str, verdict: dict[str, Any]) -> None:
    claim_id = paid(api)
    ((referral_id,),) = rows(api, "SELECT id FROM referrals WHERE state <> 'decided'")
    judge = api.as_(role, "li" if role == "adjuster" else "anshun")
    path = f"/v1/claims/{claim_id}/review" if role == "adjuster" else f"/v1/referrals/{referral_id}/decision"
    refused = judge.post(path, json=verdict, headers=key())
    assert (refused.status_code, refused.json()["code"]) == (409, "recovery_needed")
    due = verdict.get("amount_minor", 0)
    assert (refused.json()["paid_minor"], refused.json()["due_minor"]) == (5_000, due)
    assert "recover" in refused.json()["detail"]
    once = key()
    taken = judge.post(path, json=verdict | {"recover": True}, headers=once)
    assert taken.status_code == 200, taken.text
    assert judge.post(path, json=verdict | {"recover": True}, headers=once).json() == taken.json()
    (owed,) = api.as_("operator", "o").get("/v1/recoveries").json()["recoveries"]
    assert (owed["id"], owed["claim_id"]) == (taken.json()["recovery_id"], claim_id)
    assert (owed["owed_minor"], owed["state"]) == (5_000 - due, "open")
    claim = api.as_("claimant", "clm-a").get(f"/v1/claims/{claim_id}").json()
    assert (claim["payout_minor"], claim["recoveries"][0]["owed_minor"]) == (due, 5_000 - due)
    assert series(api)["miaopei_recoveries_owed_minor", "CNY"] == 5_000 - due


def test_approving_what_was_paid_leaves_it_and_asks_for_nothing_back(api: Api) -> None:
    claim_id = paid(api)
    adjuster = api.as_("adjuster", "li")
    same = {"verdict": "approve", "amount_minor": 5_000, "currency": "CNY"}
    nothing = adjuster.post(f"/v1/claims/{claim_id}/review", json=same | {"recover": True}, headers=key())
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_recover")
    taken = adjuster.post(f"/v1/claims/{claim_id}/review", json=same, headers=key()).json()
    assert (taken["status"], taken["recovery_id"]) == ("paid", "")


def test_a_recovery_is_repaid_by_an_operator_and_written_off_with_a_note(api: Api) -> None:
    claim_id = paid(api)
    adjuster, operator = api.as_("adjuster", "li"), api.as_("operator", "o")
    refuse = {"verdict": "refuse", "note": "no", "recover": True}
    recovery = adjuster.post(f"/v1/claims/{claim_id}/review", json=refuse, headers=key()).json()["recovery_id"]
    href = f"/v1/recoveries/{recovery}"
    assert operator.post(f"{href}/write-off", json={"note": " "}, headers=key()).status_code == 422
    repaid = operator.post(f"{href}/repayment", json={"reference": "IN-1"}, headers=key()).json()
    assert (repaid["state"], repaid["owed_minor"], repaid["reference"]) == ("repaid", 0, "IN-1")
    again = operator.post(f"{href}/repayment", json={"reference": "IN-1"}, headers=key())
    assert again.json() == repaid
    late = adjuster.post(f"{href}/write-off", json={"note": "gone"}, headers=key())
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert operator.get("/v1/recoveries").json() == {"recoveries": [], "owed_minor": {}}
    assert len(operator.get("/v1/recoveries", params={"state": "all"}).json()["recoveries"]) == 1


def test_a_stopped_claim_is_shown_and_let_go_on_by_an_operator(api: Api) -> None:
    claim_id = paid(api)
    difference = Difference("po_1", claim_id, "amount_differs", "books 1, bank 2")
    in_store(api, lambda conn: findings.record(conn, difference, datetime.now(UTC), actor="flow:reconcile"))
    adjuster, operator = api.as_("adjuster", "li"), api.as_("operator", "o")
    more = {"verdict": "approve", "amount_minor": 5_500, "currency": "CNY"}
    stopped = adjuster.post(f"/v1/claims/{claim_id}/review", json=more, headers=key())
    assert (stopped.status_code, stopped.json()["code"]) == (409, "claim_stopped")
    assert adjuster.get(f"/v1/claims/{claim_id}").json()["stopped_by"] == ["amount_differs"]
    assert api.as_("claimant", "clm-a").get(f"/v1/claims/{claim_id}").json()["stopped_by"] == []
    assert series(api)["miaopei_findings_open", "amount_differs"] == 1
    assert series(api)["miaopei_claims_stopped",] == 1
    assert operator.get("/v1/operations").json()["claims_stopped"] == 1
    (finding,) = operator.get("/v1/findings").json()["findings"]
    lifted = operator.post(f"/v1/findings/{finding['id']}/lifting", json={"note": "looked"}, headers=key())
    assert (lifted.json()["state"], lifted.json()["ended_by"]) == ("lifted", "operator:o")
    assert adjuster.post(f"/v1/claims/{claim_id}/review", json=more, headers=key()).status_code == 200

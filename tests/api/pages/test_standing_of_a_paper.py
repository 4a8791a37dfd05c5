"""The adjuster sees which words say that a paper is no paid bill, and where; the claimant is told them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from claims.decision import Outcome
from claims.evidence import Box, PaperStanding, StandingKind
from claims.store import adjudication
from tests.api.http.world import Api
from tests.api.pages import seeding
from tests.api.pages.test_pages_http import sign_in


def test_the_words_and_their_place_are_on_the_case_page_and_the_words_on_the_claimants(site: Api) -> None:
    sign = PaperStanding(StandingKind.VOID, "作废 <b>", "stamp", Box(0.25, 0.5, 0.75, 0.625))

    def facts(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
        bills = (replace(seeding.invoice_facts(row), accepted=True, checks=()) for row in file.evidence)
        return {"papers": tuple(replace(bill, standing=(sign,)) for bill in bills)}

    seeding.register(site, "clm-void", "pol-void", product="outpatient_medical")
    claim_id = seeding.claim(
        site, "clm-void", "pol-void", "paper", seed=71, product="outpatient_medical", peril="illness",
        amount_minor=40_000,
    )  # fmt: skip
    decision = seeding.record(site, claim_id, facts)
    assert (decision.outcome, decision.reasons[0].code) == (Outcome.REFER, "paper_reversed")
    adjuster = sign_in(site, "adjuster", "zhang").client
    case = adjuster.get(f"/cases/{seeding.referral_of(site, claim_id)}").text
    assert "This is no paid bill: void or cancelled “作废 &lt;b&gt;”" in case
    assert 'class="doubtful" x="0.25" y="0.5" width="0.5" height="0.125"' in case
    claimant = sign_in(site, "claimant", "clm-void").client.get(f"/claims/{claim_id}").text
    assert "shows that the bill no longer stands: void or cancelled (it says “作废 &lt;b&gt;”)" in claimant

"""A claim's page in Prefect has codes, amounts, seconds and links, and nobody's data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from claims.claim import Status
from claims.decision import BenefitLine, Decision, Ground, Outcome, Reason
from claims.evidence import MatchOwner, PhotoFact, PhotoMatch, PhotoVerdict, UnmeasuredFact
from claims.money import Money
from claims.store import adjudication
from claims.store.recording import DecisionRecorded, NewDecision
from flows.claim_pages import claim_page
from flows.run_record import RunRecord, TaskOptions

pytestmark = pytest.mark.anyio
WORD = "KANARI"


async def test_a_page_links_to_the_case_and_to_each_proof_and_quotes_nobody(world: Any) -> None:
    policy = await world.policy("anna", insured_name=WORD, number=WORD)
    claim_id = await world.claim(policy, {}, description=WORD, address=WORD, payee_account=WORD)
    async with world.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
    unread = UnmeasuredFact(WORD, retryable=False)
    proven = PhotoMatch(
        "E/9", MatchOwner.OTHER_CLAIMANT, "clm_7", PhotoVerdict.EDITED_COPY, 0.99, 40, WORD, (), "aa",
        overlay_sha256="bb",
    )  # fmt: skip
    unproven = PhotoMatch("E-8", MatchOwner.WEB, "", PhotoVerdict.SIMILAR, 0.2, 0, "", (), "cc")
    photo = PhotoFact(
        "E-1", f"{WORD}.jpg", "dd", 10, 10, PhotoVerdict.EDITED_COPY, (proven, unproven), unread, unread, unread
    )
    reasons = (Reason("photo_of_another_claim", Ground.EVIDENCE, Outcome.REFER, WORD, WORD, "E-1", "", WORD),)
    benefit = (BenefitLine("claimed", Money(3_000, "CNY"), WORD),)
    decision = Decision(
        Outcome.REFER, Money(0, "CNY"), benefit, reasons, "rules-9", ("ssl@abc",), datetime.now(UTC), "rules"
    )
    record = RunRecord()
    record.begin(TaskOptions("photos", "photos"), claim_id)
    record.begin(TaskOptions("photos", "photos"), "clm_other")
    page = claim_page(
        NewDecision(None, file, decision, b"", datetime.now(UTC), "test"),
        DecisionRecorded("d-1", Status.REFERRED, "", "r-1"),
        (photo,),
        record,
        "https://claims.example/",
    )
    assert WORD not in page
    assert "https://claims.example/cases/r-1" in page
    assert f"https://claims.example/claims/{claim_id}/matches/E-1/E%2F9/overlay" in page
    assert page.count("/overlay") == 1
    assert page.count("| photos |") == 1
    for words in (
        "**refer**",
        "| photo_of_another_claim | evidence | refer |",
        "`ssl@abc`",
        "rules-9",
        record.trace_id,
    ):
        assert words in page

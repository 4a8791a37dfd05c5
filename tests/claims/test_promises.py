"""Consequences of a decision, and the checks repeated when money is promised."""

from __future__ import annotations

import pytest

from claims.claim import Status, status_after
from claims.decision import Outcome
from claims.errors import CoverSpent
from claims.promises import CountedCover, check_held, check_sum, check_terms, counted_in
from fixtures.cases import in_order

COUNTED = CountedCover(held_on_claim_minor=300, stopped_by="", deductible_borne_minor=700, days_paid=3)


@pytest.mark.parametrize(
    ("outcome", "pay_minor", "status"),
    [
        (Outcome.PAY, 1, Status.APPROVED),
        (Outcome.PAY, 0, Status.PAID),
        (Outcome.DECLINE, 0, Status.DECLINED),
        (Outcome.REFER, 0, Status.REFERRED),
        (Outcome.ASK, 0, Status.AWAITING_INFORMATION),
    ],
)
def test_each_decision_leads_to_one_status(outcome: Outcome, pay_minor: int, status: Status) -> None:
    assert status_after(outcome, pay_minor) is status


def test_recorded_facts_say_what_was_counted_and_a_persons_decision_counted_nothing() -> None:
    assert counted_in({}) is None
    assert counted_in({"cover": {}}) == CountedCover(0, "", 0, 0)
    cover = {"held_on_claim_minor": 300, "deductible_borne_minor": 700, "days_paid": 3, "earlier_claims": 2}
    assert counted_in({"cover": cover}) == COUNTED


def test_a_payment_or_a_stop_since_the_facts_were_taken_sends_the_decision_back() -> None:
    check_held("c", COUNTED, 300, "")
    check_held("c", None, 10_000, "unknown_payment")
    for held_minor, stopped_by in ((0, ""), (301, ""), (300, "unknown_payment")):
        with pytest.raises(CoverSpent, match="claim c was paid"):
            check_held("c", COUNTED, held_minor, stopped_by)


def test_deductible_and_days_that_others_used_since_send_the_decision_back() -> None:
    check_terms(COUNTED, (700, 3))
    check_terms(None, (900, 9))
    for used in ((701, 3), (700, 4)):
        with pytest.raises(CoverSpent, match="deductible borne and days paid"):
            check_terms(COUNTED, used)


def test_the_sum_insured_is_paid_to_the_last_minor_unit_and_not_beyond() -> None:
    insured = in_order("fresh_food_rot").policy
    total = insured.sum_insured.minor
    check_sum(insured, total - 1, 1)
    with pytest.raises(CoverSpent, match=str(total + 1)):
        check_sum(insured, total, 1)

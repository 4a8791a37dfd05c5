"""An adjuster may weigh the evidence, not widen the contract."""

from __future__ import annotations

import pytest

from claims import decide as decisions
from claims.decide import PersonInputs, person_decision, person_limit
from claims.decision import Decision, Ground, Outcome
from claims.errors import CurrencyMismatch, InvalidDecision
from claims.money import Money
from claims.rules import RULES
from claims.wire import canonical
from fixtures.cases import NOW, in_order, yuan

CASE = in_order("parcel_damage", claimed_minor=20_000)


def stated(outcome: Outcome, payout: Money, note: str, subject: str, paid: int = 0) -> PersonInputs:
    return PersonInputs(CASE.claim, CASE.policy, CASE.product, outcome, payout, note, subject, RULES, NOW, paid)


def by_person(
    outcome: Outcome, minor: int, note: str = "seen", subject: str = "adjuster:li", paid: int = 0
) -> Decision:
    return person_decision(stated(outcome, yuan(minor), note, subject, paid))


def test_person_approves_up_to_the_claim() -> None:
    decision = by_person(Outcome.PAY, 20_000)
    assert (decision.outcome, decision.payout, decision.decided_by) == (Outcome.PAY, yuan(20_000), "adjuster:li")
    assert [(reason.code, reason.ground, reason.detail) for reason in decision.reasons] == [
        ("person_approved", Ground.PERSON, "seen")
    ]


@pytest.mark.parametrize(("minor", "paid"), [(20_001, 0), (0, 0), (-1, 0), (10_001, 1_990_000), (1, 2_000_000)])
def test_person_cannot_pay_more_than_the_contract_can_owe(minor: int, paid: int) -> None:
    with pytest.raises(InvalidDecision, match="at most"):
        by_person(Outcome.PAY, minor, paid=paid)


def test_limit_is_the_lowest_of_claim_product_value_and_what_is_left() -> None:
    case = in_order("parcel_damage", claimed_minor=900_000)
    assert person_limit(case.insured, 0) == yuan(30_000)  # the insured value
    medical = in_order("outpatient_medical", claimed_minor=900_000)
    assert person_limit(medical.insured, 0) == yuan(500_000)  # a claim's limit
    assert person_limit(medical.insured, 1_999_000) == yuan(1_000)


def test_refusal_and_question_need_words_and_pay_nothing() -> None:
    assert by_person(Outcome.DECLINE, 0, "the photo shows another parcel").payout == yuan(0)
    assert by_person(Outcome.ASK, 0, "the back of the slip, please").reasons[0].code == "person_asked"
    for outcome in (Outcome.DECLINE, Outcome.ASK):
        with pytest.raises(InvalidDecision, match="needs words"):
            by_person(outcome, 0, "  ")
        with pytest.raises(InvalidDecision, match="pays nothing"):
            by_person(outcome, 1)


def test_person_is_named_and_does_not_refer_on() -> None:
    with pytest.raises(InvalidDecision, match="names the person"):
        by_person(Outcome.PAY, 100, subject=" ")
    with pytest.raises(InvalidDecision, match="nobody left"):
        by_person(Outcome.REFER, 0)


def test_payout_in_another_currency_is_refused() -> None:
    with pytest.raises(CurrencyMismatch):
        person_decision(stated(Outcome.PAY, Money(100, "USD"), "", "adjuster:li"))


def test_persons_decision_replays_byte_for_byte() -> None:
    for outcome, minor in ((Outcome.PAY, 12_345), (Outcome.DECLINE, 0), (Outcome.ASK, 0)):
        recorded = canonical(stated(outcome, yuan(minor), "看过了", "adjuster:li", 7))
        assert decisions.replay(recorded) == canonical(by_person(outcome, minor, "看过了", paid=7))

"""Papers in other currencies, or in one that they do not tell: never taken at par, always seen by a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from claims import explain
from claims.catalogue import load_catalogue
from claims.decision import Outcome
from claims.evidence import PaperCurrency, PaperFact, UnmeasuredFact
from claims.judge.papers import doubtful_fields
from claims.orders import order_on
from claims.rules import RULES
from fixtures.cases import in_order, invoice, order, receipt, slip, vet_bill

PET = in_order("pet_medical")
FRESH = in_order("fresh_food_rot")


def in_currency(paper: PaperFact, code: str, text: str = "") -> PaperFact:
    return replace(paper, currency=PaperCurrency(code, "sign", text))


@pytest.mark.parametrize("code", ["USD", "EUR", "GBP", "HKD", "SGD", "JPY", "KRW", "THB", "MYR", "KWD"])
def test_a_bill_in_another_currency_is_referred_and_not_taken_at_par(code: str) -> None:
    decision = PET.with_facts(papers=(in_currency(vet_bill(), code),)).decision()
    assert decision.outcome is Outcome.REFER
    assert decision.reasons[0].code == "paper_currency_differs"
    assert (decision.reasons[0].value, decision.reasons[0].threshold) == (code, "CNY")
    assert decision.payout.minor == 0
    assert decision.benefit == ()


def test_a_bill_whose_currency_is_unknown_is_referred() -> None:
    for paper in (in_currency(vet_bill(), "", "$"), replace(vet_bill(), currency=UnmeasuredFact("not recorded"))):
        decision = PET.with_facts(papers=(paper,)).decision()
        assert (decision.outcome, decision.reasons[0].code) == (Outcome.REFER, "paper_currency_unknown")


def test_a_bill_in_the_currency_of_the_product_is_paid() -> None:
    assert PET.with_facts(papers=(in_currency(vet_bill(), "CNY", "¥"),)).decision().outcome is Outcome.PAY


def test_a_foreign_bill_beside_one_in_order_is_not_set_aside() -> None:
    bills = (vet_bill(), in_currency(receipt(evidence_id="paper-1"), "USD"))
    decision = PET.with_facts(papers=bills).decision()
    assert decision.outcome is Outcome.REFER
    assert "paper_currency_differs" in {reason.code for reason in decision.reasons}


def test_a_paper_of_which_no_amount_counts_may_be_in_any_currency() -> None:
    claim = in_order("parcel_damage")
    decision = claim.with_facts(papers=(in_currency(slip(), ""),)).decision()
    assert not any("currency" in reason.code for reason in decision.reasons)


def test_a_price_in_another_currency_limits_nothing_and_is_seen_by_a_person() -> None:
    foreign = in_currency(order(), "USD")
    assert order_on(foreign, "", "CNY")[1] == 0
    assert order_on(in_currency(order(), "CNY"), "", "CNY")[1] > 0
    brings = [product for product in load_catalogue().values() if "order_screenshot" in product.evidence.may_bring]
    assert brings
    claim = in_order(brings[0].key)
    decision = claim.with_facts(papers=(*claim.facts.papers, foreign)).decision()
    assert "paper_currency_differs" in {reason.code for reason in decision.reasons}


def test_decisions_of_earlier_rules_take_every_paper_in_the_money_of_the_product() -> None:
    rules = replace(RULES, paper_currency_required=False)
    bare = replace(vet_bill(), currency=UnmeasuredFact("not recorded", retryable=False))
    assert PET.with_facts(papers=(bare,)).decision(rules).outcome is Outcome.PAY


def test_the_adjuster_is_shown_the_total_of_a_foreign_bill() -> None:
    assert "total_minor" in doubtful_fields(PET.product, in_currency(vet_bill(), "USD"), RULES)
    assert "total_minor" not in doubtful_fields(PET.product, vet_bill(), RULES)


def test_words_of_a_foreign_bill_say_its_amount_in_its_own_currency() -> None:
    paper = in_currency(invoice(total_minor=1_000), "JPY")
    decision = in_order("outpatient_medical").with_facts(papers=(paper,)).decision()
    reason = next(reason for reason in decision.reasons if reason.code == "paper_currency_differs")
    assert "JP¥1,000" in explain.reason_text(reason, "en", PET.product)
    assert "JP¥1,000" in explain.reason_text(reason, "zh", PET.product)

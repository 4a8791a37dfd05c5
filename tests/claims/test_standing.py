"""Nothing is paid on a paper that says that it is no paid bill, and the claimant is told which words said so."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from claims import explain
from claims.decide import inputs, replay
from claims.decision import Decision, Outcome
from claims.evidence import Box, PaperFact, PaperStanding, StandingKind
from claims.judge.standing import REVERSED
from claims.rules import RULES
from claims.wire import canonical
from fixtures.cases import NOW, Case, diagnosis, in_order, invoice, order, paper, stay, vet_bill
from vision.documents.text.page import Standing

BILLS = in_order("outpatient_medical")
FOOD = in_order("fresh_food_rot")
FREIGHT = in_order("return_freight")
WORDS = {StandingKind.VOID: "作废", StandingKind.ESTIMATE: "预估报价单", StandingKind.COPY: "复印件"}


def saying(fact: PaperFact, *standings: StandingKind) -> PaperFact:
    signs = (PaperStanding(kind, WORDS.get(kind, kind.value), "words", Box(0.1, 0.2, 0.4, 0.3)) for kind in standings)
    return replace(fact, standing=tuple(signs))


def decided(case: Case, *papers: PaperFact) -> Decision:
    return case.with_facts(papers=papers).decision()


def codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


@pytest.mark.parametrize("kind", StandingKind)
def test_nothing_is_paid_on_a_paper_that_is_no_paid_bill(kind: StandingKind) -> None:
    for case, sent in ((BILLS, invoice()), (in_order("pet_medical"), vet_bill())):
        decision = decided(case, saying(sent, kind))
        other = {StandingKind.COPY: "paper_is_a_copy", StandingKind.UNSTATED: "paper_state_unread"}
        referred = kind in REVERSED or kind in other
        assert decision.outcome is (Outcome.REFER if referred else Outcome.ASK)
        assert decision.payout.minor == 0
        code = "paper_reversed" if kind in REVERSED else other.get(kind, "paper_no_paid_bill")
        assert decision.reasons[0].code == code
        assert (decision.reasons[0].value, decision.reasons[0].evidence_id) == (kind.value, sent.evidence_id)
    # Without its standing it is paid.
    assert decided(BILLS, invoice()).outcome is Outcome.PAY


def test_the_claimant_reads_the_words_that_told() -> None:
    (why, *_) = decided(BILLS, saying(invoice(), StandingKind.ESTIMATE)).reasons
    assert explain.claimant_text(why, "zh", BILLS.product) == (
        "您提交的单据不是已付款的票据：报价单、预估或预结算单（单据上写有“预估报价单”），请提交付款后开具的票据"
    )
    (why, *_) = decided(BILLS, saying(invoice(), StandingKind.VOID)).reasons
    assert "“作废”" in explain.claimant_text(why, "en", BILLS.product)
    assert explain.reason_text(why, "en", BILLS.product) == (
        "the document shows that the bill no longer stands: void or cancelled (it says “作废”)"
    )


def test_a_bill_that_was_undone_is_never_set_aside_however_many_good_ones_came_with_it() -> None:
    good = invoice(number="111", evidence_id="paper-1")
    for kind in REVERSED:
        for rounds in (0, 1):
            case = BILLS.with_cover(rounds_asked=rounds)
            decision = decided(case, good, saying(invoice(number="222", evidence_id="paper-2"), kind))
            assert decision.outcome is Outcome.REFER
            assert "paper_reversed" in codes(decision)


def test_an_estimate_beside_the_bill_that_followed_it_is_set_aside_at_once() -> None:
    good = invoice(number="111", evidence_id="paper-1")
    decision = decided(BILLS, good, saying(invoice(90_000, number="222", evidence_id="paper-2"), StandingKind.ESTIMATE))
    assert decision.outcome is Outcome.PAY
    assert decision.payout == decided(BILLS, good).payout
    assert "paper_set_aside" in codes(decision)


def test_a_copy_beside_its_original_is_set_aside_and_another_copy_is_not() -> None:
    good = invoice(number="111", evidence_id="paper-1")
    same = saying(invoice(number="111", evidence_id="paper-2"), StandingKind.COPY)
    other = saying(invoice(number="222", evidence_id="paper-2"), StandingKind.COPY)
    assert decided(BILLS, good, same).outcome is Outcome.PAY
    assert decided(BILLS, good, other).outcome is Outcome.REFER


def test_a_refund_slip_of_no_known_kind_beside_a_bill_is_looked_at() -> None:
    slip = saying(paper("unknown", "paper-2"), StandingKind.REFUND)
    assert decided(BILLS, invoice(), slip).outcome is Outcome.REFER
    back_page = saying(paper("unknown", "paper-2"), StandingKind.NO_VOUCHER)
    assert "paper_no_paid_bill" not in codes(decided(BILLS, invoice(), back_page))


def test_an_order_that_was_refunded_is_no_loss_but_where_goods_were_sent_back() -> None:
    for kind in (StandingKind.REFUND, StandingKind.VOID):
        assert "paper_reversed" in codes(decided(FOOD, saying(order(), kind)))
        assert decided(FOOD, saying(order(), kind)).outcome is Outcome.REFER
        assert "paper_reversed" not in codes(decided(FREIGHT, saying(order(), kind)))
    for kind in (StandingKind.UNPAID, StandingKind.UNSHOWN):
        for case in (FOOD, FREIGHT):
            assert decided(case, saying(order(), kind)).outcome is Outcome.ASK
    # The state of an order that nobody could read may be any: a person looks, also where goods were sent back.
    for case in (FOOD, FREIGHT):
        decision = decided(case, saying(order(), StandingKind.UNSTATED))
        assert (decision.outcome, "paper_state_unread" in codes(decision)) == (Outcome.REFER, True)


def test_a_copied_diagnosis_page_is_looked_at() -> None:
    wards = in_order("inpatient_medical")
    assert decided(wards, stay(), diagnosis()).outcome is Outcome.PAY
    assert decided(wards, stay(), saying(diagnosis(), StandingKind.COPY)).outcome is not Outcome.PAY


def test_the_gravest_sign_is_the_one_told() -> None:
    decision = decided(BILLS, saying(invoice(), StandingKind.VOID, StandingKind.UNPAID))
    assert [reason.value for reason in decision.reasons if reason.code.startswith("paper_")] == ["void"]


def test_earlier_rules_know_no_standing_and_today_a_decision_on_one_replays() -> None:
    case = BILLS.with_facts(papers=(saying(invoice(), StandingKind.VOID),))
    earlier = replace(RULES, version="3.4", paper_standing_required=False)
    assert case.decision(earlier).outcome is Outcome.PAY
    assert replay(inputs(case.insured, case.facts, RULES, NOW)) == canonical(case.decision())


def test_the_readers_standings_are_those_of_facts() -> None:
    assert {kind.value for kind in StandingKind} == set(get_args(Standing))

"""Effects of a decision on money that was paid already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.decision import Outcome
from claims.errors import NothingToRecover, RecoveryNeeded
from claims.ledger import Account, correct, offset, post, recover, repay, reserve, void, write_off
from claims.reasons import after_payment, reason
from claims.recovery import Settling, settling, split
from fixtures.cases import yuan
from tests.claims.books import balances

minors = st.integers(0, 10**9)


@given(minors, minors)
def test_a_claimant_ends_with_what_is_due_or_nothing_is_decided(due: int, held: int) -> None:
    lowers = due < held
    follows = settling(Outcome.PAY, due, held, recover=lowers)
    assert held + follows.pay_minor - follows.recover_minor == due
    assert min(follows.pay_minor, follows.recover_minor) == 0
    with pytest.raises(RecoveryNeeded if lowers else NothingToRecover) as refused:
        settling(Outcome.PAY, due, held, recover=not lowers)
    if lowers:
        assert isinstance(refused.value, RecoveryNeeded)
        assert (refused.value.paid_minor, refused.value.due_minor) == (held, due)


def test_a_refusal_asks_for_all_of_it_back_and_a_question_for_nothing() -> None:
    assert settling(Outcome.DECLINE, 0, 200, recover=True) == Settling(0, 200)
    assert settling(Outcome.DECLINE, 0, 0, recover=False) == Settling(0, 0)
    for outcome in (Outcome.ASK, Outcome.REFER):
        assert settling(outcome, 0, 200, recover=False) == Settling(0, 0)
        with pytest.raises(NothingToRecover):
            settling(outcome, 0, 200, recover=True)


@given(minors, st.lists(st.integers(1, 10**9), max_size=6))
def test_what_is_offset_and_what_is_sent_make_up_what_is_due_and_nobody_pays_more_than_they_owe(
    pay: int, owed: list[int]
) -> None:
    parts, rest = split(pay, [(str(number), minor) for number, minor in enumerate(owed)])
    assert sum(minor for _, minor in parts) + rest == pay
    assert all(0 < minor <= owed[int(name)] for name, minor in parts)
    assert rest == 0 or sum(minor for _, minor in parts) == sum(owed)


def test_the_ledger_of_a_recovery_ends_with_nothing_receivable() -> None:
    paid = [reserve("p", yuan(200)), post("p", yuan(200)), recover("r", yuan(100))]
    assert balances(paid)[Account.CLAIMANT_RECEIVABLE, "CNY"] == 100
    for ends in (
        [repay("r", yuan(100))],
        [write_off("r", yuan(100))],
        [reserve("q", yuan(100)), offset("q", yuan(100))],
    ):
        sums = balances([*paid, *ends])
        assert sums[Account.CLAIMANT_RECEIVABLE, "CNY"] == 0
        assert sums[Account.CLAIMS_RESERVED, "CNY"] == 0
        assert sum(sums.values()) == 0


def test_a_payout_that_was_made_after_all_costs_what_it_would_have_cost() -> None:
    sums = balances([reserve("p", yuan(200)), void("p", yuan(200)), correct("p", yuan(200))])
    assert sums == balances([reserve("p", yuan(200)), post("p", yuan(200))])


def test_the_rules_never_decline_or_lower_by_themselves_what_was_paid() -> None:
    pay, decline = reason("within_auto_pay"), reason("below_deductible")
    assert after_payment([pay], yuan(100), 0, "") == (pay,)
    assert after_payment([pay], yuan(300), 200, "") == (pay,)
    for reasons, due in (([pay], 100), ([pay, decline], 0)):
        turned = after_payment(reasons, yuan(due), 200, "")
        assert "paid_more_already" in [why.code for why in turned]
        assert {why.pulls for why in turned} <= {Outcome.REFER, Outcome.PAY}
    asked = reason("photos_missing")
    assert after_payment([pay, asked], yuan(100), 200, "") == (pay, asked)
    assert after_payment([pay], yuan(300), 200, "paid_after_all")[-1].code == "claim_stopped"

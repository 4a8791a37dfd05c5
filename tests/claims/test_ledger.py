from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.errors import InvalidMoney, UnbalancedTransaction
from claims.ledger import Account, Entry, Step, Transaction, payout_id, post, reserve, void
from claims.money import Money
from fixtures.cases import yuan
from tests.claims.books import balances

positive = st.integers(1, 10**12).map(yuan)


def test_reserve_books_the_expense_as_owed() -> None:
    transaction = reserve("payout-1", yuan(500))
    assert transaction.id == "payout-1:reserve"
    assert [(entry.account, entry.amount.minor) for entry in transaction.entries] == [
        (Account.CLAIMS_EXPENSE, 500),
        (Account.CLAIMS_RESERVED, -500),
    ]


@given(positive)
def test_paid_claim_is_an_expense_that_left_the_bank(amount: Money) -> None:
    sums = balances([reserve("p", amount), post("p", amount)])
    assert sums == {
        (Account.CLAIMS_EXPENSE, "CNY"): amount.minor,
        (Account.CLAIMS_RESERVED, "CNY"): 0,
        (Account.BANK, "CNY"): -amount.minor,
    }


@given(positive)
def test_voided_payout_leaves_no_trace_in_the_balances(amount: Money) -> None:
    assert set(balances([reserve("p", amount), void("p", amount)]).values()) == {0}


@given(positive, st.sampled_from([reserve, post, void]))
def test_retry_makes_the_same_transaction(amount: Money, step: object) -> None:
    assert callable(step)
    assert step("p", amount) == step("p", amount)


@pytest.mark.parametrize("minor", [0, -1])
def test_amount_that_is_not_positive_is_no_payout(minor: int) -> None:
    with pytest.raises(InvalidMoney, match="must be positive"):
        reserve("p", yuan(minor))


def test_entries_that_do_not_balance_are_no_transaction() -> None:
    for entries in (
        (Entry(Account.BANK, yuan(1)), Entry(Account.CLAIMS_RESERVED, yuan(-2))),
        (Entry(Account.BANK, yuan(1)), Entry(Account.CLAIMS_RESERVED, Money(-1, "USD"))),
        (Entry(Account.BANK, yuan(0)), Entry(Account.CLAIMS_RESERVED, yuan(0))),
        (),
    ):
        with pytest.raises(UnbalancedTransaction):
            Transaction("t", "p", Step.POST, entries)


def test_payout_id_is_fixed_for_ever_and_differs_by_claim_and_decision() -> None:
    assert payout_id("claim-1", "decision-1") == "22b6f218-777f-5d29-ab3f-2ba91465a68c"
    assert len({payout_id("a", "bc"), payout_id("ab", "c"), payout_id("a", "b"), payout_id("", "abc")}) == 4

"""The model itself: payments that it must and must not call a second payment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.machine import books
from tests.machine.model import Back, Cover, Filed, Model, Person
from tests.machine.snapshot import Snapshot

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ANN = Person("ann", "张伟", "phone-1", "6222-0001", "")
BOB = Person("bob", "李娜", "phone-2", "6222-0002", "")
RULES, PERSON, KNOWING = (False, False), (True, False), (True, True)  # by a person, who says that they know
COVERS = {
    name: Cover(name, owner, "fresh_food_rot", NOW - timedelta(days=60), 50_000, 30_000)
    for name, owner in (("a", ANN), ("b", BOB))
}


def filed(name: str, cover: str, thing: str, *, edited: bool = False, hours: int = 5, order: str = "") -> Filed:
    return Filed(
        name, 1, COVERS[cover].owner, COVERS[cover], 30_000, NOW - timedelta(hours=hours), order, {(thing, edited)}
    )


def codes(*paid: tuple[Filed, tuple[bool, bool], int]) -> set[str]:
    model = Model(covers=list(COVERS.values()))
    rows = []
    for number, (claim, origin, minor) in enumerate(paid):
        model.claims[claim.id] = claim
        model.promised(f"p{number}", claim.id, by_person=origin[0], knowing=origin[1])
        rows.append((f"p{number}", claim.id, minor))
    return {code for code, _ in model.check_money(rows)}


def test_one_claim_paid_what_it_is_due_is_in_order() -> None:
    assert codes((filed("1", "a", "coffee"), RULES, 30_000)) == set()


def test_a_claim_paid_more_than_it_is_due_is_seen_however_many_payouts_it_took() -> None:
    claim = filed("1", "a", "coffee")
    assert codes((claim, RULES, 20_000), (claim, KNOWING, 20_000)) == {"claim_overpaid"}


@pytest.mark.parametrize(
    ("edited", "origin", "expected"),
    [
        (False, RULES, {"photo_paid_again"}),
        (True, RULES, {"photo_paid_again"}),
        (False, PERSON, {"photo_paid_again"}),
        (True, PERSON, set()),
        (False, KNOWING, set()),
    ],
)
def test_a_photo_is_paid_again_only_by_a_person_who_knows(
    edited: bool, origin: tuple[bool, bool], expected: set[str]
) -> None:
    first, again = filed("1", "a", "coffee"), filed("2", "b", "coffee", edited=edited)
    assert codes((first, RULES, 30_000), (again, origin, 30_000)) == expected


def test_an_erased_claims_photo_can_be_compared_with_nothing() -> None:
    first = replace(filed("1", "a", "coffee"), erased=True)
    assert codes((first, RULES, 30_000), (filed("2", "b", "coffee"), RULES, 30_000)) == set()


def test_an_order_is_paid_once_by_the_rules_and_never_above_its_value_by_a_person_who_was_not_told() -> None:
    first, again = filed("1", "a", "coffee", order="A1"), filed("2", "b", "rocket", order="A1")
    assert codes((first, RULES, 10_000), (again, RULES, 10_000)) == {"order_paid_again"}
    assert codes((first, RULES, 10_000), (again, PERSON, 20_000)) == set()
    assert codes((first, RULES, 20_000), (again, PERSON, 20_000)) == {"order_over_value"}
    assert codes((first, RULES, 20_000), (again, KNOWING, 10_000)) == set()
    assert codes((first, RULES, 20_000), (again, KNOWING, 20_000)) == {"order_over_value"}


def test_an_event_under_one_cover_is_paid_once_by_the_rules() -> None:
    first = filed("1", "a", "coffee", hours=5)
    assert codes(
        (replace(first, order="A1"), RULES, 10_000), (filed("2", "a", "rocket", order="B2"), RULES, 10_000)
    ) == {"event_paid_again"}, "at the same minute it is one event whatever was ordered"
    assert (
        codes(
            (replace(first, order="A1"), RULES, 10_000), (filed("2", "a", "rocket", hours=6, order="B2"), RULES, 10_000)
        )
        == set()
    )
    assert codes((first, RULES, 10_000), (filed("2", "a", "rocket", hours=30), RULES, 10_000)) == {"event_paid_again"}
    assert codes((first, RULES, 10_000), (filed("2", "a", "rocket", hours=60), RULES, 10_000)) == set()
    assert codes((first, RULES, 10_000), (filed("2", "b", "rocket", hours=5), RULES, 10_000)) == set()


def test_a_cover_never_pays_more_than_its_sum() -> None:
    claims = [filed(str(number), "a", f"photo {number}", hours=60 * number) for number in range(2)]
    assert codes(*((claim, KNOWING, 30_000) for claim in claims)) == {"cover_overpaid"}


def test_what_is_to_come_back_is_not_too_much_and_what_came_back_is_left_of_the_cover() -> None:
    model = Model(covers=list(COVERS.values()))
    claim, other = filed("1", "a", "coffee", hours=5), filed("2", "a", "rocket", hours=90)
    model.claims = {"1": claim, "2": other}
    for payout, of in (("p1", "1"), ("p2", "1"), ("p3", "2")):
        model.promised(payout, of, by_person=True, knowing=True)
    rows = [("p1", "1", 30_000), ("p2", "1", 20_000)]
    assert {code for code, _ in model.check_money(rows)} == {"claim_overpaid"}
    assert model.check_money(rows, {"1": Back(20_000, 0)}) == []
    rows.append(("p3", "2", 20_000))
    assert {code for code, _ in model.check_money(rows, {"1": Back(20_000, 0)})} == {"cover_overpaid"}
    assert model.check_money(rows, {"1": Back(20_000, 20_000)}) == []


def test_what_a_claim_shows_later_and_terms_that_are_changed_later_do_not_count_against_what_was_paid_before() -> None:
    model, claim = Model(), replace(filed("1", "a", "coffee"), cover=replace(COVERS["a"]))
    other = filed("2", "b", "rocket")
    model.claims = {"1": claim, "2": other}
    model.promised("p1", "1", by_person=False, knowing=False)
    claim.things.add(("rocket", False))
    claim.cover.recorded_at = NOW
    model.promised("p2", "2", by_person=False, knowing=False)
    assert model.check_money([("p1", "1", 10_000), ("p2", "2", 10_000)]) == []


def test_a_cover_recorded_after_the_event_is_not_paid_by_the_rules() -> None:
    late = Cover("late", ANN, "fresh_food_rot", NOW, 50_000, 30_000)
    claim = replace(filed("1", "a", "coffee"), cover=late)
    assert codes((claim, RULES, 30_000)) == {"late_cover_paid"}
    assert codes((claim, PERSON, 30_000)) == set()


EMPTY = Snapshot({}, *([] for _ in range(11)), {})
CLAIM = {"c": {"id": "c", "status": "approved", "round": 1}}
PAYOUT = {"id": "p", "claim_id": "c", "amount_minor": 1, "state": "reserved", "attempts": 0, "recovery_id": ""}


def test_a_claim_that_nobody_has_in_hand_is_lost() -> None:
    assert [code for code, _ in books.check_places(replace(EMPTY, claims=CLAIM))] == ["claim_lost"]
    assert books.check_places(replace(EMPTY, claims=CLAIM, payouts=[PAYOUT])) == []


def test_a_claim_in_two_hands_is_seen() -> None:
    asked = {"claim_id": "c", "state": "open", "cause": "refer"}
    violations = books.check_places(replace(EMPTY, claims=CLAIM, payouts=[PAYOUT], referrals=[asked]))
    assert [code for code, _ in violations] == ["claim_in_two_places"]


def test_a_payout_without_its_message_and_a_message_without_its_payout_are_seen() -> None:
    message = {"topic": "settle", "key": "other", "state": "due"}
    violations = books.check_messages(replace(EMPTY, payouts=[PAYOUT], messages=[message]))
    assert [code for code, _ in violations] == ["payout_without_message", "message_without_payout"]


def test_money_to_be_recovered_that_nobody_asked_for_or_that_is_settled_twice_is_seen() -> None:
    back = {"id": "r", "claim_id": "c", "amount_minor": 10, "offset_minor": 10, "repaid_minor": 10}
    now = replace(EMPTY, recoveries=[{**back, "written_off_minor": 0, "state": "repaid"}])
    assert [code for code, _ in books.check_recoveries(now, ())] == ["recovery_unasked", "recovery_overdrawn"]
    assert [code for code, _ in books.check_recoveries(now, {"c"})] == ["recovery_overdrawn"]


def test_a_paid_claim_is_declined_only_when_all_of_it_is_to_come_back() -> None:
    now = replace(EMPTY, claims={"c": {**CLAIM["c"], "status": "declined"}}, payouts=[{**PAYOUT, "state": "paid"}])
    assert [code for code, _ in books.check_statuses(now, {"c": 10}, {"c": 9})] == ["paid_shown_otherwise"]
    assert books.check_statuses(now, {"c": 10}, {"c": 10}) == []


def test_a_ledger_that_sums_to_zero_over_two_payouts_only_is_seen() -> None:
    entries = [
        {"payout_id": payout, "step": "reserve", "account": "bank", "amount_minor": minor, "currency": "CNY"}
        for payout, minor in (("p", 5), ("q", -5))
    ]
    assert {code for code, _ in books.check_ledger(replace(EMPTY, ledger=entries))} == {"ledger_not_zero"}


def test_a_change_without_its_record_and_a_record_without_its_contents_are_seen() -> None:
    record = {"seq": 1, "action": "claim.created", "subject": "c", "has_content": False}
    decided = {"claim_id": "c", "unchecked": False}
    now = replace(EMPTY, claims=CLAIM, decisions=[decided], audit=[record])
    violations = books.check_audit(now, Model(), {})
    assert [code for code, _ in violations] == ["audit_missing", "audit_content_missing"]

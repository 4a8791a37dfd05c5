"""Other claims about the same order, event or person: their effect, and the amount still due."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from claims import decide
from claims.catalogue import load_catalogue, paying_for_the_same, read_product
from claims.claim import Status, standing_decision
from claims.decide import PersonInputs, person_decision, person_limit
from claims.decision import Decision, Outcome
from claims.errors import InvalidDecision, InvalidProduct, OrderValuePaid
from claims.events import same_event
from claims.evidence import MatchOwner, OtherIdentity, PhotoVerdict, RepeatFact, SharingClaim
from claims.names import masked, same_name, same_person_name
from claims.orders import order_key, order_left
from claims.policy import widens
from claims.rules import RULES
from claims.wire import canonical
from fixtures.cases import INSURED, NOW, Case, in_order, match, order, paper, photo, slip, yuan

FOOD = in_order("fresh_food_rot")


def other(**changes: object) -> SharingClaim:
    made = SharingClaim(
        "claim-0", order=True, event=False, status="paid", paid_minor=8_000, earlier=True, same_claimant=True
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def among(*others: SharingClaim, case: Case = FOOD, price_minor: int = 0) -> Case:
    paid = sum(payment.paid_minor for payment in others if payment.order)
    return case.with_facts(repeats=RepeatFact(others, paid, price_minor))


def first(decision: Decision) -> tuple[str, str]:
    return decision.outcome, decision.reasons[0].code


def test_a_second_claim_for_one_order_goes_to_a_person_with_the_claims_named() -> None:
    decision = among(other()).decision()
    assert first(decision) == ("refer", "order_claimed_before")
    assert (decision.reasons[0].value, decision.reasons[0].detail) == ("1", "claim-0")
    assert decision.payout.minor == 0


@pytest.mark.parametrize("status", ["submitted", "awaiting_information", "referred", "declined", "payout_failed"])
def test_an_earlier_claim_that_is_open_or_was_refused_counts_for_order_and_event(status: str) -> None:
    unpaid = other(status=status, paid_minor=0)
    assert first(among(unpaid).decision()) == ("refer", "order_claimed_before")
    about_event = replace(unpaid, order=False, event=True)
    assert first(among(about_event).decision()) == ("refer", "same_event_claimed_before")


def test_the_first_of_two_claims_goes_its_way_unless_the_later_one_was_paid() -> None:
    later = other(earlier=False, status="referred", paid_minor=0)
    assert among(later).decision().outcome is Outcome.PAY
    assert first(among(replace(later, paid_minor=1)).decision()) == ("refer", "order_claimed_before")
    about_event = replace(later, order=False, event=True)
    assert among(about_event).decision().outcome is Outcome.PAY
    assert first(among(replace(about_event, paid_minor=1)).decision()) == ("refer", "same_event_claimed_before")


def test_an_order_of_another_claimant_is_a_suspicion_that_names_nobody_to_the_claimant() -> None:
    decision = among(other(same_claimant=False)).decision()
    assert first(decision) == ("refer", "order_of_another_claimant")
    assert decision.reasons[0].ground == "suspicion"


def test_a_claim_that_was_withdrawn_after_it_was_paid_is_named_as_paid() -> None:
    decision = among(other(order=False, event=True, status="withdrawn")).decision()
    assert decision.reasons[0].value == "claim claim-0 is withdrawn, paid"


def test_an_order_may_be_returned_in_two_parcels_and_never_for_more_than_its_freight() -> None:
    freight = in_order("return_freight").with_policy(insured_value=yuan(2_000))
    once = other(paid_minor=1_200)
    decision = among(once, case=freight).decision()
    assert (decision.outcome, decision.payout) == (Outcome.PAY, yuan(800))
    assert ("order_paid", 800) in [(line.label, line.amount.minor) for line in decision.benefit]
    assert first(among(once, replace(once, claim_id="claim-9"), case=freight).decision())[1] == "order_claimed_before"
    assert first(among(other(paid_minor=2_000), case=freight).decision()) == ("refer", "order_value_paid")


def test_what_is_left_of_an_order_is_its_value_or_its_price_less_what_was_paid() -> None:
    policy, product = FOOD.policy, FOOD.product  # insured at 300.00
    assert order_left(policy, product, 0) == yuan(30_000)
    assert order_left(policy, product, 10_000) == yuan(20_000)
    assert order_left(policy, product, 10_000, 25_000) == yuan(15_000)
    assert order_left(policy, product, 40_000) == yuan(0)
    assert order_left(policy, load_catalogue()["outpatient_medical"], 40_000) is None
    assert order_left(policy, load_catalogue()["return_freight"], 0, 100) == yuan(30_000)  # no price of the freight


def test_a_person_approves_no_more_than_is_left_of_the_order() -> None:
    assert person_limit(FOOD.insured, 0, 25_000) == yuan(5_000)

    def approval(minor: int, order_paid_minor: int) -> PersonInputs:
        return PersonInputs(
            FOOD.claim, FOOD.policy, FOOD.product, Outcome.PAY, yuan(minor), "", "adjuster:li", RULES, NOW, 0,
            order_paid_minor=order_paid_minor,
        )  # fmt: skip

    def approve(minor: int, order_paid_minor: int) -> Decision:
        return person_decision(approval(minor, order_paid_minor))

    assert approve(5_000, 25_000).payout == yuan(5_000)
    for minor, paid in ((5_001, 25_000), (1, 30_000)):
        with pytest.raises(OrderValuePaid):
            approve(minor, paid)
    with pytest.raises(InvalidDecision) as refused:
        approve(8_001, 0)  # more than was claimed: the order has nothing to do with it
    assert not isinstance(refused.value, OrderValuePaid)
    assert b'"<= 5000 CNY"' in decide.replay(canonical(approval(5_000, 25_000)))


def test_events_are_one_by_their_times_and_by_what_was_ordered() -> None:
    at, none = NOW, frozenset[str]()
    days, minutes = timedelta(hours=RULES.same_event_hours_max), timedelta(minutes=1)
    a, b = frozenset({"a"}), frozenset({"b"})
    assert same_event(at, at + days, none, b, RULES)
    assert same_event(at, at - days, a, a | b, RULES)
    assert not same_event(at, at + days + timedelta(seconds=1), a, a, RULES)
    assert not same_event(at, at + timedelta(hours=1), a, b, RULES)  # two orders on one day
    assert same_event(at, at + minutes, a, b, RULES)  # one form filled in twice


def test_an_order_is_known_by_its_number_however_it_is_written_and_a_short_one_by_its_shop() -> None:
    assert order_key("3206-1182 4401 9255") == order_key("３２０６１１８２４４０１９２５５", "a-shop")
    assert order_key("no. 1001", "shop-1") != order_key("no. 1001", "shop-2")
    assert order_key("1001", "shop-1") == order_key("1001", "SHOP 1")
    assert order_key(" - ") == ""
    assert len(order_key("1001", "shop-1")) == 64


def test_one_person_under_two_ids_is_a_suspicion() -> None:
    identity = OtherIdentity("claimant-9", ("device", "payee"), 3)
    decision = FOOD.with_facts(repeats=RepeatFact(identities=(identity,))).decision()
    assert first(decision) == ("refer", "claimant_under_two_ids")
    assert decision.reasons[0].value == "device payee"
    assert same_person_name("Ａnn  Lee", "ann lee", RULES)
    assert not same_person_name("张*", "张三", RULES)
    assert not same_person_name("", "", RULES)


def test_a_photo_of_a_withdrawn_claim_that_was_paid_is_never_paid_again() -> None:
    again = replace(match(MatchOwner.SAME_EVENT, PhotoVerdict.SAME_BYTES), claim_status=Status.WITHDRAWN)
    unpaid = FOOD.with_facts(photos=(photo("photo-0", again.verdict, [again]),))
    assert unpaid.decision().outcome is Outcome.PAY
    paid = FOOD.with_facts(photos=(photo("photo-0", again.verdict, [replace(again, claim_paid=True)]),))
    assert first(paid.decision()) == ("refer", "same_event_claimed_before")
    assert paid.decision().reasons[0].value.endswith("withdrawn, paid")


def test_what_stands_behind_an_appeal() -> None:
    draft, paid, declined = Status.DRAFT, Status.PAID, Status.DECLINED
    assert standing_decision([draft, Status.SUBMITTED, Status.REFERRED]) is None
    assert standing_decision([draft, declined, Status.REFERRED]) is declined
    assert standing_decision([draft, paid, Status.REFERRED], ["paid"]) is paid
    assert standing_decision([draft, declined, Status.REFERRED], ["paid", "reserved"]) is Status.APPROVED
    refused = [draft, paid, Status.REFERRED, declined, Status.REFERRED]
    assert standing_decision(refused, ["paid"], kept_minor=0) is declined
    assert standing_decision(refused, ["paid"], kept_minor=1) is paid


# A cover of which the house heard too late


@pytest.mark.parametrize(("told", "code"), [("recorded_at", "recorded"), ("terms_changed_at", "changed")])
def test_a_cover_recorded_or_widened_after_the_event_goes_to_a_person(told: str, code: str) -> None:
    event = FOOD.claim.occurred_at
    late = FOOD.with_policy(**{told: event + timedelta(minutes=RULES.cover_recorded_minutes_max, seconds=1)})
    assert first(late.decision()) == ("refer", f"cover_{code}_after_event")
    for in_time in (event - timedelta(minutes=1), event + timedelta(minutes=RULES.cover_recorded_minutes_max)):
        assert FOOD.with_policy(**{told: in_time}).decision().outcome is Outcome.PAY


def test_only_what_covers_more_than_before_widens_a_cover() -> None:
    old = FOOD.policy
    day = timedelta(days=1)
    assert not widens(old, replace(old, starts_at=old.starts_at + day, ends_at=old.ends_at - day))
    assert not widens(old, replace(old, sum_insured=yuan(1), insured_value=yuan(1)))
    for more in (
        {"starts_at": old.starts_at - day}, {"ends_at": old.ends_at + day}, {"insured_name": "王"}, {"pet_id": "p"},
        {"sum_insured": yuan(9_000_000)}, {"insured_value": yuan(9_000_000)},
    ):  # fmt: skip
        assert widens(old, replace(old, **more))  # type: ignore[arg-type]


# Whose parcel it is


def test_a_parcel_to_somebody_else_is_referred_and_one_to_a_masked_or_titled_name_is_not() -> None:
    case = in_order("parcel_damage")
    stranger = case.with_facts(papers=(slip(recipient="王建国"),)).decision()
    assert first(stranger) == ("refer", "recipient_is_not_insured")
    for shown in (INSURED, f"{INSURED[0]}*{INSURED[-1]}", f"{INSURED[0]}女士"):
        assert case.with_facts(papers=(slip(recipient=shown),)).decision().outcome is Outcome.PAY


def test_a_return_is_sent_by_the_insured_where_its_slip_shows_the_sender() -> None:
    case = in_order("return_freight")
    back = {"carrier": "顺达", "tracking_number": "SF9", "order_number": "order-1", "date": "2026-11-19"}
    for sent, outcome in (({}, "pay"), ({"sender": INSURED}, "pay"), ({"sender": "王建国"}, "refer")):
        decision = case.with_facts(photos=(), papers=(paper("return_slip", **back, **sent),)).decision()
        assert decision.outcome == outcome
    assert decision.reasons[0].code == "sender_is_not_insured"


def test_a_title_stands_for_the_given_name_and_is_nobodys_name_alone() -> None:
    assert same_name("张先生", "张三丰", RULES)
    assert same_name("欧阳女士", "欧阳娜", RULES)
    assert not same_name("李先生", "张三丰", RULES)
    assert not same_name("先生", "张三丰", RULES)
    assert masked("张先生", RULES)
    assert not same_name("张先生", "张三丰", replace(RULES, name_titles=()))


# Terms


def test_every_product_says_how_many_claims_an_order_and_an_event_may_have() -> None:
    catalogue = load_catalogue()
    terms = {key: (p.order_covers, p.claims_per_order_max, p.claims_per_event_max) for key, p in catalogue.items()}
    goods = ("goods", 1, 1)
    bills = ("", None, None)
    assert terms == {
        "cosmetics_allergy": goods, "fresh_food_rot": goods, "parcel_damage": goods,
        "return_freight": ("freight", 2, 1),
        "inpatient_medical": bills, "outpatient_medical": bills, "pet_medical": bills,
    }  # fmt: skip
    assert paying_for_the_same(catalogue["parcel_damage"]) == {"cosmetics_allergy", "fresh_food_rot", "parcel_damage"}
    assert paying_for_the_same(catalogue["pet_medical"]) == frozenset()


def test_terms_that_limit_claims_of_an_order_say_what_they_pay_of_it() -> None:
    from claims.catalogue import CATALOGUE

    text = (CATALOGUE / "fresh_food_rot.yaml").read_text(encoding="utf-8")
    with pytest.raises(InvalidProduct, match="come together"):
        read_product(text.replace("order_covers: goods\n", ""), "fresh_food_rot")


def test_several_bills_of_one_illness_are_paid() -> None:
    case = in_order("outpatient_medical")
    assert among(other(event=True), case=case).decision().outcome is Outcome.PAY


def test_an_order_page_caps_the_loss_by_its_price_whatever_its_kind_is_called() -> None:
    shown = order(5_000)
    named = replace(shown, kind="our_order_page", may_show=("order_number", "total_minor", "date", "merchant"))
    product = FOOD.product
    evidence = product.evidence.model_copy(update={"may_bring": ("order_screenshot", "our_order_page")})
    case = replace(FOOD, product=product.model_copy(update={"evidence": evidence}))
    assert case.with_facts(papers=(shown,)).decision().payout == yuan(5_000)
    assert case.with_facts(papers=(named,)).decision().payout == yuan(5_000)

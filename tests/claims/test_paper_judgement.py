"""Papers of every kind: names, keys, hospitals, required companions, and consistency among the papers of one claim.
The reading itself is not tested here: every paper is a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.decision import Decision, Ground, Outcome
from claims.evidence import FieldDoubt, PaperFact
from claims.hospitals import Hospital, HospitalTerms, near_miss
from claims.judge.papers import CODE_BY_CHECK, doubtful_fields
from claims.names import same_name
from claims.paper_keys import identities
from claims.paper_kind import load_paper_kinds, read_terms
from claims.rules import RULES
from fixtures.cases import INSURED, Case, diagnosis, in_order, invoice, order, paper, slip, stay, vet_bill, yuan


def carried(decision: Decision) -> list[str]:
    first = decision.reasons[0]
    return [reason.code for reason in decision.reasons if (reason.pulls, reason.ground) == (first.pulls, first.ground)]


def outcome(case: Case, *papers: PaperFact) -> tuple[Outcome, list[str]]:
    decision = case.with_facts(papers=papers).decision()
    return decision.outcome, carried(decision)


STAY = in_order("inpatient_medical")
PET = in_order("pet_medical")


@pytest.mark.parametrize(
    ("shown", "insured", "same"),
    [
        ("张三丰", "张三丰", True),
        ("张 三 丰", "张三丰", True),
        ("张*丰", "张三丰", True),
        ("张*", "张三丰", True),
        ("张**", "张三", True),
        ("*三丰", "张三丰", True),
        ("张※丰", "张三丰", True),
        ("买买提•艾力", "买买提·艾力", True),
        ("ＬＩ　Ｍｉｎｇ", "li ming", True),
        ("***", "张三丰", False),
        ("李*", "张三丰", False),
        ("张三", "张三丰", False),
        ("张三丰", "", False),
        ("", "张三丰", False),
        ("張三丰", "张三丰", False),  # traditional characters are not taken for simplified ones
    ],
)
def test_a_name_is_compared_but_for_its_print(shown: str, insured: str, same: bool) -> None:
    assert same_name(shown, insured, RULES) is same


@given(st.text(st.characters(categories=["Lo"]), min_size=2, max_size=6), st.data())
def test_a_name_with_some_letters_hidden_is_still_the_name(name: str, data: st.DataObject) -> None:
    hidden = data.draw(st.sets(st.integers(0, len(name) - 1), max_size=len(name) - 1))
    assert same_name("".join("*" if place in hidden else letter for place, letter in enumerate(name)), name, RULES)


def test_one_bill_has_one_key_whatever_kind_a_picture_of_it_is_taken_for() -> None:
    spaced = {"number": "No. 3301-267 788"}.get
    assert identities(load_paper_kinds(), "outpatient_invoice", lambda name: spaced(name, "")) == ("bill:NO3301267788",)
    assert identities(load_paper_kinds(), "inpatient_invoice", lambda name: spaced(name, "")) == ("bill:NO3301267788",)


def test_an_old_vat_number_is_a_key_only_with_its_code_and_a_new_one_by_itself() -> None:
    old = {"code": "033002100411", "number": "00000017", "date": "2026-11-01", "total_minor": "9900"}
    assert identities(load_paper_kinds(), "vat_invoice", lambda name: old.get(name, "")) == (
        "vat:033002100411|00000017",
        "vat:00000017|20261101|9900",
    )
    new = {"number": "26332000000001234567"}
    assert identities(load_paper_kinds(), "vat_invoice", lambda name: new.get(name, "")) == (
        "vat:26332000000001234567",
    )
    assert identities(load_paper_kinds(), "vat_invoice", lambda name: {"number": "00000017"}.get(name, "")) == ()


def test_a_clinics_running_number_is_no_key_by_itself() -> None:
    assert set(vet_bill().identities) == {"vet:安心宠物医院|000417", "vet:000417|20261119|8000"}
    assert paper("pet_card", pet_name="豆豆", chip_number="900").identities == ()


def test_a_kind_of_an_insurers_own_is_known_by_the_keys_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "warranty_card.yaml"
    file.write_text(
        "kind: warranty_card\ntitle: {zh: 保修卡, en: warranty card}\nnumber: {family: warranty, keys: [[serial]]}\n",
        encoding="utf-8",
    )
    values = {"serial": "A-1", "shop": "x"}
    kinds = {"warranty_card": read_terms(file)}
    assert identities(kinds, "warranty_card", lambda name: values.get(name, "")) == ("warranty:A1",)


def test_a_stay_needs_its_diagnosis_page() -> None:
    assert outcome(STAY, stay()) == (Outcome.ASK, ["paper_kind_missing"])
    assert outcome(STAY, stay(), diagnosis()) == (Outcome.PAY, carried(STAY.decision()))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"patient": "王建国"}, "papers_contradict"),
        ({"hospital": "杭州市中心医院"}, "papers_contradict"),
        ({"date": "2026-11-01"}, "paper_dates_out_of_order"),
    ],
)
def test_a_diagnosis_page_of_another_stay_is_referred(changed: dict[str, str], code: str) -> None:
    got, codes = outcome(STAY, stay(), diagnosis(**changed))
    assert got is Outcome.REFER
    # A page of another patient is a suspicion, and then that is said first.
    assert codes == ([code] if "patient" not in changed else ["patient_is_not_insured"])


def test_two_stays_and_their_two_pages_agree() -> None:
    first = stay(200_000, number="3300001111", evidence_id="paper-1", days=("2026-10-01", "2026-10-03"))
    other = diagnosis("paper-2", date="2026-10-02")
    assert outcome(STAY, stay(200_000), diagnosis(), first, other)[0] is Outcome.PAY


@pytest.mark.parametrize("field", ["admitted_date", "discharged_date", "date"])
def test_every_date_of_a_stay_lies_in_the_cover(field: str) -> None:
    late = replace(
        stay(), fields=tuple(replace(f, value="2027-12-24") if f.name == field else f for f in stay().fields)
    )
    assert "paper_date_outside_cover" in [
        reason.code for reason in STAY.with_facts(papers=(late, diagnosis())).decision().reasons
    ]


def test_a_bill_of_an_excluded_hospital_is_declined_on_its_clause_and_a_doubtful_one_is_not() -> None:
    case = in_order("outpatient_medical")
    bill = invoice()
    named = replace(
        bill, fields=tuple(replace(f, value="康养之家诊所") if f.name == "hospital" else f for f in bill.fields)
    )
    decision = case.with_facts(papers=(named,)).decision()
    assert (decision.outcome, decision.reasons[0].code, decision.reasons[0].clause) == (
        Outcome.DECLINE, "hospital_excluded", "4.3",
    )  # fmt: skip
    faint = replace(
        named, fields=tuple(replace(f, confidence=0.5) if f.name == "hospital" else f for f in named.fields)
    )
    assert outcome(case, faint)[0] is Outcome.ASK
    beside = case.with_facts(papers=(named, invoice(evidence_id="paper-1", number="9876543210"))).decision()
    assert (beside.outcome, beside.payout) == (Outcome.PAY, yuan(40_000))


@pytest.mark.parametrize(
    ("shown", "doubted"),
    [
        ("康养之诊所", True),  # a seal covers a character
        ("康养之家诊断所", True),
        ("康养之象诊所", True),
        ("康养之家诊所", False),
        ("康养之家中心诊所", False),
        ("杭州市第一人民医院", False),
    ],
)
def test_a_hospital_that_is_nearly_a_listed_one_is_neither_it_nor_another(shown: str, doubted: bool) -> None:
    case = in_order("outpatient_medical")
    bill = invoice()
    named = replace(bill, fields=tuple(replace(f, value=shown) if f.name == "hospital" else f for f in bill.fields))
    decision = case.with_facts(papers=(named,)).decision()
    reasons = [reason for reason in decision.reasons if reason.code == "paper_doubtful"]
    assert bool(reasons) is doubted
    if doubted:
        assert decision.outcome in (Outcome.ASK, Outcome.REFER)
        assert reasons[0].detail == f"hospital: {shown} is nearly 康养之家诊所, which the terms name"


def test_hospitals_of_one_town_that_differ_by_their_number_are_two() -> None:
    terms = HospitalTerms(designated_hospitals=(Hospital(name="杭州市第二人民医院"),))

    def nearly(shown: str) -> str:
        bill = invoice()
        fields = tuple(replace(f, value=shown) if f.name == "hospital" else f for f in bill.fields)
        return near_miss(terms, replace(bill, fields=fields), 1)

    assert nearly("杭州市第人民医院") == "杭州市第二人民医院"
    assert nearly("杭州市第一人民医院") == nearly("杭州市第二人民医院") == nearly("宁波市第三医院") == ""
    county = HospitalTerms(designated_hospitals=(Hospital(name="安吉县人民医院"),))
    named = tuple(replace(f, value="安吉市人民医院") if f.name == "hospital" else f for f in invoice().fields)
    assert near_miss(county, replace(invoice(), fields=named), 1) == ""
    assert near_miss(terms, invoice(), 0) == ""  # as decisions before rules 3.5 took it


def test_used_up_days_decline_by_the_limit() -> None:
    decision = STAY.with_cover(days_paid=90).decision()
    assert (decision.outcome, decision.reasons[0].code, decision.reasons[0].clause) == (
        Outcome.DECLINE, "days_exhausted", "4.1",
    )  # fmt: skip


def test_a_vets_bill_of_another_owner_or_another_pet_is_referred() -> None:
    assert outcome(PET, vet_bill(owner="王建国")) == (Outcome.REFER, ["owner_is_not_insured"])
    card = paper("pet_card", "paper-6", pet_name="年糕", owner=INSURED, species="dog")
    assert outcome(PET, vet_bill(), card) == (Outcome.REFER, ["papers_contradict"])


def test_goods_are_paid_up_to_the_price_of_the_order() -> None:
    case = in_order("fresh_food_rot")
    decision = case.with_facts(papers=(order(5_000),)).decision()
    assert (decision.outcome, decision.payout) == (Outcome.PAY, yuan(5_000))
    assert outcome(case, order(order_number="other")) == (Outcome.REFER, ["order_number_differs"])
    assert outcome(case, order(date="2026-11-20")) == (Outcome.REFER, ["paper_dates_out_of_order"])


def test_a_return_before_its_order_is_referred() -> None:
    back = paper("return_slip", carrier="顺达", tracking_number="SF1", order_number="order-1", date="2026-11-10")
    case = in_order("return_freight").with_facts(photos=())
    assert outcome(case, back)[0] is Outcome.PAY
    assert outcome(case, back, order(date="2026-11-15")) == (Outcome.REFER, ["paper_dates_out_of_order"])


@pytest.mark.parametrize("check", sorted(CODE_BY_CHECK))
def test_every_check_that_fails_refers(check: str) -> None:
    decision = STAY.with_facts(
        papers=(replace(stay(), checks=paper("receipt", failed=[check]).checks), diagnosis())
    ).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, [CODE_BY_CHECK[check]])
    suspicion = check == "digits_look_untouched"
    assert (decision.reasons[0].ground is Ground.SUSPICION) is suspicion


def test_a_check_that_nobody_has_heard_of_refers_too() -> None:
    doubtful = replace(stay(), checks=paper("receipt", failed=["stamp_is_round"]).checks)
    assert outcome(STAY, doubtful, diagnosis()) == (Outcome.REFER, ["paper_check_failed"])


# What the reader does not vouch for


def test_a_paper_that_the_reader_does_not_vouch_for_is_never_paid() -> None:
    case = in_order("outpatient_medical")
    unproven = replace(invoice(), accepted=False, not_accepted_because="could not be checked: items_sum_to_total")
    decision = case.with_facts(papers=(unproven,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["paper_not_accepted"])
    assert next(line.amount for line in decision.benefit if line.label == "due") == yuan(40_000)
    faint = replace(unproven, doubts=(FieldDoubt("total_minor", "two values"),))
    assert outcome(case, faint) == (Outcome.ASK, ["paper_doubtful"])


def test_a_better_picture_of_the_same_paper_takes_its_place_and_one_of_another_paper_does_not() -> None:
    case = in_order("outpatient_medical", claimed_minor=120_000)
    faint = replace(invoice(evidence_id="paper-9"), accepted=False, doubts=(FieldDoubt("total_minor", "two values"),))
    again = case.with_facts(papers=(faint, invoice())).decision()
    assert (again.outcome, again.payout) == (Outcome.PAY, yuan(40_000))
    unproven = replace(invoice(evidence_id="paper-9", number="9876543210"), accepted=False)
    assert outcome(case.with_cover(rounds_asked=1), unproven, invoice()) == (Outcome.REFER, ["paper_not_accepted"])


@given(st.lists(st.sampled_from([True, False]), min_size=1, max_size=4))
def test_whatever_is_paid_is_paid_on_accepted_papers(vouched: list[bool]) -> None:
    bills = [
        replace(
            invoice(10_000 + 1_000 * place, evidence_id=f"p{place}", number=f"10000000{place}"), accepted=vouched_for
        )
        for place, vouched_for in enumerate(vouched)
    ]
    decision = in_order("outpatient_medical", claimed_minor=10**6).with_facts(papers=tuple(bills)).decision()
    assert (decision.outcome is Outcome.PAY) == (
        all(vouched) and sum(int(b.value("total_minor")) for b in bills) > 10_000
    )


def test_doubtful_fields_are_those_a_person_must_look_at() -> None:
    bill = replace(invoice(failed=["capital_amount_equals_total"]), doubts=(FieldDoubt("number", "two values"),))
    faint = replace(bill, fields=tuple(replace(f, confidence=0.4) if f.name == "date" else f for f in bill.fields))
    product = in_order("outpatient_medical").product
    assert doubtful_fields(product, faint, RULES) == {"date", "number", "total_minor", "capital_total_minor"}
    assert doubtful_fields(product, invoice(), RULES) == frozenset()
    elsewhere = replace(invoice(), places_in_doubt=(FieldDoubt("patient", "信息 is no usual name"),))
    assert doubtful_fields(product, elsewhere, RULES) == {"patient"}


def test_a_parcel_slip_that_came_before_its_order_is_referred() -> None:
    late = order(20_000, date="2026-11-19")
    early = slip(date="2026-11-17")
    assert outcome(in_order("parcel_damage"), early, late) == (Outcome.REFER, ["paper_dates_out_of_order"])

"""The amount due: examples worked by hand, an oracle, and properties of every calculation."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from claims.benefit import Benefit, Given
from claims.catalogue import load_catalogue
from claims.evidence import CoverFact, PaperFact, UnmeasuredFact
from claims.formulas.registry import calculate
from fixtures.cases import NOW, Case, in_order, invoice, yuan

CLASSES = ["甲", "乙", "丙", "own", ""]
amounts = st.integers(0, 2_000_000)


def given_of(case: Case, papers: tuple[PaperFact, ...] = ()) -> Given:
    return Given(case.insured, case.facts.cover, papers)


def benefit_of(case: Case, papers: tuple[PaperFact, ...] = ()) -> Benefit:
    benefit = calculate(given_of(case, papers))
    assert isinstance(benefit, Benefit)
    return benefit


def lines(benefit: Benefit) -> list[tuple[str, int, str]]:
    return [(line.label, line.amount.minor, line.detail) for line in benefit.lines]


def test_bill_by_classes_is_worked_out_line_by_line() -> None:
    # 甲 300 乙 200 own 100; the state insurance paid 150 of 甲; the deductible of 100 takes the own part first.
    bill = invoice(60_000, 15_000, [("甲", 30_000), ("乙", 20_000), ("own", 10_000)])
    assert lines(benefit_of(in_order("outpatient_medical"), (bill,))) == snapshot(
        [
            ("claimed", 60000, ""),
            ("paper_total", 60000, "paper-0.jpg"),
            ("insurance_paid", -15000, "paper-0.jpg"),
            ("loss", 45000, ""),
            ("deductible", -10000, ""),
            ("co_pay", -1500, "甲 9000"),
            ("co_pay", -4000, "乙 8000"),
            ("due", 29500, ""),
        ]
    )


def test_lower_of_claim_and_bill_is_paid() -> None:
    assert benefit_of(in_order("outpatient_medical", claimed_minor=50_000), (invoice(60_000),)).due == yuan(32_000)
    assert benefit_of(in_order("outpatient_medical", claimed_minor=90_000), (invoice(60_000),)).due == yuan(40_000)


def test_limits_cut_in_turn() -> None:
    case = in_order("outpatient_medical", claimed_minor=900_000).with_policy(sum_insured=yuan(480_000))
    assert lines(benefit_of(case.with_cover(paid_to_date_minor=30_000), (invoice(900_000),)))[2:] == snapshot(
        [
            ("loss", 900000, ""),
            ("deductible", -10000, ""),
            ("co_pay", -178000, "- 8000"),
            ("per_claim_limit", -212000, "500000"),
            ("limit_left", -50000, "450000"),
            ("due", 450000, ""),
        ]
    )


def test_insured_value_limits_the_loss_of_a_thing() -> None:
    case = in_order("parcel_damage", claimed_minor=80_000)
    assert lines(benefit_of(case)) == snapshot(
        [
            ("claimed", 80000, ""),
            ("insured_value", 30000, ""),
            ("loss", 30000, ""),
            ("deductible", -1000, ""),
            ("due", 29000, ""),
        ]
    )


def test_items_that_exceed_the_total_are_cut_where_they_would_pay_most() -> None:
    bill = invoice(20_000, 0, [("甲", 20_000), ("own", 20_000)])
    assert benefit_of(in_order("outpatient_medical"), (bill,)).due == yuan(0)


def test_without_a_readable_amount_there_is_no_benefit() -> None:
    case = in_order("outpatient_medical")
    assert isinstance(calculate(given_of(case)), UnmeasuredFact)
    unread = invoice(missing=["total_minor"])
    assert isinstance(calculate(given_of(case, (unread,))), UnmeasuredFact)


@st.composite
def bills(draw: st.DrawFn) -> tuple[Case, tuple[PaperFact, ...]]:
    # Terms by the day and by the hospital have their own properties, in test_benefit_properties.
    key = draw(st.sampled_from(sorted(set(load_catalogue()) - {"inpatient_medical"})))
    case = in_order(key, claimed_minor=draw(st.integers(1, 2_000_000)))
    case = case.with_policy(insured_value=yuan(draw(amounts)), sum_insured=yuan(draw(st.integers(1, 2_000_000))))
    case = case.with_facts(cover=CoverFact(draw(amounts), "CNY", 0, NOW.date()))
    case = replace(case, product=case.product.model_copy(update={"deductible_minor": draw(st.integers(0, 50_000))}))
    items = st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 500_000)), max_size=5)
    papers = draw(
        st.lists(st.builds(invoice, st.integers(0, 1_000_000), st.integers(0, 300_000), items), min_size=1, max_size=2)
    )
    return case, tuple(paper for paper in papers if int(paper.value("cash_paid_minor")) >= 0) or (invoice(),)


@given(bills())
@settings(max_examples=150, deadline=None)
def test_due_is_never_negative_nor_above_any_bound_and_the_lines_add_up(
    drawn: tuple[Case, tuple[PaperFact, ...]],
) -> None:
    case, papers = drawn
    benefit = benefit_of(case, papers)
    left = max(0, case.policy.sum_insured.minor - case.facts.cover.paid_to_date_minor)
    bounds = [case.claim.amount.minor, case.product.per_claim_max_minor, left]
    if case.product.benefit == "stated_amount":
        bounds.append(case.policy.insured_value.minor)
    else:
        bounds.append(sum(int(paper.value("total_minor")) for paper in papers))
    assert 0 <= benefit.due.minor <= min(bounds)
    minor = [line.amount.minor for line in benefit.lines]
    at = [line.label for line in benefit.lines].index("loss")
    assert sum(minor[at:-1]) == minor[-1] == benefit.due.minor
    assert all(amount < 0 for amount in minor[at + 1 : -1])


@given(bills(), st.integers(1, 300_000))
@settings(max_examples=150, deadline=None)
def test_more_claimed_or_more_left_or_a_higher_bill_never_pays_less(
    drawn: tuple[Case, tuple[PaperFact, ...]], more: int
) -> None:
    case, papers = drawn
    due = benefit_of(case, papers).due.minor
    assert benefit_of(case.with_claim(amount=yuan(case.claim.amount.minor + more)), papers).due.minor >= due
    roomier = case.with_policy(sum_insured=yuan(case.policy.sum_insured.minor + more))
    assert benefit_of(roomier, papers).due.minor >= due
    paid = case.with_cover(paid_to_date_minor=case.facts.cover.paid_to_date_minor + more)
    assert benefit_of(paid, papers).due.minor <= due
    paper = papers[0]
    higher = replace(
        paper,
        fields=tuple(
            replace(field, value=str(int(field.value) + more))
            if field.name in ("total_minor", "cash_paid_minor")
            else field
            for field in paper.fields
        ),
    )
    without_items = (replace(paper, items=()), *papers[1:])
    assert (
        benefit_of(case, (replace(higher, items=()), *papers[1:])).due.minor
        >= benefit_of(case, without_items).due.minor
    )


@given(st.integers(1, 1_000_000), st.integers(0, 50_000), st.integers(0, 10_000), st.integers(1, 1_000_000))
@settings(max_examples=150, deadline=None)
def test_bill_without_classes_agrees_with_the_formula_in_fractions(
    total: int, deductible: int, rate: int, ceiling: int
) -> None:
    case = in_order("outpatient_medical", claimed_minor=2_000_000)
    terms = {"deductible_minor": deductible, "pays_basis_points": {"": rate}, "per_claim_max_minor": ceiling}
    case = replace(case, product=case.product.model_copy(update=terms))
    exact = min(Fraction(max(0, total - deductible) * rate, 10_000), Fraction(ceiling), Fraction(2_000_000))
    assert benefit_of(case, (invoice(total),)).due.minor == int(exact)
